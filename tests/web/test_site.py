"""The documentation as a site: it asks no other host for anything, fits a phone, and draws its diagrams."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, expect

from localstack.cloud import ROOT
from tests.web.conftest import DESK, PHONE


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        del arguments


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def site(built: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(built))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.parametrize(("size", "scheme"), [(DESK, "light"), (PHONE, "dark")])
def test_every_page_fits_and_draws(built: Path, site: str, browser: Browser, size: dict[str, int], scheme: str) -> None:
    context = browser.new_context(viewport=size, color_scheme=scheme)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    drawn = 0
    for file in sorted(built.rglob("*.html")):
        diagrams = file.read_text(encoding="utf-8").count('class="mermaid"')
        page.goto(site + file.relative_to(built).as_posix())
        # What is drawn stands in a <div>, what is to be drawn in a <pre>.
        expect(page.locator("div.mermaid")).to_have_count(diagrams)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), file.name
        drawn += diagrams
    context.close()
    assert drawn >= 9
    assert [url for url in asked if not url.startswith((site, "data:", "blob:"))] == []
