"""`mailtide logs`: one story from the functions' logs and from the bucket, without what opens something."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailtide.contracts import Done
from tests.integration.doctor.conftest import Site
from tests.support.run_objects import FAILURE, RunObjects

NOW = datetime.now(UTC)
OPENED = NOW - timedelta(minutes=4)
SIGNED = "https://bucket.example/runs/x/task.json?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0123456789abcdef"


@pytest.fixture(scope="module")
def done(site: Site) -> Done:
    """A failed run, and what its functions logged."""
    objects = RunObjects(site.bucket, NOW)
    source = objects.organisation("logged")
    found = objects.failed("logged", 1, source, OPENED, tries=1)
    objects.latest("logged", found, source)
    log(site, "plan-run", 1.5, message="planned", run=found.run, machines=1, cold_start=True, location="x:1")
    log(site, "launch-machine", 2.5, message="launched", run=found.run, url=SIGNED, token="Bearer abcdefghijkl")
    log(
        site,
        "finish-run",
        30,
        level="ERROR",
        message="failed",
        run=found.run,
        error="TransientError",
        exception="Traceback …",
    )
    log(site, "finish-run", 31, message="finished", run="f" * 20)
    return found


def log(site: Site, function: str, after_s: float, **line: Any) -> None:  # noqa: ANN401 - JSON
    logs, group = site.client("logs"), f"/aws/lambda/mailtide-{function}"
    stream = f"test-{after_s}"
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    at = round((OPENED + timedelta(seconds=after_s)).timestamp() * 1000)
    body = json.dumps({"level": "INFO", **line})
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": at, "message": body}])


def test_one_story_sorted_by_time(site: Site, done: Done) -> None:
    told = [json.loads(line) for line in site.run("logs", done.run, "--json").stdout.splitlines()]
    assert [(one["place"], one["message"]) for one in told] == [
        *(("bucket", "opened"), ("bucket", "planned"), ("plan_run", "planned"), ("launch_machine", "launched")),
        *(("whole/1", "launched"), ("bucket", "decided"), ("bucket", "failed"), ("finish_run", "failed")),
        ("whole/1", "failed"),
    ]
    assert told[2]["details"] == {"machines": 1}
    assert "0123456789abcdef" not in json.dumps(told)
    assert "abcdefghijkl" not in json.dumps(told)
    assert told[3]["details"] == {"url": "[presigned address]", "token": "[token]"}


def test_as_text_and_in_part(site: Site, done: Done) -> None:
    shown = site.run("logs", "logged", done.run, COLUMNS="70").stdout
    assert f"whole/1         failed  {FAILURE}" in shown
    assert "finish_run      failed  error=TransientError\n" in shown
    assert "Traceback" not in shown
    one = site.run("logs", done.run, "--function", "finish-run").stdout
    assert len(one.splitlines()) == 1
    young = site.run(
        "logs", done.run, "--since", f"{OPENED + timedelta(seconds=29):%Y-%m-%dT%H:%M:%S}", "--json"
    ).stdout
    assert [json.loads(line)["place"] for line in young.splitlines()] == ["finish_run", "whole/1"]
    assert site.run("logs", done.run, "--follow", "--function", "plan_run", "--json").stdout.count("\n") == 1


def test_what_is_wrong_is_said(site: Site, done: Done) -> None:
    assert (
        "There is no function 'fly'; there are api, collect_parts"
        in site.run("logs", done.run, "--function", "fly").stderr
    )
    assert "--since is 'soon'" in site.run("logs", done.run, "--since", "soon").stderr
    missing = site.run("logs", "0" * 20)
    assert (missing.returncode, missing.stdout) == (2, "")
    other = site.run("logs", done.run, "--stack", "elsewhere")
    assert (other.returncode, other.stderr) == (
        1, "mailtide: There is no stack elsewhere in this account and region.\n"
    )  # fmt: skip
    nothing = site.run("logs", "logged", "0" * 20)
    assert nothing.stdout.startswith(f"Nothing is told of run {'0' * 20} of logged: logs are kept for")
