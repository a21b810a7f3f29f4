"""What people may do to the warm-up from outside (spec §6): pause, resume and trigger everything, one user or one mailbox."""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from mailtide.contracts import Contract, new_token
from mailtide.errors import InputError, NotFoundError
from mailtide.warmup.contracts import Mailbox, MailboxId, ShardTick, UserId, WarmupTick, day_of, day_start_ms
from mailtide.warmup.control import read_control, set_paused
from mailtide.warmup.days import RosterStore
from mailtide.warmup.ports import MailboxStore, MailQueue, Objects, WarmupClock
from mailtide.warmup.roster import shard_of
from mailtide.warmup.settings import WarmupSettings
from mailtide.warmup.slots import tick_of

OWN_PAUSE = "paused by its user"
"""The reason of a mailbox's pause that its user may lift again."""


class NotAllowedError(InputError):
    """Only an operator may do this."""


class Order(Contract):
    """What is to be done, and to whom: everything, unless a user or a mailbox is named."""

    action: Literal["pause", "resume", "trigger"] = Field(description="What is to be done.")
    user: UserId | None = Field(default=None, description="All mailboxes of this user.")
    mailbox: MailboxId | None = Field(default=None, description="This mailbox alone.")

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.user is not None and self.mailbox is not None:
            raise ValueError("name a user or a mailbox, not both")
        return self


class Steered(Contract):
    """What was done."""

    action: Literal["pause", "resume", "trigger"]
    scope: Literal["everything", "user", "mailbox"]
    queued: int = Field(default=0, description="Messages that went out to the planner or the dispatchers.")
    note: str = Field(description="One sentence for a person.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """Carries orders out. `by_operator` is False for a user's own orders, which have been checked to concern only that user."""

    bucket: Objects
    mailboxes: MailboxStore
    rosters: RosterStore
    queue: MailQueue
    clock: WarmupClock
    settings: WarmupSettings

    def owner(self, mailbox_id: str) -> str | None:
        """The user that a mailbox belongs to; None when there is no such mailbox."""
        found = self.mailboxes.get_many([mailbox_id]).get(mailbox_id)
        return found.user_id if found else None

    def carry_out(self, order: Order, *, by_operator: bool) -> Steered:
        """Do it. NotFoundError for an unknown user or mailbox, NotAllowedError, StaleWriteError."""
        if order.mailbox is not None:
            return self._one_mailbox(order, order.mailbox, by_operator=by_operator)
        if order.user is not None:
            return self._one_user(order, order.user, by_operator=by_operator)
        if not by_operator:
            raise NotAllowedError("Only an operator may stop, resume or trigger everything.")
        if order.action == "trigger":
            self.queue.send_plan(WarmupTick())
            return Steered(action="trigger", scope="everything", queued=1, note="A tick is queued.")
        set_paused(self.bucket, paused=order.action == "pause")
        note = "Nothing is sent from now on." if order.action == "pause" else "Sending goes on."
        return Steered(action=order.action, scope="everything", note=f"{note} Senders notice within 15 seconds.")

    def _one_user(self, order: Order, user_id: str, *, by_operator: bool) -> Steered:
        boxes = list(self.mailboxes.of_user(user_id))
        if not boxes:
            raise NotFoundError(f"There is no mailbox of a user {user_id}.")
        if order.action == "trigger":
            queued = self._demand(boxes, user_id=user_id)
            return Steered(action="trigger", scope="user", queued=queued, note="What is due is offered now.")
        if order.action == "resume" and not by_operator and user_id in read_control(self.bucket).held_users:
            raise NotAllowedError("An operator has paused this user, and only an operator may resume.")
        set_paused(self.bucket, paused=order.action == "pause", user_id=user_id, held=by_operator)
        note = "is paused" if order.action == "pause" else "goes on"
        return Steered(action=order.action, scope="user", note=f"The user {note}; senders notice within 15 seconds.")

    def _one_mailbox(self, order: Order, mailbox_id: str, *, by_operator: bool) -> Steered:
        box = self.mailboxes.get_many([mailbox_id]).get(mailbox_id)
        if box is None:
            raise NotFoundError(f"There is no mailbox {mailbox_id}.")
        if order.action == "trigger":
            queued = self._demand([box], mailbox_id=mailbox_id)
            return Steered(action="trigger", scope="mailbox", queued=queued, note="What is due is offered now.")
        if order.action == "pause":
            # A user's pause takes nothing back that somebody else has found.
            if not by_operator and box.status != "active":
                return Steered(action="pause", scope="mailbox", note=f"The mailbox is {box.status} already.")
            self.mailboxes.set_status(mailbox_id, "paused", "paused by an operator" if by_operator else OWN_PAUSE)
            return Steered(action="pause", scope="mailbox", note="The mailbox is paused.")
        if not (by_operator or _may_be_resumed_by_its_user(box)):
            raise NotAllowedError(f"The mailbox is {box.status} ({box.status_reason}); only an operator may resume it.")
        self.mailboxes.set_status(mailbox_id, "active", "")
        return Steered(action="resume", scope="mailbox", note="The mailbox is active.")

    def _demand(self, boxes: list[Mailbox], *, user_id: str | None = None, mailbox_id: str | None = None) -> int:
        """One message for each shard that holds some of the mailboxes. NotFoundError while today has no roster."""
        now_ms = self.clock.now_ms()
        day = day_of(now_ms)
        header = self.rosters.header(day)
        if header is None:
            raise NotFoundError("Today has no roster yet.")
        start_ms, end_ms = tick_of(now_ms, day_start_ms(day), self.settings.tick_ms)
        request_id = new_token()
        shards = sorted({shard_of(box.mailbox_id, header.shards) for box in boxes})
        self.queue.send_ticks(
            [
                ShardTick(
                    day=day,
                    start_ms=start_ms,
                    end_ms=end_ms,
                    shard=shard,
                    request_id=request_id,
                    user_id=user_id,
                    mailbox_id=mailbox_id,
                )
                for shard in shards
            ]
        )
        return len(shards)


def _may_be_resumed_by_its_user(box: Mailbox) -> bool:
    """Its own pause, and refused credentials that have been mended; not a quarantine, nor an operator's pause."""
    return box.status in {"active", "disconnected"} or (box.status == "paused" and box.status_reason == OWN_PAUSE)
