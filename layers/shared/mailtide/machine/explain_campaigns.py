"""Why a campaign does not count for a contact on a day (spec §4)."""

from collections.abc import Iterator

from mailtide.database.contact_rows import TargetRow
from mailtide.rules.columns import NO_DATE, CampaignInstance, CampaignType, Inputs
from mailtide.rules.dates import iso_day

MAX_SHOWN = 30


def campaigns_that_do_not_count(inputs: Inputs, targets: list[TargetRow], as_of: int) -> list[str]:
    """One sentence for each campaign that targets the contact, or everybody, and gives no mail; at most MAX_SHOWN and one more.

    A campaign whose mail is planned, or handled by a mail of the past, counts.
    """
    kinds = {kind.name: kind for kind in inputs.campaign_types}
    instances = {instance.id: instance for instance in inputs.instances}
    found = [
        f"Campaign {_named(row.instance, instances)} does not count: {reason}."
        for row in targets
        if (reason := _of_target(row, instances, kinds, as_of))
    ]
    found += [
        f"Campaign {_named(instance.id, instances)} does not count: {reason}."
        for instance, kind in _for_everybody(inputs, kinds)
        if (reason := _of_instance(instance, kind, as_of) or _past(instance, kind, instance.start, as_of))
    ]
    distinct = list(dict.fromkeys(found))
    more = len(distinct) - MAX_SHOWN
    return distinct[:MAX_SHOWN] + ([f"{more:,} more campaigns do not count."] if more > 0 else [])


def _named(number: int | None, instances: dict[int, CampaignInstance]) -> str:
    instance = instances.get(number) if number is not None else None
    return (
        f"{number} ({instance.campaign_type})"
        if instance
        else f"{'without a readable id' if number is None else number}"
    )


def _for_everybody(inputs: Inputs, kinds: dict[str, CampaignType]) -> Iterator[tuple[CampaignInstance, CampaignType]]:
    for instance in inputs.instances:
        kind = kinds.get(instance.campaign_type)
        if kind is not None and kind.target_all_contacts:
            yield instance, kind


def _of_target(
    row: TargetRow, instances: dict[int, CampaignInstance], kinds: dict[str, CampaignType], as_of: int
) -> str | None:
    instance = instances.get(row.instance) if row.instance is not None else None
    if instance is None:
        return "there is no such instance, or its active dates cannot be read"
    kind = kinds.get(instance.campaign_type)
    if kind is None:
        return f"there is no campaign type {instance.campaign_type}"
    if kind.target_all_contacts:
        return None
    return _of_instance(instance, kind, as_of) or _of_row(row) or _past(instance, kind, row.trigger, as_of)


def _of_instance(instance: CampaignInstance, kind: CampaignType, as_of: int) -> str | None:
    if not kind.active:
        return "its type is not active"
    if instance.start != NO_DATE and instance.start > as_of:
        return f"it begins on {iso_day(instance.start)}"
    if instance.end != NO_DATE and instance.end < as_of:
        return f"it ended on {iso_day(instance.end)}"
    if kind.target_all_contacts and instance.start == NO_DATE:
        return "it targets everybody and has no start"
    return None


def _of_row(row: TargetRow) -> str | None:
    if not row.is_open:
        return f"the contact's status in it is {row.status}" if row.status else "the contact's status in it is no text"
    if row.trigger == NO_DATE:
        return "its trigger date cannot be read" if row.has_trigger else "it has no trigger date"
    return None


def _past(instance: CampaignInstance, kind: CampaignType, trigger: int, as_of: int) -> str | None:
    """Whether the mail's day and its deadline lie before the run."""
    deadline = trigger if kind.days_before_event > 0 else instance.end
    if trigger - kind.days_before_event < as_of and deadline != NO_DATE and deadline < as_of:
        return f"its last day, {iso_day(deadline)}, is past"
    return None
