"""What a plan says: the rules, the inspection of the database by ranged reads, the machine and its price."""

from datetime import date

from mailtide.contracts import MAX_DELIVERED_BYTES, Failure, Inspection, Likeness, OpenMarker, Plan, PublishedFile
from mailtide.database.estimate import DatabaseFacts, inspect_and_compare
from mailtide.database.for_everybody import count_for_everybody
from mailtide.errors import BudgetExceededError, DatabaseError, InputError, RulesError
from mailtide.ports import Bucket
from mailtide.rules.config import Rules, load_rules
from mailtide.rules.volume import Limits, check_mails, mails_without_campaigns, refusal_of
from mailtide.runs import keys, store
from mailtide.runs.cadence import local_date
from mailtide.runs.feedback import plan_feedback
from mailtide.runs.services import Services
from mailtide.runs.share_out import BucketRanges, plan_tasks

_EPOCH = date(1970, 1, 1).toordinal()
_LEAST_BYTES_PER_CONTACT = 500
"""Of a database with its schedule: 800 to 870 were measured; a machine that finds more than it can deliver says so itself."""


def draw_up(services: Services, marker: OpenMarker) -> Plan:
    """The plan of an opened run; a bad input gives one that says why. SourceChangedError: start again."""
    try:
        rules_yaml = _read_rules_yaml(services.bucket, marker.org)
        rules = load_rules(rules_yaml)
        facts, likeness = _inspect(services.bucket, marker)
        check_size(facts.contacts_estimate, facts.size_bytes)
        _check_volume(services, marker, rules, facts)
    except InputError as error:
        rules = read_rules_or_packaged(services.bucket, marker.org)
        rejected = Failure(kind="bad_input", message=str(error))
        return _plan(services, marker, rules).model_copy(update={"rejected": rejected})
    source = marker.source
    file = _published_file(services.bucket, marker)
    read = source if file is None else file.ref(source)
    feedback = plan_feedback(services.bucket, marker.org, read)
    # What feedback says counts for the candidates too, and only the machine that writes the database folds it in.
    sizing, tasks = plan_tasks(services, marker, facts, read_bytes=read.size_bytes, only_one=bool(feedback.files))
    key = keys.source(marker.org) if file is None else file.key
    part_bytes = services.bucket.first_part_size(key, etag=read.etag) if "-" in read.etag else None
    changes = {
        "rules_yaml": rules_yaml,
        "source_part_bytes": part_bytes,
        "file": file,
        "inspection": _inspection(facts, likeness),
        "feedback": feedback,
        "tasks": tasks,
        "expected_s": sizing.expected_s,
        "expected_usd": sizing.expected_usd,
    }
    return _plan(services, marker, rules).model_copy(update=changes)


def _published_file(bucket: Bucket, marker: OpenMarker) -> PublishedFile | None:
    """Where the schedule of this very source stands as published so far, unless that is the source itself."""
    latest = store.read_latest(bucket, marker.org).value
    if latest.file is None or latest.source is None or not store.same_source(latest.source, marker.source):
        return None
    info = bucket.head(latest.file.key)
    return latest.file if info is not None and info.etag == latest.file.etag else None


def give_up(services: Services, marker: OpenMarker, failure: Failure) -> Plan:
    """Create the plan of a run that nobody managed to plan: it says why and launches nothing. Safe without the lock."""
    rules = read_rules_or_packaged(services.bucket, marker.org)
    plan = _plan(services, marker, rules).model_copy(update={"rejected": failure})
    return store.create_once(services.bucket, keys.plan(marker.org, marker.run), plan)


def _plan(services: Services, marker: OpenMarker, rules: Rules) -> Plan:
    now = services.clock.now()
    return Plan(
        org=marker.org,
        run=marker.run,
        trigger=marker.trigger,
        source=marker.source,
        as_of=marker.as_of or local_date(now, rules.timezone),
        planned_at=now,
        opened_at=marker.opened_at,
        rules_yaml=None,
        rules_sha256=rules.sha256,
        approved=marker.approved,
        sync=rules.sync,
        inspection=None,
        tasks=(),
        deadline_s=services.settings.deadline_s,
        expected_s=0.0,
        expected_usd=0.0,
    )


def _inspect(bucket: Bucket, marker: OpenMarker) -> tuple[DatabaseFacts, Likeness]:
    try:
        return inspect_and_compare(BucketRanges.of(bucket, marker))
    except BudgetExceededError as error:
        raise DatabaseError("The database's schema is too large to be read at planning.") from error


def check_size(contacts: int, size_bytes: int) -> None:
    """Raise DatabaseError for a database that is too large to be delivered, whatever its schedule comes to."""
    least_bytes = max(size_bytes, contacts * _LEAST_BYTES_PER_CONTACT)
    if least_bytes > MAX_DELIVERED_BYTES:
        raise DatabaseError(
            f"A database of {contacts:,} contacts has {least_bytes / 1e9:.1f} GB or more with its schedule; "
            f"at most {MAX_DELIVERED_BYTES / 1e9:.1f} GB can be delivered."
        )


def _check_volume(services: Services, marker: OpenMarker, rules: Rules, facts: DatabaseFacts) -> None:
    """Raise DatabaseError for campaigns that ask for too many mails. The machine looks too, and exactly; where the campaigns
    cannot be read with few requests, it alone."""
    limits = Limits(mails_per_contact=services.settings.max_mails_per_contact)
    contacts, each = facts.contacts_estimate, mails_without_campaigns(rules)
    if refusal_of(contacts * (each + facts.instances_estimate), contacts, limits) is None:
        return
    as_of = marker.as_of or local_date(services.clock.now(), rules.timezone)
    try:
        ranges = BucketRanges.of(services.bucket, marker)
        for_everybody = count_for_everybody(ranges, facts.encoding, as_of.toordinal() - _EPOCH)
    except BudgetExceededError:
        return
    check_mails(contacts * (each + for_everybody), contacts, limits)


def _inspection(facts: DatabaseFacts, likeness: Likeness) -> Inspection:
    return Inspection(
        contacts_estimate=facts.contacts_estimate,
        page_size_bytes=facts.page_size,
        requests=facts.requests,
        bytes_read=facts.bytes_read,
        warnings=tuple(facts.warnings),
        likeness=likeness,
    )


def _read_rules_yaml(bucket: Bucket, org: str) -> str | None:
    try:
        stored = bucket.get(keys.rules(org))
    except BudgetExceededError:
        raise RulesError("The rules file is far too large.") from None
    if stored is None:
        return None
    try:
        return stored.body.decode("utf-8")
    except UnicodeDecodeError:
        raise RulesError("The rules file is not UTF-8 text.") from None


def read_rules_or_packaged(bucket: Bucket, org: str) -> Rules:
    """The organisation's rules where they are usable, else the packaged ones: for dates and cadence."""
    try:
        return load_rules(_read_rules_yaml(bucket, org))
    except RulesError:
        return load_rules(None)
