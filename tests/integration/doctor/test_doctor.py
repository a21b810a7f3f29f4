"""`mailtide doctor` on a deployment that is as it should be, and on one with more than ten things wrong."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from mailtide.contracts import Lock, OpenMarker
from mailtide.doctor.examine import ORDER
from mailtide.runs import keys, store
from mailtide.warmup.keys import CONTROL
from tests.integration.doctor.conftest import ROOT, TOKEN_SECRET, Site, leave_latest

NOW = datetime.now(UTC)


def wrong(findings: list[dict[str, str]]) -> dict[tuple[str, str], str]:
    """(check, subject) -> verdict of what is not well."""
    return {(one["check"], one["subject"]): one["verdict"] for one in findings if one["verdict"] != "ok"}


def test_a_deployment_as_it_should_be(site: Site) -> None:
    code, findings = site.doctor()
    assert wrong(findings) == {}, findings
    assert code == 0
    assert [one["check"] for one in findings] == [
        name for name in ORDER if name not in {"webhook token"} and not name.startswith("bucket ")
    ]
    assert all(one["what"] and not one["todo"] for one in findings)


def test_the_rights_of_the_page_are_enough_and_without_them_it_says_so(site: Site) -> None:
    page = (ROOT / "docs" / "operate.md").read_text()
    shown = re.search(r"```json\n({\"Effect\".*?)\n```", page, re.DOTALL)
    assert shown is not None
    document = json.dumps({"Version": "2012-10-17", "Statement": [json.loads(shown[1])]})
    iam = site.client("iam")
    iam.create_user(UserName="ana")
    key = iam.create_access_key(UserName="ana")["AccessKey"]
    ana = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    code, findings = site.doctor(**ana)
    assert (code, {one["verdict"] for one in findings if one["check"] != "credentials"}) == (0, {"warning", "ok"})
    refused = [one for one in findings if one["verdict"] == "warning"]
    assert [one["check"] for one in refused] == ["stack", "bucket", "warm-up switch", "organisations"]
    assert all("could not be looked at: AWS refused" in one["what"] for one in refused)
    iam.put_user_policy(UserName="ana", PolicyName="doctor", PolicyDocument=document)
    code, findings = site.doctor(**ana)
    assert (code, wrong(findings)) == (0, {})
    assert findings[0]["what"].endswith(":user/ana")
    assert site.run("logs", "acme", "0" * 20, **ana).stdout.startswith("Nothing is told of run")


def _versioning(site: Site) -> None:
    site.s3.put_bucket_versioning(Bucket=site.bucket.name, VersioningConfiguration={"Status": "Suspended"})


def _events(site: Site) -> None:
    site.s3.put_bucket_notification_configuration(Bucket=site.bucket.name, NotificationConfiguration={})


def _policy(site: Site) -> None:
    site.s3.delete_bucket_policy(Bucket=site.bucket.name)


def _encryption(site: Site) -> None:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    site.s3.put_bucket_encryption(Bucket=site.bucket.name, ServerSideEncryptionConfiguration={"Rules": [rule]})


def _lifecycle(site: Site) -> None:
    site.s3.delete_bucket_lifecycle(Bucket=site.bucket.name)


def _redrive(site: Site) -> None:
    site.client("sqs").set_queue_attributes(QueueUrl=site.resources["PlanQueue"], Attributes={"RedrivePolicy": ""})


def _queue(site: Site) -> None:
    site.client("sqs").delete_queue(QueueUrl=site.resources["WebhookQueue"])


def _dead_letter(site: Site) -> None:
    site.client("sqs").send_message(QueueUrl=site.resources["FinishDeadLetters"], MessageBody="dead")


def _ttl(site: Site) -> None:
    name = site.resources["LedgerTable"]
    wanted = {"AttributeName": "x", "Enabled": False}
    site.client("dynamodb").update_time_to_live(TableName=name, TimeToLiveSpecification=wanted)


def _table(site: Site) -> None:
    dynamodb, name = site.client("dynamodb"), site.resources["IdempotencyTable"]
    dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName=name)


def _key(site: Site) -> None:
    site.client("kms").disable_key(KeyId=site.resources["SecretsKey"])


def _switch(site: Site) -> None:
    site.s3.put_object(Bucket=site.bucket.name, Key=CONTROL, Body=b"paused: yes\n")


def _rule(site: Site) -> None:
    site.client("events").disable_rule(Name=site.resources["Tick"])


def _mapping(site: Site) -> None:
    site.client("lambda").update_event_source_mapping(UUID=site.resources["FinishRunQueue"], Enabled=False)


def _environment(site: Site) -> None:
    functions, name = site.client("lambda"), site.resources["CollectParts"]
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    variables["MAILTIDE_BUCKET"] = "another"
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


def _token(site: Site) -> None:
    site.client("secretsmanager").put_secret_value(SecretId=TOKEN_SECRET, SecretString="FlyV1 of somebody else")


def _image(site: Site) -> None:
    site.registry.digests.clear()


def _overdue(site: Site) -> None:
    leave_latest(site, "harbor", NOW.date() - timedelta(days=9))


def _unusable_rules(site: Site) -> None:
    site.s3.put_object(Bucket=site.bucket.name, Key=keys.rules("acme"), Body=b"cadence: yearly\n")


def _failed(site: Site) -> None:
    leave_latest(site, "lakeside", NOW.date() + timedelta(days=1), status="failed")


def _left_open(site: Site) -> None:
    source = store.read_source(site.bucket, "acme")
    assert source is not None
    opened = NOW - timedelta(hours=9)
    marker = OpenMarker(org="acme", run="b" * 20, trigger="timer", source=source, as_of=opened.date(), opened_at=opened)
    site.bucket.create(keys.marker("acme", marker.run), marker.to_bytes())


def _lock(site: Site) -> None:
    lock = Lock(owner="c" * 20, epoch=3, expires_at=NOW - timedelta(hours=1))
    site.bucket.create(keys.lock("harbor"), lock.to_bytes())


def _sources(site: Site) -> None:
    window = "[{kind: birthday, before: 30, after: 60, source: https://example.com, verified_on: 2024-01-31}]"
    site.s3.put_object(Bucket=site.bucket.name, Key=keys.rules("harbor"), Body=f"states: {{CA: {window}}}\n".encode())


PLANTED: dict[tuple[str, str], tuple[str, Callable[[Site], None]]] = {
    ("bucket versions", "Bucket"): ("broken", _versioning),
    ("bucket events", "Bucket"): ("broken", _events),
    ("bucket policy", "Bucket"): ("broken", _policy),
    ("bucket encryption", "Bucket"): ("broken", _encryption),
    ("bucket lifecycle", "Bucket"): ("warning", _lifecycle),
    ("queues", "PlanQueue"): ("broken", _redrive),
    ("queues", "WebhookQueue"): ("broken", _queue),
    ("dead letters", "FinishDeadLetters"): ("broken", _dead_letter),
    ("tables", "LedgerTable"): ("warning", _ttl),
    ("tables", "IdempotencyTable"): ("broken", _table),
    ("mailbox key", "SecretsKey"): ("broken", _key),
    ("warm-up switch", CONTROL): ("broken", _switch),
    ("schedules", "Tick"): ("broken", _rule),
    ("event sources", "FinishRun"): ("broken", _mapping),
    ("functions", "CollectParts"): ("broken", _environment),
    ("fly token", "mailtide"): ("broken", _token),
    ("image", "MachineImage"): ("broken", _image),
    ("organisations", "harbor"): ("broken", _overdue),
    ("organisations", "acme"): ("broken", _unusable_rules),
    ("organisations", "lakeside"): ("warning", _failed),
    ("open runs", "acme"): ("broken", _left_open),
    ("locks", "harbor"): ("warning", _lock),
    ("window sources", "the rules of harbor"): ("warning", _sources),
}
"""(check, subject) -> what the doctor must say of it, and how it is brought about."""


def test_credentials_that_are_missing_are_all_that_is_said(site: Site) -> None:
    code, findings = site.doctor(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", HOME="/nowhere")
    assert (code, wrong(findings)) == (1, {("credentials", ""): "broken"})


def test_another_stack_is_not_there_and_the_bucket_is_looked_at_all_the_same(site: Site) -> None:
    code, findings = site.doctor(MAILTIDE_STACK="elsewhere")
    assert (code, wrong(findings)) == (1, {("stack", "elsewhere"): "broken"})
    assert {"bucket", "clock", "organisations"} <= {one["check"] for one in findings}


def test_everything_planted_is_found_and_nothing_else(site: Site) -> None:
    """The last test of the folder: it breaks the deployment."""
    for _, plant in PLANTED.values():
        plant(site)
    code, findings = site.doctor()
    image = next(one["subject"] for one in findings if one["check"] == "image")
    names = {"Bucket": site.bucket.name, "MachineImage": image}
    wanted = {(check, names.get(subject, subject)): verdict for (check, subject), (verdict, _) in PLANTED.items()}
    assert wrong(findings) == wanted
    assert code == 1
    assert all(one["todo"] for one in findings if one["verdict"] != "ok")
    shown = site.run("doctor", COLUMNS="60")
    assert shown.returncode == 1
    assert max(len(line) for line in shown.stdout.splitlines()) <= 60
    assert re.search(r"\d+ ok, 5 to look at, 18 broken\.", shown.stdout)


def test_each_check_is_explained() -> None:
    page = (ROOT / "docs" / "operate.md").read_text()
    assert [name for name in ORDER if f"| {name} |" not in page] == []
