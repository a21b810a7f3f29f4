"""`mailtide tokens`, and the secret beneath it."""

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailtide.access import TokenBook
from mailtide.adapters.token_secret import TokenSecret
from mailtide.errors import SettingsError, StaleWriteError
from tests.integration.api.conftest import SECRET, Api
from tests.support import forkserver

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


def test_the_secret_holds_digests_and_the_list_shows_no_token(api: Api, secrets_client: "SecretsManagerClient") -> None:
    token = json.loads(api.run("tokens", "add", "ends", "--webhook", "--days", "30", "--json"))["token"]
    stored = secrets_client.get_secret_value(SecretId=SECRET)["SecretString"]
    listed = api.run("tokens", "list", "--json")
    for secret in (token, *api.tokens.values()):
        assert secret not in stored
        assert secret not in listed
    rows = {row["name"]: row for row in json.loads(listed)}
    assert rows["one"] == {"name": "one", "scope": "user:user-1", "created": rows["one"]["created"], "expires": None}
    made, ends = (date.fromisoformat(rows["ends"][name]) for name in ("created", "expires"))
    assert (ends - made).days == 30
    assert "ends is revoked" in api.run("tokens", "revoke", "ends")
    assert "ends" not in api.run("tokens", "list")
    assert "There is no token named 'ends'." in api.run("tokens", "revoke", "ends", code=2)


def test_of_two_who_change_it_at_once_both_are_there(api: Api, tmp_path: Path) -> None:
    logs = [tmp_path / f"racer-{number}" for number in range(2)]
    started = [forkserver.Started("tokens", "add", log.name, "--webhook", env=api.environment, log=log) for log in logs]
    for process, log in zip(started, logs, strict=True):
        assert process.wait(60) == 0, log.read_text()
    assert {"racer-0", "racer-1"} <= {row["name"] for row in json.loads(api.run("tokens", "list", "--json"))}


def test_an_old_version_is_not_replaced(api: Api, secrets_client: "SecretsManagerClient") -> None:
    name = f"{SECRET}-{api.deployed.bucket_name}"
    secret = TokenSecret(secrets_client, name)
    assert secret.read() == (TokenBook(), None)
    secret.replace(TokenBook(), expected_version=None)
    with pytest.raises(StaleWriteError):
        secret.replace(TokenBook(), expected_version=None)
    book, version = secret.read()
    assert version is not None
    more, _ = book.add("a", "operator", today=date(2026, 11, 22))
    secret.replace(more, expected_version=version)
    with pytest.raises(StaleWriteError):
        secret.replace(book, expected_version=version)
    assert secret.read()[0] == more


def test_what_is_no_book_is_refused_without_showing_it(api: Api, secrets_client: "SecretsManagerClient") -> None:
    name = f"{SECRET}-broken-{api.deployed.bucket_name}"
    secrets_client.create_secret(Name=name, SecretString='{"password": "hunter2"}')
    with pytest.raises(SettingsError) as refused:
        TokenSecret(secrets_client, name).read()
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
