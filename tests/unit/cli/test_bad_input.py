"""Whatever is wrong with what a person gives: exit code 2, one sentence, no traceback, files as they were."""

import subprocess
import sys
from pathlib import Path

import pytest

from mailtide.database.invented import invent_database
from tests.unit.cli.conftest import Run

MAILTIDE = Path(sys.executable).with_name("mailtide")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every bad kind, and a good one; nothing may change any of them."""
    made = tmp_path_factory.mktemp("files")
    invent_database(made / "good.db", 200, 3, 0.0)
    good = (made / "good.db").read_bytes()
    (made / "empty.db").write_bytes(b"")
    (made / "text.db").write_text("first,last,email\n" * 200)
    (made / "truncated.db").write_bytes(good[: len(good) // 2])
    (made / "garbage.db").write_bytes(good[:4096] + b"\xa5" * 4096 + good[8192:])
    (made / "folder").mkdir()
    (made / "typo.yaml").write_text("send_tim: '09:00:00'\n")
    (made / "wrong.yaml").write_text("period_days: many\n")
    (made / "broken.yaml").write_text("states: [\n")
    (made / "list.yaml").write_text("- 1\n- 2\n")
    (made / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    return made


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


CLOUD = {
    "MAILTIDE_BUCKET": "mailtide-test",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
}
BAD_DATABASES = ("missing.db", "folder", "empty.db", "text.db", "truncated.db")
BAD_RULES = ("missing.yaml", "folder", "typo.yaml", "wrong.yaml", "broken.yaml", "list.yaml", "binary.yaml")
CASES = [
    "nothing-like-it",
    "--nothing",
    "upload",
    "upload acme",
    "upload acme good.db more",
    "upload a/b good.db",
    "upload .. good.db",
    "upload -x good.db",
    *(f"upload acme {name}" for name in BAD_DATABASES),
    "orgs nothing",
    "orgs add",
    "orgs add a%20b",
    f"orgs add {'x' * 64}",
    "orgs add é",
    *(f"orgs add acme --rules {name}" for name in BAD_RULES),
    "orgs list more",
    "run",
    "run ../acme",
    "plan good.db --contacts 5",
    "plan --contacts -1",
    "plan --contacts many",
    *(f"plan {name}" for name in BAD_DATABASES),
    *(f"db-info {name}" for name in BAD_DATABASES),
    *(f"schedule {name} --as-of 2026-11-21" for name in (*BAD_DATABASES, "garbage.db")),
    *(f"schedule good.db --as-of 2026-11-21 --rules {name}" for name in BAD_RULES),
    "schedule",
    "schedule good.db --as-of tomorrow",
    "schedule good.db --as-of 2026-02-30",
    "schedule good.db --as-of 1776-07-04",
    "schedule good.db --threads 0",
    "schedule good.db --threads 33",
    "schedule good.db --profile fast",
    "generate",
    "generate new.db",
    "generate new.db --contacts -1",
    "generate new.db --contacts 5 --seed x",
    "generate new.db --contacts 5 --bad-fraction 2",
    "generate good.db --contacts 5",
    "generate folder --contacts 5 --force",
    "generate nowhere/new.db --contacts 5",
    "machine",
    "machine --task-url task.json",
]


@pytest.mark.parametrize("line", CASES)
def test_bad_arguments_end_with_2_and_one_sentence(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    before = content(folder)
    monkeypatch.chdir(folder)
    done = run(*line.split(), **CLOUD)
    assert done.code == 2
    assert done.out == ""
    assert_one_sentence(done.err)
    assert content(folder) == before


def assert_one_sentence(text: str) -> None:
    assert text.startswith("mailtide: ")
    assert len(text.splitlines()) == 1
    assert text.rstrip().endswith((".", "--help"))


@pytest.mark.parametrize("command", ["upload acme", "plan", "db-info", "schedule"])
@pytest.mark.parametrize("name", BAD_DATABASES[:4])
def test_the_sentence_names_the_file(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    monkeypatch.chdir(folder)
    assert name in run(*command.split(), name, **CLOUD).err


def test_an_empty_day_is_not_today(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    done = run("schedule", "good.db", "--as-of", "")
    assert (done.code, done.out) == (2, "")
    assert_one_sentence(done.err)
    assert "--as-of" in done.err


def test_a_name_of_two_lines_is_told_in_one(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    done = run("db-info", "no\nsuch\x1b[31m.db")
    assert (done.code, done.err) == (2, "mailtide: There is no file no such?[31m.db.\n")


LIMITED = """
import resource, sys
import mailtide.machine.schedule_pass
import mailtide.cli.generate
import mailtide.database.invented
from mailtide.cli.main import main
kind, limit = sys.argv.pop(1), int(sys.argv.pop(1))
if kind == "RLIMIT_AS":
    limit += int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(getattr(resource, kind), (limit, limit))
main()
"""
"""A command in a process that may have only so much more memory, or write only files of such a size, in bytes."""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("limit", "line", "word"),
    [
        ("RLIMIT_AS 8000000", "generate big.db --contacts 300000", "memory"),
        ("RLIMIT_FSIZE 8192", "schedule good.db --as-of 2026-11-21 --profile reliable", "Input/output error"),
        ("RLIMIT_FSIZE 8192", "schedule good.db --as-of 2026-11-21 --profile highperf", "File too large"),
    ],
)
def test_want_of_memory_or_disk_is_one_sentence(folder: Path, limit: str, line: str, word: str) -> None:
    before = content(folder)
    command = [sys.executable, "-c", LIMITED, *limit.split(), *line.split()]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert_one_sentence(done.stderr)
    assert word in done.stderr
    assert content(folder) == before


@pytest.mark.parametrize(
    ("line", "environment", "word"),
    [
        ("orgs list", {}, "MAILTIDE_BUCKET"),
        ("upload acme good.db", {}, "MAILTIDE_BUCKET"),
        ("run acme", {}, "MAILTIDE_BUCKET"),
        ("orgs list", {"MAILTIDE_BUCKET": ""}, "MAILTIDE_BUCKET"),
        ("orgs list", CLOUD | {"MAILTIDE_LOCK_TTL_S": "soon"}, "MAILTIDE_LOCK_TTL_S"),
        ("orgs list", CLOUD | {"MAILTIDE_MAX_TRIES": "0"}, "MAILTIDE_MAX_TRIES"),
        ("plan --contacts 5", {"MAILTIDE_SIZE_TABLE": "{"}, "MAILTIDE_SIZE_TABLE"),
        ("plan --contacts 5", {"MAILTIDE_SIZE_TABLE": "[]"}, "MAILTIDE_SIZE_TABLE"),
        ("plan --contacts 5", {"MAILTIDE_SIZE_TABLE": '[{"usd_per_s": 1}]'}, "MAILTIDE_SIZE_TABLE"),
        ("orgs list", CLOUD | {"AWS_ENDPOINT_URL": "localhost:4566"}, "AWS_ENDPOINT_URL"),
    ],
)
def test_a_missing_or_impossible_setting_is_named(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, line: str, environment: dict[str, str], word: str
) -> None:
    monkeypatch.chdir(folder)
    done = run(*line.split(), **environment)
    assert (done.code, done.out) == (2, "")
    assert_one_sentence(done.err)
    assert word in done.err


def test_the_installed_command_leaves_no_traceback_either(folder: Path) -> None:
    command = [str(MAILTIDE), "db-info", "text.db"]
    done = subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mailtide: text.db: The file is not an SQLite database (or it is encrypted).\n"


def test_without_numpy_a_command_that_needs_it_says_so(folder: Path) -> None:
    refuse = "import sys; sys.modules['numpy'] = None; from mailtide.cli.main import main; main()"
    command = [sys.executable, "-c", refuse, "schedule", "good.db", "--as-of", "2026-11-21"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert_one_sentence(done.stderr)
    assert "mailtide[machine]" in done.stderr
