"""DKIM keys of a domain (RFC 6376, RFC 8463): whether the selector's record exists, and whether its key will do."""

import base64
import binascii
from collections.abc import Sequence

from mailtide.deliverability.dns_answers import Dns, Texts, not_answered
from mailtide.deliverability.tags import TagsError, parse_tags, shown
from mailtide.doctor.finding import Finding, broken, ok, warning

CHECK = "DKIM"
MIN_BITS = 1_024
ADVISED_BITS = 2_048


class DkimError(ValueError):
    """A key record cannot be used; the text is one sentence."""


def key_bits(record: str) -> tuple[str, int, bool]:
    """Kind of key, its length in bits, and whether the record is marked as a test. DkimError."""
    try:
        tags = parse_tags(record)
    except TagsError as error:
        raise DkimError(str(error)) from None
    if "v" in tags and (tags["v"] != "DKIM1" or next(iter(tags)) != "v"):
        raise DkimError("v=DKIM1 must be its first tag, in this very spelling.")
    if "p" not in tags:
        raise DkimError("It has no p=, so there is no key in it.")
    encoded = "".join(tags["p"].split())
    if not encoded:
        raise DkimError("Its p= is empty: the key has been revoked.")
    kind = tags.get("k", "rsa").lower()
    try:
        body = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise DkimError("Its p= is no base64; a part may have been lost when it was entered.") from None
    return kind, _bits(kind, body), "y" in [flag.strip() for flag in tags.get("t", "").split(":")]


def _bits(kind: str, body: bytes) -> int:
    if kind == "ed25519":
        if len(body) != 32:
            raise DkimError(f"An ed25519 key has 32 bytes, this one {len(body)}.")
        return 256
    if kind != "rsa":
        raise DkimError(f"{shown(kind)!r} is no kind of key that receivers know (rsa, ed25519).")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(body)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise DkimError("Its p= is no RSA key; a part may have been lost when it was entered.") from None
    if not isinstance(key, RSAPublicKey):
        raise DkimError("Its p= is a key of another kind than RSA.")
    return key.key_size


def dkim_checks(domain: str, selectors: Sequence[str], usual: Sequence[str], dns: Dns) -> list[Finding]:
    """One finding for each selector. Without selectors: the best of the provider's usual ones, which may well be none."""
    if selectors:
        return [_of_selector(domain, one, dns.texts(_name(one, domain))) for one in dict.fromkeys(selectors)]
    found = []
    for one in usual:
        answer = dns.texts(_name(one, domain))
        if answer.status in {"failed", "unanswered"}:
            return [not_answered(CHECK, _name(one, domain), answer.status)]
        if answer.records:
            found.append(_of_selector(domain, one, answer))
    if found:
        # A provider rotates its keys: beside the one in use there may be an empty one.
        return [min(found, key=lambda one: ("ok", "warning", "broken").index(one.verdict))]
    tried = f" under the usual names ({', '.join(usual)})" if usual else ""
    what = f"No key was found{tried}; DNS cannot list what other names there are."
    todo = "name the selector with --selector: it is the s= in the DKIM-Signature of a mail that the mailbox has sent"
    return [warning(CHECK, domain, what, todo)]


def _name(selector: str, domain: str) -> str:
    return f"{selector}._domainkey.{domain}"


def _of_selector(domain: str, selector: str, answer: Texts) -> Finding:
    name = _name(selector, domain)
    if answer.status in {"failed", "unanswered"}:
        return not_answered(CHECK, shown(name), answer.status)
    if not answer.records:
        todo = "turn on DKIM at your mail provider, and publish the record that it shows"
        return broken(CHECK, selector, f"There is no key at {shown(name)}.", todo)
    if len(answer.records) > 1:
        what = f"There are {len(answer.records)} TXT records at {shown(name)}; which of them counts is not defined."
        return broken(CHECK, selector, what, "leave the one record that your mail provider shows")
    try:
        kind, bits, is_test = key_bits(answer.records[0])
    except DkimError as error:
        todo = "copy the whole record from your mail provider once more"
        return broken(CHECK, selector, f"The record of {shown(selector)} cannot be used: {error}", todo)
    return _judged(selector, kind, bits, is_test=is_test)


def _judged(selector: str, kind: str, bits: int, *, is_test: bool) -> Finding:
    said = f"Selector {shown(selector)}: {'RSA' if kind == 'rsa' else kind} key of {bits:,} bits"
    if kind == "rsa" and bits < MIN_BITS:
        what = f"{said}; receivers take none below {MIN_BITS:,} (RFC 8301)."
        return broken(CHECK, selector, what, f"make a key of {ADVISED_BITS:,} bits")
    if kind == "rsa" and bits < ADVISED_BITS:
        return warning(
            CHECK, selector, f"{said}; {ADVISED_BITS:,} are advised.", f"make a key of {ADVISED_BITS:,} bits"
        )
    if is_test:
        what = f"{said}, marked as a test (t=y): receivers may act as if mails were not signed."
        return warning(CHECK, selector, what, "remove t=y when signing works")
    return ok(CHECK, f"{said}.")
