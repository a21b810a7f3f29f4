"""The page: its parts and their headers, signing in, the session's cookie, and orders that do not come from the page."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from mailtide.access import TokenBook
from mailtide.api import sessions
from mailtide.api.page import parts
from mailtide.api.sessions import COOKIE, IDLE_S, LONGEST_S
from tests.integration.api.conftest import Api
from tests.support.plain_http import NO_AUTHORITIES
from tests.unit.api.test_gate import BOOK, TODAY

WEB = Path(__file__).resolve().parents[3] / "layers/shared/mailtide/api/web"
SCRIPTS = sorted(WEB.glob("*.js"))
FROM_PAGE = {"X-Mailtide": "page"}


@pytest.fixture
def browser(api: Api) -> Iterator[httpx.Client]:
    """Keeps cookies as a browser would; the cookie is Secure, so it is sent by hand over plain HTTP."""
    with httpx.Client(base_url=api.url, trust_env=False, timeout=30, verify=NO_AUTHORITIES) as client:
        yield client


def sign_in(browser: httpx.Client, token: str) -> httpx.Response:
    answer = browser.post("/v1/session", headers={"Authorization": f"Bearer {token}", **FROM_PAGE})
    assert answer.status_code == 200, answer.text
    cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    browser.headers["Cookie"] = f"{COOKIE}={cookie.value}"
    return answer


def test_the_page_and_its_parts(browser: httpx.Client) -> None:
    page = browser.get("/")
    policy = page.headers["content-security-policy"]
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    for wanted in (
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
    ):
        assert wanted in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    addresses = re.findall(r'(?:href|src)="(assets/[^"]+)"', page.text)
    assert len(addresses) == 3
    for address in addresses:
        part = browser.get(f"/{address}")
        assert part.status_code == 200
        assert part.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert part.headers["x-content-type-options"] == "nosniff"
        assert part.headers["content-security-policy"] == policy
    folder = addresses[0].rpartition("/")[0]
    assert {
        browser.get(f"/{folder}/{name}").headers["content-type"].partition(";")[0]
        for name in parts()
        if name.endswith(".js")
    } == {"text/javascript"}


@pytest.mark.parametrize(
    "address", ["/assets/old/main.js", "/assets/old/none.js", "/assets/old/index.html", "/assets/old/..%2Fgate.py"]
)
def test_parts_of_another_version_are_not_kept(browser: httpx.Client, address: str) -> None:
    part = browser.get(address)
    assert part.status_code == (200 if address.endswith("main.js") else 404)
    assert part.headers["cache-control"] == "no-store"


def test_a_session_is_a_signed_cookie_that_scripts_cannot_read(api: Api, browser: httpx.Client) -> None:
    answer = sign_in(browser, api.tokens["acme"])
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=acme:")
    assert cookie.endswith(f"; Path=/; Max-Age={IDLE_S}; HttpOnly; Secure; SameSite=Strict")
    assert api.tokens["acme"] not in cookie
    assert answer.json()["org"] == "acme"
    who = browser.get("/v1/session").json()
    assert (who["token"], who["scope"], who["org"]) == ("acme", "org", "acme")
    assert browser.get("/v1/orgs/harbor").status_code == 404
    gone = browser.delete("/v1/session", headers=FROM_PAGE)
    assert f"{COOKIE}=; Path=/; Max-Age=0" in gone.headers["set-cookie"]


def test_who_gets_no_session(api: Api, browser: httpx.Client) -> None:
    assert browser.get("/v1/session").json() == {"error": "Send a token: Authorization: Bearer …"}
    wrong = browser.post("/v1/session", headers={"Authorization": "Bearer mt_wrong"})
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
    hook = browser.post("/v1/session", headers={"Authorization": f"Bearer {api.tokens['hook']}"})
    assert (hook.status_code, "set-cookie" in hook.headers) == (403, False)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Mailtide": "other"},
        FROM_PAGE | {"Sec-Fetch-Site": "cross-site"},
        FROM_PAGE | {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_orders_with_a_session_come_from_the_page_alone(
    api: Api, browser: httpx.Client, headers: dict[str, str]
) -> None:
    sign_in(browser, api.tokens["acme"])
    for method, path in (("POST", "/v1/orgs/absent/runs"), ("DELETE", "/v1/session")):
        refused = browser.request(method, path, headers=headers)
        assert (refused.status_code, refused.json()) == (
            *(403, {"error": "With a session, orders are taken from the page alone."}),
        )
    allowed = browser.post("/v1/orgs/absent/runs", headers=FROM_PAGE | {"Sec-Fetch-Site": "same-origin"})
    assert allowed.status_code == 404


def test_forged_and_foreign_cookies(api: Api, browser: httpx.Client) -> None:
    sign_in(browser, api.tokens["acme"])
    value = browser.headers["Cookie"].partition("=")[2]
    name, begun, ends, mac = value.split(":")
    for forged in (
        f"operator:{begun}:{ends}:{mac}",
        f"{name}:{begun}:{int(ends) + 1}:{mac}",
        f"{name}:{begun}:{ends}:{'0' * 64}",
        f"{name}:{begun}:{ends}:",
        "x" * 300,
        ":::",
        f"nobody-of-that-name:{begun}:{ends}:{mac}",
    ):
        browser.headers["Cookie"] = f"{COOKIE}={forged}"
        assert browser.get("/v1/session").status_code == 401, forged
    browser.headers["Cookie"] = f"a=b; {COOKIE}={value}; c=d"
    assert browser.get("/v1/session").status_code == 200


def read(text: str, now_s: int, book: TokenBook = BOOK) -> sessions.Session | None:
    found = sessions.read(text, book, TODAY, now_s)
    return found[0] if found else None


def test_a_session_ends_when_nobody_looks_and_at_the_latest_after_twelve_hours() -> None:
    row = BOOK.named("ops", TODAY)
    assert row is not None
    session = sessions.begin("ops", 1_000)
    text = session.to_cookie(row, 1_000).value
    assert read(text, 1_000 + IDLE_S - 1) == session
    assert read(text, 1_000 + IDLE_S) is None
    assert session.extended(1_000 + IDLE_S // 2 - 1) is None
    longer = session.extended(1_000 + IDLE_S // 2)
    assert longer is not None
    assert (longer.begun_s, longer.ends_s) == (1_000, 1_000 + IDLE_S // 2 + IDLE_S)
    late = sessions.Session("ops", 1_000, 1_000 + LONGEST_S - 5)
    assert late.extended(1_000 + LONGEST_S - 10) is None
    assert read(text, 1_001, BOOK.revoke("ops")) is None
    other, _ = BOOK.revoke("ops").add("ops", "operator", today=TODAY)
    assert read(text, 1_001, other) is None, "another token of the same name"


FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|javascript:|localStorage|sessionStorage"
    r"|\.style\b|https?://(?!www\.w3\.org/2000/svg)"
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_makes_no_markup_keeps_nothing_and_is_valid(script: Path) -> None:
    assert FORBIDDEN.findall(script.read_text(encoding="utf-8")) == []
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed, so the syntax of the page's scripts is not checked")
    command = [node, "--check", "--input-type=module"]
    done = subprocess.run(command, stdin=script.open("rb"), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def test_the_page_has_no_inline_script_or_style() -> None:
    text = parts()["index.html"]
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", text) == []
    assert all(part in {*parts()} for part in re.findall(r'from "\./([\w.-]+)"', "".join(parts().values())))
