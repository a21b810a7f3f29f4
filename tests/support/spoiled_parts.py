"""candidates.bin as no sound machine delivers it."""

import hashlib
import json
import zlib
from collections.abc import Callable


def signed(body: bytes) -> bytes:
    return body[:-32] + hashlib.sha256(body[:-32]).digest()


def with_header(body: bytes, **changed: object) -> bytes:
    """A part whose header says something else, with the right checksum."""
    length = int.from_bytes(body[10:14], "little")
    header = json.dumps({**json.loads(body[14 : 14 + length]), **changed}).encode()
    return signed(body[:10] + len(header).to_bytes(4, "little") + header + body[14 + length :])


def without_blocks(body: bytes) -> bytes:
    return signed(body[: 14 + int.from_bytes(body[10:14], "little")] + bytes(32))


def with_raw(body: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """A part whose last block holds something else, with lengths and checksums that fit."""
    length = int.from_bytes(body[10:14], "little")
    blocks = json.loads(body[14 : 14 + length])["blocks"]
    kept = body[14 + length : -32 - blocks[-1]["stored_bytes"]]
    raw = change(zlib.decompress(body[len(body) - 32 - blocks[-1]["stored_bytes"] : -32]))
    stored = zlib.compress(raw, 1)
    blocks[-1] |= {"raw_bytes": len(raw), "stored_bytes": len(stored)}
    return with_header(signed(body[: 14 + length] + kept + stored + bytes(32)), blocks=blocks)


SPOILED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "garbage": (lambda body: b"\x93" * len(body), "they are no candidates of mailtide"),
    "nothing": (lambda _: b"", "they are cut short"),
    "cut": (lambda body: body[:-100], "they do not have their checksum"),
    "flipped": (lambda body: body[:900] + bytes([body[900] ^ 4]) + body[901:], "they do not have their checksum"),
    "version": (lambda body: signed(body[:8] + b"\7\0" + body[10:]), "they are of version 7"),
    "run": (lambda body: with_header(body, run="f" * 20), "they are of another run"),
    "chunk": (lambda body: with_header(body, task="chunk-0002"), "they are of another chunk"),
    "day": (lambda body: with_header(body, as_of="2026-11-20"), "they are of another day"),
    "source": (lambda body: with_header(body, source_etag="f" * 32), "they are of another version of the database"),
    "rules": (lambda body: with_header(body, rules_sha256="f" * 64), "they are of other rules"),
    "campaigns": (lambda body: with_header(body, sources_sha256="f" * 64), "they are of other campaigns"),
    "gap": (lambda body: with_header(body, first_id=2**40), "they do not begin where the chunk before them ends"),
    "counts": (lambda body: with_header(body, rows=10**12), "their counts are impossible"),
    "fewer": (lambda body: with_header(body, eligible=1), "their counts are impossible"),
    "unknown": (lambda body: with_header(body, more=1), "their header is not readable"),
    "blocks": (lambda body: with_header(body, blocks=[]), "their lengths contradict one another"),
}
"""By name: what is done to the second of three parts, and the beginning of what the merge says of it."""
