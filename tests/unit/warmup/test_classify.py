"""The table of replies, row by row, as the rules state it."""

import pytest

from mailtide.warmup.classify import TABLE, MailRefusedError, Phase, ReplyClass, ReplyRule, classify, enhanced_code
from mailtide.warmup.consequences import ROWS, judge
from mailtide.warmup.settings import WarmupSettings

SPEC: list[tuple[str, ReplyClass]] = [
    ("421 4.7.0", ReplyClass.THROTTLED),
    ("450 4.2.1", ReplyClass.THROTTLED),
    ("432 4.3.2", ReplyClass.THROTTLED),
    ("421 4.4.2", ReplyClass.TRANSIENT),
    ("421", ReplyClass.TRANSIENT),
    ("451 4.7.0", ReplyClass.TRANSIENT),
    ("452 4.3.1", ReplyClass.TRANSIENT),
    ("454 4.7.0", ReplyClass.AUTH_TEMPORARY),
    ("535 5.7.8", ReplyClass.AUTH_PERMANENT),
    ("534 5.7.9", ReplyClass.AUTH_PERMANENT),
    ("530 5.7.0", ReplyClass.AUTH_PERMANENT),
    ("550 5.7.30", ReplyClass.AUTH_PERMANENT),
    ("550 5.4.5", ReplyClass.DAILY_LIMIT),
    ("554 5.2.0", ReplyClass.DAILY_LIMIT),
    ("550 5.1.1", ReplyClass.NO_RECIPIENT),
    ("551 5.1.6", ReplyClass.NO_RECIPIENT),
    ("553", ReplyClass.NO_RECIPIENT),
    ("550 5.7.1", ReplyClass.POLICY),
    ("550 5.7.515", ReplyClass.POLICY),
    ("554 5.7.9", ReplyClass.POLICY),
    ("554", ReplyClass.POLICY),
]


@pytest.mark.parametrize(("reply", "expected"), SPEC)
@pytest.mark.parametrize("phase", ["connect", "mail", "rcpt", "data"])
def test_rows(reply: str, expected: ReplyClass, phase: Phase) -> None:
    code, _, enhanced = reply.partition(" ")
    if expected == ReplyClass.NO_RECIPIENT and phase in {"connect", "mail"}:
        # The recipient has not been named yet.
        expected = ReplyClass.REJECTED
    assert classify(phase, int(code), f"{enhanced} some words") == expected
    assert classify(phase, int(code), f"{enhanced}\nmore lines") == expected


@pytest.mark.parametrize(
    ("phase", "code", "text", "expected"),
    [
        ("mail", 450, "4.7.1 greylisted", ReplyClass.TRANSIENT),
        ("auth", 454, "5.7.0 no", ReplyClass.TRANSIENT),
        ("rcpt", 550, "no code at all", ReplyClass.REJECTED),
        ("data", 552, "5.3.4 too big", ReplyClass.REJECTED),
        ("auth", 504, "unknown mechanism", ReplyClass.AUTH_PERMANENT),
        ("mail", 553, "5.1.8 Sender address rejected", ReplyClass.REJECTED),
        ("mail", 550, "5.1.1 Who are you?", ReplyClass.REJECTED),
        ("connect", 551, "not here", ReplyClass.REJECTED),
        ("rcpt", 553, "5.7.1 Sender address rejected: not owned by user", ReplyClass.POLICY),
        ("data", 550, "5.7.10 not 5.7.1", ReplyClass.REJECTED),
        ("data", 550, "says 5.7.1 later on", ReplyClass.REJECTED),
    ],
)
def test_what_the_table_does_not_name(phase: Phase, code: int, text: str, expected: ReplyClass) -> None:
    assert classify(phase, code, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5.7.1 Blocked", "5.7.1"),
        ("  4.2.1", "4.2.1"),
        ("5.7.515\nx", "5.7.515"),
        ("5.7.1.2", None),
        ("x 5.7.1", None),
        ("", None),
        ("5.7", None),
    ],
)
def test_enhanced_codes(text: str, expected: str | None) -> None:
    assert enhanced_code(text) == expected


DIALECT = (
    ReplyRule(421, "4.7.28", ReplyClass.THROTTLED, "Too fast."),
    ReplyRule(451, "4.7.500-699", ReplyClass.THROTTLED),
    ReplyRule(554, "5.2.0", ReplyClass.REJECTED),
    ReplyRule(554, "5.2.2", ReplyClass.DAILY_LIMIT),
    ReplyRule(550, "5.1.10", ReplyClass.NO_RECIPIENT),
    ReplyRule(535, "5.7.8", None, "An app password is needed."),
)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        # What the table says of a code alone, and what it leaves open, a dialect refines;
        ("421 4.7.28", ReplyClass.THROTTLED),
        ("451 4.7.500", ReplyClass.THROTTLED),
        ("451 4.7.699", ReplyClass.THROTTLED),
        ("554 5.2.2", ReplyClass.DAILY_LIMIT),
        ("550 5.1.10", ReplyClass.NO_RECIPIENT),
        # what the table says of an enhanced code stands,
        ("554 5.2.0", ReplyClass.DAILY_LIMIT),
        ("421 4.7.0", ReplyClass.THROTTLED),
        # and so does all that the dialect does not name.
        ("421 4.7.2", ReplyClass.TRANSIENT),
        ("451 4.7.499", ReplyClass.TRANSIENT),
        ("451 4.7.700", ReplyClass.TRANSIENT),
        ("451 4.70.500", ReplyClass.TRANSIENT),
        ("451", ReplyClass.TRANSIENT),
        ("550 5.1.1", ReplyClass.NO_RECIPIENT),
        ("554", ReplyClass.POLICY),
        ("535 5.7.8", ReplyClass.AUTH_PERMANENT),
    ],
)
def test_a_dialect_refines_what_the_table_leaves_open(reply: str, expected: ReplyClass) -> None:
    code, _, enhanced = reply.partition(" ")
    assert classify("rcpt", int(code), f"{enhanced} words", DIALECT) == expected


def test_a_dialect_speaks_of_no_recipient_before_there_is_one() -> None:
    assert classify("mail", 550, "5.1.10 who?", DIALECT) == ReplyClass.REJECTED


def test_a_refusal_carries_its_meaning() -> None:
    refused = MailRefusedError.from_reply("auth", 535, "5.7.8 hunter2", DIALECT)
    assert (refused.reply_class, refused.meaning) == (ReplyClass.AUTH_PERMANENT, "An app password is needed.")
    sentence = judge(refused, tries=0, now_ms=0, settings=WarmupSettings())
    assert sentence.sender_status == (
        "disconnected",
        "The server refused the login (535 5.7.8). An app password is needed.",
    )


def test_every_class_has_its_consequence() -> None:
    assert set(ROWS) == set(ReplyClass)
    assert {rule.reply_class for rule in TABLE} == set(ReplyClass) - {ReplyClass.REJECTED}


def test_an_error_shows_codes_alone() -> None:
    refused = MailRefusedError.from_reply("auth", 535, "5.7.8 bad password hunter2 for ann@example.com")
    assert str(refused) == "auth_permanent at auth (535 5.7.8)"
    assert "hunter2" not in repr(refused)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (535, "The server refused the login (535)."),
        (0, "It cannot log in: its secret, the token's address or the server's ways of logging in do not serve."),
    ],
)
def test_why_a_mailbox_is_disconnected(code: int, reason: str) -> None:
    """Without an answer no server is to blame."""
    refused = MailRefusedError(ReplyClass.AUTH_PERMANENT, "auth", code)
    assert judge(refused, tries=0, now_ms=0, settings=WarmupSettings()).sender_status == ("disconnected", reason)
