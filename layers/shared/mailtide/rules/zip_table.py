"""The packaged ZIP table (spec §2): which state a ZIP lies in. Pure Python; `zip_lookup` has the array form."""

import base64
import json
import zlib
from functools import cache
from pathlib import Path

from mailtide.rules.states import STATE_INDEX

ZIP_COUNT = 100_000
NO_STATE = 255


def packed_states() -> tuple[bytes, bytes]:
    """One byte for each ZIP 0..99999, known or not: the index into STATES or 255; and one bit for each, set where it is known."""
    text = (Path(__file__).with_name("data") / "zip_states.json").read_text(encoding="ascii")
    table = json.loads(text)
    ends = [start for start, _ in table["ranges"][1:]] + [ZIP_COUNT]
    states = bytearray([NO_STATE]) * int(table["ranges"][0][0])
    for (start, place), end in zip(table["ranges"], ends, strict=True):
        states += bytes([STATE_INDEX.get(place, NO_STATE)]) * (end - start)
    return bytes(states), zlib.decompress(base64.b64decode(table["known"]))


@cache
def zip_states() -> bytes:
    """One byte for each ZIP 0..99999: the index into STATES, or 255 for a ZIP that is unknown or in none of them."""
    packed, known = packed_states()
    states = bytearray(packed)
    blank = bytes([NO_STATE])
    for index, bits in enumerate(known):
        if bits == 0:
            states[8 * index : 8 * index + 8] = 8 * blank
        elif bits != 0xFF:
            for bit in range(8):
                if not bits >> bit & 1:
                    states[8 * index + bit] = NO_STATE
    return bytes(states)
