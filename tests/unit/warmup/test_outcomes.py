"""The last 100 outcomes, and the pauses of throttling hosts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.warmup.outcomes import Mark, OutcomeWindow, quarantine_reason
from mailtide.warmup.pauses import HostPauses

MARKS: list[Mark] = ["accepted", "bounce", "policy"]


@given(st.lists(st.sampled_from(MARKS), max_size=250))
def test_the_window_counts_the_last_hundred(marks: list[Mark]) -> None:
    window = OutcomeWindow()
    for mark in marks:
        window = window.with_mark(mark)
    last = marks[-100:]
    assert (window.recent, window.bounces, window.policy_refusals) == (
        len(last),
        last.count("bounce"),
        last.count("policy"),
    )
    packed = window.to_bytes()
    assert len(packed) == 27
    assert OutcomeWindow.from_bytes(packed) == window


@pytest.mark.parametrize("packed", [b"", bytes(26), bytes([101]) + bytes(26)])
def test_other_bytes_are_no_window(packed: bytes) -> None:
    with pytest.raises(ValueError, match="not a window"):
        OutcomeWindow.from_bytes(packed)


@pytest.mark.parametrize(
    ("bounces", "policy", "is_quarantined"), [(5, 1, False), (6, 0, True), (0, 2, True), (0, 0, False)]
)
def test_quarantine(bounces: int, policy: int, is_quarantined: bool) -> None:
    assert bool(quarantine_reason(bounces, policy)) == is_quarantined


def test_pauses_double_until_a_mail_is_accepted() -> None:
    now = [0]
    pauses = HostPauses(lambda: now[0])
    lengths = []
    for _ in range(12):
        pauses.pause("a.example", 5_000)
        pauses.pause("a.example", 5_000)
        lengths.append(pauses.left_ms("a.example"))
        now[0] += lengths[-1]
    assert lengths == [min(3_600_000, 5_000 * 2**n) for n in range(12)]
    assert pauses.left_ms("b.example") == 0
    pauses.worked("a.example")
    pauses.pause("a.example", 5_000)
    assert pauses.left_ms("a.example") == 5_000
