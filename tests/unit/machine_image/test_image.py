"""machine/Dockerfile, .dockerignore and machine/fly.toml, read as their tools read them."""

import json
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from mailtide.cli.main import COMMANDS
from mailtide.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "machine" / "Dockerfile").read_text()
START = (ROOT / "machine" / "start.sh").read_text()
FLY: dict[str, Any] = tomllib.loads((ROOT / "machine" / "fly.toml").read_text())


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """(name in capitals, arguments) of each instruction, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, arguments = line.strip().partition(" ")
            yield name.upper(), arguments.strip()


INSTRUCTIONS = list(instructions(TEXT))


def arguments_of(name: str) -> list[str]:
    return [arguments for found, arguments in INSTRUCTIONS if found == name]


def last_stage() -> list[tuple[str, str]]:
    start = max(number for number, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM")
    return INSTRUCTIONS[start:]


def copied_from_the_repository() -> list[str]:
    copies = [shlex.split(arguments) for arguments in arguments_of("COPY")]
    inner = (words for words in copies if not words[0].startswith("--from"))
    return [source for words in inner for source in words[:-1] if not source.startswith("--")]


def test_every_stage_starts_from_the_one_pinned_base() -> None:
    (base,) = arguments_of("ARG")
    assert re.fullmatch(r"BASE=python:3\.13\.\d+-slim-bookworm(@sha256:[0-9a-f]{64})?", base)
    assert [line.split()[0] for line in arguments_of("FROM")] == ["${BASE}", "${BASE}"]


def test_the_packages_are_those_of_the_lock_file_and_installed_without_sources() -> None:
    syncs = [line for line in arguments_of("RUN") if " sync " in line]
    assert len(syncs) == 2
    for words in map(shlex.split, syncs):
        assert {"--locked", "--no-dev"} < set(words)
        assert words[words.index("--extra") + 1] == "machine"
    assert "--no-editable" in syncs[-1]
    assert "machine" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_uv_is_pinned_by_hash() -> None:
    assert any("--require-hashes -r /tmp/uv.txt" in line for line in arguments_of("RUN"))
    assert re.search(r"^uv==[0-9.]+ \\\n\s+--hash=sha256:", (ROOT / "localstack/tools/uv.txt").read_text(), re.M)


def test_it_runs_the_machine_command_and_root_does_no_more_than_hand_over_a_volume() -> None:
    stage = dict(last_stage())
    assert json.loads(stage["ENTRYPOINT"]) == ["start-machine"]
    assert "machine" in COMMANDS
    assert "CMD" not in stage
    (uid,) = re.findall(r"^user=([1-9][0-9]*)$", START, re.M)
    assert f"--uid {uid} " in stage["RUN"]
    assert f'user: "{uid}:{uid}"' in (ROOT / "deploy" / "compose.yaml").read_text()
    as_root = [line.strip() for line in START.partition("\nfi\n")[2].splitlines()]
    assert as_root == [
        'if [ -d "${MAILTIDE_CACHE_DIR:-}" ]; then',
        'chown "$user:$user" "$MAILTIDE_CACHE_DIR"',
        "fi",
        'exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs mailtide machine "$@"',
    ]


def test_the_script_hands_its_arguments_on(tmp_path: Path) -> None:
    """As whoever runs the tests: without root it goes straight on; with root it gives up being that."""
    command = tmp_path / "mailtide"
    command.write_text('#!/bin/sh\nid -u; printf "%s\\n" "$@"; touch "$MAILTIDE_CACHE_DIR/mine"\n')
    for path in (tmp_path, command):
        path.chmod(0o755)
    cache = tmp_path / "cache"
    cache.mkdir()
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MAILTIDE_CACHE_DIR": str(cache)}
    # What pytest makes is closed to others: the script is to be seen by the user that it becomes.
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.getuid() and parent.name.startswith(("pytest-", "popen-")):
            parent.chmod(0o755)
    done = subprocess.run(
        ["sh", str(ROOT / "machine" / "start.sh"), "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    uid = "10001" if os.getuid() == 0 else str(os.getuid())
    assert done.stdout.splitlines() == [uid, "machine", "--json"]
    assert (cache / "mine").stat().st_uid == int(uid)


def test_the_last_stage_takes_nothing_but_the_finished_environment() -> None:
    copies = [arguments for name, arguments in last_stage() if name in {"COPY", "ADD"}]
    assert copies == [
        "--from=build /opt/mailtide /opt/mailtide",
        "--chmod=755 machine/start.sh /usr/local/bin/start-machine",
    ]
    assert "UV_PROJECT_ENVIRONMENT=/opt/mailtide" in " ".join(arguments_of("ENV"))


@pytest.mark.parametrize("source", copied_from_the_repository())
def test_what_is_copied_exists_and_reaches_the_builder(source: str) -> None:
    assert (ROOT / source).exists()
    assert not is_ignored(source)


@pytest.mark.parametrize(
    "path", [".git/config", ".venv/pyvenv.cfg", "events/plan_run.tick.json", "acme.db", ".local/token", "tests/unit"]
)
def test_nothing_else_reaches_the_builder(path: str) -> None:
    assert is_ignored(path)


def is_ignored(path: str) -> bool:
    """By Docker's rule: the last line that matches the path or one of its parents decides."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    parents = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
    ignored = False
    for line in lines:
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and any(fnmatch(parent, pattern) for parent in parents):
            ignored = not line.startswith("!")
    return ignored


def test_the_fly_app_is_the_one_of_the_settings_and_listens_to_nobody() -> None:
    settings = Settings(bucket="any")
    assert FLY["app"] == settings.fly_app
    assert FLY["primary_region"] == settings.fly_regions[0]
    assert settings.machine_image == f"registry.fly.io/{FLY['app']}:latest"
    assert (ROOT / "machine" / FLY["build"]["dockerfile"]).is_file()
    assert set(FLY) == {"app", "primary_region", "build"}
