"""`mailtide plan` without a database: the whole table, and what it makes of the older documents' figures."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run


def test_the_whole_table(run: Run) -> None:
    done = run("plan", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    rows = told["runs"]
    assert [row["contacts"] for row in rows][::5] == [1_000, 500_000, 10_000_000]
    assert [row["expected_usd"] for row in rows] == sorted(row["expected_usd"] for row in rows)
    assert all(row["meets_deadline"] == (row["expected_s"] <= told["deadline_s"]) for row in rows)
    figures = told["older_figures"]
    assert {figure["verdict"] for figure in figures} == {"reproduced", "corrected"}
    assert {figure["document"][:3] for figure in figures} == {"000", "001", "002"}
    hour = [figure for figure in figures if figure["figure"] == "an hour of performance-8x"]
    assert [(figure["theirs"][0], round(figure["here"][0], 4)) for figure in hour] == [(1.5, 0.3445), (0.5, 0.3445)]


def test_the_page_about_scaling_has_the_same_table(run: Run) -> None:
    told = json.loads(run("plan", "--json").out)
    page = (Path(__file__).parents[3] / "docs" / "scaling.md").read_text(encoding="utf-8")
    for row in told["runs"]:
        cells = (
            f"| {row['contacts']:,} | {row['machine'].partition(',')[0]} | {row['expected_s']:.1f} "
            f"| {row['expected_usd']:.5f} | {row['machine_usd']:.6f} |"
        )
        assert cells in page
    verdicts = [figure["verdict"] for figure in told["older_figures"]]
    of_all, reproduced = len(verdicts), verdicts.count("reproduced")
    words = " ".join(page.split())
    assert f"{of_all} figures in the documents" in words
    assert f": {reproduced} are reproduced, {of_all - reproduced} corrected." in words


def test_the_table_for_people(run: Run) -> None:
    done = run("plan", "--table", COLUMNS="160")
    assert done.code == 0, done.err
    assert "10,000,000" in done.out
    assert "over 60 s" in done.out
    assert "figures are reproduced" in done.out


def test_a_number_of_contacts_gets_its_row_in_the_whole_table(run: Run) -> None:
    done = run("plan", "--contacts", "700000", COLUMNS="80")
    assert done.code == 0, done.err
    first = [line.split()[0] for line in done.out.partition("Figures of")[0].splitlines() if line.split()]
    counts = [int(cell.replace(",", "")) for cell in first if cell[0].isdigit()]
    assert counts == sorted(
        {1_000, 10_000, 50_000, 100_000, 250_000, 500_000, 700_000} | {n * 10**6 for n in (1, 2, 3, 5, 10)}
    )
    assert "figures are reproduced" in done.out
    assert "…" not in done.out


@pytest.mark.parametrize("line", ["plan --table --contacts 5", "plan --table some.db", "plan some.db --contacts 5"])
def test_one_thing_at_a_time(run: Run, line: str) -> None:
    done = run(*line.split())
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1


def test_chunks_in_words(run: Run) -> None:
    done = run("plan", "--contacts", "1000000", MAILTIDE_CHUNKING="always")
    assert "8 × performance-2x, 4096 MB for chunks, then performance-4x, 8192 MB, 4 threads" in done.out
    assert json.loads(run("plan", "--contacts", "1000000", "--json", MAILTIDE_CHUNKING="always").out)["chunks"] == 8


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ('CHUNK_SIZE={"cpu_kind":"shared","cpus":2}', "CHUNK_SIZE is not usable (at memory_mb): Field required."),
        ('STEPS_CONTACTS_PER_S={"read":0}', "STEPS_CONTACTS_PER_S is not usable (at read): "),
        ("TRANSFER_BYTES_PER_S=inf", "TRANSFER_BYTES_PER_S is not usable: Input should be a finite number."),
        ("CHUNKING=sometimes", "CHUNKING is not usable: Input should be 'auto', 'always' or 'never'."),
    ],
)
def test_a_setting_that_cannot_be_is_named(run: Run, setting: str, words: str) -> None:
    name, _, value = setting.partition("=")
    done = run("plan", "--contacts", "5", **{f"MAILTIDE_{name}": value})
    assert done.code == 2
    assert done.err.startswith(f"mailtide: The setting MAILTIDE_{words}")
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("name", ["CHUNK_SIZE", "STEPS_CONTACTS_PER_S", "MERGE_SIZE"])
def test_a_setting_that_is_no_json_is_named(run: Run, name: str) -> None:
    done = run("plan", "--contacts", "5", **{f"MAILTIDE_{name}": "{"})
    assert (done.code, done.err) == (2, f"mailtide: The setting MAILTIDE_{name} is not usable: it is not JSON.\n")


def test_what_a_kept_machine_would_make_of_the_next_day(run: Run) -> None:
    told = json.loads(run("plan", "--contacts", "1000000", "--json", MAILTIDE_POOL_SIZE="1").out)["next_day"]
    assert told["kept_s"] < told["new_s"]
    assert told["kept_usd"] < told["new_usd"] / 10
    assert told["kept_usd_per_month"] == 1.59
    done = run("plan", "--contacts", "1000000", MAILTIDE_POOL_SIZE="1")
    assert (
        f"kept:     $1.59 a month; for this organisation alone that pays from {told['pays_from_runs']} runs a month\n"
        in done.out.partition("Runs by size")[0]
    )
    assert json.loads(run("plan", "--contacts", "1000000", "--json").out)["next_day"] is None
