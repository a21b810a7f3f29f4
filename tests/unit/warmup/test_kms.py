"""Sealed secrets, with KMS in memory (moto, in this process)."""

import base64
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from pydantic import SecretStr

from mailtide.adapters.kms import DATA_KEY_MAX_AGE_S, REFUSAL_KEPT_S, KmsSecrets
from mailtide.errors import TransientError
from mailtide.warmup.mail_ports import Credentials, KeyRefusedError, SecretError

PASSWORD = Credentials(password=SecretStr("hunter2 äöü"))
TOKEN = Credentials(refresh_token=SecretStr("r" * 1_500), client_id="id", client_secret=SecretStr("shh"))


class Counting:
    """A KMS client that counts the requests it passes on."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - boto3's own
        self._client = client
        self.requests: list[str] = []
        self.refuses_with = ""

    def decrypt(self, **arguments: Any) -> Any:  # noqa: ANN401 - boto3's own
        self.requests.append("decrypt")
        if self.refuses_with:
            raise ClientError({"Error": {"Code": self.refuses_with}}, "Decrypt")
        return self._client.decrypt(**arguments)

    def generate_data_key(self, **arguments: Any) -> Any:  # noqa: ANN401 - boto3's own
        self.requests.append("generate")
        return self._client.generate_data_key(**arguments)


class World:
    def __init__(self) -> None:
        plain = boto3.client("kms", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
        self.client: Any = Counting(plain)
        self.key_id = plain.create_key()["KeyMetadata"]["KeyId"]
        self.now_s = 0.0

    def secrets(self) -> KmsSecrets:
        return KmsSecrets(self.client, self.key_id, now_s=lambda: self.now_s)


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield World()


@pytest.mark.parametrize("credentials", [PASSWORD, TOKEN, Credentials()])
def test_what_is_sealed_opens(world: World, credentials: Credentials) -> None:
    sealed = world.secrets().seal("u", "m", credentials)
    assert len(sealed) <= 4_096
    assert world.secrets().open("u", "m", sealed) == credentials


@pytest.mark.parametrize(("user", "mailbox"), [("other", "m"), ("u", "other")])
def test_for_nobody_else(world: World, user: str, mailbox: str) -> None:
    sealed = world.secrets().seal("u", "m", PASSWORD)
    with pytest.raises(SecretError) as caught:
        world.secrets().open(user, mailbox, sealed)
    assert "hunter2" not in str(caught.value)


def test_damage_is_noticed(world: World) -> None:
    secrets = world.secrets()
    blob = bytearray(base64.b64decode(secrets.seal("u", "m", PASSWORD)))
    for place in (0, 1, 10, len(blob) - 1, len(blob) - 30):
        broken = bytearray(blob)
        broken[place] ^= 1
        # Within the wrapped data key moto takes damage for another account's key, which is a matter of rights.
        with pytest.raises((SecretError, TransientError) if place == 10 else SecretError):
            secrets.open("u", "m", base64.b64encode(broken).decode())
    for text in ("", "no base64!", "AQ==", base64.b64encode(blob[:40]).decode()):
        with pytest.raises(SecretError):
            secrets.open("u", "m", text)


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "NotFoundException", "DisabledException", "KMSInvalidStateException"]
)
def test_what_the_key_refuses_is_no_mailbox_s_fault(world: World, code: str) -> None:
    """A right that is missing or a key that is disabled must not disconnect every mailbox."""
    sealed = world.secrets().seal("u", "m", PASSWORD)
    world.client.refuses_with = code
    with pytest.raises(KeyRefusedError, match=rf"^KMS refuses the key of the mailboxes' secrets \({code}\)\.$"):
        world.secrets().open("u", "m", sealed)


def test_a_key_that_is_refused_is_asked_once_a_minute(world: World) -> None:
    """And data keys that are open stay so for their hour."""
    sealed = {user: world.secrets().seal(user, "m", PASSWORD) for user in ("a", "b")}
    secrets = world.secrets()
    secrets.open("a", "m", sealed["a"])
    world.client.requests.clear()
    world.client.refuses_with = "DisabledException"
    for seconds in (0.0, 1.0, REFUSAL_KEPT_S - 1):
        world.now_s = seconds
        with pytest.raises(KeyRefusedError):
            secrets.open("b", "m", sealed["b"])
        assert secrets.open("a", "m", sealed["a"]) == PASSWORD
    assert world.client.requests == ["decrypt"]
    world.now_s, world.client.refuses_with = REFUSAL_KEPT_S, ""
    assert secrets.open("b", "m", sealed["b"]) == PASSWORD
    assert world.client.requests == ["decrypt", "decrypt"]


def test_a_blob_that_is_forbidden_says_nothing_of_others(world: World) -> None:
    """Else one mailbox with a blob of another key would keep all others from sending."""
    sealed = {user: world.secrets().seal(user, "m", PASSWORD) for user in ("a", "b")}
    secrets = world.secrets()
    world.client.refuses_with = "AccessDeniedException"
    with pytest.raises(KeyRefusedError):
        secrets.open("a", "m", sealed["a"])
    world.client.refuses_with = ""
    assert secrets.open("b", "m", sealed["b"]) == PASSWORD


def test_what_passes_by_itself_is_no_refusal(world: World) -> None:
    sealed = world.secrets().seal("u", "m", PASSWORD)
    world.client.refuses_with = "ThrottlingException"
    with pytest.raises(TransientError) as caught:
        world.secrets().open("u", "m", sealed)
    assert not isinstance(caught.value, KeyRefusedError)


def test_one_data_key_a_user_and_an_hour(world: World) -> None:
    secrets = world.secrets()
    sealed = [secrets.seal("u", f"m{number}", PASSWORD) for number in range(5)]
    assert world.client.requests == ["generate"]
    opener = world.secrets()
    for number, one in enumerate(sealed):
        opener.open("u", f"m{number}", one)
    assert world.client.requests == ["generate", "decrypt"]
    world.now_s = DATA_KEY_MAX_AGE_S - 1
    opener.open("u", "m0", sealed[0])
    world.now_s = DATA_KEY_MAX_AGE_S
    opener.open("u", "m0", sealed[0])
    assert world.client.requests == ["generate", "decrypt", "decrypt"]


def test_a_later_secret_may_share_the_data_key(world: World) -> None:
    first = world.secrets().seal("u", "m1", PASSWORD)
    second = world.secrets().seal("u", "m2", TOKEN, beside=first)
    assert world.client.requests == ["generate", "decrypt"]
    opener = world.secrets()
    assert (opener.open("u", "m1", first), opener.open("u", "m2", second)) == (PASSWORD, TOKEN)
    assert world.client.requests == ["generate", "decrypt", "decrypt"]


def test_nothing_shows_a_secret(world: World) -> None:
    secrets = world.secrets()
    opened = secrets.open("u", "m", secrets.seal("u", "m", PASSWORD))
    assert "hunter2" not in repr(opened) + str(opened) + repr(secrets) + repr(vars(secrets))
