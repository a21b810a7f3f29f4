"""What the pages that need no cloud tell a reader to type, typed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.consoles import Step, base_env, play, shim, steps_of

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with shim(tmp_path_factory.mktemp("shim")) as folder:
        yield folder


def test_the_tutorial(tmp_path: Path, command: Path) -> None:
    """But for `make`: that is the newcomer's path, `make newcomer`."""
    steps = [step for step in steps_of(DOCS / "tutorial.md") if not step.command.startswith(("make ", "export "))]
    play(steps, tmp_path, base_env(command))


@pytest.mark.parametrize(
    ("printed", "agrees"), [("one\n", True), ("one\ntwo\n", False), ("", False), ("one  \n", True)]
)
def test_output_is_compared(printed: str, agrees: bool) -> None:
    assert Step("x", ("one",), "here").agrees(printed) == agrees


def test_dots_stand_for_text_and_lines() -> None:
    step = Step("x", ("…", "took … s", "…"), "here")
    assert step.agrees("took 4 s\n")
    assert step.agrees("a\nb\ntook 4.1 s\nc\n")
    assert not step.agrees("a\ntook 4\n")


def test_a_command_that_fails_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:3: false"):
        play([Step("true", (), "page.md:2"), Step("false", (), "page.md:3")], tmp_path, base_env())
    with pytest.raises(AssertionError, match="the page shows"):
        play([Step("echo two", ("one",), "page.md:2")], tmp_path, base_env())
    play([Step("echo 'mailtide: no.'; false", ("mailtide: no.",), "page.md:2")], tmp_path, base_env())
