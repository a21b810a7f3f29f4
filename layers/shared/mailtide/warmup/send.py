"""send_mail: a batch of messages through a number of lanes (spec §5)."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from mailtide.errors import TransientError
from mailtide.warmup.attempt import SPREAD_S, UNAVAILABLE_MS, Attempt, Ending, SendServices, delay_s, limit_spread_s
from mailtide.warmup.contracts import Mailbox, SendMessage
from mailtide.warmup.mail_ports import Control, KeyRefusedError, PutBack

LEAST_LEFT_S = 60.0
"""No new send with less than this left of the invocation."""
LONGEST_SEND_S = 120.0
MARGIN_S = 5.0
MAILBOX_MAX_AGE_S = 15.0
SOON_MS = 5_000
KEY_REFUSED = "key_refused"
KEY_REFUSED_MS = 300_000
"""Until a send comes back for which the key of the secrets was refused: by then a person may have mended it."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of one message, for the log and the metrics."""

    message: SendMessage
    ending: Ending
    failed: bool = False
    """It returns to the queue as it came: again for a process that polls, among the dead letters for a function."""


@dataclass(slots=True)
class BatchReport:
    """What became of a batch."""

    handled: list[Handled] = field(default_factory=list)
    waves: int = 0
    forfeited: int = 0
    granted: int = 0

    def counts(self) -> dict[str, int]:
        """Endings by name."""
        return dict(Counter(one.ending.end for one in self.handled))

    def failures(self) -> list[SendMessage]:
        """Messages that could not be handled at all."""
        return [one.message for one in self.handled if one.failed]


class Sender:
    """Carries out batches. One object serves one batch at a time."""

    def __init__(
        self,
        services: SendServices,
        queue: PutBack,
        control: Control,
        *,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """is_stopping: from when on no send is to begin any more, and what has not begun goes back to the queue."""
        self._services = services
        self._is_stopping = is_stopping
        self._queue = queue
        self._control = control
        self._waiting: deque[SendMessage] = deque()
        self._reading = asyncio.Lock()
        self._mailboxes: dict[str, Mailbox] = {}
        self._read_at_s: dict[str, float] = {}

    async def send_batch(self, messages: Sequence[SendMessage], *, time_left_s: float) -> BatchReport:
        """Handle every message; never raises for one of them.

        time_left_s: until this invocation is ended from outside. Messages that find no room before that go back to the queue.
        """
        ends_at_s = self._monotonic_s() + time_left_s
        report = BatchReport()
        waiting = self._waiting = deque(messages)
        try:
            await self._read_mailboxes(waiting)
            lanes = min(self._services.settings.max_concurrent, len(waiting))
            await asyncio.gather(*(self._run_lane(waiting, report, ends_at_s) for _ in range(lanes)))
        except TransientError:
            report.handled += await asyncio.gather(*(self._put_back_soon(message) for message in waiting))
        finally:
            await self._services.mailer.close()
        desk = self._services.desk
        report.waves, report.granted, report.forfeited = desk.waves, desk.granted, desk.forfeited
        return report

    async def _run_lane(self, waiting: deque[SendMessage], report: BatchReport, ends_at_s: float) -> None:
        settings, chance = self._services.settings, self._services.chance
        while waiting:
            handled = await self._handle(waiting.popleft(), ends_at_s)
            report.handled.append(handled)
            if waiting and handled.ending.started_s is not None:
                gap_s = chance.uniform(settings.stagger_min_ms, settings.stagger_max_ms) / 1000
                await asyncio.sleep(max(0.0, handled.ending.started_s + gap_s - self._monotonic_s()))

    async def _handle(self, message: SendMessage, ends_at_s: float) -> Handled:
        try:
            ending = await self._end_of(message, ends_at_s)
            if ending.again_ms is not None:
                ending = await self._put_back(message, ending)
            return Handled(message, ending)
        except TransientError:
            return await self._put_back_soon(message)
        except Exception as error:  # noqa: BLE001 - one bad mail must not take the others with it
            return Handled(message, Ending("skipped", type(error).__name__), failed=True)

    async def _put_back_soon(self, message: SendMessage) -> Handled:
        """What a table or queue was away for. Nothing is wrong with the message, so it must not become a dead letter."""
        ending = Ending("skipped", "unavailable", self._services.clock.now_ms() + UNAVAILABLE_MS)
        try:
            return Handled(message, await self._put_back(message, ending))
        except TransientError as error:
            return Handled(message, Ending("skipped", type(error).__name__), failed=True)

    async def _end_of(self, message: SendMessage, ends_at_s: float) -> Ending:
        services = self._services
        now_ms = services.clock.now_ms()
        if now_ms >= message.tick_end_ms + message.tick_ms:
            return Ending("stale")
        left_s = ends_at_s - self._monotonic_s()
        if left_s < LEAST_LEFT_S or self._is_stopping():
            return Ending("skipped", "no_time", now_ms + SOON_MS)
        await self._read_mailboxes([message])
        sender = self._mailboxes.get(message.mailbox_id)
        if sender is None or await self._is_stopped(sender, now_ms):
            return Ending("skipped", "stopped")
        pause_ms = services.pauses.left_ms(sender.smtp.host)
        again_ms = max(services.desk.refused_until_ms(message.user_id), now_ms + pause_ms)
        if again_ms > now_ms:
            return Ending("skipped", "paused" if pause_ms else "limit", again_ms)
        try:
            await services.mailer.prepare(sender)
        except KeyRefusedError:
            return Ending("skipped", KEY_REFUSED, now_ms + KEY_REFUSED_MS)
        span_s = min(LONGEST_SEND_S, left_s - MARGIN_S)
        deadline_ms = services.clock.monotonic_ms() + int(span_s * 1000)
        return await Attempt(services, message, deadline_monotonic_ms=deadline_ms).carry_out(sender, self._mailboxes)

    async def _is_stopped(self, sender: Mailbox, now_ms: int) -> bool:
        if sender.status != "active" or sender.not_before_ms > now_ms:
            return True
        flags = await self._services.run_blocking(self._control.flags)
        return bool(flags.stops(sender.user_id))

    async def _put_back(self, message: SendMessage, ending: Ending) -> Ending:
        """A new message with the same send id, when it is due again within its tick; otherwise the next tick offers it."""
        now_ms = self._services.clock.now_ms()
        again_ms = ending.again_ms or now_ms
        spread_s = limit_spread_s(again_ms, message.tick_end_ms) if ending.reason == "limit" else SPREAD_S
        wait_s = delay_s(again_ms, now_ms, self._services.chance, spread_s)
        if now_ms + wait_s * 1000 >= message.tick_end_ms or (ending.again_ms or 0) > now_ms + wait_s * 1000:
            return ending
        await self._services.run_blocking(lambda: self._queue.send_mails([(message, wait_s)]))
        return replace(ending, end="put_back", reason=ending.reason or ending.end)

    def _monotonic_s(self) -> float:
        return self._services.clock.monotonic_ms() / 1000

    async def _read_mailboxes(self, messages: Iterable[SendMessage]) -> None:
        """Those of the messages that were not read within the last seconds, and with them the others that wait: one request does
        for a hundred."""
        if not self._old_mailboxes(messages):
            return
        async with self._reading:
            if not self._old_mailboxes(messages):
                return
            now_s = self._monotonic_s()
            old = self._old_mailboxes((*messages, *self._waiting))
            found = await self._services.run_blocking(lambda: self._services.mailboxes.get_many(sorted(old)))
            for name in old:
                self._read_at_s[name] = now_s
                if name in found:
                    self._mailboxes[name] = found[name]
                else:
                    self._mailboxes.pop(name, None)

    def _old_mailboxes(self, messages: Iterable[SendMessage]) -> set[str]:
        now_s = self._monotonic_s()
        names = {name for one in messages for name in (one.mailbox_id, one.recipient_id)}
        return {name for name in names if now_s - self._read_at_s.get(name, -1e9) > MAILBOX_MAX_AGE_S}
