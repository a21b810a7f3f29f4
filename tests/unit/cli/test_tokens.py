"""What `mailtide tokens add` refuses before it asks the cloud."""

import pytest

from tests.unit.cli.conftest import Run


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("x",), "Say what the token is for"),
        (("x", "--operator", "--webhook"), "Say what the token is for"),
        (("a@b.example", "--operator"), "cannot name a token"),
        (("x", "--user", "a b"), "is no user's id"),
        (("x", "--org", "a b"), "cannot name an organisation"),
        (("x", "--org", "acme", "--user", "acme"), "Say what the token is for"),
    ],
)
def test_bad_input_is_one_sentence(run: Run, arguments: tuple[str, ...], sentence: str) -> None:
    ended = run("tokens", "add", *arguments)
    assert ended.code == 2
    assert sentence in ended.err
