"""Candidates that are rightly signed but wrong inside: refused, or harmless; never another error."""

import zlib
from collections.abc import Iterator
from datetime import date
from random import Random

import numpy as np
import pytest

from mailtide.contracts.candidates import Block, PartHeader, UnreadableError, read_candidates, write_candidates
from mailtide.errors import BadPartError
from mailtide.machine.chunks.merge import read_parts, settle_parts
from mailtide.machine.chunks.part import decompress
from mailtide.rules.columns import NO_CODE, Inputs
from mailtide.rules.config import load_rules
from mailtide.rules.dates import days_since_epoch
from tests.support.chunks import document, parts_of
from tests.support.spoiled_parts import SPOILED, with_header
from tests.unit.rules.bridge import to_inputs
from tests.unit.rules.test_sameness import organisation

AS_OF = date(2026, 3, 1)
RULES = load_rules("daily_cap_fraction: 0.05\naep_dates: ['09-15', '01-10']\n")
TASK = "chunk-0000"


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return to_inputs(organisation(80))


@pytest.fixture(scope="module")
def good(inputs: Inputs) -> bytes:
    return parts_of(inputs, RULES, AS_OF, [])[0][1]


def repacked(good: bytes, raw: bytes, **changed: object) -> bytes:
    """The part with other bytes in its one block, and checksums that fit."""
    header = read_candidates(good).header
    stored = zlib.compress(raw, 1)
    block = Block(contacts=header.blocks[0].contacts, raw_bytes=len(raw), stored_bytes=len(stored))
    made = header.model_copy(update={"blocks": (block.model_copy(update=changed),)})
    return write_candidates(PartHeader.model_validate(made.model_dump()), [stored])


def raw_of(good: bytes) -> bytes:
    return zlib.decompress(read_candidates(good).blocks[0])


def merge(inputs: Inputs, part: bytes) -> None:
    """Merge, and look at what came of it as whoever writes it does."""
    read = read_parts(document("merge", RULES, AS_OF), [(TASK, part)], inputs, RULES, 1)
    desired = settle_parts(read, inputs, RULES, days_since_epoch(AS_OF), 1).desired
    assert desired.contact.max(initial=0) < len(read.people.id)
    assert desired.skip_reason.min(initial=NO_CODE) >= NO_CODE
    assert desired.skip_reason.max(initial=NO_CODE) < len(desired.reasons)
    keys = np.column_stack((desired.contact, desired.email_type, desired.event, desired.campaign))
    assert len(np.unique(keys, axis=0)) == len(keys)


def spoiled(raw: bytes) -> Iterator[bytes]:
    random = Random(4)
    for _ in range(150):
        at = random.randrange(len(raw))
        yield raw[:at] + bytes([raw[at] ^ 1 << random.randrange(8)]) + raw[at + 1 :]
    for _ in range(60):
        at = random.randrange(len(raw) - 8)
        yield raw[:at] + random.choice([b"\0" * 8, b"\xff" * 8, random.randbytes(8)]) + raw[at + 8 :]
    for _ in range(20):
        at, other = random.randrange(len(raw)), random.randrange(len(raw))
        yield raw[:at] + raw[other:]
    for end in range(0, len(raw), 37):
        yield raw[:end]


def test_spoiled_blocks_are_refused_or_harmless(inputs: Inputs, good: bytes) -> None:
    merge(inputs, good)
    sentences = []
    for raw in spoiled(raw_of(good)):
        try:
            merge(inputs, repacked(good, raw))
        except BadPartError as error:
            sentences.append(str(error))
    assert len(sentences) > 100
    assert all(one.startswith(f"The candidates of {TASK} cannot be used: ") and one.endswith(".") for one in sentences)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"raw_bytes": 1 << 40}, "a block is longer than it can be"),
        ({"raw_bytes": 10}, "a block does not have its length"),
    ],
)
def test_lengths_are_checked_before_anything_is_allocated(
    inputs: Inputs, good: bytes, changed: dict[str, int], sentence: str
) -> None:
    with pytest.raises(BadPartError, match=sentence):
        merge(inputs, repacked(good, raw_of(good), **changed))


def test_a_block_that_swells_ends_at_its_stated_length() -> None:
    bomb = zlib.compress(bytes(1 << 26))
    block = Block(contacts=80, raw_bytes=5000, stored_bytes=len(bomb))
    with pytest.raises(UnreadableError, match="does not have its length"):
        decompress(block, memoryview(bomb))


def test_every_cut_and_every_flipped_byte_of_the_file_is_found(good: bytes) -> None:
    for end in range(0, len(good), 11):
        with pytest.raises(UnreadableError):
            read_candidates(good[:end])
    for at in range(0, len(good), 7):
        with pytest.raises(UnreadableError):
            read_candidates(good[:at] + bytes([good[at] ^ 0x20]) + good[at + 1 :])


@pytest.mark.parametrize("spoiled", SPOILED)
def test_parts_of_something_else_are_refused(inputs: Inputs, spoiled: str) -> None:
    change, sentence = SPOILED[spoiled]
    parts = parts_of(inputs, RULES, AS_OF, [-15, 15])
    assert [task for task, _ in parts] == ["chunk-0000", "chunk-0001", "chunk-0002"]
    read_parts(document("merge", RULES, AS_OF), parts, inputs, RULES, 1)
    parts[1] = ("chunk-0001", change(parts[1][1]))
    with pytest.raises(BadPartError, match=f"^The candidates of chunk-0001 cannot be used: {sentence}"):
        read_parts(document("merge", RULES, AS_OF), parts, inputs, RULES, 1)


def test_ids_of_another_chunk_are_refused(inputs: Inputs) -> None:
    parts = parts_of(inputs, RULES, AS_OF, [-15, 15])
    shifted = [
        parts[0],
        ("chunk-0001", with_header(parts[1][1], last_id=10)),
        ("chunk-0002", with_header(parts[2][1], first_id=11)),
    ]
    with pytest.raises(BadPartError, match="The candidates of chunk-0001 cannot be used: an id is not of this chunk"):
        read_parts(document("merge", RULES, AS_OF), shifted, inputs, RULES, 1)
