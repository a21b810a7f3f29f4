"""Each view on a phone and on a desk, in light and in dark: what it shows, that it fits, and what axe says of it."""

import os
import re
import shutil
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

from mailtide.contracts import Done
from mailtide.runs import keys, store
from tests.support.run_objects import FAILURE, HELD
from tests.web.conftest import ATTACK, DESK, DOC_PICTURES, EVIL_ADDRESS, PHONE, Open, World, look, objects_of, picture

AXE = next(Path(axe_playwright_python.__file__).parent.rglob("axe.min.js")).read_text(encoding="utf-8")
RUN = """async () => {
  const found = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
  return found.violations.map(v => `${v.id}: ${v.help}: ${v.nodes.map(n => n.html.slice(0, 200)).join(" | ")}`);
}"""


def accessible(page: Page) -> None:
    page.evaluate(AXE)
    assert page.evaluate(RUN) == []


def fits(page: Page) -> None:
    """Nothing is wider than the window: whatever is wide scrolls in a box of its own."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def views_of(world: World) -> dict[str, str]:
    def run(done: Done) -> str:
        return f"#/runs/{done.org}/{done.run}"

    return {
        "runs": "#/runs",
        "run": run(world.runs["published"]),
        "run-held": run(world.runs["held"]),
        "run-failed": run(world.runs["failed"]),
        "organisations": "#/orgs",
        "organisation": "#/orgs/harbor-benefits",
        "warm-up": "#/warmup",
        "settings": "#/settings",
    }


@pytest.mark.parametrize(
    ("size", "scheme"), [("phone", "light"), ("phone", "dark"), ("desk", "light"), ("desk", "dark")]
)
def test_every_view_fits_and_is_accessible(world: World, open_page: Open, size: str, scheme: str) -> None:
    options = {"viewport": PHONE if size == "phone" else DESK, "color_scheme": scheme, "has_touch": size == "phone"}
    page = open_page(None, **options)
    expect(page.get_by_label("Token")).to_be_visible()
    accessible(page)
    picture(page, f"sign-in-{size}-{scheme}")
    page.get_by_label("Token").fill(world.tokens["morning-look"])
    page.keyboard.press("Enter")
    for name, view in views_of(world).items():
        look(page, view)
        fits(page)
        accessible(page)
        picture(page, f"{name}-{size}-{scheme}")
    look(page, "#/orgs/harbor-benefits").get_by_role("button", name="Run now").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    accessible(page)
    picture(page, f"dialog-{size}-{scheme}", whole=False)


def test_pictures_of_the_documentation(world: World, open_page: Open) -> None:
    """As one would see them; renewed with PICTURES=1."""

    wanted = {
        "runs": ("desk", "light"),
        "run": ("desk", "light"),
        "warm-up": ("desk", "dark"),
        "organisation": ("phone", "light"),
    }
    objects = objects_of(world)
    source = store.read_source(objects.bucket, "northwind")
    assert source is not None
    working = objects.working("northwind", 2, source)
    for name, (size, scheme) in wanted.items():
        page = open_page(
            viewport=PHONE if size == "phone" else {"width": 1000, "height": 1060 if name == "run" else 760},
            color_scheme=scheme,
        )
        look(page, views_of(world)[name])
        path = picture(page, f"doc-{name}", whole=False)
        assert path.stat().st_size < 150_000
        if os.environ.get("MAILTIDE_DOC_PICTURES"):
            DOC_PICTURES.mkdir(exist_ok=True)
            shutil.copy(path, DOC_PICTURES / f"{name}.png")
        page.close()
        # The machine that it tells of does not exist: the watcher would soon find that out.
        for prefix in (keys.marker("northwind", working.run), f"{keys.RUNS}northwind/{working.run}/"):
            for info in list(objects.bucket.list(prefix)):
                objects.bucket.delete(info.key)


def test_runs(open_page: Open) -> None:
    page = open_page()
    attention = page.get_by_role("region", name="Runs that failed or wait for a person")
    expect(attention.get_by_role("row", name="lakeside")).to_contain_text(FAILURE)
    expect(attention.get_by_role("row", name="harbor-benefits")).to_contain_text("held")
    others = page.get_by_role("region", name="Runs that have ended")
    expect(others.get_by_role("row", name="northwind")).to_contain_text("published")
    expect(others.get_by_role("row", name="northwind")).to_contain_text("98.3K")
    page.get_by_role("link", name="northwind").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Run of northwind")
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def a_page_holds_one(page: Page, what: str) -> None:
    """As if there were more organisations than a page of them holds."""
    page.route(
        re.compile(rf"/v1/{what}(\?(?!.*limit).*)?$"),
        lambda route: route.continue_(url=f"{route.request.url}{'&' if '?' in route.request.url else '?'}limit=1"),
    )


def test_what_is_wrong_is_on_the_first_page_whatever_it_is_called(open_page: Open) -> None:
    page = open_page(view="#/settings")
    a_page_holds_one(page, "runs")
    look(page, "#/runs")
    attention = page.get_by_role("region", name="Runs that failed or wait for a person")
    expect(attention.get_by_role("row", name="lakeside")).to_contain_text(FAILURE)
    expect(attention.get_by_role("row", name="harbor-benefits")).to_contain_text("held")
    others = page.get_by_role("region", name="Runs that have ended")
    expect(others.get_by_role("row", name="acme")).to_be_visible()
    expect(others.get_by_role("row", name="northwind")).to_have_count(0)


def test_organisations_are_found_by_the_beginning_of_their_names(open_page: Open) -> None:
    page = open_page(view="#/settings")
    a_page_holds_one(page, "orgs")
    look(page, "#/orgs")
    names = page.locator("main tbody th a")
    expect(names).to_have_text(["acme"])
    page.get_by_label("Names that begin with").fill("no")
    page.keyboard.press("Enter")
    expect(names).to_have_text(["northwind"])
    page.get_by_label("Names that begin with").fill("nobody")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".empty")).to_have_text("No organisation's name begins with nobody.")
    accessible(page)


def test_a_run(world: World, open_page: Open) -> None:
    done = world.runs["published"]
    page = open_page(view=f"#/runs/{done.org}/{done.run}")
    steps = page.locator(".timeline li")
    expect(steps).to_have_count(8)
    expect(steps.nth(5)).to_contain_text("machine finished")
    expect(steps.nth(5)).to_contain_text("+ 2.2 s")
    expect(page.get_by_role("img", name="Planned mails by day: ").first).to_be_visible()
    page.get_by_text("The same by month, as a table").click()
    expect(page.get_by_role("region", name="Planned mails by month").locator("tbody tr").first).to_be_visible()
    expect(page.get_by_role("region", name="Machines")).to_contain_text("shared-cpu-2x, 2048 MB")
    with page.expect_download() as started:
        page.get_by_role("link", name="The database as this run delivered it").click()
    kept = Path(started.value.path()).read_bytes()
    assert started.value.suggested_filename == f"northwind-{done.run}-contacts.db"
    assert kept.startswith(b"the database with its schedule")


def test_an_organisation(open_page: Open) -> None:
    page = open_page("harbor", "#/orgs/harbor-benefits")
    quality = page.get_by_role("region", name="What is wrong with the data")
    expect(quality).to_contain_text("The e-mail address is none: the contact gets no mail.")
    page.get_by_text("Its rules file").click()
    expect(page.locator("pre")).to_have_text("timezone: America/Chicago\nrun_at_hour: 23\n")
    page.get_by_text("Rules in force").first.click()
    expect(page.get_by_role("region", name="Rules in force")).to_contain_text("America/Chicago")
    expect(page.get_by_role("region", name="Runs of harbor-benefits").locator("tbody tr")).to_have_count(10)
    with page.expect_download() as started:
        page.get_by_role("link", name="Download the database").click()
    assert Path(started.value.path()).read_bytes() == b"y" * 9_000


def test_the_warm_up(open_page: Open) -> None:
    page = open_page(view="#/warmup")
    today = page.locator("section", has=page.get_by_role("heading", name="Today"))
    expect(today).to_contain_text("of 2,613,000 mails sent")
    expect(today).to_contain_text("of the 150,000 that the limits let through")
    expect(page.get_by_role("img", name="Mails by hour over 24 hours").first).to_be_visible()
    hours = page.locator("section", has=page.get_by_role("heading", name="The last 24 hours"))
    expect(hours.locator(".chart.wide rect")).to_have_count(24)
    expect(
        page.get_by_role("region", name="Mailboxes that fail or are behind").locator("tbody tr").first
    ).to_be_visible()
    expect(page.get_by_role("region", name="Placement by provider").locator("tbody tr")).to_have_count(4)
    expect(page.get_by_role("region", name="Placement by provider")).to_contain_text("Microsoft (Exchange Online)")
    held = page.get_by_role("region", name="Mailboxes that are held back")
    expect(held).to_contain_text("slowed from")
    # Only what stands still can be resumed.
    expect(held.get_by_role("button", name="Resume")).to_have_count(3)
    expect(page.get_by_role("region", name="Mailboxes that cannot be read")).to_contain_text("refuses the login")
    expect(page.get_by_role("img", name="Score by day").first).to_be_visible()


def test_the_settings_in_force(world: World, open_page: Open) -> None:
    page = open_page(view="#/settings")
    changed = page.locator("section", has=page.get_by_role("heading", name="Not the default"))
    expect(changed).to_contain_text("MAILTIDE_WATCH_STALL_S")
    expect(changed).to_contain_text("WARMUP_SHARDS")
    page.locator("section", has=page.get_by_role("heading", name="Runs")).locator("summary").first.click()
    expect(page.locator("section", has=page.get_by_role("heading", name="Runs"))).to_contain_text("MAILTIDE_MERGE_SIZE")
    assert world.cloud.fly_token not in page.content()


def test_markup_in_names_addresses_and_errors_stays_text(world: World, evil: Done, open_page: Open) -> None:
    done = evil
    page = open_page()
    expect(page.get_by_role("region", name="Runs that failed or wait for a person")).to_contain_text(ATTACK)
    for view in (f"#/runs/evil/{done.run}", "#/orgs", "#/orgs/evil", f"#/orgs/{ATTACK}", f"#/runs/{ATTACK}/{ATTACK}"):
        page.goto(world.url + view)
        page.wait_for_timeout(1_500)
        assert page.evaluate("window.hacked") is None, view
        assert page.locator("main img, main script, main [onerror], main [onload]").count() == 0, view
        assert page.locator("script").count() == 1, view
    look(page, f"#/runs/evil/{done.run}")
    expect(page.locator(".alarm")).to_contain_text(EVIL_ADDRESS)
    look(page, "#/orgs")
    names = page.locator("main tbody th a").all_inner_texts()
    assert set(names) == {"acme", "evil", "harbor-benefits", "lakeside", "northwind"}


def test_a_held_run_says_why(world: World, open_page: Open) -> None:
    done = world.runs["held"]
    page = open_page(view=f"#/runs/{done.org}/{done.run}")
    expect(page.locator(".alarm")).to_have_text(HELD)
    expect(page.get_by_role("button", name="Approve")).to_be_visible()
