"""The API's tokens in AWS Secrets Manager: read and kept for a short while, or replaced only as what was read."""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from mailtide.access import TokenBook
from mailtide.adapters.refusals import usable_endpoint
from mailtide.errors import SettingsError, StaleWriteError, TransientError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

MAX_AGE_S = 60.0
"""How long a revoked token may still be taken."""
MAX_STALE_S = 600.0
"""The same while the secret cannot be read."""
_RETRY_S = 10.0
_NEXT = "mailtide-next"
_CURRENT = "AWSCURRENT"
_LOST = {"InvalidParameterException", "InvalidRequestException"}


def make_secrets_client() -> "SecretsManagerClient":
    """A client with time-outs and a few retries."""
    config = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
    with usable_endpoint():
        return boto3.client("secretsmanager", config=config)


class TokenSecret:
    """One secret that holds a TokenBook."""

    def __init__(self, client: "SecretsManagerClient", name: str) -> None:
        self._client = client
        self._name = name

    def read(self) -> tuple[TokenBook, str | None]:
        """The book and its version, None while there is no secret. SettingsError when it cannot be used; TransientError."""
        try:
            answer = self._client.get_secret_value(SecretId=self._name)
        except ClientError as error:
            if _code(error) == "ResourceNotFoundException":
                return TokenBook(), None
            if _status(error) >= 500 or _code(error).startswith("Throttling"):
                raise TransientError(f"get_secret_value: {_code(error)}") from error
            raise
        except BotoCoreError as error:
            raise TransientError(f"get_secret_value: {type(error).__name__}") from error
        try:
            return TokenBook.model_validate_json(answer["SecretString"]), answer["VersionId"]
        except (ValidationError, KeyError):
            # Neither the value nor what pydantic quotes of it may be shown.
            raise SettingsError(f"The secret {self._name!r} does not hold tokens of mailtide.") from None

    def replace(self, book: TokenBook, *, expected_version: str | None) -> None:
        """Store a book in place of the version that was read (None: make the secret). StaleWriteError when that has changed."""
        if expected_version is None:
            try:
                self._client.create_secret(Name=self._name, SecretString=book.to_text())
            except self._client.exceptions.ResourceExistsException:
                raise StaleWriteError(f"The secret {self._name!r} has just been made by somebody else.") from None
            return
        version = str(uuid4())
        self._client.put_secret_value(
            SecretId=self._name, ClientRequestToken=version, SecretString=book.to_text(), VersionStages=[_NEXT]
        )
        try:
            self._client.update_secret_version_stage(
                SecretId=self._name,
                VersionStage=_CURRENT,
                MoveToVersionId=version,
                RemoveFromVersionId=expected_version,
            )
        except ClientError as error:
            if _code(error) in _LOST:
                raise StaleWriteError(f"The secret {self._name!r} has just been changed by somebody else.") from None
            raise


class Readable(Protocol):
    """The part of TokenSecret that KeptTokens uses."""

    def read(self) -> tuple[TokenBook, str | None]:
        """See TokenSecret."""


class KeptTokens:
    """The book of a secret, read again when it is older than MAX_AGE_S. Safe for threads."""

    def __init__(self, secret: Readable, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._secret = secret
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._book: TokenBook | None = None
        self._read_at_s = 0.0
        self._look_at_s = 0.0

    def book(self) -> TokenBook:
        """At most MAX_AGE_S old; MAX_STALE_S while the secret cannot be read, TransientError after that. SettingsError."""
        with self._lock:
            now_s = self._monotonic_s()
            if self._book is not None and now_s < self._look_at_s:
                return self._book
            try:
                self._book, _ = self._secret.read()
            except TransientError:
                if self._book is None or now_s - self._read_at_s > MAX_STALE_S:
                    raise
                self._look_at_s = now_s + _RETRY_S
            else:
                self._read_at_s, self._look_at_s = now_s, now_s + MAX_AGE_S
            return self._book


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
