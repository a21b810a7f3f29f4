"""What the pages that need no cloud tell a reader to type, typed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.consoles import Step, base_env, play, shim
from tests.support.pages import FILES, TYPED, pages_at, place_of, steps_at


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with shim(tmp_path_factory.mktemp("shim")) as folder:
        yield folder


RULES = "timezone: America/New_York\nbirthday_days_before: 21\n"
CONTACTS = "id,email,state,birth_date\n20001,wei@example.com,IL,1951-10-08\n"
PREPARED = {
    "run-it.md": {"rules.yaml": RULES, "export.csv": CONTACTS, "unsubscribed.csv": "email\nwei@example.com\n"},
}
"""By page: the files that its reader has."""
BEFORE = {
    "run-it.md": "for day in 20 21; do mailtide generate --contacts 100 --json $day.db && "
    "mailtide schedule $day.db --as-of 2026-11-$day --json; done && mv 20.db yesterday.db && mv 21.db today.db",
    "feedback.md": "mailtide generate --contacts 1000 demo.db && mailtide schedule demo.db --as-of 2026-11-19",
}
"""By page: what its reader did before."""


@pytest.mark.parametrize("page", pages_at(FILES))
def test_a_page_typed_as_it_stands(page: str, tmp_path: Path, command: Path) -> None:
    for name, text in PREPARED.get(page, {}).items():
        (tmp_path / name).write_text(text)
    before = [Step(BEFORE[page], (), f"before {page}")] if page in BEFORE else []
    # The PATH is the test's own.
    steps = [step for step in steps_at(FILES, page) if not step.command.startswith("export PATH")]
    play([*before, *steps], tmp_path, base_env(command))


@pytest.mark.parametrize("place", TYPED)
def test_every_page_is_typed_somewhere(place: str) -> None:
    assert pages_at(place) == TYPED[place]


def test_a_command_that_no_test_types_is_noticed() -> None:
    with pytest.raises(AssertionError, match=r"page\.md:7: no test types"):
        place_of(Step("rm -r everything", (), "page.md:7"))


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


def test_figures_may_differ_where_that_is_said() -> None:
    step = Step("x", (" 12.3 s  machine 5444b4580b04df of 1,000", "…"), "here")
    assert step.agrees("  9.8 s  machine ab12cd34ef5678 of 2\n", any_figures=True)
    assert not step.agrees("  9.8 s  machine ab12cd34ef5678 of 2\n")
    assert not step.agrees("  9.8 s  machines ab12cd34ef5678 of 2\n", any_figures=True)


def test_a_command_that_fails_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:3: false"):
        play([Step("true", (), "page.md:2"), Step("false", (), "page.md:3")], tmp_path, base_env())
    with pytest.raises(AssertionError, match="the page shows"):
        play([Step("echo two", ("one",), "page.md:2")], tmp_path, base_env())
    play([Step("echo 'mailtide: no.'; false", ("mailtide: no.",), "page.md:2")], tmp_path, base_env())


def test_a_page_that_hangs_is_ended_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"the shell ended early: (?s:.)*\(killed after 0 s\)"):
        play([Step("exec tail -f /dev/null", (), "page.md:2")], tmp_path, base_env(), timeout_s=0.2)
