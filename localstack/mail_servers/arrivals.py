"""Postfix' log while it grows, for whoever watches a day."""

from collections import Counter
from pathlib import Path

from localstack.mail_servers.logs import PostfixEvents, Queued
from localstack.mail_sink import Arrived


class LogArrivals:
    """Implements localstack.warmup_watch.Arrivals: a mail has arrived when Dovecot has said yes to it."""

    def __init__(self, log: Path) -> None:
        self._lines = log.open(encoding="utf-8", errors="replace")
        self._rest = ""
        self._events = PostfixEvents()
        self._arrived: list[Arrived] = []

    def close(self) -> None:
        """The log is read no more."""
        self._lines.close()

    @property
    def arrived(self) -> list[Arrived]:
        """By the second in which Postfix took them."""
        self._look()
        return self._arrived

    @property
    def refused(self) -> Counter[str]:
        """Replies that were not yes, by their code."""
        self._look()
        counts = Counter({"535": self._events.logins_refused})
        for (code, _, _), count in self._events.refused.items():
            counts[str(code)] += count
        return counts

    def _look(self) -> None:
        new = self._rest + self._lines.read()
        whole, _, self._rest = new.rpartition("\n")
        if whole:
            self._events.feed(whole.split("\n"))
            delivered = [_arrived(mail) for mail in self._events.queued if mail.delivered]
            self._arrived = sorted(delivered, key=lambda one: one.at_s)


def _arrived(mail: Queued) -> Arrived:
    return Arrived(mail.at_s, mail.sender, mail.delivered[0], mail.message_id, subject="", in_reply_to="")
