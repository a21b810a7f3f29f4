"""Signatures of webhooks: the vector of Standard Webhooks, secrets of each organisation's own, and what changes them."""

from base64 import b64decode
from datetime import UTC, datetime

from mailtide.runs.signing import derive_secret, headers, secret_text, sign

KEY = b"k" * 64


def test_the_signature_is_that_of_the_reference() -> None:
    """From the test suite of Standard Webhooks."""
    secret = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_every_organisation_and_version_has_a_secret_of_its_own() -> None:
    secrets = {derive_secret(KEY, org, version) for org in ("acme", "acme1", "beta") for version in (1, 2, 11)}
    assert len(secrets) == 9
    assert derive_secret(KEY, "acme", 1) == derive_secret(KEY, "acme", 1) != derive_secret(b"other", "acme", 1)
    assert b64decode(secret_text(derive_secret(KEY, "acme", 1)).removeprefix("whsec_")) == derive_secret(KEY, "acme", 1)


def test_id_time_and_body_are_all_signed() -> None:
    secret = derive_secret(KEY, "acme", 1)
    found = {sign(secret, *parts) for parts in (("a", 1, b"x"), ("b", 1, b"x"), ("a", 2, b"x"), ("a", 1, b"y"))}
    assert len(found) == 4


def test_each_good_secret_signs() -> None:
    now = datetime(2026, 11, 22, 5, 0, 30, 999_999, tzinfo=UTC)
    made = headers([b"new", b"old"], "run_1", now, b"{}")
    assert made["webhook-timestamp"] == str(int(now.timestamp()))
    assert made["webhook-signature"].split(" ") == [
        sign(secret, "run_1", int(now.timestamp()), b"{}") for secret in (b"new", b"old")
    ]
