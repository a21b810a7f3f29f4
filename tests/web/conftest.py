"""The page in Debian's Chromium, driven by Playwright, against the template that is deployed on the local cloud: `make e2e-web`.

Not a part of `make test`: pytest's `norecursedirs` leaves this folder out unless it is named.
"""

import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from localstack.cloud import ROOT, STATE, LocalCloud
from localstack.page import make_token, upload_invented
from mailtide.adapters.s3 import S3Bucket
from mailtide.contracts import Done
from tests.support.run_objects import RunObjects
from tests.support.warmup_objects import leave_warmup_day

try:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright
except ModuleNotFoundError:
    raise pytest.UsageError("Playwright is not installed here; run: make e2e-web") from None
CHROMIUM = shutil.which("chromium")

PICTURES = STATE / "screenshots"
DOC_PICTURES = ROOT / "docs" / "pictures"
NOW = datetime.now(UTC)
ATTACK = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\'"><svg onload=window.hacked=1>'
EVIL_ADDRESS = '"<script>window.hacked=1</script>"@example.com'
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1200, "height": 900}
PARAMETERS = {"WatchStallS": "5", "RetryAfterS": "10", "WarmupShards": "3", "LogLevel": "INFO"}


def pytest_configure() -> None:
    """Without a browser nothing is skipped: it is said what is missing."""
    if CHROMIUM is None:
        raise pytest.UsageError(
            "The page is tested in Chromium, which is not installed; on Debian: apt-get install chromium"
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the whole cloud, and a view is made by functions that start cold."""
    for item in items:
        item.add_marker(pytest.mark.timeout(900))


@dataclass
class World:
    """The cloud, what was put into it, and who may see what."""

    cloud: LocalCloud
    tokens: dict[str, str]
    runs: dict[str, Done] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.cloud.page_url


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """Two organisations that are real, others that are told, and a warm-up of which the figures are told."""
    with LocalCloud(parameters=PARAMETERS, logs=STATE / "logs" / "web", fly_rate_limit="off") as cloud:
        scopes = {"morning-look": ("--operator",), "harbor": ("--org", "harbor-benefits"), "hook": ("--webhook",)}
        scopes |= {"company": ("--user", "company-01")}
        # Before the first request: the function learns of a later one only after a minute.
        found = World(cloud, {name: make_token(cloud, name, *scope) for name, scope in scopes.items()})
        with _unnoticed(cloud):
            _tell(found, objects_of(found))
        upload_invented(cloud, "acme", 5_000)
        # Where much else goes on its first start takes long, and is no matter of a test.
        urllib.request.urlopen(found.url, timeout=300).close()
        yield found


@contextmanager
def _unnoticed(cloud: LocalCloud) -> Iterator[None]:
    """What is put into the bucket meanwhile starts no run: an upload would, before it is told that one has dealt with it."""
    s3, bucket = cloud.client("s3"), cloud.stack.bucket
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    yield
    to_events: dict[str, Any] = {"EventBridgeConfiguration": {}}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=to_events)


def _tell(world: World, objects: RunObjects) -> None:
    harbor = objects.organisation(
        "harbor-benefits", rules="timezone: America/Chicago\nrun_at_hour: 23\n", body=b"y" * 9_000
    )
    for days in range(1, 9):
        objects.published("harbor-benefits", days, harbor, NOW - timedelta(days=days, minutes=4), 41_200 + 130 * days)
    world.runs["held"] = objects.published("harbor-benefits", 20, harbor, NOW - timedelta(hours=2), 41_900, held=True)
    world.runs["other held"] = objects.published(
        "harbor-benefits", 21, harbor, NOW - timedelta(hours=3), 41_900, held=True
    )
    objects.latest("harbor-benefits", world.runs["held"], harbor)
    lake = objects.organisation("lakeside", rules="run_at_hour: 23\n", body=b"z" * 8_192)
    world.runs["failed"] = objects.failed("lakeside", 1, lake, NOW - timedelta(hours=5))
    objects.latest("lakeside", world.runs["failed"], lake)
    # Old enough for the timer not to take it up while a test looks.
    north = objects.organisation("northwind", rules="run_at_hour: 23\n", body=b"n" * 4_096)
    world.runs["published"] = objects.published("northwind", 1, north, NOW - timedelta(hours=3))
    objects.latest("northwind", world.runs["published"], north)
    _warm_up(world, objects)


def objects_of(world: World) -> RunObjects:
    """Writes what functions and machines would."""
    return RunObjects(S3Bucket(world.cloud.stack.bucket, world.cloud.client("s3")), datetime.now(UTC))


@pytest.fixture(scope="session")
def evil(world: World) -> Done:
    """A failed run of an organisation that has markup wherever text can stand, and keys in the bucket that are markup."""
    objects, reason = objects_of(world), f"{ATTACK} cannot be read, nor {EVIL_ADDRESS}."
    with _unnoticed(world.cloud):
        source = objects.organisation("evil", rules=f"timezone: {ATTACK!r}\n", body=b"e" * 4_096)
        done = objects.failed("evil", 1, source, NOW - timedelta(hours=6), reason, tries=1)
        objects.latest("evil", done, source)
        for key in (f"orgs/{ATTACK}/contacts.db", f"open/{ATTACK}/{'0' * 20}", f"orgs/{EVIL_ADDRESS}/contacts.db"):
            world.cloud.client("s3").put_object(Bucket=world.cloud.stack.bucket, Key=key, Body=b"x")
    return done


def _warm_up(world: World, objects: RunObjects) -> None:
    boxes = tuple(f"mine-{number}" for number in range(3))
    leave_warmup_day(objects.bucket, boxes)
    lines = [f"{box},company-01,{box}@company-01.example,127.0.0.1,x,1,none" for box in boxes]
    file = STATE / "web-mailboxes.csv"
    file.write_text("\n".join(["mailbox_id,user_id,address,smtp_host,password,smtp_port,smtp_security", *lines]) + "\n")
    subprocess.run(
        [str(ROOT / ".venv/bin/mailtide"), "mailboxes", "import", str(file), "--from", "2026-01-01"],
        env={"PATH": os.defpath, **world.cloud.environment},
        capture_output=True,
        check=True,
        timeout=60,
    )
    hour = int(time.time()) // 3_600
    table = world.cloud.stack.outputs["LimitsTable"]
    for place in range(24):
        item = {"p": {"S": f"hour#{hour - place}"}, "h": {"N": str(104_000 + 900 * (place % 7) if place else 31_000)}}
        world.cloud.client("dynamodb").put_item(TableName=table, Item=item)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


type Open = Callable[..., Page]
EXPECTED = re.compile(r"status of (401|403|404|409|502)|net::ERR_(FAILED|ABORTED)|reading 'filter'")


@pytest.fixture
def open_page(world: World, browser: Browser) -> Iterator[Open]:
    """A new window, signed in; at its end no error may stand in its console, but for refusals that were expected."""
    contexts: list[BrowserContext] = []
    said: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error" and not EXPECTED.search(message.text):
            said.append(message.text)

    def open_page(who: str | None = "morning-look", view: str = "#/runs", **options: Any) -> Page:  # noqa: ANN401 - Playwright's own
        options = {"viewport": DESK, "timezone_id": "Europe/Berlin", "locale": "en-GB", **options}
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", heard)
        page.on("pageerror", lambda error: None if EXPECTED.search(str(error)) else said.append(str(error)))
        page.goto(world.url + view)
        if who is not None:
            page.get_by_label("Token").fill(world.tokens[who])
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("button", name="Sign out")).to_be_visible()
            shown(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def shown(page: Page) -> Page:
    """Wait until the view has its data."""
    expect(page.locator(".fresh")).to_contain_text("As of")
    return page


def look(page: Page, view: str) -> Page:
    """Go to another view."""
    page.evaluate("view => { document.querySelector('.fresh').textContent = ''; location.hash = view; }", view)
    return shown(page)


def picture(page: Page, name: str, *, whole: bool = True) -> Path:
    """Keep a screenshot; those that the documentation shows go there as well when MAILTIDE_DOC_PICTURES is set."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path, full_page=whole, animations="disabled")
    return path
