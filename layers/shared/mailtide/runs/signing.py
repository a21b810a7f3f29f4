"""Signatures of webhooks as Standard Webhooks has them (https://www.standardwebhooks.com): pure arithmetic on bytes.

Each organisation has a secret of its own, derived from one key by HMAC, so that nothing must be stored for it.
"""

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256


def derive_secret(key: bytes, org: str, version: int) -> bytes:
    """The 32 bytes that sign an organisation's webhooks."""
    return hmac.digest(key, f"mailtide-webhook-1\n{org}\n{version}".encode(), "sha256")


def secret_text(secret: bytes) -> str:
    """As it is handed to people and libraries."""
    return "whsec_" + b64encode(secret).decode()


def sign(secret: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """One signature: `v1,` and the base64 of HMAC-SHA256 over id, time stamp and body, joined by dots."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + b64encode(hmac.new(secret, signed, sha256).digest()).decode()


def headers(secrets: Sequence[bytes], message_id: str, now: datetime, body: bytes) -> Mapping[str, str]:
    """The headers of a request, signed with every secret that is good at the time."""
    timestamp_s = int(now.timestamp())
    return {
        "Content-Type": "application/json",
        "User-Agent": "mailtide",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(sign(secret, message_id, timestamp_s, body) for secret in secrets),
    }
