"""Who a mail goes to, and what it is: an ordinary mail, or the reply to one that was really sent."""

from dataclasses import dataclass
from typing import Protocol

from mailtide.warmup.contracts import LedgerKey, Mailbox, RoundState, SendMessage
from mailtide.warmup.ids import SendId
from mailtide.warmup.mail_ports import Templates
from mailtide.warmup.message import build_mail, build_reply
from mailtide.warmup.ports import Ledger, MailboxStore


@dataclass(frozen=True, slots=True)
class Envelope:
    """A mail that may go out."""

    send_id: SendId
    sender: Mailbox
    recipient: Mailbox
    original: SendId | None = None
    """What it answers."""

    def build(self, templates: Templates, now_ms: int) -> bytes:
        """The mail. A reply uses the templates of whom it answers."""
        if self.original is None:
            own = templates.of_user(self.sender.user_id)
            return build_mail(self.send_id, self.sender, self.recipient, own, now_ms=now_ms)
        theirs = templates.of_user(self.recipient.user_id)
        return build_reply(self.send_id, self.sender, self.original, self.recipient, theirs, now_ms=now_ms)


class _Lookup(Protocol):
    @property
    def ledger(self) -> Ledger: ...

    @property
    def mailboxes(self) -> MailboxStore: ...


def find_envelope(
    services: _Lookup, message: SendMessage, sender: Mailbox, mailboxes: dict[str, Mailbox]
) -> Envelope | None:
    """None when its recipient takes part no more. A reply whose original was not sent goes to the round's recipient instead."""
    original = _sent_original(services.ledger, message)
    recipient_id = original.mailbox_id if original else message.recipient_id
    recipient = mailboxes.get(recipient_id) or services.mailboxes.get_many([recipient_id]).get(recipient_id)
    if recipient is None or recipient.status != "active":
        return None
    return Envelope(message.send_id, sender, recipient, original)


def _sent_original(ledger: Ledger, message: SendMessage) -> SendId | None:
    if message.reply_to is None or message.reply_to_shard is None:
        return None
    original = SendId.parse(message.reply_to)
    view = ledger.read(LedgerKey(original.day, message.reply_to_shard, original.mailbox_id))
    return original if view is not None and view.state(original.round) == RoundState.SENT else None
