"""What follows from a refusal, for the round, the sender, the recipient and the host (the table of spec §5)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mailtide.warmup.classify import MailRefusedError, ReplyClass
from mailtide.warmup.contracts import MailboxStatus
from mailtide.warmup.outcomes import Mark
from mailtide.warmup.settings import WarmupSettings

MAX_TRIES = 3
HOUR_MS = 3_600_000
PARKED_MS = 24 * HOUR_MS
NO_ANSWER = "no usable answer"
RETRY_MS = 60_000
"""First pause before a transient refusal is tried again; it doubles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """Everything that one refusal leads to."""

    fails: bool = False
    """The round has failed; otherwise it is given back."""
    counts_try: bool = True
    mark: Mark | None = None
    again_ms: int | None = None
    """When the send may come back; None leaves it to the dispatcher."""
    next_ok_ms: int | None = None
    """The mailbox sends nothing before."""
    pauses_host_ms: int = 0
    parked_until_ms: int = 0
    sender_status: tuple[MailboxStatus, str] | None = None
    recipient_status: tuple[MailboxStatus, str] | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A refusal and what surrounds it."""

    said: str
    """Its codes."""
    tries: int
    """Refused tries of the round before this one."""
    now_ms: int
    backoff_ms: int
    meaning: str = ""
    """What its provider means by it, where that is known."""


def judge(refused: MailRefusedError, *, tries: int, now_ms: int, settings: WarmupSettings) -> Sentence:
    """The table, row by row. tries: refused tries of the round before this one."""
    said = " ".join(part for part in (str(refused.code or ""), refused.enhanced or "") if part) or NO_ANSWER
    return ROWS[refused.reply_class](Case(said, tries, now_ms, settings.rate_limit_backoff_ms, refused.meaning))


def _reason(case: Case, sentence: str) -> str:
    """For the owner: what happened with its codes, then the provider's own meaning."""
    return f"{sentence} ({case.said}). {case.meaning}".rstrip()


def _throttled(case: Case) -> Sentence:
    until_ms = case.now_ms + min(HOUR_MS, case.backoff_ms << min(case.tries, 20))
    reason = _reason(case, "The provider asked for a pause")
    return Sentence(again_ms=until_ms, next_ok_ms=until_ms, pauses_host_ms=case.backoff_ms, reason=reason)


def _transient(case: Case) -> Sentence:
    if case.tries + 1 >= MAX_TRIES:
        return Sentence(fails=True)
    return Sentence(again_ms=case.now_ms + (RETRY_MS << case.tries))


def _auth_temporary(case: Case) -> Sentence:
    until_ms = case.now_ms + HOUR_MS
    reason = _reason(case, "The server cannot check logins for now")
    return Sentence(counts_try=False, next_ok_ms=until_ms, again_ms=until_ms, reason=reason)


def _auth_permanent(case: Case) -> Sentence:
    reason = _reason(case, "The server refused the login")
    if case.said == NO_ANSWER:
        reason = "It cannot log in: its secret, the token's address or the server's ways of logging in do not serve."
    return Sentence(counts_try=False, sender_status=("disconnected", reason))


def _daily_limit(case: Case) -> Sentence:
    sentence = "The provider takes no more of it for now" if case.meaning else "The provider's daily limit is reached"
    reason = _reason(case, sentence)
    return Sentence(counts_try=False, parked_until_ms=case.now_ms + PARKED_MS, reason=reason)


def _no_recipient(case: Case) -> Sentence:
    reason = f"Mail to this address is refused: no such recipient ({case.said})."
    return Sentence(fails=True, mark="bounce", recipient_status=("quarantined", reason))


ROWS: Mapping[ReplyClass, Callable[[Case], Sentence]] = MappingProxyType(
    {
        ReplyClass.THROTTLED: _throttled,
        ReplyClass.TRANSIENT: _transient,
        ReplyClass.AUTH_TEMPORARY: _auth_temporary,
        ReplyClass.AUTH_PERMANENT: _auth_permanent,
        ReplyClass.DAILY_LIMIT: _daily_limit,
        ReplyClass.NO_RECIPIENT: _no_recipient,
        ReplyClass.POLICY: lambda _: Sentence(fails=True, mark="policy"),
        # Neither a bounce nor a matter of policy.
        ReplyClass.REJECTED: lambda _: Sentence(fails=True, mark="accepted"),
    }
)
