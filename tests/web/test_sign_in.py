"""Signing in and out, what a session is, and what each token sees."""

from playwright.sync_api import Page, expect

from tests.web.conftest import Open, World, look, shown


def test_signed_out_there_is_nothing_but_the_form(world: World, open_page: Open) -> None:
    page = open_page(None, "#/orgs/acme")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_label("Token")).to_be_focused()
    assert page.locator("nav").is_hidden()
    assert "acme" not in page.locator("body").inner_text()
    for path in ("v1/runs", "v1/orgs/acme", "v1/settings", "api/warmup/metrics", "v1/orgs/acme/database"):
        assert page.request.get(world.url + path).status == 401


def refused(page: Page, token: str, sentence: str) -> None:
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text(sentence)
    expect(page.get_by_label("Token")).to_be_focused()
    assert page.context.cookies() == []


def test_wrong_tokens(world: World, open_page: Open) -> None:
    page = open_page(None)
    for token in ("mt_wrong", "ü", "<b>", world.tokens["morning-look"][:-1]):
        refused(page, token, "This token is not known, or it has expired.")
    refused(page, world.tokens["hook"], "This token is for a bucket's events; it shows no page.")


def test_a_session_holds_no_token_and_ends(world: World, open_page: Open) -> None:
    page = open_page("morning-look")
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (
        *("__Host-mailtide", True, True, "Strict"),
    )
    token = world.tokens["morning-look"]
    assert token not in str(cookie)
    assert page.evaluate("document.cookie + JSON.stringify({...localStorage, ...sessionStorage})") == "{}"
    assert token not in page.content()
    page.reload()
    shown(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.context.cookies() == []
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_session_that_ended_asks_again_and_comes_back_to_the_view(world: World, open_page: Open) -> None:
    page = open_page("morning-look", "#/orgs")
    page.context.clear_cookies()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible(timeout=30_000)
    page.get_by_label("Token").fill(world.tokens["morning-look"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Organisations")).to_be_visible()


def test_an_organisation_sees_its_own(open_page: Open) -> None:
    page = open_page("harbor")
    expect(page.locator("nav a")).to_have_text(["Runs", "Organisations"])
    links = page.locator("main tbody th a")
    expect(links.first).to_have_text("harbor-benefits")
    assert set(links.all_inner_texts()) == {"harbor-benefits"}
    page.goto(page.url.partition("#")[0] + "#/orgs/acme")
    expect(page.locator(".alarm")).to_have_text("There is no organisation acme.")
    for view in ("#/warmup", "#/settings", "#/nothing"):
        page.goto(page.url.partition("#")[0] + view)
        expect(page.locator(".empty")).to_contain_text("There is no such view")


def test_a_user_sees_the_own_mailboxes(open_page: Open) -> None:
    page = open_page("company", "#/warmup")
    expect(page.locator("nav a")).to_have_text(["Warm-up"])
    rows = page.get_by_role("region", name="Mailboxes that fail or are behind").locator("tbody tr")
    expect(rows.filter(has_text="mine-0")).to_be_visible()
    assert all("company-01" in text for text in rows.locator("td:nth-child(3)").all_inner_texts())
    assert look(page, "#/warmup").get_by_text("The last 24 hours").count() == 0


def test_tabs_are_signed_in_and_out_together(world: World, open_page: Open) -> None:
    first = open_page("morning-look", "#/settings")
    second = first.context.new_page()
    second.goto(world.url)
    second.get_by_role("button", name="Sign out").click()
    expect(first.get_by_role("heading", name="Sign in")).to_be_visible()
    second.get_by_label("Token").fill(world.tokens["harbor"])
    second.keyboard.press("Enter")
    # Its address is another view than this token's.
    expect(first.locator(".empty")).to_contain_text("There is no such view")
    expect(first.locator("nav a")).to_have_text(["Runs", "Organisations"])
    expect(first.locator(".who span")).to_have_text("harbor-benefits")


def test_an_address_that_was_cut_is_no_view(world: World, open_page: Open) -> None:
    page = open_page()
    page.goto(f"{world.url}#/runs/%E0%A4%A")
    expect(page.locator(".empty")).to_contain_text("There is no such view")
