"""Objects that never change are read once, and their memory has a bound."""

from datetime import UTC, datetime

from mailtide.api.kept import MOST, KeptObjects
from mailtide.contracts import Done, Verdict
from mailtide.reporting.quality import _KINDS
from mailtide.rules.meanings import MEANINGS

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_what_is_there_is_read_once_and_what_is_not_is_asked_for_again() -> None:
    kept, asked = KeptObjects(), []

    def read(found: Verdict | None) -> Verdict | None:
        asked.append(found)
        return found

    there = Verdict(approved=True, decided_at=NOW)
    assert kept.get("a", Verdict, lambda: read(None)) is None
    assert kept.get("a", Verdict, lambda: read(there)) is there
    assert kept.get("a", Verdict, lambda: read(None)) is there
    assert asked == [None, there]
    assert kept.get("a", Done, lambda: None) is None, "another kind of object"


def test_the_memory_has_a_bound() -> None:
    kept = KeptObjects()
    for number in range(MOST + 50):
        kept.get(str(number), Verdict, lambda: Verdict(approved=True, decided_at=NOW))
    assert len(kept._kept) == MOST
    assert kept.get("0", Verdict, lambda: None) is None


def test_every_finding_has_a_meaning() -> None:
    assert _KINDS.keys() == MEANINGS.keys()
