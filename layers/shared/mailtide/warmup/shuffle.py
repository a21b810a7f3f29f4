"""The order of a day: the mailboxes as columns, shuffled by the stated hash with parties together, and who writes to whom."""

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from mailtide.warmup.across import block_ranks, lowest_shift, share_across
from mailtide.warmup.ids import hash64, hasher
from mailtide.warmup.objects import ProviderPairs
from mailtide.warmup.pairing import Pairing, choose_pairing
from mailtide.warmup.parties import parties


@dataclass(slots=True)
class Columns:
    """The mailboxes of the day, in the order in which they came or of the shuffle; providers by id, "" for unknown ones."""

    ids: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    providers: list[str] = field(default_factory=list)
    targets: "array[int]" = field(default_factory=lambda: array("H"))
    windows: "array[int]" = field(default_factory=lambda: array("I"))

    def put(self, index: int, mailbox: str, texts: tuple[str, str, str], target: int, window: int) -> None:
        """At a place that is taken, or at the end. texts: user, domain and provider."""
        place = slice(index, index + 1)
        self.ids[place] = [mailbox]
        self.users[place], self.domains[place], self.providers[place] = ([text] for text in texts)
        self.targets[place], self.windows[place] = array("H", [target]), array("I", [window])

    def reordered(self, order: Iterable[int]) -> "Columns":
        """The mailboxes of these places, in this order."""
        places = list(order)
        return Columns(
            [self.ids[i] for i in places],
            [self.users[i] for i in places],
            [self.domains[i] for i in places],
            [self.providers[i] for i in places],
            array("H", (self.targets[i] for i in places)),
            array("I", (self.windows[i] for i in places)),
        )


def in_order(
    collected: Columns, day: date, *, prefers_others: bool
) -> tuple[Columns, "array[int]", Pairing, ProviderPairs | None]:
    """The order of the day, the index at which each party begins, who writes to whom, and what preferring pairs of different
    providers brought where it was asked for."""
    joined = parties(zip(collected.users, collected.domains, strict=True))
    parties_of = [joined[user] for user in collected.users]
    columns, starts = _shuffled(collected, day, parties_of, {})
    max_target = max(columns.targets, default=0)
    pairing = choose_pairing(day, len(columns.ids), starts, max_target)
    if not prefers_others or pairing.case != "shifts":
        return columns, starts, pairing, None
    ranks = block_ranks(day, parties_of, collected.providers)
    blocks = Counter(ranks[party] for party in parties_of)
    other, other_starts = _shuffled(collected, day, parties_of, ranks)
    lowest = lowest_shift(list(blocks.values()), pairing.largest_party, max_target)
    narrowed = choose_pairing(day, len(columns.ids), other_starts, max_target, at_least=lowest)
    without = share_across(columns.providers, columns.targets, pairing)
    share = share_across(other.providers, other.targets, narrowed)
    if share <= without:
        return columns, starts, pairing, ProviderPairs(share=without, share_without=without, followed=False)
    return other, other_starts, narrowed, ProviderPairs(share=share, share_without=without, followed=True)


def _shuffled(
    columns: Columns, day: date, parties_of: list[str], ranks: dict[str, tuple[int, str]]
) -> tuple[Columns, "array[int]"]:
    """The order of the day, and the index at which each party begins. ranks: of the parties' blocks, if they stand in blocks."""
    rank = {party: (*ranks.get(party, ()), hash64("party", day, party), party) for party in set(parties_of)}
    member = hasher(f"member|{day}|")
    order = sorted(
        range(len(columns.ids)), key=lambda i: (*rank[parties_of[i]], member(columns.ids[i]), columns.ids[i])
    )
    starts = array("I")
    last = None
    for index, place in enumerate(order):
        if parties_of[place] != last:
            starts.append(index)
            last = parties_of[place]
    return columns.reordered(order), starts
