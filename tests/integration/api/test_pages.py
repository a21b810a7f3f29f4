"""The commands of the pages about tokens and the API, typed as they stand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.api.conftest import OPERATOR, Api
from tests.support.consoles import base_env, play, shim
from tests.support.pages import API, steps_at


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with shim(tmp_path_factory.mktemp("shim")) as folder:
        yield folder


@pytest.mark.parametrize("page", ["http-api.md", "page.md", "tigris.md"])
def test_a_page_typed_as_it_stands(page: str, planned: Api, command: Path, tmp_path: Path) -> None:
    own = {
        # A book of its own: the names of the pages are also those of other tests.
        "MAILTIDE_API_TOKENS_SECRET": f"mailtide/{page}",
        "API": planned.url,
        "TOKEN": planned.tokens[OPERATOR],
        "no_proxy": "*",
    }
    try:
        play(steps_at(API, page), tmp_path, planned.environment | base_env(command) | own)
    finally:
        if page == "http-api.md":
            planned.control(action="resume", user="user-2")
