"""machine/Dockerfile, .dockerignore and machine/fly.toml, read as their tools read them."""

import json
import re
import shlex
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
    return [source for words in copies if not words[0].startswith("--from") for source in words[:-1]]


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


def test_it_runs_the_machine_command_and_not_as_root() -> None:
    stage = dict(last_stage())
    assert json.loads(stage["ENTRYPOINT"]) == ["mailtide", "machine"]
    assert "machine" in COMMANDS
    assert "CMD" not in stage
    uid = stage["USER"].partition(":")[0]
    assert int(uid) > 0
    assert f"--uid {uid} " in stage["RUN"]


def test_the_last_stage_takes_nothing_but_the_finished_environment() -> None:
    copies = [arguments for name, arguments in last_stage() if name in {"COPY", "ADD"}]
    assert copies == ["--from=build /opt/mailtide /opt/mailtide"]
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
