"""`make mail-servers` as its page shows it, and how it ends."""

import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from localstack.cloud import ROOT
from localstack.mail_servers.__main__ import HOME, PORTS, explain
from localstack.mail_servers.pool import make_pool
from mailtide.warmup.mailbox_csv import Line, read_lines
from mailtide.warmup.settings import WarmupSettings
from tests.support.postfix_dovecot import Post

PAGE = ROOT / "docs/mail-servers.md"


def test_the_page_shows_what_it_prints() -> None:
    shown = PAGE.read_text().partition("$ make mail-servers\n")[2].partition("```")[0]
    assert explain(PORTS, make_pool(1_000), HOME) == shown.rstrip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_running(post: Post, tmp_path: Path, number: signal.Signals) -> None:
    """However it ends: the kernel tells the servers when the command was killed."""
    post.need_postfix()
    home = tmp_path / "servers"
    command = [
        sys.executable,
        "-m",
        "localstack.mail_servers",
        "--mailboxes",
        "30",
        "--free-ports",
        "--home",
        str(home),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Postfix and Dovecot are up")
        files = (home / "dovecot/run/master.pid", home / "postfix/queue/pid/master.pid")
        masters = [int(file.read_text()) for file in files]
        assert all(map(_runs, masters))
        with (home / "mailboxes.csv").open() as text:
            lines = list(read_lines(text, settings=WarmupSettings(), first_day=date(2026, 11, 21)))
        assert len(lines) == 30
        assert all(isinstance(line, Line) and line.mailbox.imap and line.credentials for line in lines)
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == (130 if number != signal.SIGKILL else -signal.SIGKILL)
    ends_at = time.monotonic() + 20
    while any(map(_runs, masters)):
        assert time.monotonic() < ends_at, "a server goes on"
        time.sleep(0.02)
    shutil.rmtree(home.resolve())


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False
