"""Mailboxes as CSV: what goes in, what is refused and why, and the way there and back."""

import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.errors import InputError
from mailtide.warmup.contracts import Engagement, Mailbox, MailboxProfile, MailboxStatus, SendWindow, Standing
from mailtide.warmup.import_mailboxes import ImportReport, import_mailboxes
from mailtide.warmup.mail_ports import Credentials
from mailtide.warmup.mailbox_csv import Line, Refusal, mailbox_id_of, read_lines, write_lines
from tests.support.warmup_pools import settings

TOMORROW = date(2026, 11, 22)
HEAD = "user_id,address,smtp_host,password\n"


class Table:
    """A MailboxStore in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, Mailbox] = {}

    def put_many(self, mailboxes: Iterable[Mailbox]) -> None:
        self.rows |= {mailbox.mailbox_id: mailbox for mailbox in mailboxes}

    def get_many(self, mailbox_ids: Iterable[str]) -> dict[str, Mailbox]:
        return {mailbox_id: self.rows[mailbox_id] for mailbox_id in mailbox_ids if mailbox_id in self.rows}

    def standings(self, mailbox_ids: Iterable[str]) -> dict[str, Standing]:
        return {mailbox_id: Standing(status=row.status) for mailbox_id, row in self.get_many(mailbox_ids).items()}

    def profiles(self) -> Iterator[MailboxProfile]:
        yield from self.rows.values()

    def of_user(self, user_id: str) -> Iterator[Mailbox]:
        yield from (row for row in self.rows.values() if row.user_id == user_id)

    def set_status(self, mailbox_id: str, status: MailboxStatus, reason: str) -> bool:
        self.rows[mailbox_id] = self.rows[mailbox_id].model_copy(update={"status": status, "status_reason": reason})
        return True

    def park(self, mailbox_id: str, until_ms: int, reason: str) -> bool:
        self.rows[mailbox_id] = self.rows[mailbox_id].model_copy(update={"not_before_ms": until_ms})
        return bool(reason)

    def set_provider(self, mailbox_id: str, provider: str) -> bool:
        self.rows[mailbox_id] = self.rows[mailbox_id].model_copy(update={"provider": provider})
        return True


class Seals:
    """Seals that say what they hold, so that a test can look."""

    def seal(self, user_id: str, mailbox_id: str, credentials: Credentials, *, beside: str | None = None) -> str:
        secret = credentials.password or credentials.refresh_token
        assert secret is not None
        return f"{user_id}/{mailbox_id}/{secret.get_secret_value()}/{'beside' if beside else 'new'}"

    def open(self, user_id: str, mailbox_id: str, sealed: str) -> Credentials:
        raise NotImplementedError(user_id, mailbox_id, sealed)


def lines(text: str) -> list[Line | Refusal]:
    return list(read_lines(io.StringIO(text), settings=settings(), first_day=TOMORROW))


def only(text: str) -> Line:
    (line,) = lines(text)
    assert isinstance(line, Line), line
    return line


def refusal(row: str, head: str = HEAD) -> str:
    (line,) = lines(head + row + "\n")
    assert isinstance(line, Refusal), line
    assert line.number == 2
    return line.reason


def test_the_least_that_a_line_needs() -> None:
    line = only(HEAD + "acme,Jo@Acme.Example,smtp.acme.example,secret\n")
    box = line.mailbox
    assert (box.mailbox_id, box.user_id, box.address) == (mailbox_id_of("jo@acme.example"), "acme", "Jo@acme.example")
    assert (box.smtp.port, box.smtp.security, box.imap, box.auth.kind) == (587, "starttls", None, "password")
    assert (box.auth.username, box.first_day, box.status) == ("Jo@Acme.Example", TOMORROW, "active")
    assert (box.ramp.start_count, box.ramp.increase_by, box.ramp.max_daily) == (3, 3, 30)
    assert box.window == SendWindow()
    assert box.engagement == Engagement()
    assert line.credentials is not None
    assert line.credentials.password is not None
    assert line.credentials.password.get_secret_value() == "secret"


def test_everything_that_a_line_may_say() -> None:
    line = only(
        "mailbox_id,user_id,address,display_name,smtp_host,smtp_port,smtp_security,imap_host,auth,username,refresh_token,"
        "client_id,client_secret,token_url,start_count,increase_by,max_daily,timezone,window,weekdays,first_day,"
        "engage_read,engage_rescue,engage_flag\n"
        'b-1,u,a@b.example,"Jo, of Acme",smtp.b.example,465,TLS,imap.b.example,xoauth2,jo,rt,ci,cs,https://t.example/,'
        "10,5,50,Asia/Tokyo,09:00-17:30,mon wed,2026-12-01,No,,YES\n"
    )
    box = line.mailbox
    assert (box.display_name, box.smtp.port, box.smtp.security) == ("Jo, of Acme", 465, "tls")
    assert box.imap is not None
    assert (box.imap.host, box.imap.port, box.imap.security) == ("imap.b.example", 993, "tls")
    assert (box.auth.kind, box.auth.username, box.auth.token_url) == ("xoauth2", "jo", "https://t.example/")
    assert box.window == SendWindow(opens_min=540, closes_min=1_050, weekdays=(0, 2), timezone="Asia/Tokyo")
    assert (box.first_day, box.ramp.max_daily) == (date(2026, 12, 1), 50)
    assert box.engagement == Engagement(read=False, rescue=True, flag=True)
    assert line.credentials is not None
    assert line.credentials.client_id == "ci"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("acme,a@b.example,smtp.b.example", "it has 3 columns instead of 4"),
        (",a@b.example,smtp.b.example,x", "user_id is empty"),
        ("ac me,a@b.example,smtp.b.example,x", "user_id: String should match pattern"),
        ("acme,a@b,smtp.b.example,x", "address: not a mail address"),
        ("acme,a@b.example,smtp b,x", "smtp.host: String should match pattern"),
        ('acme,"a"@b.example,smtp.b.example,x', "it is not CSV"),
        ("acme,.a@b.example,smtp.b.example,x", "address: not a mail address"),
        ("acme,a.@b.example,smtp.b.example,x", "address: not a mail address"),
        (f"acme,{'a' * 65}@b.example,smtp.b.example,x", "address: not a mail address"),
    ],
)
def test_bad_lines_say_why(row: str, reason: str) -> None:
    assert refusal(row).startswith(reason)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("smtp_port", "0", "smtp.port"),
        ("smtp_port", "x", "smtp.port"),
        ("smtp_security", "ssl", "smtp.security"),
        ("auth", "basic", "auth.kind"),
        ("auth", "xoauth2", "auth: xoauth2 needs a token_url"),
        ("start_count", "11", "ramp.start_count"),
        ("increase_by", "0", "ramp.increase_by"),
        ("timezone", "Mars/Base", "window.timezone"),
        ("window", "9-17", "window is not like"),
        ("window", "09:00-25:00", "window.closes_min"),
        ("window", "09:61-17:00", "window is not like"),
        ("weekdays", "monday", "weekdays is not like"),
        ("first_day", "tomorrow", "first_day"),
        ("display_name", "a\x07b", "display_name"),
        ("display_name", "a\x85b", "display_name"),
        ("display_name", "a\u2028b", "display_name"),
        ("mailbox_id", "a/b", "mailbox_id"),
        ("engage_flag", "perhaps", "engage_flag is neither yes nor no"),
    ],
)
def test_bad_values_name_their_column_and_never_a_secret(column: str, value: str, reason: str) -> None:
    found = refusal(f"acme,a@b.example,smtp.b.example,hunter2,{value}", HEAD.strip() + f",{column}\n")
    assert found.startswith(reason)
    assert "hunter2" not in found
    assert "\n" not in found


@pytest.mark.parametrize(
    "head", ["", "user_id,address\n", "user_id,address,smtp_host,shoe_size\n", "user_id,address,smtp_host,address\n"]
)
def test_a_bad_header_is_one_sentence(head: str) -> None:
    with pytest.raises(InputError, match=r"first line"):
        lines(head + "a,b,c\n")


def test_a_mailbox_stands_in_a_file_once() -> None:
    row = "acme,a@b.example,smtp.b.example,x\n"
    first, second = lines(HEAD + row + row)
    assert isinstance(first, Line)
    assert isinstance(second, Refusal)
    assert (second.number, "line 2 already" in second.reason) == (3, True)


def test_an_address_stands_in_a_file_once_under_whatever_id() -> None:
    head = HEAD.strip() + ",mailbox_id\n"
    first, second = lines(head + "acme,a@b.example,smtp.b.example,x,one\n" + "else,A@B.example,smtp.b.example,x,two\n")
    assert isinstance(first, Line)
    assert isinstance(second, Refusal)
    assert second.reason == "its address stands in line 2 already"


@pytest.mark.parametrize(
    "url", ["http://login.example/", "file:///etc/passwd", "https://[::1", "https://", "login.example"]
)
def test_a_token_comes_over_tls_alone(url: str) -> None:
    head = "user_id,address,smtp_host,refresh_token,token_url\n"
    reason = refusal(f"acme,a@b.example,smtp.b.example,hunter2,{url}", head)
    assert reason == "auth.token_url: not an address that begins with https://"


def test_a_secret_that_does_not_fit_is_refused_before_it_is_stored() -> None:
    """A mailbox that cannot be read any more would take the others of its batch with it."""
    table = Table()
    row = f"acme,a@b.example,smtp.b.example,{'x' * 4_090}\n"
    report = import_mailboxes(lines(HEAD + row), table, Seals())
    assert [refusal.reason for refusal in report.refused] == ["its secrets are too long together"]
    assert table.rows == {}


def test_the_good_lines_go_in() -> None:
    table = Table()
    text = HEAD + "".join(f"u{n % 7},a{n}@b.example,smtp.b.example,{'x' if n % 10 else ''}\n" for n in range(1_200))
    seen: list[int] = []
    report = import_mailboxes(iter(lines(text)), table, Seals(), seen.append)
    assert (report.imported, len(report.refused), seen) == (1_080, 120, [500, 1_000, 1_200])
    assert [refused.number for refused in report.refused] == [2 + n for n in range(0, 1_200, 10)]
    assert "no password" in report.refused[0].reason
    assert sum(row.auth.sealed.endswith("/new") for row in table.rows.values()) == 7


def test_what_happens_to_a_mailbox_while_name_servers_are_asked_stands() -> None:
    """They may take minutes, in which a night's fold quarantines it."""
    table = Table()
    import_mailboxes(lines(HEAD + "u,a@b.example,smtp.b.example,x\n"), table, Seals())
    box = mailbox_id_of("a@b.example")

    def slow(users_by_domain: Mapping[str, frozenset[str]]) -> Mapping[str, str]:
        table.set_status(box, "quarantined", "2 complaints")
        table.rows[box] = table.rows[box].model_copy(update={"pace": 0.5, "health": "{}"})
        return dict.fromkeys(users_by_domain, "google")

    text = HEAD + "u,a@b.example,smtp.c.example,y\nu,new@b.example,smtp.b.example,x\n"
    assert import_mailboxes(lines(text), table, Seals(), look_up=slow).imported == 2
    row = table.rows[box]
    assert (row.status, row.status_reason, row.pace, row.health) == ("quarantined", "2 complaints", 0.5, "{}")
    assert (row.smtp.host, row.provider) == ("smtp.c.example", "google")


def test_an_export_comes_back_and_keeps_what_it_does_not_say() -> None:
    table = Table()
    import_mailboxes(lines(HEAD + "u,a@b.example,smtp.b.example,x\nu,c@b.example,smtp.b.example,x\n"), table, Seals())
    box = mailbox_id_of("a@b.example")
    table.set_status(box, "paused", "by a person")
    out = io.StringIO()
    assert write_lines(out, table.rows.values()) == 2
    assert "x" not in out.getvalue().split("\n")[1].split(",")
    before = dict(table.rows)
    text = out.getvalue()
    report = import_mailboxes(lines(text), table, Seals())
    assert (report, table.rows) == (ImportReport(imported=2), before)
    thief = HEAD.strip() + f",mailbox_id\nthief,t@b.example,smtp.b.example,x,{box}\n"
    assert "another user" in import_mailboxes(lines(thief), table, Seals()).refused[0].reason
    assert table.rows == before


@given(
    window=st.builds(
        SendWindow,
        opens_min=st.integers(0, 1_439),
        closes_min=st.integers(1, 1_440),
        weekdays=st.lists(st.integers(0, 6), min_size=1).map(tuple),
    ),
    name=st.text(st.characters(min_codepoint=32, exclude_categories=["Cc", "Cs"]), max_size=30).map(str.strip),
    engagement=st.builds(Engagement, read=st.booleans(), rescue=st.booleans(), flag=st.booleans()),
)
def test_every_window_name_and_wish_survives_the_way_there_and_back(
    window: SendWindow, name: str, engagement: Engagement
) -> None:
    box = only(HEAD + "u,a@b.example,smtp.b.example,x\n").mailbox.model_copy(
        update={"window": window, "display_name": name, "engagement": engagement}
    )
    out = io.StringIO()
    write_lines(out, [box])
    (back,) = lines(out.getvalue())
    assert isinstance(back, Line)
    assert back.mailbox == box


def test_the_ramp_of_a_new_mailbox_comes_from_the_settings() -> None:
    own = settings(start_count=5, increase_by=2, max_daily=40)
    (line,) = read_lines(io.StringIO(HEAD + "u,a@b.example,smtp.b.example,x\n"), settings=own, first_day=TOMORROW)
    assert isinstance(line, Line)
    ramp = line.mailbox.ramp
    assert (ramp.start_count, ramp.increase_by, ramp.max_daily) == (5, 2, 40)
