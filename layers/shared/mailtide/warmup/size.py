"""What a pool of some size calls for."""


def size_note(mailboxes: int) -> str:
    """What a pool of this size calls for: the thresholds at which the worker mode asked for more workers."""
    if mailboxes < 500:
        return "Any setting will do."
    if mailboxes < 1_000:
        return "From 500 mailboxes on, watch the metrics: quota completion and the age of the oldest message."
    if mailboxes < 5_000:
        return "From 1,000 mailboxes on (once 2 to 5 workers): nothing to start; check the limits with `capacity`."
    if mailboxes < 10_000:
        return (
            "From 5,000 mailboxes on (once 10 workers): have the alarms on, and the sender's concurrency as computed."
        )
    return "From 10,000 mailboxes on (once 20 workers and more): raise the limits before the pool, and simulate a day first."
