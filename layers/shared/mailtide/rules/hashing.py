"""The hash that spreads mails over days and breaks ties (spec §1)."""

import zlib

import numpy as np
from numpy.typing import NDArray

type UInt64 = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def type_crc(email_type: str) -> int:
    """The k of an email type: CRC-32 of its UTF-8 bytes."""
    return zlib.crc32(email_type.encode("utf-8", "surrogatepass"))


def mail_hash(contact_id: NDArray[np.int64], crc: UInt64, year: NDArray[np.integer]) -> UInt64:
    """The 64-bit hash of each mail, all arithmetic modulo 2^64.

    contact_id: any sign; crc: `type_crc` of the email type; year: of the event date. All of one shape.
    """
    x = contact_id.view(np.uint64) * _GOLDEN
    x += crc * _MIX_1
    x += year.astype(np.uint64) * _MIX_2
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))
