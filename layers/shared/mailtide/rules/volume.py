"""How many mails a schedule could come to, known before the first of them is made.

A campaign for everybody is one row that asks for a mail to each contact, so a small file can ask for more than there is memory
for. Whoever plans or computes a schedule looks here first. No numpy.
"""

from dataclasses import dataclass

from mailtide.errors import DatabaseError, DatabaseMemoryError
from mailtide.rules.config import Rules

FEW_MAILS = 100_000
"""So many never are too many, however few the contacts."""
BYTES_PER_MAIL = 200
"""Of memory, at least; measured: 190 to 240 for usual schedules, up to 900 for many mails of few contacts."""
_MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a schedule may come to; None where nothing is said.

    mails_per_contact: on the average of the eligible contacts. memory_bytes: what may be taken.
    """

    mails_per_contact: int | None = None
    memory_bytes: int | None = None


NO_LIMITS = Limits()


def refusal_of(mails: int, contacts: int, limits: Limits) -> str | None:
    """Why so many mails for so many contacts are too many, in one sentence; None when they are not."""
    most = limits.mails_per_contact
    if most is None or mails <= max(FEW_MAILS, most * contacts):
        return None
    return (
        f"The campaigns and rules ask for up to {mails:,} mails for {contacts:,} contacts; "
        f"{most:,} a contact are allowed (MAILTIDE_MAX_MAILS_PER_CONTACT)."
    )


def check_mails(mails: int, contacts: int, limits: Limits) -> None:
    """Raise DatabaseError when so many mails are more than is allowed, DatabaseMemoryError when they are more than fits."""
    if refusal := refusal_of(mails, contacts, limits):
        raise DatabaseError(refusal)
    needed, there = mails * BYTES_PER_MAIL, limits.memory_bytes
    if there is not None and needed > there and mails > FEW_MAILS:
        raise DatabaseMemoryError(
            f"Up to {mails:,} mails for {contacts:,} contacts need {needed // _MB:,} MB of memory or more, "
            f"and there are {there // _MB:,} MB."
        )


def mails_without_campaigns(rules: Rules) -> int:
    """Of a contact: birthday, effective date, post-window, and the AEP mails."""
    return 3 + len(set(rules.aep_dates))
