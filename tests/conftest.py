"""How the tests are spread over worker processes (`pytest -n … --dist loadgroup`)."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
WITHOUT_SERVERS = {"integration/database", "integration/pass_"}


def group_of(path: Path) -> str | None:
    """The tests that one worker takes, so that the servers which they share start once; None: any worker takes any."""
    parts = path.relative_to(HERE).parts
    name = "/".join(parts[:2])
    if parts[0] == "e2e":
        return "e2e"
    return name if parts[0] == "integration" and name not in WITHOUT_SERVERS else None


# First: xdist reads the groups in the same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        name = group_of(item.path)
        if name is not None:
            item.add_marker(pytest.mark.xdist_group(name))
