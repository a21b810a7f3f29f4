"""The mail server of the demonstrations, asked by the standard library's client."""

import smtplib
import threading
from email.message import EmailMessage

import pytest

from localstack.mail_sink import MailSink

ANNA, BELA = "anna@company-a.example", "bela@company-b.example"


def _mail(sender: str, recipient: str, **headers: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, recipient, "Lunch?"
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content("Hello")
    return mail


def test_who_has_the_right_password_is_recorded() -> None:
    with MailSink({ANNA: "right"}) as sink, smtplib.SMTP("127.0.0.1", sink.port, timeout=5) as client:
        client.login(ANNA, "right")
        client.send_message(_mail(ANNA, BELA, Message_ID="<1@a>"))
        client.send_message(_mail(ANNA, BELA, Message_ID="<2@a>", In_Reply_To="<0@b>"))
        assert [(mail.sender, mail.recipient, mail.message_id, mail.in_reply_to) for mail in sink.arrived] == [
            (ANNA, BELA, "<1@a>", ""),
            (ANNA, BELA, "<2@a>", "<0@b>"),
        ]
        assert not sink.refused


def test_a_wrong_password_and_an_unknown_recipient_are_refused() -> None:
    with MailSink({ANNA: "right"}, frozenset({BELA})) as sink:
        with smtplib.SMTP("127.0.0.1", sink.port, timeout=5) as client, pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(ANNA, "wrong")
        with smtplib.SMTP("127.0.0.1", sink.port, timeout=5) as client:
            client.login(ANNA, "right")
            with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
                client.send_message(_mail(ANNA, BELA))
            assert refused.value.recipients[BELA][0] == 550
        assert sink.arrived == []
        assert sink.refused["550"] == 1
        assert sink.refused["535"] >= 1


def test_it_is_gone_after_its_block() -> None:
    before = threading.active_count()
    with MailSink({}) as sink:
        port = sink.port
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP("127.0.0.1", port, timeout=5)
