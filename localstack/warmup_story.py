"""What came of a day of the warm-up, for a person: from the mail server's records, the ledger and the metrics."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from rich.console import Console

from localstack.mail_sink import Arrived
from localstack.story import make_table
from localstack.warmup_watch import Facts
from mailtide.warmup.objects import QuotaRow


def tell(console: Console, facts: Facts, measured: Mapping[str, object]) -> None:
    """Print the whole story. measured: what `mailtide warmup status --json` said."""
    console.print()
    _counts(console, facts, measured)
    _limits(console, facts)
    _quotas(console, facts)
    _one_mailbox(console, facts)


def most_within(moments_s: Sequence[float], span_s: float) -> int:
    """The most of the moments, in order, that lie within any span of that length."""
    most = first = 0
    for last, moment_s in enumerate(moments_s):
        while moment_s - moments_s[first] >= span_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def _counts(console: Console, facts: Facts, measured: Mapping[str, object]) -> None:
    ids = Counter(mail.message_id for mail in facts.arrived)
    replies = sum(bool(mail.in_reply_to) for mail in facts.arrived)
    table = make_table("The day", "what", "count", "where it stands", numbers=("count",))
    for name, count, where in (
        ("planned", facts.header.planned, "roster"),
        ("delivered", len(facts.arrived), "mail server"),
        ("  of these replies", replies, "mail server: In-Reply-To"),
        ("  delivered twice", sum(ids.values()) - len(ids), "mail server: Message-ID"),
        ("sent", measured["emails_sent_today"], "ledger"),
        ("failed", measured["emails_failed_today"], "ledger"),
        ("unknown", measured["emails_unknown_today"], "ledger"),
        ("recipient refused (550)", facts.refused["550"], "mail server"),
        ("password refused (535)", facts.refused["535"], "mail server"),
    ):
        table.add_row(name, f"{count:,}", where)
    console.print(table)


def _limits(console: Console, facts: Facts) -> None:
    moments = [mail.at_s for mail in facts.arrived]
    minutes = Counter(int(moment // 60) for moment in moments)
    halves = Counter(int(moment // 30) for moment in moments)
    user_of = {facts.mailboxes[row.mailbox_id].address: row.user_id for row in facts.rows}
    users = Counter(user_of[mail.sender] for mail in facts.arrived)
    limit, settings = facts.day.minute_limit, facts.day.settings
    table = make_table("Peaks and limits", "span", "most", "limit", numbers=("most", "limit"))
    table.add_row("half a minute", f"{max(halves.values(), default=0):,}", f"{limit // 2:,}")
    table.add_row("a minute of the clock", f"{max(minutes.values(), default=0):,}", f"{limit:,}")
    table.add_row("any 60 seconds", f"{most_within(moments, 60):,}", f"{limit * 3 // 2:,}")
    table.add_row("the hour", f"{len(moments):,}", f"{int(settings['WarmupGlobalHourlyLimit']):,}")
    table.add_row("the hour, of one user", f"{max(users.values(), default=0):,}", settings["WarmupUserHourlyLimit"])
    console.print(table)
    gap_s, least_s = _shortest_gap(facts.arrived), int(settings["WarmupMailboxCooldownMinMs"]) / 1000
    if gap_s is not None:
        console.print(
            f"The shortest gap between two mails of one mailbox was {gap_s:.1f} s; the cooldown is {least_s:.0f} s at least.\n"
        )


def _shortest_gap(arrived: Sequence[Arrived]) -> float | None:
    """Seconds between two mails of one mailbox, at least; None while none has written twice."""
    moments: dict[str, list[float]] = {}
    for mail in arrived:
        moments.setdefault(mail.sender, []).append(mail.at_s)
    return min((after - before for each in moments.values() for before, after in pairwise(each)), default=None)


def _quotas(console: Console, facts: Facts) -> None:
    table = make_table(
        "Quotas",
        "quota",
        "mailboxes",
        "full",
        "mails",
        "not full, and why",
        numbers=("quota", "mailboxes", "full", "mails"),
    )
    for target in sorted({row.target for row in facts.rows}):
        rows = [row for row in facts.rows if row.target == target]
        missing = [row for row in rows if row.sent < row.target]
        table.add_row(
            str(target),
            str(len(rows)),
            str(len(rows) - len(missing)),
            f"{sum(row.sent for row in rows):,}",
            ", ".join(f"{row.mailbox_id}: {row.sent}, {_why(facts, row)}" for row in missing[:4]),
        )
    console.print(table)


def _why(facts: Facts, row: QuotaRow) -> str:
    mailbox = facts.mailboxes[row.mailbox_id]
    if mailbox.status != "active":
        return mailbox.status
    return f"{row.failed} failed" if row.failed else "the day was over"


def _one_mailbox(console: Console, facts: Facts) -> None:
    """The mailbox with the most mails, and with replies among them where there is such."""
    replies = Counter(mail.sender for mail in facts.arrived if mail.in_reply_to)
    mails = Counter(mail.sender for mail in facts.arrived)
    if not mails:
        return
    sender = max(mails, key=lambda address: (mails[address], replies[address]))
    table = make_table(f"The first mails of {sender}", "at (UTC)", "to", "subject", "kind")
    for mail in [mail for mail in facts.arrived if mail.sender == sender][:8]:
        moment = datetime.fromtimestamp(mail.at_s, UTC)
        table.add_row(f"{moment:%H:%M:%S}", mail.recipient, mail.subject, "reply" if mail.in_reply_to else "mail")
    console.print(table)
