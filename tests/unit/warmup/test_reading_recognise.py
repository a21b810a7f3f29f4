"""What header fields claim, and which claims are true: nothing that a stranger can write makes a mail ours."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.warmup.contracts import RoundState
from mailtide.warmup.ids import SendId, message_id
from mailtide.warmup.message import TAG_HEADER
from mailtide.warmup.reading.recognise import MAX_FIELDS_BYTES, Claim, Look, read_fields
from mailtide.warmup.reading.verify import Ours, Verifier
from tests.support.reading_pool import BEFORE, ReadingPool
from tests.support.warmup_pools import DAY

ADDRESSES = [f"person@company-{number}.example" for number in range(12)]
OUR_FIELDS = (
    b"Message-ID: <20261121.box-7.3@company-7.example>\r\n"
    b"From: Person 7 <Person@company-7.example>\r\n"
    b"X-Mailtide-Warmup: yes\r\n"
    b'Content-Type: text/plain; charset="utf-8"\r\n\r\n'
)
OUR_CLAIM = Claim(
    SendId(date(2026, 11, 21), "box-7", 3),
    "<20261121.box-7.3@company-7.example>",
    "person@company-7.example",
    None,
)


@pytest.fixture
def pool() -> ReadingPool:
    return ReadingPool(ADDRESSES)


def headers_of(mail: bytes) -> bytes:
    return mail.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def claim_in(fields: bytes) -> Claim | None:
    return read_fields(fields).claim


def test_a_mail_as_it_is_sent_is_a_claim(pool: ReadingPool) -> None:
    send_id = pool.to(0)[0]
    claim = claim_in(headers_of(pool.mail(send_id, 0)))
    assert claim is not None
    assert (claim.send_id, claim.in_reply_to) == (send_id, None)
    assert claim_in(OUR_FIELDS) == OUR_CLAIM


def test_a_reply_as_it_is_sent_says_what_it_answers(pool: ReadingPool) -> None:
    reply, original, _ = pool.planned_reply()
    claim = claim_in(headers_of(pool.reply(reply, original)))
    assert claim is not None
    assert (claim.send_id, claim.in_reply_to) == (reply, original)


@pytest.mark.parametrize(
    "fields",
    [
        OUR_FIELDS.replace(b"Warmup: yes", b"Warmup: no"),
        OUR_FIELDS.replace(b"X-Mailtide-Warmup: yes\r\n", b""),
        OUR_FIELDS.replace(b"\r\n\r\n", b"\r\nX-Mailtide-Warmup: yes\r\n\r\n"),
        OUR_FIELDS.replace(b"\r\n\r\n", b"\r\nFrom: another@else.example\r\n\r\n"),
        OUR_FIELDS.replace(b"\r\n\r\n", b"\r\nMessage-ID: <20261121.box-8.3@company-8.example>\r\n\r\n"),
        OUR_FIELDS.replace(b"\r\n\r\n", b"\r\nIn-Reply-To: <something@else.example>\r\n\r\n"),
        OUR_FIELDS.replace(b"From: Person 7 <", b"From: other@else.example, Person 7 <"),
        OUR_FIELDS.replace(b"From: Person 7 <Person@company-7.example>", b"From: undisclosed:;"),
        OUR_FIELDS.replace(b"20261121.box-7.3", b"20261131.box-7.3"),
        OUR_FIELDS.replace(b"20261121.box-7.3", b"20261121.box 7.3"),
        b"",
        b"\x00\xff\xfe",
        b"Message-ID: " + b"<" * 100_000,
    ],
)
def test_anything_else_is_no_claim(fields: bytes) -> None:
    assert claim_in(fields) is None


def test_reports_are_told_by_their_type_alone() -> None:
    kind = b'Content-Type: multipart/report; report-type="Delivery-Status"; boundary="b"\r\n\r\n'
    assert read_fields(kind) == Look(report="delivery-status")
    assert read_fields(kind.replace(b"Delivery-Status", b"feedback-report")).report == "feedback-report"
    assert read_fields(kind.replace(b"Delivery-Status", b"disposition-notification")).report is None
    assert read_fields(kind.replace(b"multipart/report", b"multipart/mixed")).report is None


@given(st.binary(max_size=MAX_FIELDS_BYTES + 10))
def test_no_bytes_are_a_claim_by_chance_or_an_error(fields: bytes) -> None:
    assert read_fields(fields) == Look()


NAMES = st.sampled_from(["From", "Message-ID", "In-Reply-To", "Content-Type", TAG_HEADER, "from", "MESSAGE-ID"])
VALUES = st.one_of(
    st.sampled_from(
        [
            "yes",
            "<20261121.box-7.3@company-7.example>",
            "Person 7 <person@company-7.example>",
            "multipart/report; report-type=delivery-status",
            "=?utf-8?q?p?= <a@[1",
            "(((((",
            '"@,:;<>',
        ]
    ),
    st.text(max_size=40),
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_whatever_is_claimed_is_written_there_exactly_once(lines: list[tuple[str, str]]) -> None:
    fields = "".join(f"{name}: {value}\r\n" for name, value in lines).encode("utf-8", "surrogateescape") + b"\r\n"
    claim = claim_in(fields)
    if claim is None:
        return
    text = fields.decode("utf-8", "surrogateescape")
    assert claim.message_id in text
    assert claim.sender in text.lower()
    for name in ("from", "message-id", TAG_HEADER.lower()):
        assert text.lower().count(f"\n{name}:") + text.lower().startswith(f"{name}:") == 1


STATES_OF_OURS = [RoundState.SENT, RoundState.UNKNOWN, RoundState.DATA]
ALL_STATES = [*STATES_OF_OURS, RoundState.SENDING, RoundState.FAILED, RoundState.SENT_REPLY]


def is_open(state: RoundState) -> bool:
    return state in {RoundState.UNKNOWN, RoundState.DATA}


def judged(pool: ReadingPool, mail: bytes, number: int = 0, today: date = DAY) -> Ours | None:
    claim = claim_in(headers_of(mail))
    assert claim is not None
    return Verifier(_Lookups(pool), pool.mailbox(number), today).ours([claim]).get(claim)


class _Lookups:
    def __init__(self, pool: ReadingPool) -> None:
        self.ledger, self.mailboxes, self.days = pool.ledger, pool.book, pool.days


@pytest.mark.parametrize("state", ALL_STATES)
def test_a_mail_is_ours_when_its_senders_ledger_says_so(pool: ReadingPool, state: RoundState) -> None:
    send_id = pool.to(0)[0]
    mail = pool.mail(send_id, 0)
    assert judged(pool, mail) is None, "nothing was sent yet"
    pool.leave(send_id, state)
    expected = Ours(send_id, pool.day().key(send_id.mailbox_id), "sent", is_open(state))
    assert judged(pool, mail) == (expected if state in STATES_OF_OURS else None)


@pytest.mark.parametrize("state", ALL_STATES)
def test_a_reply_is_ours_when_it_was_planned_and_sent_as_one(pool: ReadingPool, state: RoundState) -> None:
    reply, original, number = pool.planned_reply()
    mail = pool.reply(reply, original)
    assert judged(pool, mail, number) is None
    pool.leave(reply, state)
    expected = Ours(reply, pool.day().key(reply.mailbox_id), "sent_reply", is_open(state))
    is_ours = state in {RoundState.SENT_REPLY, RoundState.UNKNOWN, RoundState.DATA}
    assert judged(pool, mail, number) == (expected if is_ours else None)


def test_of_an_unknown_round_each_of_its_two_mails_is_told_apart(pool: ReadingPool) -> None:
    reply, original, number = pool.planned_reply()
    asked = pool.day().addressees(reply)
    assert asked is not None
    assert asked.recipient is not None
    recipient = int(asked.recipient.removeprefix("box-"))
    pool.leave(reply, RoundState.UNKNOWN)
    assert judged(pool, pool.mail(reply, recipient), recipient) == Ours(
        reply, pool.day().key(reply.mailbox_id), "sent", is_open=True
    )
    assert judged(pool, pool.mail(reply, number), number) is None, "an ordinary mail of that round is for another"
    assert judged(pool, pool.reply(reply, original), number) is not None


def test_forgeries(pool: ReadingPool) -> None:
    """Each lacks one thing only."""
    send_id, other = pool.to(0)[:2]
    for one in (send_id, other):
        pool.leave(one, RoundState.SENT)
    mail = pool.mail(send_id, 0)
    sender = pool.book.mailboxes[send_id.mailbox_id]
    assert judged(pool, mail) is not None
    assert judged(pool, mail.replace(sender.address.encode(), b"stranger@else.example")) is None, "From"
    forged_id = message_id(send_id, "else.example").encode()
    assert judged(pool, mail.replace(message_id(send_id, sender.domain).encode(), forged_id)) is None, "its domain"
    for number in range(1, 12):
        assert judged(pool, mail, number) is None, "it is for another mailbox"
    beyond = replace(send_id, round=900)
    assert judged(pool, pool.mail(beyond, 0)) is None, "no such round"
    # The id of one mail under the name of another sender.
    borrowed = message_id(other, sender.domain).encode()
    assert judged(pool, mail.replace(message_id(send_id, sender.domain).encode(), borrowed)) is None
    pool.book.mailboxes.pop(sender.mailbox_id)
    assert judged(pool, mail) is None, "its sender is gone"


@pytest.mark.parametrize(("days", "is_ours"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_mails_of_the_days_around_are_ours(pool: ReadingPool, days: int, is_ours: bool) -> None:
    """A visit that began before midnight meets the next day's mails."""
    send_id = pool.to(0, BEFORE)[0]
    pool.leave(send_id, RoundState.SENT)
    assert (judged(pool, pool.mail(send_id, 0), today=BEFORE - timedelta(days=days)) is not None) == is_ours


def test_strangers_tags_cost_no_question_to_a_table(pool: ReadingPool) -> None:
    claims = []
    for number in range(12):
        for round_number in range(40):
            send_id = SendId(DAY, f"box-{number}", round_number)
            claims.append(Claim(send_id, message_id(send_id, "company-1.example"), "a@b.example", None))
        unknown = SendId(DAY, f"stranger-{number}", 0)
        claims.append(Claim(unknown, message_id(unknown, "else.example"), "a@b.example", None))
    assert Verifier(_Lookups(pool), pool.mailbox(0), DAY).ours(claims) == {}
    assert pool.ledger.reads == 0
    assert pool.book.asked <= 11, "each sender of this mailbox once"


def test_every_mail_to_a_mailbox_is_recognised_and_no_other(pool: ReadingPool) -> None:
    """All mails of the day, sent, each shown to every mailbox."""
    everything = [(send_id, number) for number in range(12) for send_id in pool.to(number)]
    assert len(everything) == 12 * pool.target
    for send_id, _ in everything:
        pool.leave(send_id, RoundState.SENT)
    read = [claim_in(headers_of(pool.mail(send_id, number))) for send_id, number in everything]
    claims = [claim for claim in read if claim is not None]
    assert len(claims) == len(everything)
    for number in range(12):
        ours = Verifier(_Lookups(pool), pool.mailbox(number), DAY).ours(claims)
        assert {claim.send_id for claim in ours} == set(pool.to(number))


def test_a_mail_with_more_header_than_is_read_is_not_ours() -> None:
    assert claim_in(b"From: " + b"a" * MAX_FIELDS_BYTES + OUR_FIELDS) is None
