"""The part of the mailboxes that the fold needs, in memory: the same contract as the table's (tests/integration/tables)."""

from collections.abc import Iterable, Sequence

from mailtide.warmup.contracts import Mailbox, MailboxStatus
from mailtide.warmup.reading.fold_ports import KeptHealth


class MemoryHealth:
    """Implements mailtide.warmup.reading.fold_ports.HealthStore."""

    def __init__(self, mailboxes: Iterable[Mailbox]) -> None:
        self.boxes = {box.mailbox_id: box for box in mailboxes}
        self.kept = 0
        """Records that were written."""

    def get_many(self, mailbox_ids: Iterable[str]) -> dict[str, Mailbox]:
        return {name: self.boxes[name] for name in mailbox_ids if name in self.boxes}

    def set_status(self, mailbox_id: str, status: MailboxStatus, reason: str) -> bool:
        box = self.boxes.get(mailbox_id)
        if box is not None and (box.status != "paused" or status in {"active", "paused"}):
            self.boxes[mailbox_id] = box.model_copy(update={"status": status, "status_reason": reason})
        return box is not None

    def keep_health(self, kept: Sequence[KeptHealth]) -> list[str]:
        return [each.mailbox_id for each in kept if not self._keep(each)]

    def _keep(self, kept: KeptHealth) -> bool:
        box = self.boxes.get(kept.mailbox_id)
        if box is None or box.health not in {kept.before, kept.health}:
            return False
        changes = {
            "health": kept.health,
            "pace": kept.pace,
            "graduated_on": kept.graduated_on,
            "held_back": kept.held_back,
        }
        self.boxes[kept.mailbox_id] = box.model_copy(update=changes)
        self.kept += 1
        return True
