"""What a mail server's refusal means (the table of spec §5), as data.

A provider's dialect (mailtide.warmup.providers) refines it: rows of the table that name an enhanced code stand before it,
rows for a code alone, and what the table leaves open, behind it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from mailtide.errors import MailtideError

type Phase = Literal["connect", "auth", "mail", "rcpt", "data"]
"""Where in the dialogue the reply came: greeting and TLS, AUTH, MAIL FROM, RCPT TO, DATA and after it."""


class ReplyClass(StrEnum):
    """The classes of the table, and `rejected` for permanent replies that it does not name."""

    THROTTLED = "throttled"
    TRANSIENT = "transient"
    AUTH_TEMPORARY = "auth_temporary"
    AUTH_PERMANENT = "auth_permanent"
    DAILY_LIMIT = "daily_limit"
    NO_RECIPIENT = "no_recipient"
    POLICY = "policy"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class ReplyRule:
    """A reply with this code, and this enhanced code where one is named, is of this class.

    enhanced: 4.7.0, or a range of its last part, 4.7.500-699. reply_class: None in a dialect that knows the meaning alone.
    """

    code: int
    enhanced: str | None
    reply_class: ReplyClass | None
    means: str = ""
    """One packaged sentence for people; never a server's own text."""

    def fits(self, code: int, enhanced: str | None) -> bool:
        """Whether it speaks of this reply."""
        if self.code != code:
            return False
        if self.enhanced in {None, enhanced}:
            return True
        known, dash, last = str(self.enhanced).partition("-")
        begin, _, first = known.rpartition(".")
        given, _, detail = (enhanced or "").rpartition(".")
        return bool(dash) and given == begin and int(first) <= int(detail) <= int(last)


type Dialect = tuple[ReplyRule, ...]


TABLE: tuple[ReplyRule, ...] = (
    ReplyRule(421, "4.7.0", ReplyClass.THROTTLED),
    ReplyRule(450, "4.2.1", ReplyClass.THROTTLED),
    ReplyRule(432, "4.3.2", ReplyClass.THROTTLED),
    ReplyRule(421, None, ReplyClass.TRANSIENT),
    ReplyRule(451, None, ReplyClass.TRANSIENT),
    ReplyRule(452, None, ReplyClass.TRANSIENT),
    ReplyRule(454, "4.7.0", ReplyClass.AUTH_TEMPORARY),
    ReplyRule(535, None, ReplyClass.AUTH_PERMANENT),
    ReplyRule(534, None, ReplyClass.AUTH_PERMANENT),
    ReplyRule(530, None, ReplyClass.AUTH_PERMANENT),
    ReplyRule(550, "5.7.30", ReplyClass.AUTH_PERMANENT),
    ReplyRule(550, "5.4.5", ReplyClass.DAILY_LIMIT),
    ReplyRule(554, "5.2.0", ReplyClass.DAILY_LIMIT),
    ReplyRule(550, "5.1.1", ReplyClass.NO_RECIPIENT),
    ReplyRule(551, None, ReplyClass.NO_RECIPIENT),
    # Whoever may not send under its address is no fault of the recipient's (RFC 3463: 7 is about rights).
    ReplyRule(553, "5.7.1", ReplyClass.POLICY),
    ReplyRule(553, None, ReplyClass.NO_RECIPIENT),
    ReplyRule(550, "5.7.1", ReplyClass.POLICY),
    ReplyRule(550, "5.7.515", ReplyClass.POLICY),
    ReplyRule(554, None, ReplyClass.POLICY),
)
"""The first rule that fits counts."""
_EXACT = tuple(rule for rule in TABLE if rule.enhanced is not None)
_GENERAL = tuple(rule for rule in TABLE if rule.enhanced is None)

_ENHANCED = re.compile(r"\s*([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.])")


def enhanced_code(text: str) -> str | None:
    """The enhanced status code (RFC 3463) that a reply's text begins with."""
    found = _ENHANCED.match(text)
    return found[1] if found else None


def classify(phase: Phase, code: int, text: str, dialect: Dialect = ()) -> ReplyClass:
    """The class of a refusal. What neither table nor dialect names: 4xx is transient; 5xx is permanent, to AUTH for the
    mailbox, else for the mail. Before RCPT nothing is said of a recipient."""
    for rule in _fitting((*_EXACT, *dialect, *_GENERAL), code, enhanced_code(text)):
        if rule.reply_class is None or (rule.reply_class == ReplyClass.NO_RECIPIENT and phase not in {"rcpt", "data"}):
            continue
        return rule.reply_class
    if code < 500:
        return ReplyClass.TRANSIENT
    return ReplyClass.AUTH_PERMANENT if phase == "auth" else ReplyClass.REJECTED


def meaning_of(code: int, enhanced: str | None, dialect: Dialect) -> str:
    """What a reply means in a dialect, "" if it does not say."""
    return next((rule.means for rule in _fitting(dialect, code, enhanced) if rule.means), "")


def _fitting(rules: Iterable[ReplyRule], code: int, enhanced: str | None) -> Iterable[ReplyRule]:
    return (rule for rule in rules if rule.fits(code, enhanced))


class MailRefusedError(MailtideError):
    """A server said no, or could not be talked to before DATA: the mail was definitely not accepted.

    The text holds codes alone: what servers write may repeat what must not be shown.
    """

    def __init__(
        self, reply_class: ReplyClass, phase: Phase, code: int = 0, enhanced: str | None = None, meaning: str = ""
    ) -> None:
        said = " ".join(part for part in (str(code) if code else "", enhanced or "") if part)
        super().__init__(f"{reply_class.value} at {phase}" + (f" ({said})" if said else ""))
        self.reply_class = reply_class
        self.phase: Phase = phase
        self.code = code
        self.enhanced = enhanced
        self.meaning = meaning
        """What the provider's dialect says of it: a packaged sentence, "" if nothing."""

    @classmethod
    def from_reply(cls, phase: Phase, code: int, text: str, dialect: Dialect = ()) -> "MailRefusedError":
        """The refusal that a reply is."""
        enhanced = enhanced_code(text)
        return cls(classify(phase, code, text, dialect), phase, code, enhanced, meaning_of(code, enhanced, dialect))


class OutcomeUnknownError(MailtideError):
    """After DATA had begun the answer did not come: the mail may have been accepted."""
