"""One line of a feedback file: what it says, or why it is refused. Refusals show no value: it might be an address."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import IO, Literal, cast, get_args
from zoneinfo import ZoneInfo

from mailtide.database.due import idempotency_key
from mailtide.database.values import Cell, is_email, normal_email, read_date, read_integer
from mailtide.errors import InputError
from mailtide.importing.csv_file import check_is_text, read_csv
from mailtide.importing.records import MAX_TEXT, Record, Refusal

type State = Literal["sent", "delivered", "bounced", "clicked", "answered", "unsubscribed"]
type Fields = dict[str, object]

STATES = get_args(State.__value__)
OF_A_MAIL = frozenset({"sent", "delivered", "bounced"})
COLUMNS = frozenset({
    "state", "at", "idempotency_key", "contact_id", "email_type", "event_date", "campaign_instance_id", "email", "bounce",
    "metadata", "scheduled_send_date", "scheduled_send_time", "priority", "email_template", "sms_template",
})  # fmt: skip
"""Columns that are read; a line may have any others."""
MAX_LINE_BYTES = 1 << 18
_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class MailName:
    """The parts that make the key of a mail."""

    contact_id: int
    email_type: str
    event_date: str
    campaign: int


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened."""

    number: int
    state: State
    at: str | None
    """Local time of the organisation, ISO 8601; a day alone where no more is known. Only an unsubscription may lack it."""
    key: bytes | None
    """Digest of the mail's idempotency key."""
    name: MailName | None
    contact_id: int | None
    email: str | None
    is_hard: bool
    metadata: str | None
    given: dict[str, str]
    """Of a mail that no longer stands in the plan: its send date and time, priority and templates."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How times are read: the organisation's zone, and the moment after which nothing can have happened yet."""

    zone: ZoneInfo
    latest: datetime

    @classmethod
    def of(cls, timezone: str, moment: datetime) -> "Clock":
        """A day is left for clocks that disagree."""
        return cls(ZoneInfo(timezone), moment + timedelta(days=1))


class _Refused(Exception):  # noqa: N818 - no error: an outcome of one line
    """Why a line is not taken."""


def read_lines(file: IO[bytes], *, is_csv: bool, clock: Clock) -> Iterator[Line | Refusal]:
    """Every line of a file. Raises InputError, one sentence, when it is no CSV or JSON Lines at all."""
    check_is_text(file.read(16))
    file.seek(0)
    for found in _records(file) if is_csv else _objects(file):
        if isinstance(found, Refusal):
            yield found
            continue
        try:
            yield _line(*found, clock)
        except _Refused as refused:
            yield Refusal(found[0], str(refused))


def _records(file: IO[bytes]) -> Iterator[tuple[int, Fields] | Refusal]:
    records = read_csv(file, set(COLUMNS), lambda _: False, lambda _: None)
    if "state" not in records.names:
        raise InputError("The first line names no column state.")
    if len(set(records.names)) < len(records.names):
        raise InputError("The first line names a column twice.")
    for record in records.lines:
        if isinstance(record, Record):
            yield record.number, dict(zip(records.names, record.values, strict=True))
        else:
            yield record


def _objects(file: IO[bytes]) -> Iterator[tuple[int, Fields] | Refusal]:
    number = 0
    while data := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(data) > MAX_LINE_BYTES:
            _skip_line(file, data)
            yield Refusal(number, f"it is longer than {MAX_LINE_BYTES >> 10} KiB")
            continue
        text = data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data
        if text.strip():
            yield _object(number, text)


def _skip_line(file: IO[bytes], data: bytes) -> None:
    while data and not data.endswith(b"\n"):
        data = file.readline(MAX_LINE_BYTES)


def _object(number: int, data: bytes) -> tuple[int, Fields] | Refusal:
    try:
        found = json.loads(data.decode())
    except (ValueError, RecursionError):
        return Refusal(number, "it is not JSON")
    if not isinstance(found, dict):
        return Refusal(number, "it is no JSON object")
    return number, found


def _line(number: int, fields: Fields, clock: Clock) -> Line:
    state = fields.get("state")
    if not isinstance(state, str) or state.strip().lower() not in STATES:
        raise _Refused(f"state must be one of {', '.join(STATES)}")
    state = cast("State", state.strip().lower())
    name = _name(fields)
    key = _key(fields, name)
    line = Line(
        number=number,
        state=state,
        at=_at(fields.get("at"), clock, is_needed=state != "unsubscribed"),
        key=None if key is None else bytes.fromhex(key),
        name=name,
        contact_id=_integer(fields, "contact_id"),
        email=_email(fields),
        is_hard=_is_hard(fields),
        metadata=_metadata(fields.get("metadata")),
        given=_given(fields),
    )
    _check_says_whom(line)
    return line


def _check_says_whom(line: Line) -> None:
    if line.state in OF_A_MAIL and line.key is None:
        raise _Refused("it names no mail; give idempotency_key, or contact_id, email_type and event_date")
    if line.key is None and line.contact_id is None and not (line.state == "unsubscribed" and line.email):
        raise _Refused("it names nobody; give idempotency_key or contact_id")


def _name(fields: Fields) -> MailName | None:
    contact_id, kind, event = _integer(fields, "contact_id"), _text(fields, "email_type"), _text(fields, "event_date")
    if event is not None and (read_date(event) is None or len(event) != 10):
        raise _Refused("event_date must be a day like 2026-11-21")
    if contact_id is None or kind is None or event is None:
        return None
    return MailName(contact_id, kind, event, _integer(fields, "campaign_instance_id") or 0)


def _key(fields: Fields, name: MailName | None) -> str | None:
    """The key that a line gives, or that its parts make."""
    given = _text(fields, "idempotency_key")
    if given is not None and (len(given) != 64 or not _DIGITS.issuperset(given.lower())):
        raise _Refused("idempotency_key must be the 64 hexadecimal digits that mailtide due gives")
    if name is None:
        return None if given is None else given.lower()
    own = idempotency_key(name.contact_id, name.email_type, name.event_date, name.campaign)
    if given is None or given.lower() == own:
        return own
    if _integer(fields, "campaign_instance_id") is None:
        # The parts are not all there; the key alone says which mail is meant.
        return given.lower()
    raise _Refused("its idempotency_key is not that of its contact, type, event date and campaign")


def _at(value: object, clock: Clock, *, is_needed: bool) -> str | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        if is_needed:
            raise _Refused("at is missing")
        return None
    try:
        text = str(value).strip()
        if len(text) == 10:
            moment = datetime.combine(date.fromisoformat(text), datetime.min.time(), clock.zone)
        else:
            moment = datetime.fromisoformat(text)
            # A time without an offset is the organisation's own.
            moment = moment.replace(tzinfo=clock.zone) if moment.tzinfo is None else moment.astimezone(clock.zone)
    except (ValueError, OverflowError):
        raise _Refused("at must be a time like 2026-11-21T14:30:05Z") from None
    if not 1900 <= moment.year <= 2100 or moment > clock.latest:
        raise _Refused("at lies in the future" if moment.year > 1900 else "at lies before 1900")
    return text if len(text) == 10 else moment.isoformat()


def _text(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_TEXT or "\0" in value:
        raise _Refused(f"{name} must be a short text")
    try:
        # JSON may hold half of a surrogate pair, which no database takes.
        value.encode()
    except UnicodeEncodeError:
        raise _Refused(f"{name} is no text") from None
    return value.strip() or None


def _integer(fields: Fields, name: str) -> int | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    number = read_integer(cast("Cell", value)) if isinstance(value, int | float | str) else None
    if number is None or isinstance(value, bool):
        raise _Refused(f"{name} must be a whole number")
    return number


def _email(fields: Fields) -> str | None:
    email = _text(fields, "email")
    if email is not None and not is_email(email):
        raise _Refused("email is no e-mail address")
    return normal_email(email)


def _is_hard(fields: Fields) -> bool:
    bounce = (_text(fields, "bounce") or "soft").lower()
    if bounce not in ("hard", "soft"):
        raise _Refused("bounce must be hard or soft")
    return bounce == "hard"


def _metadata(value: object) -> str | None:
    """JSON text as contact_events keeps it."""
    if value is None or value == "":
        return None
    try:
        found = json.loads(value) if isinstance(value, str) else value
        text = json.dumps(found, allow_nan=False)
    except (ValueError, RecursionError):
        raise _Refused("metadata must be a JSON object") from None
    if not isinstance(found, dict) or len(text) > MAX_TEXT:
        raise _Refused("metadata must be a JSON object" if len(text) <= MAX_TEXT else "metadata is too long")
    return text


def _given(fields: Fields) -> dict[str, str]:
    names = ("scheduled_send_date", "scheduled_send_time", "email_template", "sms_template")
    found = {name: text for name in names if (text := _text(fields, name)) is not None}
    if "scheduled_send_date" in found and read_date(found["scheduled_send_date"]) is None:
        raise _Refused("scheduled_send_date must be a day like 2026-11-21")
    priority = _integer(fields, "priority")
    return found if priority is None else found | {"priority": str(priority)}
