"""Where mails landed, on DynamoDB: one item a sender and day under the ledger's keys, in the table of the reader.

Each round has an attribute for each thing that may be said of it: `f4` found (`i` inbox or `j` junk, then the provider), `m4`
missing (the provider), `b4` bounce, `c4` complaint (whose), `r4` a redacted one. Whatever is said first stays, and what weighs
more wins when it is read, so that every write is one unconditional update that may be repeated and come in any order: one
write unit.
"""

from collections.abc import Iterable, Mapping
from datetime import date

from mailtide.adapters.dynamodb.ledger import encode_key
from mailtide.adapters.dynamodb.table import Item, Table
from mailtide.warmup.contracts import DAY_MS, LedgerKey, day_start_ms
from mailtide.warmup.reading.contracts import Placement, PlacementDay, ReportKind, Verdict

_FOUND: dict[str, Verdict] = {"i": "inbox", "j": "junk"}
_REPORTS: dict[ReportKind, str] = {"bounce": "b", "redacted": "r", "complaint": "c"}
_KINDS = tuple(_REPORTS.items())
"""What stands later counts."""


def decode_placements(item: Item) -> PlacementDay:
    """What the updates have left."""
    placements: dict[int, Placement] = {}
    reports: dict[int, ReportKind] = {}
    for name, value in sorted(item.items(), reverse=True):
        # Missing comes before found: the later of two counts.
        kind, number = name[0], name[1:]
        if not number.isdigit():
            continue
        if kind == "m":
            placements[int(number)] = Placement("missing", str(value))
        elif kind == "f":
            placements[int(number)] = Placement(_FOUND[str(value)[0]], str(value)[1:])
    for report, letter in _KINDS:
        reports |= {int(name[1:]): report for name in item if name[0] == letter and name[1:].isdigit()}
    complainers = {number: str(item[f"c{number}"]) for number, kind in reports.items() if kind == "complaint"}
    return PlacementDay(placements, reports, complainers)


class DynamoPlacements:
    """Implements mailtide.warmup.reading.ports.Placements."""

    def __init__(self, table: Table, *, retention_days: int) -> None:
        self._table = table
        self._retention_days = retention_days

    def record(self, key: LedgerKey, found: Mapping[int, Placement]) -> None:
        """See mailtide.warmup.reading.ports.Placements."""
        self._keep(key, dict(_encode(number, placement) for number, placement in found.items()))

    def report(self, key: LedgerKey, reports: Mapping[int, ReportKind], *, complainer: str = "") -> None:
        """See mailtide.warmup.reading.ports.Placements."""
        self._keep(
            key,
            {f"{_REPORTS[kind]}{number}": complainer if kind == "complaint" else 1 for number, kind in reports.items()},
        )

    def read_many(self, keys: Iterable[LedgerKey]) -> dict[LedgerKey, PlacementDay]:
        """See mailtide.warmup.reading.ports.Placements."""
        by_key = {(encoded["p"], encoded["m"]): key for key in keys for encoded in (encode_key(key),)}
        items = self._table.get_many([{"p": partition, "m": mailbox} for partition, mailbox in by_key])
        return {by_key[item["p"], item["m"]]: decode_placements(item) for item in items}

    def read_shard(self, day: date, shard: int) -> dict[str, PlacementDay]:
        """See mailtide.warmup.reading.ports.Placements."""
        partition = encode_key(LedgerKey(day, shard, ""))["p"]
        return {str(item["m"]): decode_placements(item) for item in self._table.query("p = :p", {":p": partition})}

    def _keep(self, key: LedgerKey, said: Item) -> None:
        if not said:
            return
        sets = [f"{name} = if_not_exists({name}, :{name})" for name in said]
        values = {f":{name}": value for name, value in said.items()}
        ttl_s = (day_start_ms(key.day) + DAY_MS * (1 + self._retention_days)) // 1000
        update = f"SET {', '.join(sets)}, x = if_not_exists(x, :ttl)"
        self._table.update(encode_key(key), update, None, {**values, ":ttl": ttl_s})


def _encode(number: int, placement: Placement) -> tuple[str, str]:
    if placement.verdict == "missing":
        return f"m{number}", placement.provider
    return f"f{number}", placement.verdict[0] + placement.provider
