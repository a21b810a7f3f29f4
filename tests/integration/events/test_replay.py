"""Every sample in events/ given to the real handler of its function, with real S3, SQS and Fly servers behind it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from localstack.fly.app import Options
from localstack.fly.server import running
from mailtide.contracts import MESSAGE, LaunchMessage
from mailtide.database.invented import invent_database
from mailtide.runs import keys
from tests.support import forkserver

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = sorted(path for path in (ROOT / "events").glob("*.json") if not path.name.startswith("api."))
BUCKET = "mailtide-replay"
ORG = "harbor-benefits"
QUEUES = ("plan", "launch", "collect", "finish", "watch", "webhook")


class Cloud:
    """The servers, and the environment of a function that uses them."""

    def __init__(self, aws_url: str, fly_url: str) -> None:
        session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
        self.s3 = session.client("s3", endpoint_url=aws_url)
        self.sqs = session.client("sqs", endpoint_url=aws_url)
        self.urls = {name: self.sqs.create_queue(QueueName=f"replay-{name}")["QueueUrl"] for name in QUEUES}
        self.s3.create_bucket(Bucket=BUCKET)
        self.environment = {
            "AWS_ENDPOINT_URL": aws_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "POWERTOOLS_TRACE_DISABLED": "true",
            "POWERTOOLS_SERVICE_NAME": "mailtide",
            "POWERTOOLS_METRICS_NAMESPACE": "Mailtide",
            "MAILTIDE_BUCKET": BUCKET,
            "MAILTIDE_FLY_API_URL": fly_url,
            "MAILTIDE_FLY_TOKEN": "replayed",
        } | {f"MAILTIDE_{name.upper()}_QUEUE_URL": url for name, url in self.urls.items()}

    def invoke(self, function: str, *events: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """(answers, log records) of one warm function that is given these events."""
        lines = "\n".join(map(json.dumps, events))
        done = forkserver.run("tests.support.invoke_function:main", function, env=self.environment, text=lines)
        assert done.returncode == 0, done.stderr
        records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return [record for record in records if "batchItemFailures" in record], records

    def messages(self, queue: str) -> list[object]:
        """What stands in a queue; it is taken out."""
        found = self.sqs.receive_message(QueueUrl=self.urls[queue], MaxNumberOfMessages=10).get("Messages", [])
        for message in found:
            self.sqs.delete_message(QueueUrl=self.urls[queue], ReceiptHandle=message["ReceiptHandle"])
        return [MESSAGE.validate_json(message["Body"]) for message in found]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    logs = tmp_path_factory.mktemp("fly-logs")
    with running(Options("replayed", {}, logs, rate_per_s=None)) as fly:
        yield Cloud(f"http://{host}:{port}", fly.base_url)
    server.stop()


def sample(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "events" / name).read_text())
    return content


def actions(records: list[dict[str, Any]]) -> list[str]:
    return [record["message"] for record in records if "message" in record]


NOTHING_TO_DO = {
    "plan_run": ["no_database", "ticked", "no_database"],
    "launch_machine": ["nothing_planned", "nothing_planned"],
    "collect_parts": ["not_needed", "not_needed"],
    "finish_run": ["nothing_to_finish"],
    "watch_runs": ["all_quiet"],
    "send_webhook": ["no_webhook"],
}
"""What each function says of its samples, by name, while nothing stands in the bucket."""


@pytest.mark.parametrize("function", sorted(NOTHING_TO_DO))
def test_a_handler_takes_its_samples(cloud: Cloud, function: str) -> None:
    samples = [sample(path.name) for path in SAMPLES if path.name.startswith(f"{function}.")]
    answers, records = cloud.invoke(function, *samples)
    assert answers == [{"batchItemFailures": []}] * len(samples)
    assert actions(records) == NOTHING_TO_DO[function]


def test_an_upload_that_is_there_is_planned_once_however_often_it_is_told(cloud: Cloud, tmp_path: Path) -> None:
    invent_database(tmp_path / "contacts.db", 300, 5, 0.0)
    cloud.s3.upload_file(str(tmp_path / "contacts.db"), BUCKET, keys.source(ORG))
    upload = sample("plan_run.upload.json")
    answers, records = cloud.invoke("plan_run", upload, upload)
    assert answers == [{"batchItemFailures": []}] * 2
    assert actions(records) == ["planned", "planned"]
    runs = {record["run"] for record in records if "message" in record}
    assert len(runs) == 1
    launch = LaunchMessage(org=ORG, run=runs.pop(), task="whole", attempt=1)
    assert cloud.messages("launch") == [launch, launch]
    first = next(record for record in records if "message" in record)
    assert first["contacts_estimate"] == 300
    assert first["inspection_requests"] >= 1


def test_only_the_records_that_fail_return_to_the_queue(cloud: Cloud) -> None:
    good = sample("watch_runs.minute.json")["Records"][0] | {"messageId": "good"}
    broken = good | {"messageId": "broken", "body": "{"}
    strange = good | {"messageId": "strange", "body": '{"kind":"tick"}'}
    unknown = good | {"messageId": "unknown", "body": '{"Service":"Amazon S3","Event":"s3:TestEvent"}'}
    answers, records = cloud.invoke("watch_runs", {"Records": [broken, good, strange, unknown]})
    failed = [item["itemIdentifier"] for item in answers[0]["batchItemFailures"]]
    assert failed == ["broken", "strange", "unknown"]
    assert [record["error"] for record in records if record.get("message") == "failed"] == [
        "JSONDecodeError",
        "ValueError",
        "ValueError",
    ]
