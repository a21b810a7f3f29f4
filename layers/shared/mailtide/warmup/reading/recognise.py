"""Which mails could be the warm-up's own, by their header fields alone. Pure: bytes in, claims out.

Anybody can write such header fields, so a claim is no more than a question: mailtide.warmup.reading.verify asks the day's
pairing and the sender's ledger whether it is true.
"""

from dataclasses import dataclass
from email import policy
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from typing import Literal

from mailtide.warmup.ids import SendId, parse_message_id
from mailtide.warmup.message import TAG, TAG_HEADER

FIELDS = ("Message-ID", "From", "In-Reply-To", "Content-Type", TAG_HEADER)
"""The header fields that a visit reads of every new mail; nothing else of other people's mail is ever fetched."""
MAX_FIELDS_BYTES = 4_096
"""Ours have less; of others the rest is not fetched."""

type ReportType = Literal["delivery-status", "feedback-report"]
_REPORT_TYPES: dict[str, ReportType] = {"delivery-status": "delivery-status", "feedback-report": "feedback-report"}
_PARSER = BytesHeaderParser(policy=policy.compat32)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a mail says of itself."""

    send_id: SendId
    message_id: str
    sender: str
    """The one address of From, lower case."""
    in_reply_to: SendId | None


@dataclass(frozen=True, slots=True)
class Look:
    """What the header fields of one mail say: a claim, a report, both or neither."""

    claim: Claim | None = None
    report: ReportType | None = None


def read_fields(fields: bytes) -> Look:
    """Never raises, whatever the bytes are."""
    try:
        mail = _PARSER.parsebytes(fields[:MAX_FIELDS_BYTES])
        return Look(_claim(mail), _report(mail))
    except Exception:  # noqa: BLE001 - the standard parser has no list of its errors, and no mail may stop all visits
        return Look()


def _claim(mail: Message) -> Claim | None:
    if _only(mail, TAG_HEADER) != TAG:
        return None
    message_id = _only(mail, "Message-ID")
    send_id = parse_message_id(message_id)
    sender = _address(mail)
    if send_id is None or not sender:
        return None
    replied = mail.get_all("In-Reply-To", [])
    if len(replied) > 1:
        return None
    in_reply_to = parse_message_id(str(replied[0])) if replied else None
    if replied and in_reply_to is None:
        return None
    return Claim(send_id, message_id, sender, in_reply_to)


def _only(mail: Message, name: str) -> str:
    """The value of a field that stands there exactly once."""
    values = mail.get_all(name, [])
    return str(values[0]).strip() if len(values) == 1 else ""


def _address(mail: Message) -> str:
    found = getaddresses([_only(mail, "From")], strict=True)
    return found[0][1].lower() if len(found) == 1 else ""


def _report(mail: Message) -> ReportType | None:
    if mail.get_content_type() != "multipart/report":
        return None
    kind = mail.get_param("report-type")
    return _REPORT_TYPES.get(kind.lower()) if isinstance(kind, str) else None
