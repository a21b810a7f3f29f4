"""The doctor's checks that no local cloud can be brought to: clocks, Fly's refusals, deadlines, and what is well."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from threading import Event

import pytest
from pydantic import SecretStr

from mailtide.access import TokenBook
from mailtide.adapters.cloud_logs import redacted
from mailtide.adapters.fly.errors import FlyAuthError, FlyNotFoundError, FlyUnansweredError
from mailtide.contracts import Latest, Lock, SourceRef
from mailtide.doctor.examine import Patient, examine
from mailtide.doctor.facts import BucketFacts, FunctionFacts, MappingFacts, QueueFacts, Resource, StackFacts
from mailtide.doctor.finding import Finding
from mailtide.doctor.fly import image_check, token_check
from mailtide.doctor.orgs import OrgFacts, leftover_checks, org_checks
from mailtide.doctor.stack import mapping_checks, queue_checks, stack_check
from mailtide.doctor.storage import LIFECYCLE_RULES, bucket_checks, clock_check, denies_plain_http
from mailtide.errors import FlyError, MailtideError
from mailtide.rules.config import load_rules
from tests.support.memory_bucket import MemoryBucket
from tests.support.memory_clock import MemoryClock
from tests.support.template import load_template

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DIGEST = "registry.fly.io/mailtide@sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("off_s", "verdict"),
    [(0, "ok"), (-59, "ok"), (61, "warning"), (-300, "warning"), (301, "broken"), (-9_000, "broken")],
)
def test_clocks(off_s: int, verdict: str) -> None:
    found = clock_check(NOW - timedelta(seconds=off_s), NOW)
    assert found.verdict == verdict
    assert verdict == "ok" or ("ahead of" if off_s > 0 else "behind") in found.what


@dataclass
class App:
    """Fly's side."""

    error: FlyError | None = None
    image: bool | None = None

    def machines(self) -> int:
        if self.error is not None:
            raise self.error
        return 3

    def has_image(self, image: str) -> bool | None:
        del image
        return self.image


@pytest.mark.parametrize(
    ("app", "verdict"),
    [
        (None, "broken"),
        (App(), "ok"),
        (App(FlyAuthError("401")), "broken"),
        (App(FlyNotFoundError("404")), "broken"),
        (App(FlyUnansweredError("no answer")), "warning"),
    ],
)
def test_the_token(app: App | None, verdict: str) -> None:
    assert token_check("mailtide", app, "mailtide/fly-token").verdict == verdict


@pytest.mark.parametrize(
    ("image", "has", "verdict"),
    [("", None, "broken"), (DIGEST, True, "ok"), (DIGEST, None, "ok"), (DIGEST, False, "broken"),
     ("registry.fly.io/mailtide:latest", True, "warning")],
)  # fmt: skip
def test_the_image(image: str, has: bool | None, verdict: str) -> None:
    assert image_check(image, App(image=has)).verdict == verdict


@pytest.mark.parametrize(
    ("status", "verdict"),
    [("UPDATE_COMPLETE", "ok"), ("UPDATE_IN_PROGRESS", "warning"), ("UPDATE_ROLLBACK_FAILED", "broken")],
)
def test_the_stack(status: str, verdict: str) -> None:
    assert stack_check("mailtide", StackFacts("mailtide", status, {}, ())).verdict == verdict


def test_a_bucket_elsewhere_has_no_events_policy_or_lifecycle() -> None:
    facts = BucketFacts("Enabled", False, (), None, {}, False)
    assert [one.verdict for one in bucket_checks("tide", facts, is_elsewhere=True)] == ["ok"]
    assert {one.verdict for one in bucket_checks("tide", facts, is_elsewhere=False)} == {"broken", "warning"}
    assert bucket_checks("tide", None, is_elsewhere=True)[0].verdict == "broken"


def test_every_lifecycle_rule_of_the_template_is_looked_for() -> None:
    rules = load_template()["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert set(LIFECYCLE_RULES) == {rule["Id"] for rule in rules if rule["Status"] == "Enabled"}


def test_a_policy_against_plain_http() -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    assert denies_plain_http({"Statement": [{"Effect": "Allow"}, statement]})
    assert not denies_plain_http({"Statement": [statement | {"Effect": "Allow"}]})
    assert not denies_plain_http({"Statement": [statement | {"Principal": {"AWS": "somebody"}}]})


def test_a_queue_that_is_hasty_and_one_whose_dead_letters_go_elsewhere() -> None:
    queue, dead = Resource("PlanQueue", "q", "u1"), Resource("PlanDeadLetters", "q", "u2")
    facts = QueueFacts("arn:q", 15, 0, "arn:elsewhere", 5)
    function = FunctionFacts("mailtide-plan-run", "Active", "Successful", 120, {})
    wakes = MappingFacts("arn:aws:lambda:us-east-1:1:function:mailtide-plan-run", "arn:q", "Enabled", True)
    found = queue_checks(
        {queue: facts, dead: QueueFacts("arn:d", 30, 0, None, None)}, {function.name: function}, [wakes]
    )
    assert [(one.verdict, one.subject) for one in found] == [("warning", "PlanQueue"), ("broken", "PlanQueue")]


def test_without_lambda_the_warm_up_needs_no_mappings() -> None:
    functions: Mapping[Resource, FunctionFacts | None] = {
        Resource("SendMail", "f", "mailtide-send-mail"): FunctionFacts("mailtide-send-mail", "Active", "", 900, {})
    }
    assert [one.verdict for one in mapping_checks(functions, [], {"Warmup": "containers"})] == ["ok"]
    assert [one.verdict for one in mapping_checks(functions, [], {})] == ["broken"]


SOURCE = SourceRef(etag="e", last_modified=NOW - timedelta(hours=2), size_bytes=9)
WELL = OrgFacts(
    "acme", load_rules(None), None, Latest(run="a" * 20, status="published", source=SOURCE, as_of=NOW.date()),
    None, False, SOURCE, None, (), frozenset(),
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "verdicts"),
    [
        ({}, []),
        ({"latest": WELL.latest.model_copy(update={"status": "failed"})}, ["warning"]),
        ({"latest": WELL.latest.model_copy(update={"status": "failed"}), "decided": True}, []),
        ({"latest": WELL.latest.model_copy(update={"status": "held"})}, ["warning"]),
        ({"latest": WELL.latest.model_copy(update={"status": "held"}), "decided": True}, []),
        ({"source": SOURCE.model_copy(update={"etag": "new"})}, ["broken"]),
        ({"source": SourceRef(etag="new", last_modified=NOW - timedelta(minutes=2), size_bytes=9)}, []),
        ({"latest": WELL.latest.model_copy(update={"as_of": date(2026, 11, 20)})}, ["broken"]),
        ({"source": None}, []),
        ({"rules_problem": "No."}, ["broken"]),
    ],
)
def test_organisations(changes: dict[str, object], verdicts: list[str]) -> None:
    facts = replace(WELL, **changes)  # type: ignore[arg-type]  # handed through
    assert [one.verdict for one in org_checks(facts, NOW)] == verdicts


def test_a_lock_is_left_when_its_run_has_ended() -> None:
    lock = Lock(owner="b" * 20, epoch=1, expires_at=NOW + timedelta(minutes=5))
    assert list(leftover_checks(replace(WELL, lock=lock), NOW, 3_600)) == []
    (found,) = leftover_checks(replace(WELL, lock=lock, ended=frozenset({"b" * 20})), NOW, 3_600)
    assert (found.check, found.verdict) == ("locks", "warning")


class Tide:
    """A stack of which nothing is known but that its bucket is elsewhere, and the tokens of its API."""

    def __init__(self, *subjects: str) -> None:
        book = TokenBook()
        for subject in subjects:
            book, _ = book.add(subject.partition(":")[0], subject, today=NOW.date())
        self.tokens = book.to_text()

    def identity(self) -> str:
        return "arn:ana"

    def stack(self) -> StackFacts:
        return StackFacts("mailtide", "CREATE_COMPLETE", {"S3Bucket": "tide"}, ())

    def bucket_facts(self, bucket: str) -> BucketFacts:
        assert bucket == "tide"
        return BucketFacts("Enabled", False, (), None, {}, False)

    def bucket_time(self, bucket: str) -> datetime:
        del bucket
        return NOW

    def secret(self, name: str) -> SecretStr | None:
        return SecretStr(self.tokens if name == "mailtide/api-tokens" else "")

    def queue(self, name: str) -> None:
        raise AssertionError(name)

    table = function = rule = key_state = queue

    def mappings(self) -> list[MappingFacts]:
        return []


@pytest.mark.parametrize(
    ("subjects", "verdict"), [(("operator", "webhook"), "ok"), (("org:acme",), "broken"), ((), "broken")]
)
def test_a_bucket_elsewhere_needs_a_token_for_its_webhook(subjects: tuple[str, ...], verdict: str) -> None:
    patient = Patient(
        site=Tide(*subjects), stack_name="mailtide", bucket=None, open_bucket=lambda _: MemoryBucket(MemoryClock()),
        open_fly=lambda _environment, _token: App(), now=lambda: NOW,
    )  # fmt: skip
    found = {one.check: one for one in examine(patient, time_limit_s=300)}
    assert found["webhook token"].verdict == verdict
    assert found["bucket"].verdict == "ok"


class Closed:
    """A deployment that may not be asked. hangs: what its bucket waits for before it says so."""

    def __init__(self, hangs: Event) -> None:
        self.hangs = hangs

    def identity(self) -> str:
        return "arn:ana"

    def stack(self) -> StackFacts:
        raise MailtideError("AWS refused DescribeStacks: AccessDenied.")

    def bucket_facts(self, bucket: str) -> None:
        del bucket
        self.hangs.wait()

    def bucket_time(self, bucket: str) -> datetime:
        raise ValueError(bucket)

    def secret(self, name: str) -> SecretStr | None:
        raise AssertionError(name)

    queue = table = function = rule = key_state = bucket_facts

    def mappings(self) -> list[MappingFacts]:
        return []


def examined(hangs: Event, time_limit_s: float) -> dict[str, Finding]:
    patient = Patient(
        site=Closed(hangs), stack_name="mailtide", bucket="tide", open_bucket=lambda _: MemoryBucket(MemoryClock()),
        open_fly=lambda _environment, _token: App(), now=lambda: NOW,
    )  # fmt: skip
    return {one.check: one for one in examine(patient, time_limit_s=time_limit_s)}


def test_a_check_that_hangs_is_not_waited_for() -> None:
    hangs = Event()
    found = examined(hangs, 0.05)
    hangs.set()
    assert found["bucket"].what == "It did not answer within 0.05 s."
    assert found["bucket"].verdict == "broken"


def test_a_check_that_breaks_hides_no_other() -> None:
    answers = Event()
    answers.set()
    found = examined(answers, 300)
    assert found["stack"].verdict == "warning"
    assert found["clock"].what == "It could not be looked at (ValueError)."
    assert found["bucket"].what == "There is no bucket tide."
    assert found["organisations"].verdict == "ok"


def test_an_organisation_that_cannot_be_read_hides_no_other() -> None:
    bucket = MemoryBucket(MemoryClock())
    bucket.put("orgs/acme/latest.json", b"{")
    bucket.put("orgs/beta/rules.yaml", b"cadence: yearly")
    patient = Patient(
        site=Tide(), stack_name="mailtide", bucket=None, open_bucket=lambda _: bucket,
        open_fly=lambda _environment, _token: App(), now=lambda: NOW,
    )  # fmt: skip
    found = [one for one in examine(patient, time_limit_s=300) if one.check == "organisations"]
    assert [(one.subject, one.verdict) for one in found] == [("acme", "broken"), ("beta", "broken")]
    assert "cannot be read as Latest" in found[0].what


def test_what_opens_something_is_not_shown() -> None:
    text = (
        'GET https://b.s3/runs/x?X-Amz-Signature=abc123&X-Amz-Date=1 with "Bearer eyJabcdefgh" FlyV1 fm2_lJPECAAAAAAA'
    )
    assert redacted(text) == 'GET [presigned address] with "[token]" [token]'
    assert redacted("planned org=acme run=0123") == "planned org=acme run=0123"
