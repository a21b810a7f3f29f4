"""Chunks that read their parts of a file over ranged reads, and a merge: what one machine makes of the whole file."""

import datetime
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import apsw
from hypothesis import given, settings
from hypothesis import strategies as st

from mailtide.database.invented import invent_database
from mailtide.database.partial_file import USUAL, Manner
from mailtide.errors import DatabaseError
from mailtide.machine.prepare import Prepare, prepare_whole
from mailtide.machine.report import PassReport
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import Rules, load_rules
from tests.integration.machine.cut_run import tables
from tests.integration.pass_.files import FileMaker
from tests.property.rules.databases import databases, days_of_run, rules_texts
from tests.support.chunks import PLANNED_AT, RUN, parts_of_file

BITTEN = Manner(gap_bytes=0, request_bytes=8192, most_pieces=3, ahead_bytes=0, most_surprises=5)
FEWER = settings(max_examples=max(1, settings().max_examples // 5))
BORDERS = st.lists(st.one_of(st.integers(-60, 60), st.sampled_from([-(2**63), 2**63 - 2, 2**62, 0])), max_size=7)


def run(path: Path, rules: Rules, as_of: datetime.date, threads: int, prepare: Prepare) -> PassReport:
    return run_pass(path, as_of, rules, RUN, PLANNED_AT, threads, prepare=prepare)


def outcome(path: Path, report: PassReport) -> tuple[dict[str, Any], Any]:
    return report.plain() | {"seconds": None}, tables(path.read_bytes()) if report.changed else path.read_bytes()


def assert_same(
    path: Path, rules: Rules, as_of: datetime.date, borders: Sequence[int], threads: int = 1, manner: Manner = USUAL
) -> None:
    """The same file and report, or the same refusal."""
    alone, original = path.with_name("alone.db"), path.read_bytes()
    alone.write_bytes(original)
    refused, whole = attempt(lambda: run(alone, rules, as_of, threads, prepare_whole))
    refused_too, merged = attempt(
        lambda: run(path, rules, as_of, threads, parts_of_file(path, rules, as_of, borders, threads, manner))
    )
    assert refused_too == refused
    if whole is None or merged is None:
        assert path.read_bytes() == original
    else:
        assert outcome(path, merged) == outcome(alone, whole)


def attempt(work: Callable[[], PassReport]) -> tuple[str | None, PassReport | None]:
    """The sentence of a refusal, or the report."""
    try:
        return None, work()
    except DatabaseError as error:
        return str(error), None


@FEWER
@given(st.data(), days_of_run, rules_texts(), st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.6]), BORDERS)
def test_files_of_every_shape(
    data: st.DataObject, as_of: datetime.date, text: str, seed: int, spoiling: float, borders: list[int]
) -> None:
    drawn = data.draw(databases(as_of, contacts=12, rows=12))
    random = Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "organisation.db"
        FileMaker(path, random, spoiling).write(drawn)
        assert_same(path, load_rules(text), as_of, borders, random.choice([1, 2]), random.choice([USUAL, BITTEN]))


@cache
def scheduled_file() -> bytes:
    """Contacts on small pages, and a schedule of which some mails were sent."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        invent_database(path, 130, 5, 0.1)
        connection = apsw.Connection(str(path))
        connection.execute("PRAGMA page_size = 512; VACUUM")
        connection.close()
        run(path, load_rules(), datetime.date(2026, 11, 18), 1, prepare_whole)
        connection = apsw.Connection(str(path))
        connection.execute("UPDATE email_schedules SET status = 'sent' WHERE id % 5 = 0")
        connection.close()
        return path.read_bytes()


@FEWER
@given(st.integers(0, 2**32))
def test_damaged_files_make_the_same_schedule_or_none(seed: int) -> None:
    random = Random(seed)
    as_of, rules = datetime.date(2026, 11, 21), load_rules()
    with tempfile.TemporaryDirectory() as folder:
        path, alone = Path(folder) / "a.db", Path(folder) / "alone.db"
        content = bytearray(scheduled_file())
        for _ in range(random.choice([1, 1, 3, 10])):
            page = random.randrange(len(content) // 512) * 512
            content[page + random.choice([random.randrange(16), random.randrange(512)])] = random.choice(
                [0, 5, 13, 128, 255]
            )
        path.write_bytes(content)
        alone.write_bytes(content)
        refused, whole = attempt(lambda: run(alone, rules, as_of, 1, prepare_whole))
        refused_too, merged = attempt(
            lambda: run(path, rules, as_of, 1, parts_of_file(path, rules, as_of, [40, 90], 1))
        )
        assert (refused is None) == (refused_too is None)
        if whole is not None and merged is not None:
            assert outcome(path, merged) == outcome(alone, whole)
        else:
            assert path.read_bytes() == content
