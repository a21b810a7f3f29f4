"""Servers that dribble, flood or talk nonsense, and logins that are refused or overheard: no visit hangs, none tells a secret."""

import logging
import resource
import threading
from contextlib import suppress

import pytest

from mailtide.adapters.imap_connection import MAX_ANSWER_BYTES
from mailtide.warmup.contracts import Auth
from tests.integration.reading.conftest import STRANGER, Serve, only, saying, server_of
from tests.support.odd_imap import Answer, Line, OddImap


def endless(line: Line, _tag: str, _rest: str) -> bool:
    while True:
        line.say(b"* 1 FETCH (UID 77 FLAGS (\\Seen))\r\n" * 1_000)


def bomb(line: Line, _tag: str, _rest: str) -> bool:
    line.say(b"* 1 FETCH (UID 1 BODY[HEADER.FIELDS (FROM)]<0> {2000000000}\r\n" + b"a" * 1_000)
    return True


def long_line(line: Line, _tag: str, _rest: str) -> bool:
    for _ in range(MAX_ANSWER_BYTES // 100_000 + 2):
        line.say(b"x" * 100_000)
    return True


def nonsense(line: Line, tag: str, _rest: str) -> bool:
    line.say(b"\x00\xff<html>500</html>\r\n" + f"{tag} OK\r\n".encode())
    return True


def unbalanced(line: Line, tag: str, _rest: str) -> bool:
    line.say(b"* 1 FETCH (" + b"(" * 20_000 + b"\r\n" + f"{tag} OK done\r\n".encode())
    return True


def huge_number(line: Line, _tag: str, _rest: str) -> bool:
    line.say(b"* 1 FETCH (UID 1 BODY[] {" + b"9" * 5_000 + b"}\r\n")
    return True


def hangs_up(line: Line, _tag: str, _rest: str) -> bool:
    line.sock.shutdown(2)
    return True


def says_bye(line: Line, _tag: str, _rest: str) -> bool:
    line.say(b"* BYE [UNAVAILABLE] secret\r\n")
    line.sock.shutdown(2)
    return True


@pytest.mark.parametrize(
    ("command", "answer", "failure"),
    [
        ("UID FETCH", endless, "too_much"),
        ("UID FETCH", bomb, "too_much"),
        ("LIST", bomb, "too_much"),
        ("EXAMINE", long_line, "too_much"),
        ("UID SEARCH", long_line, "too_much"),
        ("LIST", huge_number, "answer"),
        ("CAPABILITY", nonsense, "answer"),
        ("EXAMINE", nonsense, "answer"),
        ("UID FETCH", unbalanced, "answer"),
        ("UID FETCH", hangs_up, "unreachable"),
        ("AUTHENTICATE", hangs_up, "unreachable"),
        ("EXAMINE", says_bye, "answer"),
    ],
)
def test_bad_answers_end_the_visit_and_no_other(pool_at: Serve, command: str, answer: Answer, failure: str) -> None:
    odd = OddImap(answers={command: answer})
    odd.folders["INBOX"].put(STRANGER)
    pool = pool_at(odd)
    pool.change(1, imap=server_of(pool_at(OddImap())))
    memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bad, good = pool.read(0, 1)
    assert (bad.end, good.end) == ("failed", "visited")
    assert bad.failure == failure
    assert pool.left(0).failures == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_before < 100_000, "KB"


def test_a_server_that_dribbles_is_left_in_time(pool_at: Serve) -> None:
    """Each byte comes soon enough, all of them would take far too long."""
    to_the_end = threading.Event()

    def drip(line: Line, _tag: str, _rest: str) -> bool:
        line.drip(b"* OK " + b"." * 3_000, every_s=0.02)
        to_the_end.set()
        return True

    odd = OddImap(answers={"UID FETCH": drip})
    odd.folders["INBOX"].put(STRANGER)
    report = only(pool_at(odd).read(0, timeout_s=0.3))
    assert (report.end, report.failure) == ("failed", "timeout")
    assert not to_the_end.is_set()


def test_a_server_that_never_greets_is_left(pool_at: Serve) -> None:
    odd = OddImap(greeting=b"* OK ")
    assert only(pool_at(odd).read(0, timeout_s=0.3)).failure == "timeout"


@pytest.mark.parametrize("capabilities", ["IMAP4rev1 AUTH=PLAIN", "IMAP4rev1", "IMAP4rev1 LOGINDISABLED"])
def test_passwords(pool_at: Serve, capabilities: str) -> None:
    odd = OddImap(capabilities=capabilities, tokens={"sec ret"})
    pool = pool_at(odd)
    auth = Auth(kind="password", username='odd "name"', sealed="sec ret")
    pool.change(0, auth=auth.model_dump())
    expected = "failed" if "DISABLED" in capabilities else "visited"
    assert only(pool.read(0)).end == expected
    if "PLAIN" not in capabilities and expected == "visited":
        assert 'LOGIN "odd \\"name\\"" "sec ret"' in odd.said


def test_a_line_break_in_a_secret_is_no_command(pool_at: Serve) -> None:
    odd = OddImap(capabilities="IMAP4rev1")
    pool = pool_at(odd)
    pool.change(0, auth=Auth(kind="password", username="a\r\nX LOGOUT", sealed="secret").model_dump())
    assert only(pool.read(0)).failure == "login"
    assert odd.commands() == ["CAPABILITY", "LOGOUT"]


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        ("[UNAVAILABLE] secret", "unreachable"),
        ("[OVERQUOTA] Account exceeded command or bandwidth limits.", "unreachable"),
        ("[ALERT] Too many simultaneous connections. (Failure)", "unreachable"),
        ("[AUTHENTICATIONFAILED] secret", "login"),
        ("[ALERT] Application-specific password required (Failure)", "login"),
        ("[ALERT] Too many failed logins", "login"),
    ],
)
def test_a_login_that_is_refused_for_now_is_no_wrong_password(pool_at: Serve, said: str, failure: str) -> None:
    odd = OddImap(capabilities="IMAP4rev1")
    odd.answers["LOGIN"] = saying(f"{{tag}} NO {said}\r\n")
    assert only(pool_at(odd).read(0)).failure == failure


def test_nothing_is_taken_over_from_before_tls(pool_at: Serve) -> None:
    odd = OddImap(capabilities="IMAP4rev1 STARTTLS AUTH=PLAIN")
    odd.answers["STARTTLS"] = saying("{tag} OK go\r\n* CAPABILITY IMAP4rev1 X\r\n")
    pool = pool_at(odd)
    pool.change(0, imap={**server_of(pool), "security": "starttls"})
    assert only(pool.read(0)).failure == "answer"
    assert "AUTHENTICATE" not in odd.commands()
    plain = OddImap(capabilities="IMAP4rev1 AUTH=PLAIN")
    pool.change(1, imap={**server_of(pool_at(plain)), "security": "starttls"})
    assert only(pool.read(1)).end == "failed"
    assert "AUTHENTICATE" not in plain.commands()
    already = OddImap(greeting=b"* PREAUTH welcome\r\n")
    pool.change(2, imap={**server_of(pool_at(already)), "security": "starttls"})
    assert only(pool.read(2)).end == "failed"


def test_connections_to_a_host_are_limited(pool_at: Serve) -> None:
    odd = OddImap()
    together = threading.Barrier(3, timeout=8)

    def wait_for_two_more(_line: Line, _tag: str, _rest: str) -> bool:
        with suppress(threading.BrokenBarrierError):
            together.wait()
        return False

    odd.answers["LIST"] = wait_for_two_more
    pool = pool_at(odd)
    reports = pool.read(*range(9), host_concurrency=3)
    assert {report.end for report in reports} == {"visited"}
    assert odd.most_at_once == 3
    odd.answers.clear()
    odd.most_at_once = 0
    assert {report.end for report in pool.read(*range(9), max_connections=2)} == {"visited"}
    assert odd.most_at_once <= 2


def test_nothing_that_was_said_is_logged(
    pool_at: Serve, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    odd = OddImap()
    pool = pool_at(odd)
    pool.change(0, auth={**pool.mailbox(0).auth.model_dump(), "sealed": "hunter2"})
    assert only(pool.read(0)).failure == "login"
    odd.capabilities = "IMAP4rev1"
    pool.clock.at_ms = pool.left(0).not_before_ms
    assert only(pool.read(0)).failure == "login"
    shown = caplog.text + "".join(capfd.readouterr())
    assert "hunter2" not in shown
    assert "AUTHENTICATE" not in shown
