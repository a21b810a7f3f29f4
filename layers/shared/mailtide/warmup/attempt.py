"""One message's way through claim, tokens, mail server and ledger (spec §5): every end that it can take is here."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mailtide.contracts import new_token
from mailtide.errors import TransientError
from mailtide.warmup import consequences
from mailtide.warmup.classify import MailRefusedError, ReplyClass
from mailtide.warmup.consequences import Sentence
from mailtide.warmup.contracts import DAY_MS, LedgerKey, Mailbox, SendMessage, day_start_ms
from mailtide.warmup.desk import NoToken, RunBlocking, Token, TokenDesk
from mailtide.warmup.envelope import Envelope, find_envelope
from mailtide.warmup.mail_ports import Mailer, MailSession, Templates
from mailtide.warmup.outcomes import quarantine_reason
from mailtide.warmup.pauses import HostPauses
from mailtide.warmup.ports import MAX_DELAY_S, Claim, ClaimAnswer, Ledger, MailboxStore, Mark, Outcome, WarmupClock
from mailtide.warmup.settings import WarmupSettings

FORFEITS_PER_SEND = 2
"""Tokens that one handling may let go out of date before it goes back to the queue."""
RESULT_TRIES = 4
UNAVAILABLE_MS = 20_000
"""Until a send comes back for which limits, tables or connections were not to be had."""
SPREAD_S = 10.0
"""What goes back to the queue comes back spread over this, not all at once."""
LIMIT_SPREAD_S = 120.0
"""The same for what a limit refused, but within its tick: whoever stands in line again at each window pays a claim each time."""

type End = Literal[
    "sent", "failed", "unknown", "given_back", "not_claimed", "skipped", "stale", "put_back", "lost", "recipient_gone"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SendServices:
    """The ports and the settings of the sender."""

    ledger: Ledger
    mailboxes: MailboxStore
    mailer: Mailer
    templates: Templates
    clock: WarmupClock
    desk: TokenDesk
    pauses: HostPauses
    run_blocking: RunBlocking
    settings: WarmupSettings
    chance: random.Random = field(default_factory=random.SystemRandom)


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of one handling of a message."""

    end: End
    reason: str = ""
    """A class of replies, or why a claim was refused; never a server's own text."""
    again_ms: int | None = None
    """When the send may be tried again; None when the dispatcher decides, or never."""
    started_s: float | None = None
    """When MAIL FROM went out, on the monotonic clock."""


class Attempt:
    """One handling of one message."""

    def __init__(self, services: SendServices, message: SendMessage, *, deadline_monotonic_ms: int) -> None:
        """deadline_monotonic_ms: by then the send has ended, one way or the other."""
        self._services = services
        self._message = message
        self._deadline_ms = deadline_monotonic_ms
        self._key = LedgerKey(message.day, message.shard, message.mailbox_id)
        self._claim = Claim(self._key, message.round, new_token())
        self._answer = ClaimAnswer("refused")
        self._data_asked = False
        self._started_s: float | None = None

    async def carry_out(self, sender: Mailbox, mailboxes: dict[str, Mailbox]) -> Ending:
        """From claim to result. TransientError when the tables cannot be asked before anything was claimed."""
        return replace(await self._carry_out(sender, mailboxes), started_s=self._started_s)

    async def _carry_out(self, sender: Mailbox, mailboxes: dict[str, Mailbox]) -> Ending:
        services, message = self._services, self._message
        envelope = await self._blocking(lambda: find_envelope(services, message, sender, mailboxes))
        now_ms = services.clock.now_ms()
        self._answer = await self._blocking(lambda: self._take_claim(now_ms))
        if self._answer.outcome == "refused":
            too_early = self._answer.next_ok_ms if self._answer.reason == "too_early" else None
            return Ending("not_claimed", self._answer.reason, too_early)
        if envelope is None:
            await self._finish("failed")
            return Ending("recipient_gone")
        try:
            return await self._with_session(envelope)
        except MailRefusedError as refused:
            return await self._refused(refused, envelope)
        except TransientError:
            return await self._give_back("unavailable", services.clock.now_ms() + UNAVAILABLE_MS)

    def _take_claim(self, now_ms: int) -> ClaimAnswer:
        message = self._message
        return self._services.ledger.claim(
            self._claim,
            target=message.target,
            now_ms=now_ms,
            next_ok_ms=now_ms + self._cooldown_ms(),
            day_end_ms=day_start_ms(message.day) + DAY_MS,
        )

    async def _with_session(self, envelope: Envelope) -> Ending:
        session: MailSession | None = None
        reusable = False
        try:
            async with asyncio.timeout(self._seconds_left(self._data_budget_ms)):
                session = await self._services.mailer.connect(envelope.sender)
                refusal = await self._offer(session, envelope)
            if refusal is not None:
                reusable = True
                return await self._give_back("limit", refusal.retry_ms)
            ending = await self._data(session, envelope)
            reusable = ending.end == "sent"
            return ending
        except TimeoutError:
            raise MailRefusedError(ReplyClass.TRANSIENT, "connect") from None
        finally:
            if session is not None:
                await session.release(reusable=reusable)

    async def _offer(self, session: MailSession, envelope: Envelope) -> NoToken | None:
        """MAIL FROM and RCPT TO under a token that is good at this very moment; None when that was done."""
        desk, clock, message = self._services.desk, self._services.clock, self._message
        retry_ms = 0
        for _ in range(FORFEITS_PER_SEND):
            token = await desk.take(message.user_id, message.user_day_limit)
            if not isinstance(token, Token):
                return token
            await asyncio.sleep(max(0, token.from_monotonic_ms - clock.monotonic_ms()) / 1000)
            if desk.may_start(token):
                self._started_s = clock.monotonic_ms() / 1000
                await session.offer(envelope.sender.address, envelope.recipient.address)
                return None
            retry_ms = clock.now_ms()
        return NoToken(retry_ms)

    async def _data(self, session: MailSession, envelope: Envelope) -> Ending:
        now_ms = self._services.clock.now_ms()
        content = await self._blocking(lambda: envelope.build(self._services.templates, now_ms))
        self._data_asked = True
        if not await self._blocking(
            lambda: self._services.ledger.begin_data(
                self._claim, now_ms=now_ms, next_ok_ms=now_ms + self._cooldown_ms()
            )
        ):
            self._data_asked = False
            await self._give_back("lost", None)
            return Ending("lost")
        try:
            async with asyncio.timeout(self._seconds_left(0)):
                await session.data(content)
        except MailRefusedError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the mail may have been accepted
            await self._finish("unknown")
            return Ending("unknown", type(error).__name__)
        self._services.pauses.worked(envelope.sender.smtp.host)
        await self._finish("sent_reply" if envelope.original else "sent", "accepted")
        return Ending("sent")

    async def _refused(self, refused: MailRefusedError, envelope: Envelope) -> Ending:
        """Carry out what the table says of a reply: for the round, then for the mailboxes."""
        now_ms = self._services.clock.now_ms()
        sentence = consequences.judge(
            refused, tries=self._answer.tries, now_ms=now_ms, settings=self._services.settings
        )
        if sentence.pauses_host_ms:
            self._services.pauses.pause(envelope.sender.smtp.host, sentence.pauses_host_ms)
        if sentence.fails:
            await self._finish("failed", sentence.mark)
            ending = Ending("failed", refused.reply_class.value)
        else:
            ending = await self._give_back(
                refused.reply_class.value,
                sentence.again_ms,
                counts_try=sentence.counts_try,
                next_ok_ms=sentence.next_ok_ms,
            )
        await self._quietly(lambda: self._tell_mailboxes(sentence, envelope))
        return ending

    def _tell_mailboxes(self, sentence: Sentence, envelope: Envelope) -> None:
        mailboxes, sender = self._services.mailboxes, envelope.sender
        if sentence.sender_status:
            mailboxes.set_status(sender.mailbox_id, *sentence.sender_status)
        parked_until_ms = sentence.parked_until_ms
        if sentence.next_ok_ms and sentence.next_ok_ms >= day_start_ms(self._message.day) + DAY_MS:
            # The next day's ledger knows nothing of a pause that reaches into it.
            parked_until_ms = sentence.next_ok_ms
        if parked_until_ms:
            mailboxes.park(sender.mailbox_id, parked_until_ms, sentence.reason)
        if sentence.recipient_status:
            mailboxes.set_status(envelope.recipient.mailbox_id, *sentence.recipient_status)
        if sentence.mark in {"bounce", "policy"}:
            view = self._services.ledger.read(self._key)
            reason = quarantine_reason(view.bounces, view.policy_refusals) if view else ""
            if reason:
                mailboxes.set_status(sender.mailbox_id, "quarantined", reason)

    async def _give_back(
        self, reason: str, again_ms: int | None, *, counts_try: bool = False, next_ok_ms: int | None = None
    ) -> Ending:
        refused = counts_try or self._data_asked
        await self._quietly(
            lambda: self._services.ledger.give_back(self._claim, self._answer, refused=refused, next_ok_ms=next_ok_ms)
        )
        return Ending("given_back", reason, again_ms)

    async def _finish(self, outcome: Outcome, mark: Mark | None = None) -> None:
        await self._quietly(lambda: self._services.ledger.finish(self._claim, outcome, mark=mark))

    async def _quietly(self, call: Callable[[], object]) -> None:
        """Try a few times to write down what has happened already; if that cannot be, the claim's expiry settles it."""
        for attempt in range(RESULT_TRIES):
            try:
                await self._blocking(call)
            except TransientError:
                await asyncio.sleep(0.2 * 2**attempt)
            else:
                return

    async def _blocking(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the call returns
        return await self._services.run_blocking(call)

    def _cooldown_ms(self) -> int:
        settings = self._services.settings
        return self._services.chance.randint(settings.mailbox_cooldown_min_ms, settings.mailbox_cooldown_max_ms)

    @property
    def _data_budget_ms(self) -> int:
        """Kept for DATA and its answer."""
        return min(self._services.settings.smtp_timeout_ms, 25_000)

    def _seconds_left(self, reserve_ms: int) -> float:
        return max(0.0, (self._deadline_ms - reserve_ms - self._services.clock.monotonic_ms()) / 1000)


def delay_s(again_ms: int, now_ms: int, chance: random.Random, spread_s: float = SPREAD_S) -> int:
    """Seconds until a send comes back from the queue: not before `again_ms`, spread a little, at most what a queue can do."""
    wait_s = max(0, again_ms - now_ms) / 1000 + chance.uniform(0, spread_s)
    return min(MAX_DELAY_S, int(wait_s) + 1)


def limit_spread_s(again_ms: int, tick_end_ms: int) -> float:
    """Over how long the sends that a limit refused until `again_ms` come back."""
    return max(0.0, min(LIMIT_SPREAD_S, (tick_end_ms - again_ms) / 1000 - 2))
