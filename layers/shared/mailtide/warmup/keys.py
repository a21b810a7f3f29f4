"""The names of the warm-up's objects in the bucket."""

from datetime import date

WARMUP = "warmup/"
DAYS = "warmup/days/"
CONTROL = "warmup/control.json"
DOMAINS = "warmup/domains/"
DOMAIN_INDEX = "warmup/domains.json"
"""All domains of the pool in short."""


def day_folder(day: date) -> str:
    """Everything of one day."""
    return f"{DAYS}{day.isoformat()}/"


def roster(day: date) -> str:
    """The header of the day's roster; created once, after its columns."""
    return f"{day_folder(day)}roster.json"


def pool(day: date, token: str) -> str:
    """Columns of all mailboxes by index."""
    return f"{day_folder(day)}roster/{token}/pool.bin"


def shard(day: date, token: str, number: int) -> str:
    """Columns of one shard."""
    return f"{day_folder(day)}roster/{token}/shard-{number:04d}.bin"


def summary(day: date, number: int) -> str:
    """What a shard's dispatcher saw at its last tick."""
    return f"{day_folder(day)}summaries/{number:04d}.json"


def quotas(day: date, number: int) -> str:
    """The quota of each mailbox of a shard at its last tick."""
    return f"{day_folder(day)}quotas/{number:04d}.json"


def placements(day: date, number: int) -> str:
    """Where a shard's mails of the day and of its week landed, and what has followed; created once, when the day is folded."""
    return f"{day_folder(day)}placements/{number:04d}.json"


def due_domains(day: date) -> str:
    """Domains whose DNS is to be checked on a day; gone when that is done."""
    return f"{day_folder(day)}domains.json"


def domain(name: str) -> str:
    """What the last check of a domain found."""
    return f"{DOMAINS}{name}.json"


def parse_day(name: str) -> date | None:
    """The day of a folder below DAYS, None when it is none."""
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None


def templates(user_id: str) -> str:
    """A user's own templates (mailtide.warmup.content); none for the packaged ones."""
    return f"{WARMUP}templates/{user_id}.yaml"
