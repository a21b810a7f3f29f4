"""The outcomes of a mailbox's last 100 mails as bits, and when they put it into quarantine."""

from dataclasses import dataclass
from typing import Literal

WINDOW = 100
"""Mails that are looked back on."""
MAX_BOUNCES = 5
MAX_POLICY_REFUSALS = 1
"""Of the window of 100: above 5 % bounces or 1 % policy refusals (spec §5). Measured against 100 also while the window still
fills, so that a young mailbox is not condemned by its first mail."""

_MASK = (1 << WINDOW) - 1
_BITS_BYTES = 13
_LENGTH = 2 * _BITS_BYTES + 1

type Mark = Literal["accepted", "bounce", "policy"]


@dataclass(frozen=True, slots=True)
class OutcomeWindow:
    """Two rows of bits, the newest mail in the lowest: did it bounce, was it refused by policy."""

    recent: int = 0
    """How many mails the window holds, 0 to 100."""
    bounce_bits: int = 0
    policy_bits: int = 0

    def with_mark(self, mark: Mark) -> "OutcomeWindow":
        """The window after one more mail; the oldest of 101 falls out."""
        return OutcomeWindow(
            recent=min(WINDOW, self.recent + 1),
            bounce_bits=(self.bounce_bits << 1 | (mark == "bounce")) & _MASK,
            policy_bits=(self.policy_bits << 1 | (mark == "policy")) & _MASK,
        )

    @property
    def bounces(self) -> int:
        """Bounces in the window."""
        return self.bounce_bits.bit_count()

    @property
    def policy_refusals(self) -> int:
        """Policy refusals in the window."""
        return self.policy_bits.bit_count()

    def to_bytes(self) -> bytes:
        """27 bytes: the length, then the two rows."""
        rows = self.bounce_bits.to_bytes(_BITS_BYTES, "big") + self.policy_bits.to_bytes(_BITS_BYTES, "big")
        return bytes([self.recent]) + rows

    @classmethod
    def from_bytes(cls, packed: bytes) -> "OutcomeWindow":
        """What `to_bytes` made. ValueError for anything else."""
        if len(packed) != _LENGTH or packed[0] > WINDOW:
            raise ValueError("not a window of outcomes")
        bounce = int.from_bytes(packed[1 : 1 + _BITS_BYTES], "big")
        policy = int.from_bytes(packed[1 + _BITS_BYTES :], "big")
        return cls(packed[0], bounce & _MASK, policy & _MASK)


def quarantine_reason(bounces: int, policy_refusals: int) -> str:
    """Why a mailbox with these counts in its last 100 mails is quarantined, as a sentence; empty when it is not."""
    if bounces > MAX_BOUNCES:
        return f"{bounces} of the last {WINDOW} mails bounced (at most {MAX_BOUNCES} may)."
    if policy_refusals > MAX_POLICY_REFUSALS:
        return (
            f"{policy_refusals} of the last {WINDOW} mails were refused by policy (at most {MAX_POLICY_REFUSALS} may)."
        )
    return ""
