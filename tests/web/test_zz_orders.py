"""Every button: what it asks first, what it does, and what it says. Last, since orders change what the others look at."""

import re

from playwright.sync_api import Page, expect

from mailtide.contracts import Done
from mailtide.runs import store
from tests.web.conftest import Open, World, look, objects_of, shown

LONG_MS = 90_000


def confirm(page: Page, button: str, title: str | re.Pattern[str]) -> None:
    """Press it, and say yes."""
    page.get_by_role("button", name=button, exact=True).first.click()
    dialog = page.get_by_role("dialog", name=title)
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    dialog.locator("[value=yes]").click()
    expect(dialog).to_be_hidden()


def noted(page: Page, sentence: str | re.Pattern[str]) -> None:
    expect(page.get_by_role("status")).to_contain_text(sentence)


def test_run_now_is_asked_first_and_ends_published(open_page: Open) -> None:
    """The whole way: the function, a machine, a published schedule, seen without a reload."""
    page = open_page("morning-look", "#/orgs/acme")
    rows = page.get_by_role("region", name="Runs of acme").locator("tbody tr")
    expect(rows).to_have_count(1, timeout=LONG_MS)
    page.get_by_role("button", name="Run now").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="Run now")).to_be_focused()
    confirm(page, "Run now", "Run acme now?")
    noted(page, "A run of acme is queued.")
    under_way = page.get_by_role("heading", name="Under way")
    expect(under_way.or_(rows.nth(1)).first).to_be_visible(timeout=LONG_MS)
    expect(rows).to_have_count(2, timeout=LONG_MS)
    expect(rows.first).to_contain_text("published")
    rows.first.get_by_role("link").click()
    expect(page.get_by_role("img", name="Planned mails by day: ").first).to_be_visible()


def test_retry(world: World, open_page: Open) -> None:
    done = world.runs["failed"]
    page = open_page(view=f"#/runs/lakeside/{done.run}")
    confirm(page, "Retry", "Retry this run?")
    noted(page, f"A run of lakeside in the place of {done.run} is queued.")
    # What is in the bucket there is no database, so the new one fails as well, in words.
    look(page, "#/orgs/lakeside")
    rows = page.get_by_role("region", name="Runs of lakeside").locator("tbody tr")
    expect(rows).to_have_count(2, timeout=LONG_MS)
    expect(rows.first).to_contain_text("failed")


def test_cancel_keeps_the_reason_and_ends_the_run(world: World, open_page: Open) -> None:
    """The run is told, whoever ends it is real."""
    objects = objects_of(world)
    source = store.read_source(objects.bucket, "northwind")
    assert source is not None
    plan = objects.working("northwind", 9, source)
    page = open_page(view=f"#/runs/northwind/{plan.run}")
    page.get_by_role("button", name="Cancel run").click()
    dialog = page.get_by_role("dialog", name="Cancel this run?")
    expect(dialog.get_by_role("button", name="Let it run")).to_be_focused()
    dialog.get_by_label("Reason").fill("The <b>wrong</b> file.")
    dialog.get_by_role("button", name="Cancel the run").click()
    noted(page, f"Run {plan.run} is cancelled: it ends in a moment, and nothing is published.")
    expect(page.get_by_role("button", name="Cancel run")).to_have_count(0)
    expect(page.locator(".title .chip")).to_have_text(["failed", "cancelled"], timeout=LONG_MS)
    expect(page.locator(".alarm").first).to_have_text("Cancelled by morning-look: The <b>wrong</b> file.")


def test_reject_and_approve(world: World, open_page: Open) -> None:
    rejected, approved = world.runs["other held"], world.runs["held"]
    page = open_page("harbor", f"#/runs/harbor-benefits/{rejected.run}")
    confirm(page, "Reject", "Reject this run?")
    noted(page, f"Run {rejected.run} is rejected; nothing was published.")
    expect(page.locator(".title .chip")).to_have_text(["held", "rejected"])
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    look(page, f"#/runs/harbor-benefits/{approved.run}")
    confirm(page, "Approve", "Approve this run?")
    noted(page, f"Run {approved.run} is approved")
    expect(page.locator(".title .chip")).to_have_text(["held", "approved"])


def test_however_often_a_button_is_pressed_one_order_goes_out(open_page: Open) -> None:
    page = open_page(view="#/warmup")
    orders: list[str] = []
    page.on("request", lambda request: orders.append(request.url) if request.method == "POST" else None)
    offer = page.get_by_role("button", name="Offer what is due", exact=True)
    offer.dblclick()
    offer.evaluate("button => { button.click(); button.click(); }")
    assert orders == []
    page.get_by_role("dialog", name="Offer all mails now?").locator("[value=yes]").dblclick()
    noted(page, "A tick is queued.")
    assert len(orders) == 1


def test_an_order_that_is_refused_says_why(evil: Done, open_page: Open) -> None:
    done = evil
    page = open_page(view=f"#/runs/evil/{done.run}")
    page.route("**/retry", lambda route: route.fulfill(status=409, json={"error": "Somebody was <b>first</b>."}))
    confirm(page, "Retry", "Retry this run?")
    noted(page, "Somebody was <b>first</b>.")


def test_pause_resume_and_offer(open_page: Open) -> None:
    page = open_page(view="#/warmup")
    confirm(page, "Pause", "Pause all mails?")
    noted(page, "Nothing is sent from now on.")
    expect(page.locator(".title .chip")).to_have_text("paused")
    expect(page.locator(".alarm").first).to_contain_text("Everything is paused")
    confirm(page, "Resume", "Resume all mails?")
    noted(page, "Sending goes on.")
    expect(page.locator("main > .buttons").get_by_role("button", name="Resume")).to_have_count(0)
    confirm(page, "Offer what is due", "Offer all mails now?")
    noted(page, "A tick is queued.")


def test_a_user_pauses_and_resumes_the_own_mails(open_page: Open) -> None:
    page = open_page("company", "#/warmup")
    confirm(page, "Pause", "Pause the mails of company-01?")
    expect(page.locator(".title .chip")).to_have_text("paused")
    confirm(page, "Resume", "Resume the mails of company-01?")
    expect(page.locator(".title .chip")).to_have_count(0)


def test_one_mailbox_is_paused(open_page: Open) -> None:
    page = open_page("company", "#/warmup")
    row = page.get_by_role("row", name="mine-1")
    row.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog", name="Pause mailbox mine-1?").locator("[value=yes]").click()
    noted(page, "The mailbox is paused.")


def test_by_keyboard_alone(open_page: Open) -> None:
    page = open_page("morning-look", "#/orgs/northwind")
    page.reload()
    shown(page)
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    skip.press("Enter")
    expect(page.locator("main")).to_be_focused()
    expect(page.get_by_role("heading", level=1)).to_have_text("northwind")
    page.get_by_role("button", name="Run now").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert page.get_by_role("status").inner_text() == ""


def test_refreshing_keeps_focus_scrolling_and_what_was_opened(open_page: Open) -> None:
    page = shown(open_page("morning-look", "#/orgs/harbor-benefits", viewport={"width": 900, "height": 420}))
    page.get_by_text("Rules in force").first.click()
    link = page.get_by_role("region", name="Runs of harbor-benefits").get_by_role("link").nth(5)
    link.focus()
    page.evaluate("scrollTo(0, 700)")
    before = page.evaluate("[scrollY, document.activeElement.getAttribute('href')]")
    said = page.locator(".fresh").inner_text()
    expect(page.locator(".fresh")).not_to_have_text(said, timeout=40_000)
    assert page.evaluate("[scrollY, document.activeElement.getAttribute('href')]") == before
    assert page.locator("details[open]").count() == 1


def test_it_rests_while_nobody_looks_and_tries_again_after_failures(open_page: Open) -> None:
    page = open_page("morning-look", "#/runs")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/v1/runs" in request.url else None)
    hide = """hidden => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    page.wait_for_timeout(500)
    asked.clear()
    page.wait_for_timeout(12_000)
    assert asked == []
    page.route("**/v1/runs*", lambda route: route.abort())
    page.evaluate(hide, False)
    expect(page.locator(".fresh")).to_contain_text("Trying again in 4 s.")
    expect(page.locator(".fresh")).to_contain_text("Trying again in 8 s.", timeout=10_000)
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    page.unroute("**/v1/runs*")
    expect(page.locator(".fresh")).to_contain_text("As of", timeout=15_000)


def test_answers_that_cannot_be_shown_are_asked_for_again(world: World, open_page: Open) -> None:
    page = open_page("morning-look", "#/orgs")
    page.route("**/v1/session", lambda route: route.fulfill(status=502, body="<html>"))
    page.reload()
    expect(page.locator(".alarm")).to_have_text("The answer is not understood (status 502).")
    page.unroute("**/v1/session")
    expect(page.get_by_role("heading", name="Organisations")).to_be_visible()
    page.route("**/v1/settings", lambda route: route.fulfill(json={"version": "1"}))
    with page.expect_event("pageerror"):
        page.goto(f"{world.url}#/settings")
    expect(page.locator(".fresh")).to_contain_text("The answer cannot be shown. Trying again in 4 s.")
    page.unroute("**/v1/settings")
    expect(page.get_by_role("heading", name="Not the default")).to_be_visible()
