"""Mailboxes as CSV: one a line, secrets only on the way in."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from typing import Any, TextIO

from pydantic import SecretStr, ValidationError

from mailtide.errors import InputError
from mailtide.warmup.contracts import Auth, Engagement, Mailbox
from mailtide.warmup.mail_ports import Credentials
from mailtide.warmup.settings import WarmupSettings

REQUIRED = ("user_id", "address", "smtp_host")
OPTIONAL = (
    "mailbox_id",
    "display_name",
    "smtp_port",
    "smtp_security",
    "imap_host",
    "imap_port",
    "imap_security",
    "engage_read",
    "engage_rescue",
    "engage_flag",
    "auth",
    "username",
    "token_url",
    "start_count",
    "increase_by",
    "max_daily",
    "timezone",
    "window",
    "weekdays",
    "first_day",
)
SECRET = ("password", "refresh_token", "client_id", "client_secret")
EXPORTED = (*REQUIRED, *OPTIONAL, "status", "status_reason")
COLUMNS = frozenset({*EXPORTED, *SECRET})
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
YES_NO = {"yes": True, "no": False}
MAX_FIELD = 4_096


class LineError(Exception):
    """Why a line is refused, as one sentence that shows no secret."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is in order: the mailbox but for its sealed secret, and the secret; None when the line holds none."""

    number: int
    mailbox: Mailbox
    """`auth.sealed` is empty."""
    credentials: Credentials | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line that is not taken."""

    number: int
    reason: str


def read_lines(file: TextIO, *, settings: WarmupSettings, first_day: date) -> Iterator[Line | Refusal]:
    """Every line of a CSV file with a header, in order. InputError when the header is no good.

    first_day: day 1 of the ramp of mailboxes whose line names none.
    """
    csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(file, strict=True)
    header = _header(reader)
    seen: dict[str, int] = {}
    addresses: dict[str, int] = {}
    while True:
        number = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Refusal(number, f"it is not CSV: {error}")
            continue
        if not any(values):
            continue
        try:
            line = _line(number, header, values, settings, first_day)
            first = seen.setdefault(line.mailbox.mailbox_id, number)
            if first != number:
                raise LineError(f"mailbox {line.mailbox.mailbox_id} stands in line {first} already")
            first = addresses.setdefault(line.mailbox.address.lower(), number)
            if first != number:
                raise LineError(f"its address stands in line {first} already")
            yield line
        except LineError as refused:
            yield Refusal(number, str(refused))


def _header(reader: "Iterator[list[str]]") -> list[str]:
    try:
        header = [name.strip().lower().removeprefix("\ufeff") for name in next(reader)]
    except (StopIteration, csv.Error):
        raise InputError("The file is empty or not CSV; its first line must name the columns.") from None
    unknown = sorted(set(header) - COLUMNS)
    missing = [name for name in REQUIRED if name not in header]
    if unknown or missing or len(set(header)) != len(header):
        what = f"unknown: {', '.join(unknown)}" if unknown else f"missing: {', '.join(missing)}"
        what = what if unknown or missing else "one stands there twice"
        raise InputError(f"The first line must name the columns ({what}).")
    return header


def _line(number: int, header: list[str], values: list[str], settings: WarmupSettings, first_day: date) -> Line:
    if len(values) != len(header):
        raise LineError(f"it has {len(values)} columns instead of {len(header)}")
    row = {name: value.strip() for name, value in zip(header, values, strict=True) if value.strip()}
    for name in REQUIRED:
        if name not in row:
            raise LineError(f"{name} is empty")
    try:
        mailbox = Mailbox.model_validate(_fields(row, settings, first_day))
    except ValidationError as error:
        raise LineError(_sentence(error)) from None
    return Line(number, mailbox, _credentials(row, mailbox.auth))


def mailbox_id_of(address: str) -> str:
    """The id of a mailbox whose line names none: by its address, so that the same file gives the same ids."""
    return "m" + blake2b(address.lower().encode(), digest_size=10).hexdigest()


def _fields(row: dict[str, str], settings: WarmupSettings, first_day: date) -> dict[str, Any]:
    kind = row.get("auth", "xoauth2" if "refresh_token" in row else "password")
    imap = {"host": row["imap_host"], **_server(row, "imap", 993, "tls")} if "imap_host" in row else None
    return {
        "mailbox_id": row.get("mailbox_id") or mailbox_id_of(row["address"]),
        "user_id": row["user_id"],
        "address": row["address"],
        "display_name": row.get("display_name", ""),
        "first_day": row.get("first_day", first_day),
        "ramp": {
            "start_count": row.get("start_count", settings.start_count),
            "increase_by": row.get("increase_by", settings.increase_by),
            "max_daily": row.get("max_daily", settings.max_daily),
        },
        "window": {
            **_window(row.get("window", "00:00-24:00")),
            "weekdays": _weekdays(row.get("weekdays", "mon tue wed thu fri sat sun")),
            "timezone": row.get("timezone", "UTC"),
        },
        "smtp": {"host": row["smtp_host"], **_server(row, "smtp", 587, "starttls")},
        "imap": imap,
        "engagement": _engagement(row),
        "auth": {
            "kind": kind,
            "username": row.get("username", row["address"]),
            "sealed": "",
            "token_url": row.get("token_url"),
        },
    }


def _server(row: dict[str, str], kind: str, port: int, security: str) -> dict[str, str | int]:
    return {"port": row.get(f"{kind}_port", port), "security": row.get(f"{kind}_security", security).lower()}


def _engagement(row: dict[str, str]) -> dict[str, bool]:
    """What the line says; the rest is as a new mailbox has it."""
    said: dict[str, bool] = {}
    for name in Engagement.model_fields:
        text = row.get(f"engage_{name}")
        if text is not None:
            if text.lower() not in YES_NO:
                raise LineError(f"engage_{name} is neither yes nor no")
            said[name] = YES_NO[text.lower()]
    return said


def _window(text: str) -> dict[str, int]:
    parts = text.split("-")
    times = [part.split(":") for part in parts]
    if len(parts) != 2 or not all(len(time) == 2 and all(n.isdecimal() for n in time) for time in times):
        raise LineError("window is not like 09:00-17:30")
    (opens, opens_min), (closes, closes_min) = ((int(hour), int(minute)) for hour, minute in times)
    if max(opens_min, closes_min) > 59:
        raise LineError("window is not like 09:00-17:30")
    return {"opens_min": opens * 60 + opens_min, "closes_min": closes * 60 + closes_min}


def _weekdays(text: str) -> tuple[int, ...]:
    names = text.lower().split()
    if not names or not set(names) <= set(DAYS):
        raise LineError("weekdays is not like mon tue wed thu fri")
    return tuple(DAYS.index(name) for name in names)


def _credentials(row: dict[str, str], auth: Auth) -> Credentials | None:
    """None when the line holds no secret at all: an export that comes back."""
    if not any(name in row for name in SECRET):
        return None
    if auth.kind == "password":
        if "password" not in row:
            raise LineError("password is empty")
        return Credentials(password=SecretStr(row["password"]))
    if "refresh_token" not in row:
        raise LineError("refresh_token is empty")
    return Credentials(
        refresh_token=SecretStr(row["refresh_token"]),
        client_id=row.get("client_id", ""),
        client_secret=SecretStr(row["client_secret"]) if "client_secret" in row else None,
    )


def _sentence(error: ValidationError) -> str:
    """The first fault by the name of its column; never the value."""
    first = error.errors(include_url=False, include_input=False)[0]
    name = ".".join(str(part) for part in first["loc"] if not isinstance(part, int)) or "auth"
    return f"{name}: {first['msg'].removeprefix('Value error, ')}"


def write_lines(file: TextIO, mailboxes: Iterable[Mailbox]) -> int:
    """Write mailboxes as CSV, without secrets; how many."""
    writer = csv.DictWriter(file, EXPORTED)
    writer.writeheader()
    count = 0
    for mailbox in mailboxes:
        writer.writerow(_row(mailbox))
        count += 1
    return count


def _row(mailbox: Mailbox) -> dict[str, object]:
    window, imap = mailbox.window, mailbox.imap
    return {
        "mailbox_id": mailbox.mailbox_id,
        "user_id": mailbox.user_id,
        "address": mailbox.address,
        "display_name": mailbox.display_name,
        "smtp_host": mailbox.smtp.host,
        "smtp_port": mailbox.smtp.port,
        "smtp_security": mailbox.smtp.security,
        "imap_host": imap.host if imap else "",
        "imap_port": imap.port if imap else "",
        "imap_security": imap.security if imap else "",
        **{f"engage_{name}": "yes" if value else "no" for name, value in mailbox.engagement},
        "auth": mailbox.auth.kind,
        "username": mailbox.auth.username,
        "token_url": mailbox.auth.token_url or "",
        "start_count": mailbox.ramp.start_count,
        "increase_by": mailbox.ramp.increase_by,
        "max_daily": mailbox.ramp.max_daily,
        "timezone": window.timezone,
        "window": f"{_clock(window.opens_min)}-{_clock(window.closes_min)}",
        "weekdays": " ".join(DAYS[day] for day in window.weekdays),
        "first_day": mailbox.first_day.isoformat(),
        "status": mailbox.status,
        "status_reason": mailbox.status_reason,
    }


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
