"""The arrays that pass between the database and the rules: columns in, columns out.

Days are civil days since 1970-01-01 (int32), NO_DATE where unknown. Texts are codes into a list that travels beside the
array (`types`, `reasons`, `templates`); code -1 is NULL. `contact` columns are indexes into `Contacts.id`, never ids.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

type Int64 = NDArray[np.int64]
type Int32 = NDArray[np.int32]
type Int16 = NDArray[np.int16]
type Int8 = NDArray[np.int8]
type UInt8 = NDArray[np.uint8]
type Bool = NDArray[np.bool_]
type Codes = NDArray[np.int16 | np.int32]
"""As narrow as the list allows; one more and one less still fit."""
type Numbers = NDArray[np.int32 | np.int64]
"""As narrow as the values allow; the difference of two still fits."""

NO_DATE = int(np.iinfo(np.int32).min)
NO_CODE = -1
NO_STATE = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Contacts:
    """The contacts that have a readable id, strictly ascending by id; every array has shape (n,)."""

    id: Int64
    email_valid: Bool
    suppressed: Bool
    state: UInt8
    """Index into `mailtide.rules.states.STATES` from the state column, NO_STATE when it is not one of the 51."""
    zip_state: UInt8
    """Likewise from zip_code through the packaged ZIP table."""
    birth: Int32
    effective: Int32
    has_phone: Bool

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Rows of email_schedules with a status of history, of contacts that exist; shape (h,), ascending by row id."""

    row_id: Int64
    contact: Int32
    email_type: Int32
    event: Int32
    """NO_DATE where an older table has none (§4: it stands for the event that its send date implies)."""
    send: Int32
    """scheduled_send_date, NO_DATE where invalid."""
    actual: Int32
    """The date part of actual_send_datetime, NO_DATE where absent."""
    was_sent: Bool
    """Status `sent` or `delivered` (the others are `scheduled` and `processing`)."""
    campaign: Int64
    """campaign_instance_id, 0 for NULL."""
    priority: Int64
    """10 for NULL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKeys:
    """Keys of the rows with any status that is neither history nor planned (failed, cancelled, …); shape (k,)."""

    contact: Int32
    email_type: Int32
    event: Int32
    campaign: Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignType:
    """One row of campaign_types, with the defaults of §2 filled in."""

    name: str
    respect_exclusion_windows: bool
    enable_followups: bool
    days_before_event: int
    target_all_contacts: bool
    priority: int
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignInstance:
    """One row of campaign_instances whose active dates are valid or NULL (NO_DATE)."""

    id: int
    campaign_type: str
    email_template: str | None
    sms_template: str | None
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Usable rows of contact_campaigns (status pending, scheduled or NULL; a valid trigger date); shape (t,)."""

    contact: Int32
    instance: Int32
    """Index into `Inputs.instances`."""
    trigger: Int32


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What contacts did after a mail (§8); each array of shape (c,) or (e,)."""

    click_contact: Int32
    click_day: Int32
    answer_contact: Int32
    """contact_events rows of type `eligibility_answered`."""
    answer_day: Int32
    answer_yes: Bool
    """has_medical_conditions is JSON true, or main_questions_yes_count a JSON number above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """Everything that the rules read of one database but the contacts themselves."""

    types: list[str]
    """email_type by code, as the table spells them; the rules may append."""
    history: History
    held: HeldKeys
    campaign_types: list[CampaignType]
    instances: list[CampaignInstance]
    targets: Targets
    signals: Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs(Related):
    """Everything that the rules read of one database."""

    contacts: Contacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """The rows that should stand in the table (§9), unique by key; shape (d,), sorted by (contact, email_type name,
    event, campaign). `status` is `skipped` where `skip_reason` is not NO_CODE, else `pre-scheduled`."""

    contact: Int32
    email_type: Codes
    """Code into `types`."""
    event: Int32
    send: Int32
    skip_reason: Codes
    """Code into `reasons`, NO_CODE when not skipped."""
    priority: Numbers
    campaign: Numbers
    email_template: Codes
    """Code into `templates`, NO_CODE when NULL."""
    sms_template: Codes
    types: list[str]
    reasons: list[str]
    templates: list[str]

    def __len__(self) -> int:
        return len(self.contact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the rules decided, and what the report counts of it."""

    desired: Desired
    eligible: int
    skipped_contacts: dict[str, int]
    """Contacts that are not eligible, by reason (without invalid_id, which the reader counts)."""
    notes: dict[str, int]
    """Counts that the report shows: state_zip_mismatch, post_window_beyond_366_days, smoothed rows, …"""
