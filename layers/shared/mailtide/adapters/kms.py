"""Secrets of mailboxes, sealed under data keys of KMS (envelope encryption).

A sealed secret is base64 of: format (1 byte), length of the wrapped data key (2), wrapped data key, nonce (12), AES-256-GCM
ciphertext. KMS binds the data key to the user by its encryption context; the same words, with the mailbox, are the additional
data of the AES-GCM, so that a secret opens for no other user and no other mailbox. Opened data keys stay in this process for at
most 1 h.
"""

import base64
import binascii
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from mailtide.errors import TransientError
from mailtide.warmup.mail_ports import Credentials, KeyRefusedError, SecretError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

DATA_KEY_MAX_AGE_S = 3_600
_FORMAT = 1
_NONCE_BYTES = 12
_PURPOSE = "mailtide-mailbox-secret"
_REFUSED = {"InvalidCiphertextException", "IncorrectKeyException"}
"""What says that the secret is bad; whatever else KMS refuses (a right, a key that is gone) is no mailbox's fault."""
_KEY_UNUSABLE = {"NotFoundException", "DisabledException", "KMSInvalidStateException"}
"""The key is disabled, waits for its deletion, or is gone: for every secret, whatever it is."""
_FORBIDDEN = "AccessDeniedException"
"""The right is missing; or this one blob is of a key elsewhere, so that it says nothing of other secrets."""
REFUSAL_KEPT_S = 60.0
"""A key that is unusable is asked again after this, by one send of a process."""


def make_kms_client(endpoint_url: str | None = None, *, connections: int = 10) -> "KMSClient":
    """A client with time-outs and a few retries, and as many connections as there are threads that use it."""
    config = Config(
        connect_timeout=3,
        read_timeout=10,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": 4},
    )
    return boto3.client("kms", endpoint_url=endpoint_url, config=config)


@dataclass(frozen=True, slots=True)
class _DataKey:
    """A data key, as KMS wrapped it and in the clear."""

    wrapped: bytes
    plain: bytes = field(repr=False)
    until_s: float


class KmsSecrets:
    """Implements mailtide.warmup.mail_ports.Secrets. Safe for threads."""

    def __init__(self, client: "KMSClient", key_id: str, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._kms = client
        self._key_id = key_id
        self._now_s = now_s
        self._lock = threading.Lock()
        self._refused: tuple[float, str] = (-1e9, "")
        self._opened: dict[tuple[str, bytes], _DataKey] = {}
        self._sealing: dict[str, _DataKey] = {}

    def seal(self, user_id: str, mailbox_id: str, credentials: Credentials, *, beside: str | None = None) -> str:
        """See mailtide.warmup.mail_ports.Secrets."""
        key = self._sealing_key(user_id, beside)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(key.plain).encrypt(nonce, _pack(credentials), _bound_to(user_id, mailbox_id))
        head = bytes([_FORMAT]) + len(key.wrapped).to_bytes(2, "big")
        return base64.b64encode(head + key.wrapped + nonce + sealed).decode()

    def open(self, user_id: str, mailbox_id: str, sealed: str) -> Credentials:
        """See mailtide.warmup.mail_ports.Secrets."""
        wrapped, nonce, body = _split(mailbox_id, sealed)
        key = self._opened_key(user_id, mailbox_id, wrapped)
        try:
            plain = AESGCM(key.plain).decrypt(nonce, body, _bound_to(user_id, mailbox_id))
        except (InvalidTag, ValueError):
            raise _unusable(mailbox_id) from None
        return _unpack(mailbox_id, plain)

    def _sealing_key(self, user_id: str, beside: str | None) -> _DataKey:
        """The key of a secret that stands already, else the one made last for this user, else a new one."""
        if beside is not None:
            return self._opened_key(user_id, user_id, _split(user_id, beside)[0])
        with self._lock:
            self._sweep()
            key = self._sealing.get(user_id)
        if key is None:
            key = self._generate(user_id)
            with self._lock:
                key = self._sealing.setdefault(user_id, key)
        return key

    def _opened_key(self, user_id: str, mailbox_id: str, wrapped: bytes) -> _DataKey:
        with self._lock:
            self._sweep()
            key = self._opened.get((user_id, wrapped))
        if key is None:
            self._check_refused()
            try:
                answer = self._kms.decrypt(
                    CiphertextBlob=wrapped, KeyId=self._key_id, EncryptionContext=_context(user_id)
                )
            except ClientError as error:
                code = error.response.get("Error", {}).get("Code", "")
                if code in _REFUSED:
                    raise _unusable(mailbox_id) from None
                if code in _KEY_UNUSABLE:
                    self._refused = (self._now_s() + REFUSAL_KEPT_S, code)
                if code in {*_KEY_UNUSABLE, _FORBIDDEN}:
                    raise _refusal(code) from None
                raise _transient(error) from None
            except BotoCoreError as error:
                raise _transient(error) from None
            key = _DataKey(wrapped, answer["Plaintext"], self._now_s() + DATA_KEY_MAX_AGE_S)
            with self._lock:
                self._opened[user_id, wrapped] = key
        return key

    def _check_refused(self) -> None:
        until_s, code = self._refused
        if self._now_s() < until_s:
            raise _refusal(code)

    def _generate(self, user_id: str) -> _DataKey:
        try:
            answer = self._kms.generate_data_key(
                KeyId=self._key_id, KeySpec="AES_256", EncryptionContext=_context(user_id)
            )
        except (ClientError, BotoCoreError) as error:
            raise _transient(error) from None
        return _DataKey(answer["CiphertextBlob"], answer["Plaintext"], self._now_s() + DATA_KEY_MAX_AGE_S)

    def _sweep(self) -> None:
        """No data key stays in the clear for longer than its time."""
        now_s = self._now_s()
        self._opened = {name: key for name, key in self._opened.items() if now_s < key.until_s}
        self._sealing = {name: key for name, key in self._sealing.items() if now_s < key.until_s}


def _context(user_id: str) -> dict[str, str]:
    return {"purpose": _PURPOSE, "user": user_id}


def _bound_to(user_id: str, mailbox_id: str) -> bytes:
    return json.dumps({**_context(user_id), "mailbox": mailbox_id}, sort_keys=True).encode()


def _pack(credentials: Credentials) -> bytes:
    fields = {
        "password": credentials.password and credentials.password.get_secret_value(),
        "refresh_token": credentials.refresh_token and credentials.refresh_token.get_secret_value(),
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret and credentials.client_secret.get_secret_value(),
    }
    return json.dumps({name: value for name, value in fields.items() if value}).encode()


def _unpack(mailbox_id: str, plain: bytes) -> Credentials:
    try:
        fields: dict[str, str] = json.loads(plain)
        secrets = {
            name: SecretStr(fields[name]) for name in ("password", "refresh_token", "client_secret") if name in fields
        }
        return Credentials(client_id=fields.get("client_id", ""), **secrets)
    except (ValueError, TypeError, AttributeError):
        raise _unusable(mailbox_id) from None


def _split(mailbox_id: str, sealed: str) -> tuple[bytes, bytes, bytes]:
    try:
        blob = base64.b64decode(sealed, validate=True)
    except (binascii.Error, ValueError):
        raise _unusable(mailbox_id) from None
    end = 3 + int.from_bytes(blob[1:3], "big")
    if len(blob) <= end + _NONCE_BYTES or blob[0] != _FORMAT:
        raise _unusable(mailbox_id)
    return blob[3:end], blob[end : end + _NONCE_BYTES], blob[end + _NONCE_BYTES :]


def _unusable(mailbox_id: str) -> SecretError:
    return SecretError(
        f"The secret of {mailbox_id} cannot be opened: it is damaged, or was sealed for another mailbox."
    )


def _refusal(code: str) -> KeyRefusedError:
    return KeyRefusedError(f"KMS refuses the key of the mailboxes' secrets ({code}).")


def _transient(error: Exception) -> TransientError:
    return TransientError(f"KMS: {type(error).__name__}")
