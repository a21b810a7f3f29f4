"""Who writes to whom (spec §3): recipients by shifts of the day's shuffle.

N mailboxes stand in a circle by index, parties together; M is the size of the largest party. Which case holds:

- shifts: K = floor((N − 1)/2) − M + 1 ≥ the most mails that anybody sends. Round r uses s = M + (a·r + b) mod K or N − s.
  In a round all recipients differ; nobody writes to itself or its own party; nobody writes to the same mailbox twice in a
  day, not even by a reply, since of s and N − s only one is used and a reply has the other.
- all_shifts: K is too small, but N − 2M + 1 is not: s = M + (a·r + b) mod (N − 2M + 1). As above, but a reply may repeat a pair.
- around_party: one party holds nearly half. A mailbox of a party of size m writes to the N − m others in turn. No self, no own
  party, no repeat; but some receive more than they send, and a large party sends less.
- one_party: everybody belongs to one party. Shifts 1 … N − 1 within it.
- empty: fewer than two mailboxes.

Around a party and in one party a reply that would repeat a pair stays an ordinary mail.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from math import gcd

from mailtide.warmup.ids import MAX_ROUNDS, hash64
from mailtide.warmup.objects import PairingCase


@dataclass(frozen=True)
class Pairing:
    """The recipients of one day."""

    day: date
    case: PairingCase
    mailboxes: int
    """N"""
    modulus: int
    """K, N − 2M + 1 or N − 1; 0 where it is not used."""
    lowest_shift: int
    step: int
    """a"""
    base: int
    """b"""
    party_starts: Sequence[int] = field(repr=False)
    """The index at which each party begins, ascending, from 0."""

    @cached_property
    def largest_party(self) -> int:
        """M, 0 in an empty pool."""
        return _largest(self.mailboxes, self.party_starts)

    @cached_property
    def shifts(self) -> tuple[int, ...]:
        """shift(day, r) of every round that has recipients of its own."""
        found = []
        for number in range(min(self.modulus, MAX_ROUNDS)):
            shift = self.lowest_shift + (self.step * number + self.base) % self.modulus
            mirrored = self.case == "shifts" and hash64("side", self.day, number) & 1
            found.append(self.mailboxes - shift if mirrored else shift)
        return tuple(found)

    def party(self, index: int) -> tuple[int, int]:
        """(start, size) of the party that a mailbox belongs to."""
        i = bisect_right(self.party_starts, index)
        end = self.party_starts[i] if i < len(self.party_starts) else self.mailboxes
        return self.party_starts[i - 1], end - self.party_starts[i - 1]

    def rounds(self, index: int) -> int:
        """How many rounds of a mailbox have recipients of their own, extra slots included."""
        if self.case == "around_party":
            return min(self.mailboxes - self.party(index)[1], MAX_ROUNDS)
        return len(self.shifts)

    def recipient(self, index: int, number: int) -> int:
        """The index that a mailbox writes to in a round, `number` < rounds(index)."""
        if self.case != "around_party":
            return (index + self.shifts[number]) % self.mailboxes
        start, size = self.party(index)
        turn = (index - start + self.base + number) % (self.mailboxes - size)
        return (start + size + turn) % self.mailboxes

    def senders(self, index: int, number: int) -> list[int]:
        """The indexes that write to this one in a round: at most one by shifts, any number around a party."""
        if self.case != "around_party":
            return [(index - self.shifts[number]) % self.mailboxes] if number < len(self.shifts) else []
        found: list[int] = []
        for size, starts in self._parties_by_size.items():
            if number < self.mailboxes - size:
                found += self._senders_of_size(index, number, size, starts)
        return sorted(found)

    @cached_property
    def _parties_by_size(self) -> dict[int, frozenset[int]]:
        sizes: dict[int, set[int]] = defaultdict(set)
        for start, end in zip(self.party_starts, [*self.party_starts[1:], self.mailboxes], strict=True):
            sizes[end - start].add(start)
        return {size: frozenset(starts) for size, starts in sizes.items()}

    def _senders_of_size(self, index: int, number: int, size: int, starts: frozenset[int]) -> list[int]:
        """Solve recipient(i, number) = index for i, by whichever there are fewer of: the parties or their positions."""
        others = self.mailboxes - size
        if len(starts) <= size:
            found = []
            for start in starts:
                turn = (index - start - size) % self.mailboxes
                position = (turn - self.base - number) % others
                if turn < others:
                    found += [start + i for i in range(position, size, others)]
            return found
        found = []
        for position in range(size):
            turn = (position + self.base + number) % others
            start = (index - turn - size) % self.mailboxes
            if start in starts:
                found.append(start + position)
        return found

    def repeats(self, index: int, other: int, rounds: int) -> bool:
        """Whether a reply to `other` would be a second mail to it, next to the ordinary ones of these rounds.

        Never so by shifts; accepted where all shifts are used.
        """
        if self.case in {"shifts", "all_shifts"}:
            return False
        return any(self.recipient(index, number) == other for number in range(min(rounds, self.rounds(index))))


def choose_pairing(
    day: date, mailboxes: int, party_starts: Sequence[int], max_target: int, *, at_least: int = 0
) -> Pairing:
    """The pairing of a day. max_target: the most mails that any mailbox would send. at_least: by shifts none is smaller, as
    far as enough are left (mailtide.warmup.across)."""
    largest = _largest(mailboxes, party_starts)
    needed = max(max_target, 1)
    half = (mailboxes - 1) // 2 - largest + 1
    every = mailboxes - 2 * largest + 1
    case: PairingCase
    if mailboxes < 2:
        case, modulus, lowest = "empty", 0, 0
    elif largest == mailboxes:
        case, modulus, lowest = "one_party", mailboxes - 1, 1
    elif half >= needed:
        lowest = min(max(largest, at_least), largest + half - needed)
        case, modulus = "shifts", largest + half - lowest
    elif every >= needed:
        case, modulus, lowest = "all_shifts", every, largest
    else:
        case, modulus, lowest = "around_party", 0, 0
    return Pairing(
        day=day,
        case=case,
        mailboxes=mailboxes,
        modulus=modulus,
        lowest_shift=lowest,
        step=_step(day, modulus),
        base=hash64("base", day) % modulus if modulus else hash64("base", day) % max(mailboxes, 1),
        party_starts=party_starts,
    )


def _largest(mailboxes: int, party_starts: Sequence[int]) -> int:
    ends = [*party_starts[1:], mailboxes]
    return max((end - start for start, end in zip(party_starts, ends[: len(party_starts)], strict=True)), default=0)


def _step(day: date, modulus: int) -> int:
    """a: from the hash of the day upwards, the first number that has no factor in common with K."""
    if modulus < 2:
        return 1
    step = hash64("step", day) % modulus
    while gcd(step, modulus) != 1:
        step += 1
    return step % modulus


def reduced_target(pairing: Pairing, index: int, target: int) -> int:
    """The target that the pairing can serve: as wished by shifts, at most N − 1 in one party, and around a large one
    min(T, N − m, floor(T·(N − m)/m)) for a party of size m."""
    if pairing.case == "around_party":
        _, size = pairing.party(index)
        others = pairing.mailboxes - size
        return min(target, others, target * others // size)
    return min(target, pairing.modulus)
