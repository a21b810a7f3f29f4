"""`mailtide logs`: the story of a run from wherever it is told: the functions' logs, and the objects of the bucket."""

import json
import re
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from mailtide.cli.cloud import cloud_command
from mailtide.cli.stack import stack_option
from mailtide.cli.which_run import named_run, run_argument
from mailtide.errors import InputError

if TYPE_CHECKING:
    from mailtide.adapters.cloud_logs import CloudLogs
    from mailtide.api.run_facts import RunFacts, RunReader
    from mailtide.cli.run_events import Event

_BEFORE, _AFTER = timedelta(minutes=15), timedelta(minutes=15)
_OVERLAP = timedelta(seconds=30)
"""Log lines arrive seconds late: what is followed looks back so far."""
_AGO = re.compile(r"(\d{1,4})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@click.command()
@run_argument("[ORG] RUN")
@stack_option
@click.option(
    "--function",
    "functions",
    multiple=True,
    metavar="NAME",
    help="Only this function, like finish_run; may be repeated.",
)
@click.option(
    "--since", metavar="TIME", help="Only what is younger: 30s, 15m, 2h, 1d, or a UTC time like 2026-11-22T08:15."
)
@click.option("--follow", is_flag=True, help="Go on until the run has ended and its last lines have come.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@cloud_command
def logs(
    names: tuple[str, ...], stack: str, functions: tuple[str, ...], since: str | None, follow: bool, as_json: bool
) -> None:
    """Everything that is told of RUN, oldest first: log lines of the functions, and what stands in the bucket.

    Addresses and tokens that open something are left out. What a machine printed is in Fly's logs (fly logs -i MACHINE).
    Needs MAILTIDE_BUCKET, AWS credentials, and logs:FilterLogEvents for the stack's log groups.
    """
    from mailtide.adapters.cloud_logs import CloudLogs
    from mailtide.api.kept import KeptObjects
    from mailtide.api.run_facts import RunReader
    from mailtide.bootstrap import bucket

    begin = _since(since)
    org, run = named_run(bucket(), names)
    cloud = CloudLogs(stack)
    groups = _chosen(cloud.groups(), functions)
    story = _Story(RunReader(bucket(), KeptObjects()), cloud, groups, org, run, begin, with_bucket=not functions)
    count = 0
    for event in story.told(follow=follow):
        count += 1
        _tell(event, org, run, as_json)
    if not count and not as_json:
        click.echo(
            f"Nothing is told of run {run} of {org}: logs are kept for as long as LogRetentionDays says, objects for 30 days."
        )


class _Story:
    """What was told of a run, each thing once."""

    def __init__(
        self, reader: "RunReader", cloud: "CloudLogs", groups: dict[str, str], org: str, run: str,
        begin: datetime | None, *, with_bucket: bool,
    ) -> None:  # fmt: skip
        self._reader, self._cloud, self._groups = reader, cloud, groups
        self._org, self._run, self._begin = org, run, begin
        self._with_bucket = with_bucket
        self._told: set[object] = set()

    def told(self, *, follow: bool) -> "Iterator[Event]":
        """Oldest first; with `follow` until nothing more can come."""
        start: datetime | None = None
        while True:
            facts = self._reader.facts(self._org, self._run)
            looked_at = datetime.now(UTC)
            yield from self._fresh(facts, start or _begun(facts), looked_at)
            over = facts is None or (facts.done is not None and looked_at - facts.done.finished_at > _OVERLAP)
            if not follow or over:
                return
            start = looked_at - _OVERLAP
            time.sleep(2)

    def _fresh(self, facts: "RunFacts | None", start: datetime, now: datetime) -> "list[Event]":
        end = _ended(facts) or now
        found = [*self._of_functions(max(start, self._begin or start), end), *self._of_bucket(facts)]
        new = {key: event for key, event in found if key not in self._told}
        self._told |= new.keys()
        kept = [event for event in new.values() if self._begin is None or event.at >= self._begin]
        return sorted(kept, key=lambda event: event.at)

    def _of_functions(self, start: datetime, end: datetime) -> "Iterable[tuple[object, Event]]":
        from mailtide.cli.run_events import Event

        with ThreadPoolExecutor(max(1, len(self._groups))) as readers:
            lists = readers.map(
                lambda item: list(self._cloud.lines(item[0], item[1], self._run, start, end)), self._groups.items()
            )
            lines = [line for found in lists for line in found]
        for line in lines:
            key = line.event_id or (line.function, line.at, line.message, str(line.details))
            yield key, Event(line.at, line.function, line.message, line.level, _words(line.details), line.details)

    def _of_bucket(self, facts: "RunFacts | None") -> "Iterable[tuple[object, Event]]":
        from mailtide.cli.run_events import events_of

        if facts is not None and self._with_bucket:
            yield from (((event.place, event.name), event) for event in events_of(facts))


def _begun(facts: "RunFacts | None") -> datetime:
    """When the run began, with a margin for clocks; a month ago where nothing stands of it any more."""
    opened = (
        facts.plan.opened_at if facts and facts.plan else facts.marker.opened_at if facts and facts.marker else None
    )
    return opened - _BEFORE if opened else datetime.now(UTC) - timedelta(days=30)


def _ended(facts: "RunFacts | None") -> datetime | None:
    return facts.done.finished_at + _AFTER if facts and facts.done else None


def _chosen(groups: dict[str, str], functions: tuple[str, ...]) -> dict[str, str]:
    wanted = {name.replace("-", "_") for name in functions}
    unknown = sorted(wanted - groups.keys())
    if unknown:
        raise InputError(f"There is no function {unknown[0]!r}; there are {', '.join(groups)}.")
    return {name: group for name, group in groups.items() if not wanted or name in wanted}


def _since(text: str | None) -> datetime | None:
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"--since is {text!r}; it must be like 30s, 15m, 2h, 1d, or a UTC time like 2026-11-22T08:15."
        ) from None
    return given.replace(tzinfo=UTC) if given.tzinfo is None else given


def _words(details: dict[str, Any]) -> str:
    """The facts of a line as name=value; a traceback stays out."""
    plain = {name: value for name, value in details.items() if name not in {"exception", "stack_trace"}}
    return " ".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in plain.items())


def _tell(event: "Event", org: str, run: str, as_json: bool) -> None:
    from mailtide.cli.run_events import LEVELS, shown

    if as_json:
        line = {"at": event.at.isoformat(), "place": event.place, "level": event.level, "message": event.name}
        click.echo(json.dumps({"org": org, "run": run, **line, "text": event.text, "details": event.details}))
        return
    at = f"{event.at:%Y-%m-%d %H:%M:%S}.{event.at.microsecond // 1000:03d}"
    text = Text(f"{at}  {event.place:<15} ", style="dim")
    text.append(shown(f"{event.name}  {event.text}".rstrip()), style=LEVELS.get(event.level, ""))
    Console(highlight=False, markup=False).print(text, soft_wrap=True)
