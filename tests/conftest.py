"""How the tests are spread over worker processes (`pytest -n …`)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.postfix_dovecot import Post

WITHOUT_SERVERS = {"tests/integration/database", "tests/integration/pass_"}


def group_of(nodeid: str) -> str:
    """The tests that one worker takes together, so that the servers which they share start once; else each is its own group."""
    folders = nodeid.partition("::")[0].split("/")
    if folders[1] == "e2e":
        return "tests/e2e"
    name = "/".join(folders[:3])
    return name if folders[1] == "integration" and name not in WITHOUT_SERVERS else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:  # noqa: ANN401 - xdist has no types
    """By groups, in the order of the folders: the end-to-end tests, which take longest, begin first.

    xdist's own `loadgroup` does nothing with this version of pytest: it renames tests by an attribute that is not read any more.
    """
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # xdist has no types

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc]  # the same
        """Groups by `group_of`."""

        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return ByGroup(config, log)


@pytest.fixture(scope="session")
def post(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Post]":
    """Real mail servers, one pair a worker; skipped, with the reason, only where Debian's packages cannot be had."""
    # Most workers need none of it.
    from tests.support.postfix_dovecot import serving

    with serving(tmp_path_factory.mktemp("mail") / "servers") as running:
        yield running
