"""Where mails landed, in Prometheus' text format. No label holds an address or an id."""

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from mailtide.warmup.contracts import DAY_MS, day_start_ms
from mailtide.warmup.reading.shown import PlacementReport

PLACEMENT_GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "placement_mails": (
        "Mails of seven days by the recipient's provider and where they were first seen",
        ("provider", "verdict"),
    ),
    "placement_inbox_rate": ("Mails of seven days in the inbox, of those that somebody looked for", ()),
    "placement_bounces": ("Mails of seven days that came back", ()),
    "placement_complaints": ("Mails of seven days that somebody called spam", ()),
    "placement_mailboxes": ("Mailboxes that are slowed, quarantined or have graduated", ("state",)),
    "placement_spared_mailboxes": (
        "Mailboxes that the last fold spared, since so many at once share another cause: not quarantined, or not slowed",
        ("measure",),
    ),
    "placement_folded_until_seconds": ("End of the last day that was folded (Unix time)", ()),
}
"""Name without its prefix -> help, labels."""
OTHERS = "other"
"""The provider label of all that are not known."""


def placement_text(report: PlacementReport) -> bytes:
    """The gauges; nothing before the first day that was folded."""
    if report.day is None:
        return b""
    registry = CollectorRegistry()
    gauges = {
        name: Gauge(f"warmup_{name}", help_text, labels, registry=registry)
        for name, (help_text, labels) in PLACEMENT_GAUGES.items()
        if name != "placement_inbox_rate" or report.total.share is not None
    }
    for one in report.providers:
        for verdict in ("inbox", "junk", "missing"):
            gauges["placement_mails"].labels(one.provider or OTHERS, verdict).set(getattr(one, verdict))
    if report.total.share is not None:
        gauges["placement_inbox_rate"].set(report.total.share)
    gauges["placement_bounces"].set(report.bounces)
    gauges["placement_complaints"].set(report.complaints)
    for state in ("slowed", "quarantined", "graduated"):
        gauges["placement_mailboxes"].labels(state).set(getattr(report, state))
    gauges["placement_spared_mailboxes"].labels("quarantine").set(report.withheld)
    gauges["placement_spared_mailboxes"].labels("slowing").set(report.spared)
    gauges["placement_folded_until_seconds"].set((day_start_ms(report.day) + DAY_MS) / 1000)
    return generate_latest(registry)
