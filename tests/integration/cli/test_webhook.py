"""`mailtide orgs webhook` against real S3 and Secrets Manager servers, and a real receiver."""

import base64
import hmac
import json
from typing import TYPE_CHECKING

import pytest

from mailtide.runs import keys
from tests.integration.cli.conftest import BUCKET, Shell, session
from tests.integration.webhook.conftest import Receiver, receiver

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["receiver"]

SECRET = "mailtide-cli/webhook-key"


@pytest.fixture
def asked(shell: Shell, s3: "S3Client", moto_url: str) -> Shell:
    """The shell, with a key in Secrets Manager."""
    assert s3.list_buckets()
    client = session().client("secretsmanager", endpoint_url=moto_url)
    if not client.list_secrets()["SecretList"]:
        client.create_secret(Name=SECRET, SecretString="k" * 64)
    shell.environment |= {"MAILTIDE_WEBHOOK_KEY_SECRET": SECRET, "MAILTIDE_WEBHOOK_LOOPBACK": "true"}
    return shell


def test_a_webhook_is_set_tested_rotated_and_removed(asked: Shell, s3: "S3Client", receiver: Receiver) -> None:
    url = f"{receiver.url}/in"
    assert asked.run("orgs", "webhook", "acme", "--url", url).out == f"{url} is told from now on.\n"
    secret = asked.run("orgs", "webhook", "acme", "--secret").out.strip()
    assert asked.run("orgs", "webhook", "acme", "--test", "--json").facts() == {"org": "acme", "status": 204}
    ((_, body, headers),) = receiver.seen
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert json.loads(body)["type"] == "test"
    assert asked.run("orgs", "webhook", "acme", "--rotate", "--json").facts()["key_version"] == 2
    assert asked.run("orgs", "webhook", "acme", "--secret").out.strip() != secret
    asked.run("orgs", "webhook", "acme", "--url", f"{url}2")
    assert asked.run("orgs", "webhook", "acme", "--json").facts()["key_version"] == 2, "a new address keeps the secret"
    stored = s3.get_object(Bucket=BUCKET, Key=keys.webhook("acme"))["Body"].read().decode()
    assert key.hex() not in stored
    assert secret not in stored
    assert asked.run("orgs", "webhook", "acme", "--remove").code == 0
    assert asked.run("orgs", "webhook", "acme").code == 2


def test_what_cannot_be_is_one_sentence(asked: Shell, receiver: Receiver) -> None:
    for arguments, words in (
        (["--url", "ftp://example.org"], "https://"),
        (["--url", "https://u:p@example.org"], "user name"),
        (["--test"], "has no webhook"),
        (["--rotate", "--secret"], "exclude each other"),
    ):
        done = asked.run("orgs", "webhook", "beta", *arguments)
        assert (done.code, len(done.err.splitlines())) == (2, 1), done.err
        assert words in done.err
    refused = asked.run("orgs", "webhook", "beta", "--url", receiver.url, MAILTIDE_WEBHOOK_LOOPBACK="false")
    assert "must begin with https://" in refused.err
    asked.run("orgs", "webhook", "beta", "--url", receiver.url)
    receiver.status = 500
    failed = asked.run("orgs", "webhook", "beta", "--test")
    assert (failed.code, failed.out) == (1, "The webhook of beta answered 500.\n")
    nobody = asked.run("orgs", "webhook", "beta", "--test", MAILTIDE_WEBHOOK_KEY_SECRET="no-such")
    assert nobody.code == 2
    assert "'no-such' cannot be read" in nobody.err
