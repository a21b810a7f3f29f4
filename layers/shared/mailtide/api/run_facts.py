"""What stands in the bucket of one run: a bounded listing, and the objects in it that tell something."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from pydantic import ValidationError

from mailtide.api.kept import KeptObjects
from mailtide.contracts import (
    Cancellation,
    Contract,
    Done,
    Failure,
    Launch,
    Manifest,
    OpenMarker,
    Part,
    Plan,
    Result,
    TryError,
    Verdict,
)
from mailtide.ports import Bucket, ObjectInfo
from mailtide.runs import keys, store

MOST_OBJECTS = 2_000
"""Objects of a run that are looked at: many more than 64 chunks with all their tries leave."""


@dataclass(slots=True)
class Try:
    """One try of one task."""

    paths: keys.TryKeys
    objects: dict[str, ObjectInfo] = field(default_factory=dict)
    launch: Launch | None = None
    manifest: Manifest | None = None
    failure: Failure | None = None
    counts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """One run."""

    org: str
    run: str
    objects: dict[str, ObjectInfo]
    """By their names below the run's folder."""
    marker: OpenMarker | None
    plan: Plan | None
    result: Result | None
    done: Done | None
    verdict: Verdict | None
    cancellation: Cancellation | None
    tries: tuple[Try, ...]


@dataclass(frozen=True, slots=True)
class RunReader:
    """Reads runs. Whatever never changes is read once."""

    bucket: Bucket
    kept: KeptObjects

    def done(self, org: str, run: str) -> Done | None:
        """How a run ended."""
        return self._once(keys.done(org, run), Done)

    def verdict(self, org: str, run: str) -> Verdict | None:
        """What a person said about it."""
        return self._once(keys.verdict(org, run), Verdict)

    def facts(self, org: str, run: str) -> RunFacts | None:
        """All of it; None when nothing stands there."""
        folder = f"{keys.RUNS}{org}/{run}/"
        listed = islice(self.bucket.list(folder), MOST_OBJECTS)
        objects = {info.key.removeprefix(folder): info for info in listed}
        done = self.done(org, run) if "done.json" in objects else None
        marker = None if done else store.read_marker(self.bucket, org, run)
        if not objects and marker is None:
            return None
        return RunFacts(
            org=org,
            run=run,
            objects=objects,
            marker=marker,
            plan=self._once(keys.plan(org, run), Plan) if "plan.json" in objects else None,
            result=self._once(keys.result(org, run), Result) if "result.json" in objects else None,
            done=done,
            verdict=self.verdict(org, run) if "verdict.json" in objects else None,
            cancellation=self._once(keys.cancel(org, run), Cancellation) if "cancel.json" in objects else None,
            tries=tuple(self._tries(objects.values())),
        )

    def _tries(self, objects: Iterable[ObjectInfo]) -> list[Try]:
        found: dict[keys.TryKeys, Try] = {}
        parts: set[str] = set()
        for info in objects:
            parsed = keys.parse_try(info.key)
            if parsed is not None:
                found.setdefault(parsed[0], Try(parsed[0])).objects[parsed[1]] = info
            elif "/parts/" in info.key:
                parts.add(info.key)
        for one in found.values():
            self._fill(one, parts)
        return sorted(found.values(), key=lambda one: (one.paths.task, one.paths.attempt))

    def _fill(self, one: Try, parts: set[str]) -> None:
        paths = one.paths
        if "launch.json" in one.objects:
            one.launch = self._once(paths.launch, Launch)
        if "manifest.json" in one.objects:
            one.manifest = self._once(paths.manifest, Manifest)
        if "error.json" in one.objects:
            stood = self._once(paths.error, TryError)
            one.failure = stood.failure if stood else store.read_failure(self.bucket, paths)
        part = keys.part(paths.org, paths.run, paths.task)
        counting = self._once(part, Part) if part in parts else None
        one.counts = counting is not None and counting.attempt == paths.attempt

    def _once[T: Contract](self, key: str, model: type[T]) -> T | None:
        """The object, None without one; a machine may have written anything, which is none as well."""

        def read() -> T | None:
            try:
                return store.read(self.bucket, key, model)
            except ValidationError:
                return None

        return self.kept.get(key, model, read)
