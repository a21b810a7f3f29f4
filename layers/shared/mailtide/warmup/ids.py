"""The stated hash of the warm-up, send ids and Message-IDs.

The hash. `hash64(purpose, part, …)` is the BLAKE2b digest of 8 bytes (no key, no salt), read as a big-endian unsigned number,
of the UTF-8 text "purpose|part|…" (parts in their usual text form, days as YYYY-MM-DD). `unit` of the same text is its upper
53 bits divided by 2^53: a float in [0, 1). No part may hold a "|"; ids, days, numbers and domains hold none. The purposes:

| purpose    | parts                  | decides                                                                  |
|------------|------------------------|--------------------------------------------------------------------------|
| shard      | mailbox                | the mailbox's shard: hash64 mod the number of shards                     |
| party      | day, party             | the order of the parties in the day's shuffle                            |
| member     | day, mailbox           | the order of the mailboxes within their party                            |
| block      | day, provider          | with WARMUP_PAIR_ACROSS_PROVIDERS: the order of the providers' blocks    |
| phase      | day, mailbox           | φ of the slots (unit)                                                    |
| jitter     | send id                | h of the slots (unit)                                                    |
| step, base | day                    | a and b of the shifts (and b of the pairing around a large party)        |
| side       | day, round             | whether a shift is s (even) or N − s (odd)                               |
| answer     | send id                | the original is answered when hash64 is below WARMUP_REPLY_RATE · 2^64   |
| delay      | send id                | the reply's delay: unit over [WARMUP_REPLY_DELAY_MIN, _MAX) minutes      |
| spread     | day, ms, mailbox,      | where in a tick (its start: ms after 00:00) a slot of an earlier one is  |
|            | round                  | offered                                                                  |
| share      | ms since 1970          | which shards' shares of a tick (its start) are rounded up                |
| partition  | mailbox                | where the table of mailboxes keeps it                                    |
| visit      | mailbox                | when it is read: unit · WARMUP_READ_MINUTES after each multiple of that  |
|            |                        | interval since 1970                                                      |
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b

ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
"""Ids of mailboxes and users: no dots, slashes or bars, so that they fit into send ids, Message-IDs, keys and the hash."""
MAX_ROUNDS = 1_000

_UNIT = 2.0**-53
_SEND_ID = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})/([A-Za-z0-9_-]{1,64})/(0|[1-9][0-9]{0,3})")
_MESSAGE_ID = re.compile(r"<([0-9]{4})([0-9]{2})([0-9]{2})\.([A-Za-z0-9_-]{1,64})\.(0|[1-9][0-9]{0,3})@[^<>@\s]+>")


def hash64(purpose: str, *parts: object) -> int:
    """The stated hash: 0 … 2^64 − 1."""
    text = "|".join((purpose, *map(str, parts)))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def bits53(purpose: str, *parts: object) -> int:
    """The upper 53 bits of the stated hash: `unit` times 2^53, for exact arithmetic."""
    return hash64(purpose, *parts) >> 11


def unit(purpose: str, *parts: object) -> float:
    """The stated hash as a float in [0, 1)."""
    return bits53(purpose, *parts) * _UNIT


def hasher(beginning: str) -> Callable[[str], int]:
    """`hash64` of texts with a common beginning ("purpose|part|…"), for long loops."""
    started = blake2b(beginning.encode(), digest_size=8)

    def make(ending: str) -> int:
        whole = started.copy()
        whole.update(ending.encode())
        return int.from_bytes(whole.digest(), "big")

    return make


@dataclass(frozen=True, slots=True, order=True)
class SendId:
    """One mail: its day (UTC), its sender, its round. As text `day/mailbox/round`."""

    day: date
    mailbox_id: str
    round: int

    def __str__(self) -> str:
        return f"{self.day.isoformat()}/{self.mailbox_id}/{self.round}"

    @classmethod
    def parse(cls, text: str) -> "SendId":
        """The id of a text. ValueError when it is none."""
        found = _SEND_ID.fullmatch(text)
        if found is None:
            raise ValueError("A send id is day/mailbox/round, for example 2026-11-21/box-17/4.")
        return cls(date.fromisoformat(found[1]), found[2], int(found[3]))


def message_id(send_id: SendId, domain: str) -> str:
    """The Message-ID header of a mail, the same on every try: `<YYYYMMDD.mailbox.round@domain>`.

    domain: of the sender's address, in ASCII.
    """
    return f"<{send_id.day:%Y%m%d}.{send_id.mailbox_id}.{send_id.round}@{domain}>"


def parse_message_id(text: str) -> SendId | None:
    """The send id that a Message-ID was made from, None when it is not one of ours."""
    found = _MESSAGE_ID.fullmatch(text.strip())
    if found is None:
        return None
    try:
        return SendId(date(int(found[1]), int(found[2]), int(found[3])), found[4], int(found[5]))
    except ValueError:
        return None
