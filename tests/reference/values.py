"""Reading values (§2)."""

import datetime
import json
import re
from functools import cache
from importlib import import_module
from typing import Any

STATES = set(
    re.findall(
        "..",
        "ALAKAZARCACOCTDCDEFLGAHIIAIDILINKSKYLAMAMDMEMIMNMOMSMTNCNDNENHNJNMNVNYOHOKORPARISCSDTNTXUTVAVTWAWIWVWY",
    )
)


@cache
def _place_of_zip() -> dict[str, str]:
    rows: list[dict[str, Any]] = import_module("zipcodes").list_all()
    return {row["zip_code"]: row["state"] for row in rows}


def text(value: object) -> str | None:
    """Text that is not blank."""
    return value if isinstance(value, str) and value.strip() else None


def date(value: object) -> datetime.date | None:
    if not isinstance(value, str) or not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return None
    try:
        day = datetime.date(int(value[0:4]), int(value[5:7]), int(value[8:10]))
    except ValueError:
        return None
    return day if 1900 <= day.year <= 2100 else None


def integer(value: object) -> int | None:
    number: int | None = None
    if isinstance(value, int):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    elif isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value.strip()):
        number = int(value.strip()) if len(value) < 4000 else None
    return number if number is not None and -(2**63) <= number < 2**63 else None


def flag(value: object, default: bool) -> bool:
    if value is None or (isinstance(value, str) and not value.strip()):
        return default
    if isinstance(value, str):
        return value.strip().lower() in ("1", "t", "true", "y", "yes")
    return isinstance(value, int | float) and value != 0


def status(value: object) -> str:
    """Trimmed and lower-cased; "" for NULL."""
    if isinstance(value, str):
        return value.strip().lower()
    return "" if value is None else "not text"


def state(value: object) -> str | None:
    """One of the 50 states or DC."""
    name = value.strip().upper() if isinstance(value, str) else None
    return name if name in STATES else None


def state_of_zip(value: object) -> str | None:
    if value is None or isinstance(value, bytes):
        return None
    found = re.match(r"[0-9]+", str(value).strip())
    if found is None or len(found[0]) < 3:
        return None
    place = _place_of_zip().get(found[0].zfill(5)[:5])
    return place if place in STATES else None


def email_is_valid(value: object) -> bool:
    return isinstance(value, str) and re.search(r"^[^@\s]+@[^@\s]+\.[^@\s]+$", value.strip()) is not None


def keys_of_json(value: object) -> dict[str, Any]:
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        found = json.loads(value, parse_constant=refuse) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def plus(day: datetime.date | None, days: int) -> datetime.date | None:
    """Day arithmetic; nothing outside years 1..9999."""
    try:
        return None if day is None else day + datetime.timedelta(days=days)
    except OverflowError:
        return None
