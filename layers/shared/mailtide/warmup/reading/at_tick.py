"""What one shard's tick has to do with reading: whom it asks to be visited, and which replies it holds back."""

from collections.abc import Sequence

from mailtide.errors import TransientError
from mailtide.warmup.contracts import LedgerKey, LedgerView, ShardTick
from mailtide.warmup.days import Member, ShardDay
from mailtide.warmup.objects import QuotaStatus
from mailtide.warmup.offers import Rules, Tick
from mailtide.warmup.reading.asking import due_visits, read_messages
from mailtide.warmup.reading.contracts import PlacementDay
from mailtide.warmup.reading.waiting import OpenReply, Replies, decide, open_replies
from mailtide.warmup.services import PlanningServices, ReadingPorts

AWAY = "The visits to mailboxes cannot be asked for or looked up; mails go out without them."


class ReadingTick:
    """One shard at one tick. While nothing is read, its methods do nothing.

    Mails come first: a queue or table of reading that is away for the moment stops none of them, it is a warning.
    """

    def __init__(self, services: PlanningServices, shard: ShardDay, message: ShardTick, tick: Tick) -> None:
        self._interval_ms = services.settings.read_minutes * 60_000
        self._ports: ReadingPorts | None = services.reading if self._interval_ms else None
        self._shard = shard
        self._message = message
        self._tick = tick
        self.is_on = self._ports is not None
        self.visited: list[str] = []
        """Mailboxes of the shard that are read."""
        self._open: dict[int, list[OpenReply]] = {}
        self._replies: dict[int, Replies] = {}
        self.warnings: list[str] = []

    def add(self, member: Member, view: LedgerView, status: QuotaStatus, rules: Rules) -> None:
        """A member whose replies wait; `look` finds out for which."""
        self._open[member.index] = open_replies(self._shard, member, view, status=status, tick=self._tick, rules=rules)

    def look(self) -> None:
        """Read what visits have found of the originals."""
        keys = {reply.original for replies in self._open.values() for reply in replies}
        placements = self._placements(sorted(keys, key=lambda key: (key.shard, key.mailbox_id)))
        self._replies = {index: decide(replies, placements) for index, replies in self._open.items()}

    def _placements(self, keys: Sequence[LedgerKey]) -> dict[LedgerKey, PlacementDay]:
        if not keys or self._ports is None:
            return {}
        try:
            return self._ports.placements.read_many(keys)
        except TransientError:
            self.warnings.append(AWAY)
            return {}

    def waiting(self, member: Member) -> frozenset[int]:
        """Rounds that are not offered now."""
        replies = self._replies.get(member.index)
        return replies.waiting if replies else frozenset()

    def is_ordinary(self, member: Member, number: int) -> bool:
        """Whether a planned reply goes out as an ordinary mail, since what it would answer was not found."""
        replies = self._replies.get(member.index)
        return replies is not None and number not in replies.ready

    def may_have_waited(self, member: Member, number: int) -> bool:
        """Whether it may be for want of a visit that a round is late, and not for want of a sender."""
        return any(reply.round == number for reply in self._open.get(member.index, ()))

    def ask(self, now_ms: int) -> int:
        """Queue the visits of the tick; how many."""
        message = self._message
        if self._ports is None or message.request_id is not None:
            return 0
        visits = due_visits(self.visited, message.start_ms, message.end_ms, self._interval_ms)
        messages = read_messages(message.day, self._shard.number, visits, now_ms=now_ms, interval_ms=self._interval_ms)
        try:
            self._ports.queue.send_reads(messages)
        except TransientError:
            self.warnings.append(AWAY)
            return 0
        return sum(len(one.mailbox_ids) for one, _ in messages)
