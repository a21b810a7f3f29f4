"""All checks of a deployment, side by side, each within a time limit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic

from mailtide.access import TokenBook
from mailtide.doctor import fly, orgs, stack, storage
from mailtide.doctor.facts import FlyApp, FunctionFacts, QueueFacts, Resource, Site, StackFacts
from mailtide.doctor.finding import Finding, broken, ok, or_ok, warning
from mailtide.errors import MailtideError
from mailtide.ports import Bucket
from mailtide.runs import store
from mailtide.warmup.control import UNREADABLE, is_readable, read_control
from mailtide.warmup.keys import CONTROL

ORDER = (
    *("credentials", "stack", "clock", "bucket", "bucket versions", "bucket events", "bucket encryption"),
    *("bucket policy", "bucket lifecycle", "queues", "dead letters", "tables", "mailbox key", "functions"),
    *("event sources", "schedules", "warm-up switch", "fly token", "image", "webhook token", "organisations"),
    *("open runs", "locks", "window sources"),
)
"""Every check, as they are shown and documented."""
MOST_ORGS = 2_000
_DEFAULT_RUN_TIMEOUT_S = 3_600
_READERS = 16


@dataclass(frozen=True, kw_only=True)
class Patient:
    """What is examined. bucket: by its name, where it is known beside the stack; open_fly: the app with a token."""

    site: Site
    stack_name: str
    bucket: str | None
    open_bucket: Callable[[str], Bucket]
    open_fly: Callable[[Mapping[str, str], str], FlyApp]
    now: Callable[[], datetime]
    refusals: Callable[[], AbstractContextManager[None]] = nullcontext
    """Around each check: what puts refusals of the cloud into words."""


class Examination:
    """One look at a deployment. What several checks need is asked for once."""

    def __init__(self, patient: Patient, stack_facts: StackFacts | None) -> None:
        self._patient = patient
        self._site = patient.site
        self._stack = stack_facts
        if stack_facts is not None:
            _ = (self._all_functions, self._all_queues)

    def checks(self) -> dict[str, Callable[[], list[Finding]]]:
        """Those that there is something to look at for, by name."""
        found: dict[str, Callable[[], list[Finding]]] = {}
        if self._stack is not None:
            found = {
                "queues": self._queues,
                "dead letters": lambda: stack.dead_letter_checks(self._all_queues),
                "tables": self._tables,
                "mailbox key": self._mailbox_key,
                "functions": self._functions,
                "event sources": self._event_sources,
                "schedules": self._schedules,
                "fly token": self._fly_token,
                "image": lambda: [fly.image_check(self._environment.get("MAILTIDE_MACHINE_IMAGE", ""), self._app)],
            }
            if self._is_elsewhere:
                found["webhook token"] = self._webhook_token
        if self._bucket_name:
            found |= {"clock": self._clock, "bucket": self._bucket, "organisations": self._organisations}
            found["warm-up switch"] = self._warmup_switch
        return found

    # What several need.

    def _of_kind(self, kind: str) -> list[Resource]:
        return self._stack.of_kind(kind) if self._stack else []

    @cached_property
    def _all_functions(self) -> dict[Resource, FunctionFacts | None]:
        named = self._of_kind(stack.FUNCTION)
        return {one: self._site.function(one.physical) for one in named}

    @cached_property
    def _all_queues(self) -> dict[Resource, QueueFacts | None]:
        return {one: self._site.queue(one.physical) for one in self._of_kind(stack.QUEUE)}

    @cached_property
    def _environment(self) -> Mapping[str, str]:
        """Of launch_machine, which is told of Fly."""
        return next(
            (f.environment for one, f in self._all_functions.items() if f and one.logical == "LaunchMachine"), {}
        )

    @cached_property
    def _app(self) -> FlyApp | None:
        token = self._site.secret(self._fly_secret)
        return self._patient.open_fly(self._environment, token.get_secret_value()) if token else None

    @property
    def _fly_secret(self) -> str:
        return self._environment.get("MAILTIDE_FLY_TOKEN_SECRET") or "mailtide/fly-token"

    @property
    def _parameters(self) -> Mapping[str, str]:
        return self._stack.parameters if self._stack else {}

    @property
    def _tokens_secret(self) -> str:
        known = self._stack.physical("ApiTokens") if self._stack else None
        return known or f"{self._patient.stack_name}/api-tokens"

    @property
    def _is_elsewhere(self) -> bool:
        return bool(self._parameters.get("S3Bucket"))

    @property
    def _bucket_name(self) -> str | None:
        if self._stack is None:
            return self._patient.bucket
        return self._parameters.get("S3Bucket") or self._stack.physical("Bucket")

    # The checks.

    def _queues(self) -> list[Finding]:
        functions = {facts.name: facts for facts in self._all_functions.values() if facts}
        return stack.queue_checks(self._all_queues, functions, self._site.mappings())

    def _tables(self) -> list[Finding]:
        named = self._of_kind(stack.TABLE)
        return stack.table_checks({one: self._site.table(one.physical) for one in named})

    def _mailbox_key(self) -> list[Finding]:
        named = self._of_kind(stack.KEY)
        return [stack.key_check(one, self._site.key_state(one.physical)) for one in named]

    def _functions(self) -> list[Finding]:
        urls = [one.physical for one in self._all_queues]
        return stack.function_checks(self._all_functions, self._bucket_name or "", urls)

    def _event_sources(self) -> list[Finding]:
        return stack.mapping_checks(self._all_functions, self._site.mappings(), self._parameters)

    def _schedules(self) -> list[Finding]:
        named = self._of_kind(stack.RULE)
        return stack.schedule_checks({one: self._site.rule(one.physical) for one in named}, self._parameters)

    def _fly_token(self) -> list[Finding]:
        return [fly.token_check(self._environment.get("MAILTIDE_FLY_APP", "mailtide"), self._app, self._fly_secret)]

    def _webhook_token(self) -> list[Finding]:
        secret = self._site.secret(self._tokens_secret)
        book = TokenBook.model_validate_json(secret.get_secret_value()) if secret else TokenBook()
        if any(token.subject == "webhook" for token in book.tokens):
            return [ok("webhook token", "There is one for the webhook of the bucket.")]
        what = "There is no token for the webhook of the bucket: the API takes no events, and only the watcher sees uploads."
        todo = "mailtide tokens add NAME --webhook, and put it into the bucket's notification (docs/tigris.md)"
        return [broken("webhook token", "", what, todo)]

    def _clock(self) -> list[Finding]:
        theirs = self._site.bucket_time(self._bucket_name or "")
        return [storage.clock_check(theirs, self._patient.now())]

    def _bucket(self) -> list[Finding]:
        name = self._bucket_name or ""
        return storage.bucket_checks(name, self._site.bucket_facts(name), is_elsewhere=self._is_elsewhere)

    def _warmup_switch(self) -> list[Finding]:
        bucket = self._patient.open_bucket(self._bucket_name or "")
        if not is_readable(bucket):
            todo = "restore its last version in the bucket; or delete it, if nobody was paused"
            return [broken("warm-up switch", CONTROL, f"{UNREADABLE}: everything is stopped.", todo)]
        if read_control(bucket).paused:
            return [
                warning(
                    "warm-up switch",
                    CONTROL,
                    "The warm-up is paused by an operator.",
                    "resume it on the page, if it is to go on",
                )
            ]
        return [ok("warm-up switch", "Nobody has stopped the warm-up.")]

    def _organisations(self) -> list[Finding]:
        """And what is read with them: open runs, locks, the sources of windows."""
        bucket, now = self._patient.open_bucket(self._bucket_name or ""), self._patient.now()
        names = [name for name, _ in zip(store.organisations(bucket), range(MOST_ORGS), strict=False)]
        with ThreadPoolExecutor(_READERS) as readers:
            read = list(readers.map(lambda org: orgs.read_or_say(bucket, org), names))
        all_facts = [one for one in read if isinstance(one, orgs.OrgFacts)]
        timeout_s = int(self._environment.get("MAILTIDE_RUN_TIMEOUT_S") or _DEFAULT_RUN_TIMEOUT_S) if self._stack else 0
        left = [
            one for facts in all_facts for one in orgs.leftover_checks(facts, now, timeout_s or _DEFAULT_RUN_TIMEOUT_S)
        ]
        said = [one for one in read if isinstance(one, Finding)]
        said += [one for facts in all_facts for one in orgs.org_checks(facts, now)]
        sources = list(orgs.source_checks(all_facts, now))
        count = f"{len(names)} organisation{'' if len(names) == 1 else 's'}"
        return [
            *or_ok("organisations", said, f"{count}: none failed, held or overdue."),
            *or_ok("open runs", [one for one in left if one.check == "open runs"], "None is older than it may be."),
            *or_ok("locks", [one for one in left if one.check == "locks"], "None is left by a run that has ended."),
            *or_ok("window sources", sources, "All were checked within the year."),
        ]


def examine(patient: Patient, *, time_limit_s: float) -> list[Finding]:
    """Every finding, in the order of ORDER. Nobody waits for a check that takes longer than `time_limit_s`."""
    try:
        found = [ok("credentials", patient.site.identity())]
    except MailtideError as error:
        todo = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_REGION"
        return [broken("credentials", "", str(error), todo)]
    try:
        stack_facts = patient.site.stack()
        found.append(stack.stack_check(patient.stack_name, stack_facts))
        examination = Examination(patient, stack_facts)
    except MailtideError as error:
        found.append(_not_looked_at("stack", error))
        examination = Examination(patient, None)
    found += _side_by_side(examination.checks(), time_limit_s, patient.refusals)
    return sorted(found, key=lambda one: (ORDER.index(one.check), one.subject))


def _side_by_side(
    checks: Mapping[str, Callable[[], list[Finding]]],
    time_limit_s: float,
    refusals: Callable[[], AbstractContextManager[None]],
) -> Iterator[Finding]:
    answers: SimpleQueue[tuple[str, Sequence[Finding]]] = SimpleQueue()

    def look(name: str, check: Callable[[], list[Finding]]) -> None:
        try:
            with refusals():
                findings = check()
            answers.put((name, findings))
        except MailtideError as error:
            answers.put((name, [_not_looked_at(name, error)]))
        except Exception as error:  # noqa: BLE001 - one check that fails must not hide the others
            answers.put(
                (name, [warning(name, "", f"It could not be looked at ({type(error).__name__}).", "report it")])
            )

    for name, check in checks.items():
        # Not waited for at the end of the process: a server that never answers would hold it.
        Thread(target=look, args=(name, check), daemon=True).start()
    ends_at_s, waiting = monotonic() + time_limit_s, set(checks)
    while waiting:
        try:
            name, findings = answers.get(timeout=max(0.0, ends_at_s - monotonic()))
        except Empty:
            for name in waiting:
                what = f"It did not answer within {time_limit_s:g} s."
                yield broken(name, "", what, "look again, with a longer --time-limit")
            return
        waiting.discard(name)
        yield from findings


def _not_looked_at(name: str, error: MailtideError) -> Finding:
    todo = "give these credentials the rights of docs/operate.md, or look at the service"
    return warning(name, "", f"It could not be looked at: {error}", todo)
