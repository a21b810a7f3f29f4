"""The fuzzer of uploaded databases: a short seeded part of it, and that it does find what it looks for."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from mailtide.errors import DatabaseError
from tests.fuzz_files.changesets import CHANGESETS, make_changesets
from tests.fuzz_files.feedback import FEEDBACK, make_feedback
from tests.fuzz_files.guide import Campaign, Target, run
from tests.fuzz_files.mutations import MUTATIONS, mutate
from tests.fuzz_files.seeds import make_seeds
from tests.fuzz_files.trial import Limits, try_file

CONTENT = b"content of a file"


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return [path.read_bytes() for path in make_seeds(tmp_path_factory.mktemp("seeds"))]


def test_a_short_campaign_finds_nothing(seeds: list[bytes], tmp_path: Path) -> None:
    campaign = Campaign(seeds[1:4], Random(1), tmp_path)
    run(campaign, trials=25, until_s=None, say=print, report=print)
    assert [finding.what for finding in campaign.findings] == []
    assert campaign.refused > 5
    assert campaign.accepted > 5
    assert len(campaign.lines) > 2_000


@pytest.mark.parametrize(
    ("target", "make"), [(CHANGESETS, make_changesets), (FEEDBACK, make_feedback)], ids=["changesets", "feedback"]
)
def test_a_short_campaign_with_other_files_finds_nothing(
    target: Target, make: Callable[[Path], list[bytes]], tmp_path: Path
) -> None:
    campaign = Campaign(make(tmp_path), Random(2), tmp_path, target)
    run(campaign, trials=20, until_s=None, say=print, report=print)
    assert [finding.what for finding in campaign.findings] == []
    assert campaign.accepted > 5
    assert len(campaign.lines) > 300


def test_every_mutation_changes_something(seeds: list[bytes]) -> None:
    for mutation in set(MUTATIONS):
        changed = 0
        for number, seed in enumerate(seeds):
            damaged = bytearray(seed)
            mutation(damaged, Random(number))
            changed += bytes(damaged) != seed
        assert changed, mutation


def test_the_same_seed_draws_the_same_files(seeds: list[bytes]) -> None:
    assert [mutate(seeds[0], Random(number)) for number in range(20)] == [
        mutate(seeds[0], Random(number)) for number in range(20)
    ]


def refuse(sentence: str, before: Callable[[Path], object] | None = None) -> Callable[[Path], None]:
    def use(path: Path) -> None:
        if before is not None:
            before(path)
        raise DatabaseError(sentence)

    return use


def eat_memory(_path: Path) -> None:
    bytearray(os.urandom(1 << 20)) * 100


def fail(_path: Path) -> None:
    raise KeyError("page 7")


@pytest.mark.parametrize(
    ("use", "finding"),
    [
        (fail, "KeyError: 'page 7'"),
        (lambda _path: os.kill(os.getpid(), signal.SIGKILL), "the process ended with -9"),
        (lambda _path: os._exit(3), "the process ended with 3"),
        (lambda _path: time.sleep(60), "it hung for 1 s"),
        (eat_memory, "MB of memory"),
        (refuse("Two lines\nare not one."), "not one clear sentence"),
        (refuse("Long. " * 90), "not one clear sentence"),
        (refuse("No.", lambda path: path.write_bytes(b"other")), "the file was changed"),
        (refuse("No.", lambda path: path.with_name("contacts.db-wal").touch()), "left contacts.db-wal beside the file"),
        (lambda path: path.write_bytes(b"other"), "the file was changed"),
    ],
)
def test_what_goes_wrong_is_found(use: Callable[[Path], None], finding: str, tmp_path: Path) -> None:
    limits = Limits(seconds=1 if "hung" in finding else 20, memory_mb=60)
    verdict = try_file(CONTENT, {"read": use}, tmp_path, limits)
    assert verdict.finding is not None
    assert finding in verdict.finding
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_is_no_finding(tmp_path: Path) -> None:
    verdict = try_file(CONTENT, {"read": refuse("It is no database.")}, tmp_path)
    assert (verdict.finding, verdict.sentences) == (None, {"read": "It is no database."})
