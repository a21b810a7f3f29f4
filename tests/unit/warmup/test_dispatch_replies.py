"""Dispatch of replies: their original, their delay, and the settings that reach the messages."""

from mailtide.warmup.contracts import (
    SendMessage,
)
from mailtide.warmup.ids import SendId
from tests.support.warmup_bench import Bench, bench
from tests.support.warmup_pools import pool_of

__all__ = ["bench"]


def test_replies_name_their_original(bench: Bench) -> None:
    replies = [mail for mail in bench.day() if mail.reply_to]
    assert len({mail.send_id for mail in replies}) > 300
    for mail in replies:
        original = SendId.parse(mail.reply_to or "")
        assert original.mailbox_id != mail.mailbox_id
        due = bench.member(original.mailbox_id).due[original.round]
        slot = bench.member(mail.mailbox_id).due[mail.round]
        assert slot >= due + 5 * 60_000
        assert mail.reply_to_shard == 0


def test_settings_of_replies_and_of_the_daily_cap_reach_the_messages() -> None:
    def day(**values: object) -> list[SendMessage]:
        bench = Bench(pool_of([2] * 50), **values)
        return list(bench.day(range(0, 144, 8)))

    assert all(mail.reply_to is None for mail in day(reply_rate=0))
    often, seldom = (sum(mail.reply_to is not None for mail in day(reply_rate=rate)) for rate in (0.45, 0.1))
    assert often > 3 * seldom > 0
    assert {mail.user_day_limit for mail in day()} == {72}
    assert {mail.user_day_limit for mail in day(user_daily_cap=1.5)} == {90}


def test_a_longer_delay_makes_later_replies() -> None:
    def waits(**values: object) -> list[int]:
        bench = Bench(pool_of([1] * 60), **values)
        mails = [mail for mail in bench.day() if mail.reply_to]
        originals = {mail.send_id: SendId.parse(mail.reply_to or "") for mail in mails}
        return [
            bench.member(reply.mailbox_id).due[reply.round] - bench.member(original.mailbox_id).due[original.round]
            for reply, original in originals.items()
        ]

    assert min(waits(reply_delay_min=120, reply_delay_max=130)) >= 120 * 60_000
    assert min(waits(reply_delay_min=0, reply_delay_max=1)) < 20 * 60_000
