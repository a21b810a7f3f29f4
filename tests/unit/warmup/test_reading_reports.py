"""Bounces (RFC 3464) and complaints (RFC 5965): what they name, whose mail it was, and how they cannot be made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.warmup.contracts import RoundState
from mailtide.warmup.ids import SendId, message_id
from mailtide.warmup.reading.reports import MAX_REPORT_BYTES, Report, read_report
from mailtide.warmup.reading.verify import Verifier
from tests.support.reading_pool import ReadingPool
from tests.support.reports import bounce, complaint
from tests.support.warmup_pools import DAY

ADDRESSES = [f"person@company-{number}.example" for number in range(12)]
OWN_ID = "<20261121.box-0.3@company-0.example>"
OWN = SendId(DAY, "box-0", 3)


def test_a_bounce_names_the_mail_and_whom_it_did_not_reach() -> None:
    report = read_report("delivery-status", bounce(OWN_ID, "Person@company-5.example"))
    assert report == Report("bounce", OWN, OWN_ID, frozenset({"person@company-5.example"}))
    with_headers_alone = bounce(OWN_ID, "person@company-5.example", whole=False)
    assert read_report("delivery-status", with_headers_alone) == report


@pytest.mark.parametrize("action", ["delayed", "relayed", "delivered", "expanded", "", "fail"])
def test_what_is_no_failure_is_no_bounce(action: str) -> None:
    assert read_report("delivery-status", bounce(OWN_ID, "a@company-5.example", action=action)) is None


def test_a_complaint_names_the_mail() -> None:
    report = read_report("feedback-report", complaint(OWN_ID, "person@company-5.example"))
    assert report == Report("complaint", OWN, OWN_ID, frozenset({"person@company-5.example"}))
    assert read_report("feedback-report", complaint(OWN_ID, "a@b.example", kind="not-spam")) is None


@pytest.mark.parametrize("kind", ["delivery-status", "feedback-report"])
def test_reports_on_other_mail_are_none(kind: str) -> None:
    for message in ("<something@else.example>", "", "<20261121.box-0.3@company-0.example> <second@id.example>"):
        made = bounce(message, "a@b.example") if kind == "delivery-status" else complaint(message, "a@b.example")
        assert read_report("delivery-status" if kind == "delivery-status" else "feedback-report", made) is None


def test_a_report_that_guesses_whom_the_mail_was_for_is_none() -> None:
    """Else one report with a list of addresses would hit the recipient."""
    guessed = [f"person@company-{number}.example" for number in range(12)]
    listed = ", ".join(guessed)
    made = bounce(OWN_ID, guessed[0])
    blocks = "".join(f"\r\nFinal-Recipient: rfc822; {one}\r\nAction: failed\r\n" for one in guessed[1:])
    more = made.replace(b"no such user\r\n", f"no such user\r\n{blocks}".encode())
    assert more != made
    assert read_report("delivery-status", more) is None
    assert (
        read_report("delivery-status", bounce(OWN_ID, guessed[0]).replace(b"To: person", f"To: {listed}, x".encode()))
        is None
    )
    blamed = complaint(OWN_ID, guessed[0])
    lines = "".join(f"Original-Rcpt-To: <{one}>\r\n" for one in guessed)
    assert read_report("feedback-report", blamed.replace(b"Version: 1\r\n", f"Version: 1\r\n{lines}".encode())) is None


def test_a_report_is_read_as_far_as_its_beginning_goes() -> None:
    made = bounce(OWN_ID, "person@company-5.example", body="x" * 76 + "\r\n", lines=2_000)
    assert len(made) > MAX_REPORT_BYTES
    assert read_report("delivery-status", made[:MAX_REPORT_BYTES]) is not None


def test_a_report_within_the_mail_that_came_back_says_nothing() -> None:
    """A bounce of somebody's bounce: the inner one is content."""
    inner = bounce(OWN_ID, "person@company-5.example")
    outer = bounce("<another@else.example>", "b@c.example", action="delayed", content=inner)
    assert read_report("delivery-status", outer) is None


@given(st.binary(max_size=2_000), st.integers(0, 900), st.sampled_from(["delivery-status", "feedback-report"]))
def test_no_damage_is_an_error(noise: bytes, place: int, kind: str) -> None:
    made = bounce(OWN_ID, "a@b.example") if kind == "delivery-status" else complaint(OWN_ID, "a@b.example")
    damaged = made[:place] + noise + made[place:]
    report = read_report("delivery-status" if kind == "delivery-status" else "feedback-report", damaged)
    assert report is None or report.send_id.round >= 0


def test_parts_within_parts_without_end_are_given_up() -> None:
    nested = b"".join(
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="b%d"\r\n\r\n--b%d\r\n' % (i, i)
        for i in range(600)
    )
    assert read_report("delivery-status", nested) is None


class _Lookups:
    def __init__(self, pool: ReadingPool) -> None:
        self.ledger, self.mailboxes, self.days = pool.ledger, pool.book, pool.days


@pytest.fixture
def pool() -> ReadingPool:
    return ReadingPool(ADDRESSES)


def sent_by_box_0(pool: ReadingPool) -> tuple[SendId, str, str]:
    """A mail of box-0 that went out: its id, its Message-ID, its recipient's address."""
    send_id = SendId(DAY, "box-0", 1)
    asked = pool.day().addressees(send_id)
    assert asked is not None
    assert asked.recipient is not None
    pool.leave(send_id, RoundState.SENT)
    return send_id, message_id(send_id, "company-0.example"), pool.book.mailboxes[asked.recipient].address


def user_of(pool: ReadingPool, address: str) -> str:
    return next(box.user_id for box in pool.book.mailboxes.values() if box.address == address)


def told(pool: ReadingPool, report: Report | None, number: int = 0) -> object:
    assert report is not None
    return Verifier(_Lookups(pool), pool.mailbox(number), DAY).report(report)


def test_a_bounce_counts_for_ones_own_mail_to_its_recipient(pool: ReadingPool) -> None:
    send_id, named, recipient = sent_by_box_0(pool)
    key, user = pool.day().key("box-0"), user_of(pool, recipient)
    assert told(pool, read_report("delivery-status", bounce(named, recipient))) == (key, 1, "bounce", user)
    stranger = bounce(named, "stranger@else.example")
    assert told(pool, read_report("delivery-status", stranger)) is None, "whoever knows the id alone cannot"
    others = next(number for number in range(1, 12))
    assert told(pool, read_report("delivery-status", bounce(named, recipient)), others) is None
    unsent = message_id(SendId(DAY, "box-0", 2), "company-0.example")
    assert told(pool, read_report("delivery-status", bounce(unsent, recipient))) is None
    elsewhere = message_id(send_id, "else.example")
    assert told(pool, read_report("delivery-status", bounce(elsewhere, recipient))) is None


def test_a_complaint_may_have_the_address_blacked_out(pool: ReadingPool) -> None:
    _, named, recipient = sent_by_box_0(pool)
    redacted = "redacted@" + recipient.rpartition("@")[2]
    key, user = pool.day().key("box-0"), user_of(pool, recipient)
    assert told(pool, read_report("feedback-report", complaint(named, recipient))) == (key, 1, "complaint", user)
    # Who knows a Message-ID and that many have addresses there can write the same.
    assert told(pool, read_report("feedback-report", complaint(named, redacted))) == (key, 1, "redacted", user)
    assert told(pool, read_report("feedback-report", complaint(named, "redacted@else.example"))) is None
