"""Pairs across providers (WARMUP_PAIR_ACROSS_PROVIDERS): an order and shifts by which most mails go to another provider.

Parties stand around the circle in blocks, by the provider that most of their mailboxes have. A shift near N/2 then leads from a
block to the other side of the circle, and out of the block wherever it holds no more than half of the mailboxes. With blocks of
L mailboxes, a shift s ≤ N/2 pairs Σ max(0, L − s) + max(0, L − (N − s)) of them within their provider: the nearer to N/2,
the fewer. So the window of shifts [M, N/2) is narrowed to [M', N/2), M' ≥ M; every guarantee of mailtide.warmup.pairing holds by
the same arguments, since M enters them only as a lower bound. Mailboxes whose provider is not known count as one provider.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date

from mailtide.warmup.ids import hash64
from mailtide.warmup.pairing import Pairing

TOLERANCE = 0.04
"""Share of the mailboxes that the worst shift of the window may pair within their provider beyond the best: the wider the window,
the more parties a mailbox writes to."""
LEAST_PARTIES = 8
"""The window is never narrower than so many of the largest party, so that nobody writes to one party alone."""
ROUNDS = 2
"""A mailbox has at most as many extra rounds again as its target."""
MAX_CODE = 255


def block_ranks(day: date, parties_of: Sequence[str], providers: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Where the block of each party stands in the shuffle. parties_of, providers: of each mailbox."""
    counts: dict[str, Counter[str]] = {}
    for party, provider in zip(parties_of, providers, strict=True):
        counts.setdefault(party, Counter())[provider] += 1
    main = {party: min(found, key=lambda one: (-found[one], one)) for party, found in counts.items()}
    ranks = {provider: (hash64("block", day, provider), provider) for provider in set(main.values())}
    return {party: ranks[provider] for party, provider in main.items()}


def lowest_shift(blocks: Sequence[int], largest_party: int, max_target: int) -> int:
    """M': where the window begins, at least the size of the largest party. blocks: mailboxes of each provider's parties."""
    mailboxes, last = sum(blocks), (sum(blocks) - 1) // 2
    least = max(ROUNDS * max_target, LEAST_PARTIES * largest_party)
    highest = max(largest_party, last + 1 - least)
    allowed = _within(blocks, mailboxes, last) + int(TOLERANCE * mailboxes)
    low, high = largest_party, highest
    while low < high:
        middle = (low + high) // 2
        if _within(blocks, mailboxes, middle) <= allowed:
            high = middle
        else:
            low = middle + 1
    return low


def _within(blocks: Sequence[int], mailboxes: int, shift: int) -> int:
    """How many mailboxes a shift pairs within their block."""
    return sum(max(0, size - shift) + max(0, size - (mailboxes - shift)) for size in blocks)


def share_across(providers: Sequence[str], targets: Sequence[int], pairing: Pairing) -> float:
    """The share of the planned mails, replies left out, that go from one provider to another; 0 where nothing is planned.

    providers, targets: of each mailbox by index. For pairings by shifts: each round is compared as one long number, which is
    some hundred times as fast as a loop over the mailboxes.
    """
    known = {provider: min(code, MAX_CODE) for code, provider in enumerate(sorted(set(providers)))}
    codes = bytes(map(known.__getitem__, providers))
    begin = int.from_bytes(codes)
    across = planned = 0
    steps = {0, *targets}
    mask = sending = 0
    for number, shift in enumerate(pairing.shifts[: max(targets, default=0)]):
        if number in steps:
            mask, sending = _mask(targets, number)
        other = int.from_bytes(codes[shift:] + codes[:shift])
        across += len(codes) - ((begin ^ other) & mask).to_bytes(len(codes)).count(0)
        planned += sending
    return across / planned if planned else 0.0


def _mask(targets: Sequence[int], limit: int) -> tuple[int, int]:
    """Those whose target is above a limit, as a number of 255 at their places, and how many they are."""
    places = bytes(255 if target > limit else 0 for target in targets)
    return int.from_bytes(places), places.count(255)
