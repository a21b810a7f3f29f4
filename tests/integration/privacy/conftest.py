"""A bucket that keeps versions, on a real server, with an organisation that has had some runs; and `mailtide` on it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mailtide.contracts import Done
from mailtide.database.due import idempotency_key
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from mailtide.runs import keys
from tests.integration.cli.conftest import Shell, moto_url, session
from tests.integration.pass_.rows import execute

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

__all__ = ["moto_url"]

BUCKET = "mailtide-versions"
RUN = "0123456789abcdef0123"
ANN, JOANN, BOB = "ann@example.org", "joann@example.org", "bob@example.org"
KEY = idempotency_key(1, "birthday", "2026-12-05", 0)
CREATE = (
    "CREATE TABLE contacts (id INTEGER PRIMARY KEY, first_name TEXT, email TEXT, state TEXT, birth_date TEXT, agent TEXT);"
    f"INSERT INTO contacts VALUES (1, 'Ann', ' {ANN.upper()} ', 'TX', '1950-12-05', NULL), "
    f"(2, 'Joann', '{JOANN}', 'TX', '1950-12-06', NULL), (3, 'Bob', '{BOB}', 'TX', '1950-12-07', '{BOB}'), "
    f"(4, 'Ann, too', '{ANN}', 'NV', NULL, NULL);"
    f"CREATE TABLE suppressions (email TEXT); INSERT INTO suppressions VALUES ('{JOANN}');"
    "CREATE TABLE tracking_clicks (contact_id INTEGER, clicked_at TEXT);"
    "INSERT INTO tracking_clicks VALUES (1, '2026-11-01'), (2, '2026-11-02'), ('4', '2026-11-03');"
    "CREATE TABLE contact_events (contact_id INTEGER, event_type TEXT, created_at TEXT, metadata TEXT);"
    "INSERT INTO contact_events VALUES (4, 'eligibility_answered', '2026-11-01', '{}');"
    "CREATE TABLE contact_campaigns (contact_id INTEGER, campaign_instance_id INTEGER);"
    "INSERT INTO contact_campaigns VALUES (1, 7), (2, 7);"
    "CREATE TABLE crm_notes (contact_id TEXT PRIMARY KEY, note TEXT) WITHOUT ROWID;"
    "INSERT INTO crm_notes VALUES ('1', 'likes tea'), ('2', 'likes coffee')"
)


def make_database(path: Path) -> bytes:
    """Two Anns of one address, and two others; scheduled."""
    path.unlink(missing_ok=True)
    execute(path, CREATE)
    run_pass(path, date(2026, 11, 21), load_rules(None), "r", datetime(2026, 11, 21, tzinfo=UTC))
    execute(path, f"INSERT INTO suppressions VALUES ('{ANN}')")
    return path.read_bytes()


@dataclass
class Bucket:
    """What stands in the bucket, and the command line."""

    s3: "S3Client"
    shell: Shell

    def put(self, key: str, body: bytes) -> str:
        return self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)["ETag"].strip('"')

    def body(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def listed(self, prefix: str = "") -> list[str]:
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]

    def everything(self) -> bytes:
        """All bytes of all versions of everything."""
        versions = self.s3.list_object_versions(Bucket=BUCKET).get("Versions", [])
        bodies = [
            self.s3.get_object(Bucket=BUCKET, Key=entry["Key"], VersionId=entry["VersionId"])["Body"].read()
            for entry in versions
        ]
        return b"\0".join(bodies)

    def json(self, *arguments: object) -> Any:  # noqa: ANN401 - whatever JSON it is
        return json.loads(self.shell.run(*arguments, "--json").out)


@pytest.fixture
def bucket(moto_url: str, tmp_path: Path) -> Iterator[Bucket]:
    client = session().client("s3", endpoint_url=moto_url)
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    environment = {
        "PATH": "/usr/bin",
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": moto_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MAILTIDE_BUCKET": BUCKET,
    }
    yield Bucket(client, Shell(environment))
    answer = client.list_object_versions(Bucket=BUCKET)
    entries = [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]
    if entries:
        named: list[ObjectIdentifierTypeDef] = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in entries]
        client.delete_objects(Bucket=BUCKET, Delete={"Objects": named, "Quiet": True})
    client.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def acme(bucket: Bucket, tmp_path: Path) -> Bucket:
    """The organisation acme: an upload, its published schedule, and another upload since."""
    first = make_database(tmp_path / "a.db")
    bucket.put(keys.source("acme"), b"an older export")
    etag = bucket.put(keys.source("acme"), first)
    done = Done(
        org="acme", run=RUN, status="published", changed=True, published_etag=etag, finished_at=datetime.now(UTC)
    )
    bucket.put(keys.done("acme", RUN), done.to_bytes())
    return bucket
