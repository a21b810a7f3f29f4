"""The documentation keeps up with the code: reference pages, links, targets, commands and figures that can be checked."""

import re
from pathlib import Path

import pytest

from mailtide.api.openapi import openapi_text
from mailtide.cli.main import COMMANDS
from mailtide.cli.reference import commands_page, settings_page
from tests.support.template import load_template, resources

ROOT = Path(__file__).resolve().parents[3]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize(
    ("page", "made"),
    [("commands.md", commands_page), ("settings.md", settings_page), ("openapi.json", openapi_text)],
)
def test_the_reference_is_what_the_code_says(page: str, made: object) -> None:
    assert callable(made)
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == made(), "run: make reference"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_pages_show_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for target in re.findall(r"`make ([a-z][a-z0-9-]*)", text):
        assert target in targets, f"make {target}"
    for command in re.findall(r"(?:`|^\$ |\.venv/bin/)mailtide ([a-z][a-z-]+)", text, re.MULTILINE):
        assert command in COMMANDS, f"mailtide {command}"


def test_every_page_can_be_found_from_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if page != "README.md" and f"({page})" not in index] == []


def test_every_run_function_is_explained() -> None:
    page = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    functions = [folder.name for folder in (ROOT / "functions").iterdir() if (folder / "app.py").exists()]
    assert [name for name in functions if name not in page] == []


def test_every_alarm_is_explained() -> None:
    page = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    alarms = set(resources(load_template(), "AWS::CloudWatch::Alarm"))
    assert len(alarms) > 20
    assert [
        name for name in sorted(alarms) if f"| {name} |" not in page and not name.endswith("DeadLettersAlarm")
    ] == []
    assert "| …DeadLettersAlarm |" in page
