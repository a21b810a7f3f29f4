"""The pages about the origin: every row has a verdict that holds, and nothing of the origin is left out."""

import re
from pathlib import Path

import click
import pytest

from mailtide.api.settings import ApiSettings
from mailtide.cli.main import cli
from mailtide.settings import Settings
from mailtide.warmup.settings import OLD_NAMES, WarmupResources, WarmupSettings
from tests.support import origin_texts
from tests.support.origin_figures import FIGURES, claims_of
from tests.support.origin_pages import (
    INDEX,
    KINDS,
    PAGES,
    ROOT,
    Row,
    all_rows,
    cells_of,
    rows_of,
    with_counts,
    with_figures,
)

ROWS = all_rows()
PACKAGE = ROOT / "layers" / "shared" / "mailtide"
FIXED_VARIABLES = {"MAILTIDE_TASK_URL", "MAILTIDE_CACHE_DIR"}
"""Of a machine's environment: no setting of anybody."""
page_by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
RENEW = "run: python -m tests.support.origin_pages"


def told(row: Row) -> str:
    """Where the row says how it is here."""
    return " ".join(row.cells[2 if row.kind == "Figures" else 1 :])


def test_every_row_has_all_its_cells_and_a_verdict() -> None:
    cells = {kind: 5 if kind == "Figures" else 3 for kind in KINDS}
    wrong = [row for row in ROWS if len(row.cells) != cells[row.kind] or not all(row.cells)]
    assert wrong == []
    assert [row for row in ROWS if row.verdict not in KINDS[row.kind]] == []


def test_no_row_stands_twice() -> None:
    named = [(row.document, row.kind, row.cells[0]) for row in ROWS]
    assert sorted(name for name in set(named) if named.count(name) > 1) == []


def test_the_counts_are_those_of_the_rows() -> None:
    assert INDEX.read_text(encoding="utf-8") == with_counts(ROWS), RENEW


@pytest.mark.parametrize("page", [*PAGES, INDEX], ids=lambda page: page.stem)
def test_figures_that_plan_counts_are_those_that_it_prints(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = {cells_of(line)[0] for line in text.splitlines() if line.startswith("| ")}
    assert {*claims_of(page.stem), *FIGURES.get(page.stem, ())} - named == set()
    assert text == with_figures(page), RENEW


def test_figures_of_plan_are_all_there() -> None:
    assert sum(len(claims_of(page.stem)) for page in PAGES) == 49


def test_modules_and_files_that_rows_name_exist() -> None:
    for row in ROWS:
        for path in re.findall(r"`([a-zA-Z_][\w./-]*(?:/[\w.-]+|\.(?:py|yaml|toml)))`", told(row)):
            if not re.match(r"opt/|tmp/", path) and "rules.yaml" not in path:
                assert (PACKAGE / path).exists() or (ROOT / path).exists(), (row.cells[0], path)


def test_settings_that_rows_name_exist() -> None:
    models = (
        (Settings, "MAILTIDE_"),
        (ApiSettings, "MAILTIDE_API_"),
        (WarmupResources, "MAILTIDE_"),
        (WarmupSettings, "WARMUP_"),
    )
    known = {f"{prefix}{name.upper()}" for model, prefix in models for name in model.model_fields}
    known |= set(OLD_NAMES) | FIXED_VARIABLES
    for row in ROWS:
        for name in re.findall(r"\b(?:MAILTIDE|WARMUP)_[A-Z0-9_]+[A-Z0-9]", told(row)):
            assert name in known, (row.cells[0], name)


def test_commands_that_rows_name_exist() -> None:
    for row in ROWS:
        for line in re.findall(r"`(?:[A-Z_]+=\S+ )*mailtide ([^`]+)`", told(row)):
            words = line.split()
            group: click.Command = cli
            context = click.Context(cli)
            while isinstance(group, click.Group) and words and not words[0].startswith("-"):
                found = group.get_command(context, words.pop(0))
                assert found is not None, line
                group = found
            options = {name for parameter in group.params for name in parameter.opts} | {"--help"}
            assert {word for word in words if word.startswith("--")} - options == set(), line


def test_every_old_name_that_the_package_knows_has_a_row() -> None:
    rows = {row.cells[0].split()[0].strip("`") for row in ROWS if row.kind == "Environment variables"}
    assert set(OLD_NAMES) - rows == set()


@pytest.mark.skipif(not origin_texts.FOLDER.is_dir(), reason="the origin's documents are not beside this checkout")
@page_by_page
def test_nothing_of_a_document_is_left_out(page: Path) -> None:
    document = (origin_texts.FOLDER / page.name).read_text(encoding="utf-8")
    rows = list(rows_of(page))
    of_kind = {kind: " ".join(row.cells[0] for row in rows if row.kind == kind) for kind in KINDS}
    named = " ".join(" ".join(row.cells) for row in rows)
    assert [
        name for name in origin_texts.variables(document) if f"`{name}`" not in of_kind["Environment variables"]
    ] == []
    assert [name for name in origin_texts.commands(document) if name not in of_kind["Commands"]] == []
    assert [name for name in origin_texts.code_spans(document) if name.lower() not in named.lower()] == []
    assert sorted(origin_texts.numbers(document) - origin_texts.numbers(named)) == []


@pytest.mark.skipif(not origin_texts.FOLDER.is_dir(), reason="the origin's documents are not beside this checkout")
def test_every_document_has_its_page() -> None:
    assert {page.name for page in PAGES} == {document.name for document in origin_texts.FOLDER.glob("*.md")}
