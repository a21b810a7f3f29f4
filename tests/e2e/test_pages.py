"""The commands of the pages about runs, typed as they stand, on the deployed template."""

import json
import shutil
from pathlib import Path

from localstack.cloud import LocalCloud
from mailtide.contracts import Latest
from mailtide.runs import keys
from tests.e2e.scenario import Organisation, Wait, make_database
from tests.support import forkserver
from tests.support.consoles import Step, base_env, play, shim
from tests.support.pages import RUNS, steps_at

DEPLOYED = (
    "stack",
    "clock",
    "bucket",
    "queues",
    "tables",
    "functions",
    "event sources",
    "schedules",
    "fly token",
    "image",
)
"""Checks of what a deployment makes. Here messages are hidden for a short time, and the image is no digest."""


def test_pages_typed_as_they_stand(cloud: LocalCloud, tmp_path: Path, wait_for_done: Wait) -> None:
    _take_away("acme", cloud)
    acme = Organisation(cloud, "acme", tmp_path)
    folder = tmp_path / "reader"
    folder.mkdir()
    make_database(folder / "contacts.db")
    shutil.copyfile(folder / "contacts.db", tmp_path / "kept.db")
    (folder / "rules.yaml").write_text("timezone: America/New_York\nsync: both\n")
    with shim(tmp_path) as command:
        env = {**cloud.environment, **base_env(command)}
        steps = steps_at(RUNS, "run-it.md")
        uploading = [step.command.startswith("mailtide upload") for step in steps].index(True) + 1
        play(steps[:uploading], folder, env)
        # While an upload waits for its run, a run on demand is that run.
        wait_for_done("acme")
        play(steps[uploading:], folder, env)
        done = wait_for_done("acme", count=2)
        assert done.status == "published", done.reason
        latest = Latest.model_validate_json(acme.read(keys.latest("acme")))
        (folder / "a-day.changeset").write_bytes(acme.read(latest.chain[0].key))
        steps = steps_at(RUNS, "sync.md")
        play(steps[:2], folder, env)
        shutil.copyfile(tmp_path / "kept.db", folder / "contacts.db")
        # Nobody listens at the address of the page.
        away = Step("mailtide orgs webhook acme --remove", (), "afterwards")
        play([*steps_at(RUNS, "webhooks.md"), away, *steps[2:]], folder, env)
    assert wait_for_done("acme", count=3).status == "published"
    acme.assert_quiet()


def test_the_first_schedule_of_a_new_deployment(cloud: LocalCloud, tmp_path: Path, wait_for_done: Wait) -> None:
    _take_away("acme", cloud)
    folder = tmp_path / "clone"
    (folder / ".venv" / "bin").mkdir(parents=True)
    with shim(tmp_path) as command:
        (folder / ".venv" / "bin" / "mailtide").symlink_to(command / "mailtide")
        play(steps_at(RUNS, "deploy.md"), folder, {**cloud.environment, **base_env(command)}, any_figures=True)
    wait_for_done("acme")


def test_the_doctor_finds_nothing_wrong_with_what_was_deployed(cloud: LocalCloud) -> None:
    """Nor with the table, the bucket and the token; what other tests left in the bucket and in queues is theirs."""
    told = forkserver.command("doctor", "--json", env={**cloud.environment, **base_env()})
    findings = json.loads(told.stdout)["findings"]
    deployed = {one["check"]: one["verdict"] for one in findings if one["check"] in DEPLOYED}
    wanted = dict.fromkeys(DEPLOYED, "ok") | {"queues": "warning", "image": "warning"}
    assert deployed == wanted, findings


def _take_away(org: str, cloud: LocalCloud) -> None:
    """The pages know one organisation; each of these tests begins without it."""
    bucket = cloud.client("s3")
    for prefix in (f"orgs/{org}/", f"runs/{org}/", f"changes/{org}/"):
        for entry in bucket.list_objects_v2(Bucket=cloud.stack.bucket, Prefix=prefix).get("Contents", []):
            bucket.delete_object(Bucket=cloud.stack.bucket, Key=entry["Key"])
