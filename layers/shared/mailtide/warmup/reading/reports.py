"""Reports on one's own mails: not delivered (RFC 3464), or called spam by its reader (RFC 5965). Pure: bytes in, facts out."""

from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.message import Message
from email.parser import BytesParser, Parser
from email.utils import getaddresses

from mailtide.warmup.ids import SendId, parse_message_id
from mailtide.warmup.reading.contracts import ReportKind
from mailtide.warmup.reading.recognise import ReportType

MAX_REPORT_BYTES = 65_536
"""As much of a report is read; what it says of a mail stands before the mail itself."""
_COMPLAINTS = {"abuse", "fraud", "virus"}
_MAX_PARTS = 50
_PARSER = BytesParser(policy=policy.compat32)


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says of one mail."""

    kind: ReportKind
    send_id: SendId
    message_id: str
    recipients: frozenset[str]
    """Every address that it names as the mail's recipient, lower case; a few spellings of one, never a list to guess from."""

    def about(self, address: str) -> ReportKind | None:
        """What it says, when this is the recipient; None when it is not. Complaints may come with half of the address blacked out
        (RFC 6590): those of the recipient's domain are `redacted`."""
        if address in self.recipients:
            return self.kind
        is_near = _domain(address) in {_domain(one) for one in self.recipients}
        return "redacted" if self.kind == "complaint" and is_near else None


def read_report(kind: ReportType, content: bytes) -> Report | None:
    """None when it says nothing definite of a mail with a send id. Never raises, whatever the bytes are."""
    try:
        return _read(kind, _PARSER.parsebytes(content[:MAX_REPORT_BYTES]))
    except Exception:  # noqa: BLE001 - the standard parser has no list of its errors, and no mail may stop all visits
        return None


def _read(kind: ReportType, mail: Message) -> Report | None:
    payload = mail.get_payload()
    if mail.get_content_type() != "multipart/report" or not isinstance(payload, list):
        return None
    parts = [part for part in payload[:_MAX_PARTS] if isinstance(part, Message)]
    said = _delivery(parts) if kind == "delivery-status" else _complaint(parts)
    original = _original(parts)
    if said is None or original is None:
        return None
    message_id = str(original.get("Message-ID", "")).strip()
    send_id = parse_message_id(message_id)
    if send_id is None:
        return None
    to = {address.lower() for _, address in getaddresses([str(original.get("To", ""))])}
    if len(to) > 1:
        return None
    recipients = said | to
    return Report("bounce" if kind == "delivery-status" else "complaint", send_id, message_id, frozenset(recipients))


def _delivery(parts: list[Message]) -> set[str] | None:
    """The recipient whom the mail did not reach, as first and as last named; None when there is none, since a delay is no
    failure, and when there are several: our mails have one each, and whoever does not know which names many."""
    blocks = [
        block for part in parts if part.get_content_type() == "message/delivery-status" for block in _blocks(part)
    ]
    failed = [block for block in blocks if _word(block, "Action") == "failed"]
    names = ("Original-Recipient", "Final-Recipient")
    return {_typed(block, name) for block in failed for name in names} - {""} if len(failed) == 1 else None


def _complaint(parts: list[Message]) -> set[str] | None:
    for part in parts:
        if part.get_content_type() == "message/feedback-report":
            for block in _blocks(part):
                if _word(block, "Feedback-Type") in _COMPLAINTS:
                    found = block.get_all("Original-Rcpt-To", [])
                    return {str(value).strip().strip("<>").lower() for value in found} if len(found) <= 1 else None
    return None


def _blocks(part: Message) -> Iterator[Message]:
    """The groups of fields of a part: the standard library makes messages of those that it knows, and text of others."""
    payload = part.get_payload()
    if isinstance(payload, str):
        yield Parser(policy=policy.compat32).parsestr(payload, headersonly=True)
        return
    for block in payload if isinstance(payload, list) else []:
        if isinstance(block, Message):
            inner = block.get_payload()
            # A message/* that is no delivery-status holds its fields as the headers or as the text of a mail.
            yield block if block.keys() or not isinstance(inner, str) else Parser().parsestr(inner, headersonly=True)


def _original(parts: list[Message]) -> Message | None:
    """The mail that came back, or its headers."""
    for part in parts:
        kind, payload = part.get_content_type(), part.get_payload()
        if kind == "message/rfc822" and isinstance(payload, list) and payload and isinstance(payload[0], Message):
            return payload[0]
        if kind == "text/rfc822-headers":
            decoded = part.get_payload(decode=True)
            return _PARSER.parsebytes(decoded, headersonly=True) if isinstance(decoded, bytes) else None
    return None


def _word(block: Message, name: str) -> str:
    return str(block.get(name, "")).strip().lower()


def _typed(block: Message, name: str) -> str:
    """The address of "rfc822; address"."""
    kind, _, address = _word(block, name).partition(";")
    return address.strip().strip("<>") if kind.strip() in {"rfc822", "utf-8"} else ""


def _domain(address: str) -> str:
    return address.rpartition("@")[2]
