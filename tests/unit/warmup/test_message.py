"""Mails as bytes: stable, honest, and closed to injected headers."""

from datetime import date
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mailtide.warmup.content import TemplateError, TemplateSet, expand, packaged_templates, reply_subject, subject_of
from mailtide.warmup.contracts import Auth, Mailbox, MailServer
from mailtide.warmup.ids import SendId, message_id
from mailtide.warmup.memory import MemoryObjects, VirtualClock
from mailtide.warmup.message import HeaderError, build_mail, build_reply
from mailtide.warmup.user_files import BucketTemplates

DAY = date(2026, 11, 21)
HEADERS = {
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "X-Mailtide-Warmup",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
}


def mailbox(name: str, display_name: str = "") -> Mailbox:
    return Mailbox(
        mailbox_id=name,
        user_id="user-1",
        address=f"{name}@{name}.example",
        display_name=display_name,
        first_day=DAY,
        smtp=MailServer(host="127.0.0.1", port=25, security="none"),
        auth=Auth(kind="password", username="u", sealed="x"),
    )


def parsed(content: bytes) -> EmailMessage:
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def own(subject: str, body: str = "Hello [[recipient]]", reply: str = "Yes") -> TemplateSet:
    return TemplateSet.model_validate({"templates": [{"subject": subject, "body": body, "replies": [reply]}]})


def test_the_same_send_id_reads_the_same_and_others_differ() -> None:
    sender, recipient = mailbox("a"), mailbox("b")
    texts = set()
    for number in range(200):
        send_id = SendId(DAY, "a", number)
        first = build_mail(send_id, sender, recipient, packaged_templates(), now_ms=1_795_000_000_000)
        assert first == build_mail(send_id, sender, recipient, packaged_templates(), now_ms=1_795_000_000_000)
        texts.add(parsed(first).get_content())
    assert len(texts) > 150


def test_headers_are_these_and_no_others() -> None:
    send_id, original = SendId(DAY, "a", 4), SendId(DAY, "b", 2)
    mail = parsed(
        build_mail(send_id, mailbox("a", "Ann"), mailbox("b"), packaged_templates(), now_ms=1_795_000_000_000)
    )
    assert set(mail.keys()) == HEADERS
    assert mail["Message-ID"] == message_id(send_id, "a.example")
    assert mail["Date"] == "Wed, 18 Nov 2026 11:06:40 +0000"
    reply = parsed(build_reply(send_id, mailbox("a"), original, mailbox("b"), packaged_templates(), now_ms=0))
    assert set(reply.keys()) == HEADERS | {"In-Reply-To", "References"}
    assert reply["In-Reply-To"] == reply["References"] == message_id(original, "b.example")
    assert reply["Subject"] == "Re: " + subject_of(original, packaged_templates(), sender="b", recipient="a")


@given(st.text(max_size=200))
def test_no_display_name_adds_a_header(name: str) -> None:
    try:
        sender = mailbox("a", name)
    except ValidationError:
        return
    try:
        content = build_mail(SendId(DAY, "a", 0), sender, mailbox("b", name), own("Hi"), now_ms=0)
    except HeaderError:
        return
    mail = parsed(content)
    assert set(mail.keys()) == HEADERS
    assert mail["From"].addresses[0].addr_spec == "a@a.example"
    assert len(mail["To"].addresses) == 1
    assert content.isascii()


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_template_adds_a_header(subject: str, body: str) -> None:
    try:
        templates = own(subject, body)
    except ValidationError:
        return
    mail = parsed(build_mail(SendId(DAY, "a", 0), mailbox("a"), mailbox("b"), templates, now_ms=0))
    assert set(mail.keys()) == HEADERS


@pytest.mark.parametrize(
    "evil", ["x\r\nBcc: all@example.com", "x\nBcc: y", "x\x0bBcc: y", "x\u2028Bcc: y", "x\x00y", "x\x85y"]
)
def test_injections(evil: str) -> None:
    with pytest.raises((ValidationError, HeaderError)):
        build_mail(SendId(DAY, "a", 0), mailbox("a"), mailbox("b"), own(evil), now_ms=0)
    with pytest.raises((ValidationError, HeaderError)):
        build_mail(SendId(DAY, "a", 0), mailbox("a", evil), mailbox("b"), own("Hi"), now_ms=0)
    with pytest.raises(ValidationError):
        mailbox("a").model_validate({**mailbox("a").model_dump(), "address": f"a@b.example{evil}"})


def test_names_are_not_expanded() -> None:
    sender, recipient = mailbox("a", "{x|y}"), mailbox("b", "[[sender]] {1|2}")
    mail = parsed(build_mail(SendId(DAY, "a", 0), sender, recipient, own("Hi", "[[recipient]]+[[sender]]"), now_ms=0))
    assert mail.get_content().strip() == "[[sender]] {1|2}+{x|y}"


def test_names_stand_in_subjects_too() -> None:
    ann, bob = mailbox("a", "Ann"), mailbox("b", "Bob")
    texts, first = own("[[sender]] for [[recipient]]"), SendId(DAY, "a", 0)
    assert parsed(build_mail(first, ann, bob, texts, now_ms=0))["Subject"] == "Ann for Bob"
    assert parsed(build_reply(SendId(DAY, "b", 0), bob, first, ann, texts, now_ms=0))["Subject"] == "Re: Ann for Bob"


@pytest.mark.parametrize(
    ("length", "domain"), [(21, "a-rather-long-company-name.example"), (64, f"{'b' * 63}.example")]
)
def test_long_ids_stay_whole(length: int, domain: str) -> None:
    """Encoded words are for texts: no reader finds the mail that such an id means."""
    sender, recipient = (
        mailbox(name).model_copy(update={"mailbox_id": name * length, "address": f"{name}@{domain}"}) for name in "ab"
    )
    send_id, original = SendId(DAY, sender.mailbox_id, 11), SendId(DAY, recipient.mailbox_id, 12)
    lines = build_reply(send_id, sender, original, recipient, packaged_templates(), now_ms=0).split(b"\r\n")
    found = b"".join(lines[: lines.index(b"")]).decode()
    assert f"Message-ID: {message_id(send_id, domain)}" in found
    assert f"In-Reply-To: {message_id(original, domain)}" in found
    assert f"References: {message_id(original, domain)}" in found


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a{b|c}d", {"abd", "acd"}),
        ("{|x}", {"", "x"}),
        ("{a{1|2}|b}", {"a1", "a2", "b"}),
        ("plain | text", {"plain | text"}),
        ("{only}", {"only"}),
    ],
)
def test_variations(text: str, options: set[str]) -> None:
    assert {expand(text, str(seed)) for seed in range(100)} == options


@pytest.mark.parametrize(
    ("given_subject", "expected"),
    [("Lunch", "Re: Lunch"), ("Re: Lunch", "Re: Lunch"), ("RE: re: Lunch", "Re: Lunch"), ("Really", "Re: Really")],
)
def test_one_re(given_subject: str, expected: str) -> None:
    assert reply_subject(given_subject) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"templates: []", "f.yaml: templates: Tuple should have at least 1 item after validation, not 0."),
        (b"[1", "f.yaml is no YAML."),
        (b"x" * 300_000, "f.yaml is larger than 256 KB."),
        (
            b"templates: [{subject: '{a', body: b, replies: [c]}]",
            "f.yaml: templates.0.subject: braces must match and nest at most 6 deep.",
        ),
        (
            b"templates: [{subject: a, body: '}{', replies: [c]}]",
            "f.yaml: templates.0.body: braces must match and nest at most 6 deep.",
        ),
        (b"templates: [{subject: 2026-99-99, body: b, replies: [c]}]", "f.yaml is no YAML."),
        (b"[" * 5_000, "f.yaml is no YAML."),
    ],
)
def test_bad_template_files(text: bytes, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        TemplateSet.parse(text, "f.yaml")
    assert str(caught.value) == message


def test_the_example_of_the_documentation_is_a_template_file() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "warmup.md").read_text()
    example = page.split("```yaml\n", 1)[1].split("```", 1)[0]
    templates = TemplateSet.parse(example.encode(), "USER.yaml")
    subjects = {subject_of(SendId(DAY, "a", number), templates, sender="Ann", recipient="Bob") for number in range(20)}
    assert subjects == {"Lunch next week, Bob?", "Coffee next week, Bob?"}


def test_a_template_file_that_cannot_be_used_counts_as_none_and_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    bucket = MemoryObjects()
    bucket.create("warmup/templates/acme.yaml", b"templates: [{subject: '{hush', body: b, replies: [c]}]")
    templates = BucketTemplates(bucket, VirtualClock(0))
    assert templates.of_user("acme") == packaged_templates()
    assert caplog.messages == ["templates of acme: templates.0.subject: braces must match and nest at most 6 deep."]
    assert "hush" not in caplog.text
