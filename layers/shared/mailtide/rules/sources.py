"""Where candidates come from: the three anniversary mails, the post-window mail, and each campaign instance that counts.

A candidate is (contact, source, event date); all else about it follows from its source.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mailtide.rules.columns import NO_CODE, NO_DATE, Bool, CampaignInstance, CampaignType, Int32, Int64, Related
from mailtide.rules.config import CAMPAIGN_PREFIX, FOLLOWUP_TYPES, Rules
from mailtide.rules.hashing import type_crc

BIRTHDAY, EFFECTIVE, AEP, POST_WINDOW, FIRST_CAMPAIGN = range(5)
NO_DEADLINE = 1 << 30
_FAR_DAYS = 4_000_000


class Codes:
    """Texts by code: a list that grows, and its reverse."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self.texts = list(texts)
        self._code = {text: code for code, text in enumerate(self.texts)}

    def code(self, text: str | None) -> int:
        """The code of a text, added when new; NO_CODE for None."""
        if text is None:
            return NO_CODE
        if text not in self._code:
            self._code[text] = len(self.texts)
            self.texts.append(text)
        return self._code[text]

    def ranks(self) -> Int32:
        """For each code its place in code-point order of the texts."""
        ranks = np.empty(len(self.texts), np.int32)
        ranks[sorted(range(len(self.texts)), key=self.texts.__getitem__)] = np.arange(len(self.texts))
        return ranks


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One origin of candidates."""

    email_type: str
    days_before: int
    priority: int
    campaign: int = 0
    obeys_windows: bool = True
    fixed_deadline: int | None = None
    """None: the event date is the deadline."""
    email_template: str | None = None
    sms_template: str | None = None
    instance: int = -1
    """Index into `Inputs.instances`."""
    everybody_on: int | None = None
    """The trigger date of a campaign that targets every eligible contact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """The sources as arrays, shape (s,), with `sources` beside them."""

    sources: list[Source]
    type_code: Int32
    crc: NDArray[np.uint64]
    days_before: Int32
    priority: Int64
    campaign: Int64
    obeys_windows: Bool
    fixed_deadline: Int32
    """NO_DATE where the event date is the deadline; NO_DEADLINE where there is none."""
    type_rank: Int32
    """The place of the type in code-point order."""
    walk_rank: Int32
    """The rank of §7: birthday 0, effective_date 1, aep 2, post_window 3, campaigns 4 and up by type."""
    email_template: Int32
    sms_template: Int32

    def deadline(self, source: Int32, event: Int32) -> Int32:
        """The last day on which each candidate may be sent."""
        fixed = self.fixed_deadline[source]
        return np.where(fixed == NO_DATE, event, fixed)


@dataclass(slots=True, kw_only=True)
class Names:
    """The growing lists of texts that the result's codes point into."""

    types: Codes
    reasons: Codes = field(default_factory=Codes)
    templates: Codes = field(default_factory=Codes)
    followup_email: list[int] = field(default_factory=list)
    """Template codes of the four follow-up types, in the order of FOLLOWUP_TYPES."""
    followup_sms: list[int] = field(default_factory=list)
    followup_types: list[int] = field(default_factory=list)


def _anniversary_sources(rules: Rules) -> list[Source]:
    days_before = {
        "birthday": rules.birthday_days_before,
        "effective_date": rules.effective_date_days_before,
        "aep": 0,
        "post_window": 0,
    }
    sources = []
    for email_type, days in days_before.items():
        templates = rules.templates.get(email_type)
        sources.append(
            Source(
                email_type=email_type,
                days_before=days,
                priority=getattr(rules.priorities, email_type),
                fixed_deadline=NO_DEADLINE if email_type == "post_window" else None,
                email_template=templates.email if templates else None,
                sms_template=templates.sms if templates else None,
            )
        )
    return sources


def _counts(instance: CampaignInstance, kind: CampaignType | None, as_of: int) -> bool:
    starts = instance.start in (NO_DATE,) or instance.start <= as_of
    ends = instance.end in (NO_DATE,) or as_of <= instance.end
    return kind is not None and kind.active and starts and ends


def _campaign_source(index: int, instance: CampaignInstance, kind: CampaignType, rules: Rules) -> Source:
    email_type = CAMPAIGN_PREFIX + kind.name
    fallback = rules.templates.get(email_type)
    open_end = NO_DEADLINE if instance.end == NO_DATE else instance.end
    return Source(
        email_type=email_type,
        days_before=max(-_FAR_DAYS, min(kind.days_before_event, _FAR_DAYS)),
        priority=kind.priority,
        campaign=instance.id,
        obeys_windows=kind.respect_exclusion_windows,
        fixed_deadline=None if kind.days_before_event > 0 else open_end,
        email_template=instance.email_template or (fallback.email if fallback else None),
        sms_template=instance.sms_template or (fallback.sms if fallback else None),
        instance=index,
        everybody_on=instance.start if kind.target_all_contacts else None,
    )


def list_sources(inputs: Related, rules: Rules, as_of: int) -> tuple[list[Source], int]:
    """The sources of a run, and the number of instances left out because they target everybody but have no start."""
    kinds = {kind.name: kind for kind in inputs.campaign_types}
    sources = _anniversary_sources(rules)
    without_start = 0
    for index, instance in enumerate(inputs.instances):
        kind = kinds.get(instance.campaign_type)
        if kind is None or not _counts(instance, kind, as_of):
            continue
        if kind.target_all_contacts and instance.start == NO_DATE:
            without_start += 1
        else:
            sources.append(_campaign_source(index, instance, kind, rules))
    return sources, without_start


def tabulate(sources: list[Source], names: Names, rules: Rules) -> SourceTable:
    """The sources as arrays; adds their types and templates, and those of the follow-ups, to `names`."""
    type_code = [names.types.code(source.email_type) for source in sources]
    for email_type in FOLLOWUP_TYPES:
        templates = rules.templates.get(email_type)
        names.followup_types.append(names.types.code(email_type))
        names.followup_email.append(names.templates.code(templates.email if templates else None))
        names.followup_sms.append(names.templates.code(templates.sms if templates else None))
    by_type = names.types.ranks()
    indexes = np.arange(len(sources))
    deadlines = [NO_DATE if source.fixed_deadline is None else source.fixed_deadline for source in sources]
    return SourceTable(
        sources=sources,
        type_code=np.array(type_code, np.int32),
        crc=np.array([type_crc(source.email_type) for source in sources], np.uint64),
        days_before=np.array([source.days_before for source in sources], np.int32),
        priority=np.array([source.priority for source in sources], np.int64),
        campaign=np.array([source.campaign for source in sources], np.int64),
        obeys_windows=np.array([source.obeys_windows for source in sources], np.bool_),
        fixed_deadline=np.array(deadlines, np.int32),
        type_rank=by_type[type_code],
        walk_rank=np.where(indexes < FIRST_CAMPAIGN, indexes, FIRST_CAMPAIGN + by_type[type_code]).astype(np.int32),
        email_template=np.array([names.templates.code(source.email_template) for source in sources], np.int32),
        sms_template=np.array([names.templates.code(source.sms_template) for source in sources], np.int32),
    )
