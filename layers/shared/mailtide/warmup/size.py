"""What a pool of some size calls for: the thresholds at which the worker mode asked people to act."""

ADVICE: dict[int, str] = {
    500: "have the alarms of template.yaml (AlarmTopicArn) or of monitoring/ reach somebody, and look at `mailtide warmup "
    "status` daily. (The worker mode: add monitoring.)",
    1_000: "start no workers; ask `mailtide warmup capacity` for this pool whether the limits allow it, and set WarmupSenders "
    "to its senders at the limit. (The worker mode: 2 to 5 workers.)",
    5_000: "without Lambda let KEDA set the number of senders, or scale `send` to what `mailtide warmup capacity` says; try the "
    "next size with `mailtide warmup simulate`. (The worker mode: 5 workers and more.)",
    10_000: "raise WarmupGlobalMinuteLimit, WarmupGlobalHourlyLimit and WarmupSenders before the pool grows further, each to "
    "what `mailtide warmup capacity` says of the next size. (The worker mode: 10 workers and more.)",
}
"""Threshold in mailboxes -> what to do from there on."""


def size_threshold(mailboxes: int) -> int:
    """The highest threshold that a pool has reached, 0 below all of them."""
    return max((threshold for threshold in ADVICE if mailboxes >= threshold), default=0)


def size_warning(mailboxes: int) -> str | None:
    """What a pool of this size calls for, one sentence and what it replaces; None below all thresholds."""
    threshold = size_threshold(mailboxes)
    return f"{mailboxes:,} mailboxes are {threshold:,} or more: {ADVICE[threshold]}" if threshold else None
