"""The page: nothing in it runs, nothing is fetched, nobody's address is shown, and every number can be read without a picture."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import apsw
import pytest

from mailtide.reporting.collect import collect_facts
from mailtide.reporting.facts import Campaign, ReportFacts
from mailtide.reporting.page import render
from mailtide.rules.config import Rules, load_rules
from tests.integration.pass_.rows import execute, fingerprint, query
from tests.integration.reporting.conftest import AS_OF, HOSTILE, UNSEEN
from tests.unit.cli.conftest import Run

ELEMENTS = frozenset(
    {
        "html", "head", "meta", "title", "style", "body", "header", "main", "section", "nav", "footer", "h1", "h2", "p", "ul",
        "li", "a", "b", "span", "small", "abbr", "div", "figure", "details", "summary", "table", "caption", "thead", "tbody",
        "tr", "th", "td", "svg", "g", "path", "line", "text", "rect",
    }
)  # fmt: skip


class Page(HTMLParser):
    """What a browser would see of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def assert_inert(text: str) -> Page:
    page = Page(text)
    assert {tag for tag, _ in page.elements} <= ELEMENTS
    for tag, attributes in page.elements:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("style", "src", "action", "srcdoc")
        ], tag
        assert attributes.get("href", "#").startswith("#")
    assert [
        found for found in re.findall(r"https?://[^\"' ]+", text) if not found.startswith("http://www.w3.org/")
    ] == []
    return page


def test_the_page_stands_alone(facts: ReportFacts) -> None:
    text = render(facts)
    page = assert_inert(text)
    policy = next(
        attrs["content"] for tag, attrs in page.elements if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    style = text[text.index("<style>") + 7 : text.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in style
    assert "@import" not in style
    assert render(facts) == text
    assert len(text) < 1_000_000


def test_every_number_of_a_chart_stands_in_a_table(facts: ReportFacts) -> None:
    shown = assert_inert(render(facts)).text
    for name, moves in facts.moves.by_type.items():
        assert f"{name} {moves.mails:,} {moves.spread:,} {moves.capped:,} {moves.longest:,} day" in shown
    for one in facts.findings:
        assert f"{one.reason} {one.count:,} {one.meaning}" in shown
    for state, counts in facts.skips.by_state.items():
        assert f" {state} " + " ".join(f"{counts.get(kind, 0):,}" for kind in facts.skips.kinds) in shown
    day = facts.moves.after.index(max(facts.moves.after))
    assert f"{sum(counts[day] for counts in facts.volume.by_type.values()):,}" in shown
    assert "News of December" in shown
    assert "The schedule in the database is this plan." in shown
    images = [attrs for _, attrs in Page(render(facts)).elements if attrs.get("role") == "img"]
    assert all("table below" in image["aria-label"] for image in images)
    assert len(images) == 6


def test_whatever_the_database_holds_is_text(scheduled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "<img src=x>"
    folder.mkdir()
    path = folder / "<b>&'.db"
    connection = apsw.Connection(str(scheduled))
    connection.execute("UPDATE campaign_types SET name = ? WHERE name = 'news'", (HOSTILE,))
    connection.execute(
        "UPDATE campaign_instances SET campaign_type = ?, instance_name = ? WHERE id = 1", (HOSTILE, UNSEEN + HOSTILE)
    )
    connection.execute("UPDATE contacts SET email = ? || id || '@example.org', birth_date = ? WHERE id % 10 = 1",
                       ("<script>" * 3, HOSTILE))  # fmt: skip
    connection.execute("INSERT INTO scheduler_runs (run_id, as_of, status, started_at, seconds, contacts) "
                       "VALUES (?1, ?1, ?1, '9' || ?1, 1e999, 'x')", (HOSTILE,))  # fmt: skip
    connection.execute("CREATE VIEW tracking_clicks AS SELECT 1 AS contact_id, 2 AS clicked_at")
    connection.close()
    scheduled.rename(path)
    rules = load_rules(json.dumps({"timezone": "UTC"}))
    text = render(collect_facts(path, AS_OF, rules))
    page = assert_inert(text)
    assert not set(UNSEEN) & set(text) - {"[", "3", "1", "m"}
    assert text.count("</style>") == 1
    assert f"\ufffd\ufffd[31m\ufffd{HOSTILE}" in page.text
    assert f"campaign_{HOSTILE}" in page.text
    assert "tracking_clicks is a view" in page.text
    assert page.text.count(HOSTILE) >= 6
    assert "49" not in page.text.split("{{ 7*7 }}")[1][:20]
    assert "<b>&'.db" in page.text


def test_no_address_name_or_telephone_number_is_shown(facts: ReportFacts, invented_plan: Path) -> None:
    text = render(facts)
    assert "@example" not in text
    for name, phone in query(invented_plan, "SELECT last_name, phone_number FROM contacts LIMIT 300"):
        assert f">{name}<" not in text
        assert not (phone or "").strip() or phone not in text


def test_many_types_and_campaigns_stay_readable(facts: ReportFacts) -> None:
    volume = {f"campaign_{number}": [number] * 366 for number in range(40)} | {"birthday": [3] * 366}
    campaigns = [Campaign(number, f"campaign_{number}", "x" * 120, number, 0) for number in range(100)]
    crowd = replace(facts, volume=replace(facts.volume, by_type=volume), campaigns=campaigns, more_campaigns=7)
    page = assert_inert(render(crowd))
    assert "all others" in page.text
    assert f"{sum(range(40)) * 30 + 90:,}" in page.text
    assert len(render(crowd)) < 2_000_000


def test_a_page_about_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    execute(path, "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email, state)")
    for text in ("daily_cap_fraction: null\n", None):
        shown = assert_inert(render(collect_facts(path, AS_OF, load_rules(text)))).text
        assert "No mail goes out in these days." in shown
        assert "No run has written a schedule" in shown


def test_the_command(run: Run, scheduled: Path, rules: Rules, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("daily_cap_fraction: 0.01\n")
    out = tmp_path / "report.html"
    before = fingerprint(scheduled)
    call = ("report", scheduled, out, "--as-of", "2026-11-21", "--rules", file)
    done = run(*call)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{out}: ")
    assert "The schedule in the database is this plan." in assert_inert(out.read_text()).text
    first = out.read_bytes()
    told = json.loads(run(*call, "--json").out)
    assert told["planned"] == collect_facts(scheduled, AS_OF, rules).planned
    assert out.read_bytes() == first
    assert fingerprint(scheduled) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["organisation", "report.html", "rules.yaml"]


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        ("organisation/contacts.db", "is a database; it is not overwritten"),
        ("link.html", "is a database; it is not overwritten"),
        ("notes.txt", "no HTML page; it is not overwritten"),
        ("organisation", "is a folder"),
        ("nowhere/report.html", "There is no folder"),
    ],
)
def test_what_is_not_overwritten(run: Run, scheduled: Path, tmp_path: Path, out: str, sentence: str) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "link.html").symlink_to(scheduled)
    before = fingerprint(scheduled)
    done = run("report", scheduled, tmp_path / out, "--as-of", "2026-11-21")
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err
    assert fingerprint(scheduled) == before
    assert (tmp_path / "notes.txt").read_text() == "notes"


def test_a_refused_database_leaves_the_page_of_before(run: Run, tmp_path: Path) -> None:
    bad, out = tmp_path / "bad.db", tmp_path / "report.html"
    bad.write_bytes(b"no database at all" * 100)
    out.write_text("<!doctype html>of yesterday")
    done = run("report", bad, out)
    assert (done.code, done.err) == (2, f"mailtide: {bad}: The file is not an SQLite database (or it is encrypted).\n")
    assert out.read_text() == "<!doctype html>of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.db", "report.html"]


@pytest.mark.parametrize("missing", ["jinja2", "vl_convert"])
def test_without_its_extra_the_command_says_what_is_missing(scheduled: Path, tmp_path: Path, missing: str) -> None:
    refuse = f"import sys; sys.modules['{missing}'] = None; from mailtide.cli.main import main; main()"
    command = [sys.executable, "-c", refuse, "report", str(scheduled), str(tmp_path / "out.html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"mailtide: This command needs {missing}: install mailtide[report].\n")
    assert not (tmp_path / "out.html").exists()
