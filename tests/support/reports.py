"""Reports as mail servers make them."""

CRLF = "\r\n"


def bounce(
    message_id: str,
    recipient: str,
    *,
    action: str = "failed",
    whole: bool = True,
    body: str = "Hello.\r\n",
    lines: int = 1,
    content: bytes = b"",
) -> bytes:
    """A delivery status notification (RFC 3464). whole: the mail came back, not its headers alone."""
    returned = (
        content.decode() if content else f"Message-ID: {message_id}{CRLF}To: {recipient}{CRLF}Subject: s{CRLF}{CRLF}"
    )
    if whole and not content:
        returned += body * lines
    return _report(
        "delivery-status",
        [
            ("text/plain", "It could not be delivered.\r\n"),
            (
                "message/delivery-status",
                f"Reporting-MTA: dns; mx.example{CRLF}{CRLF}Final-Recipient: rfc822; {recipient}{CRLF}"
                f"Action: {action}{CRLF}Status: 5.1.1{CRLF}Diagnostic-Code: smtp; 550 5.1.1 no such user{CRLF}",
            ),
            ("message/rfc822" if whole else "text/rfc822-headers", returned),
        ],
    )


def complaint(message_id: str, recipient: str, *, kind: str = "abuse") -> bytes:
    """A feedback report (RFC 5965)."""
    return _report(
        "feedback-report",
        [
            ("text/plain", "Somebody called this spam.\r\n"),
            (
                "message/feedback-report",
                f"Feedback-Type: {kind}{CRLF}User-Agent: Somebody/1{CRLF}Version: 1{CRLF}"
                f"Original-Rcpt-To: <{recipient}>{CRLF}",
            ),
            ("message/rfc822", f"Message-ID: {message_id}{CRLF}To: {recipient}{CRLF}{CRLF}Hello.{CRLF}"),
        ],
    )


def _report(kind: str, parts: list[tuple[str, str]]) -> bytes:
    head = (
        f"From: Mail Delivery System <MAILER-DAEMON@mx.example>{CRLF}To: whoever@wrote.it{CRLF}Subject: report{CRLF}"
        f"Message-ID: <report@mx.example>{CRLF}MIME-Version: 1.0{CRLF}"
        f'Content-Type: multipart/report; report-type={kind};{CRLF} boundary="=_b"{CRLF}{CRLF}'
    )
    body = "".join(f"--=_b{CRLF}Content-Type: {content}{CRLF}{CRLF}{text}{CRLF}" for content, text in parts)
    return (head + body + f"--=_b--{CRLF}").encode()
