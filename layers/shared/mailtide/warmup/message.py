"""A mail as bytes, with honest headers."""

from datetime import UTC, datetime
from email.headerregistry import Address, BaseHeader, HeaderRegistry, MessageIDHeader
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import cast

from mailtide.errors import MailtideError
from mailtide.warmup import content
from mailtide.warmup.content import TemplateSet
from mailtide.warmup.contracts import Mailbox
from mailtide.warmup.ids import SendId, message_id

TAG_HEADER = "X-Mailtide-Warmup"
"""In every mail, so that owners can filter on it."""
TAG = "yes"


def _header_types() -> HeaderRegistry:
    """With ids in the headers of replies, which else are folded into encoded words when they are long."""
    types = HeaderRegistry()
    for name in ("in-reply-to", "references"):
        # The registry adds the base class by itself, as with its own types.
        types.map_to_type(name, cast("type[BaseHeader]", MessageIDHeader))
    return types


_POLICY = SMTP.clone(cte_type="7bit", header_factory=_header_types())


class HeaderError(MailtideError):
    """A header's value would not be one line."""


def build_mail(send_id: SendId, sender: Mailbox, recipient: Mailbox, templates: TemplateSet, *, now_ms: int) -> bytes:
    """An ordinary mail."""
    names = {"sender": _name(sender), "recipient": _name(recipient)}
    mail = _headers(send_id, sender, recipient, content.subject_of(send_id, templates, **names), now_ms)
    mail.set_content(content.body_of(send_id, templates, **names), cte="quoted-printable")
    return mail.as_bytes()


def build_reply(
    send_id: SendId, sender: Mailbox, original: SendId, recipient: Mailbox, templates: TemplateSet, *, now_ms: int
) -> bytes:
    """A reply to a mail of `recipient`, whose templates these are."""
    names = {"sender": _name(sender), "recipient": _name(recipient)}
    subject = content.reply_subject(
        content.subject_of(original, templates, sender=names["recipient"], recipient=names["sender"])
    )
    mail = _headers(send_id, sender, recipient, subject, now_ms)
    original_id = message_id(original, recipient.domain)
    mail["In-Reply-To"] = original_id
    mail["References"] = original_id
    mail.set_content(content.reply_body(send_id, original, templates, **names), cte="quoted-printable")
    return mail.as_bytes()


def _headers(send_id: SendId, sender: Mailbox, recipient: Mailbox, subject: str, now_ms: int) -> EmailMessage:
    mail = EmailMessage(policy=_POLICY)
    values: dict[str, str | Address] = {
        "From": Address(_one_line(sender.display_name), addr_spec=_one_line(sender.address)),
        "To": Address(_one_line(recipient.display_name), addr_spec=_one_line(recipient.address)),
        "Subject": _one_line(subject),
        "Date": format_datetime(datetime.fromtimestamp(now_ms // 1000, UTC)),
        "Message-ID": _one_line(message_id(send_id, sender.domain)),
        TAG_HEADER: TAG,
        "Auto-Submitted": "auto-generated",
    }
    for name, value in values.items():
        mail[name] = value
    return mail


def _one_line(value: str) -> str:
    if any(ord(letter) < 32 or letter in "\x7f\x85\u2028\u2029" for letter in value):
        raise HeaderError("A header's value holds a control character.")
    return value


def _name(mailbox: Mailbox) -> str:
    return mailbox.display_name.strip() or mailbox.address.partition("@")[0]
