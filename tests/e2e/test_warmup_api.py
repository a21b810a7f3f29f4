"""The rights of the deployed API: MiniStack enforces the policies of the template, so one that is missing would be a 500.

After test_warmup in the alphabet, whose mailboxes it uses; by itself it makes some.
"""

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from localstack.cloud import ROOT, LocalCloud
from tests.e2e.conftest import Ask

ORG, RUN = "harbor-benefits", "7abd3c7bebca4a1f8d67"


def order(ask: Ask, **fields: str) -> dict[str, Any]:
    answer = ask("POST", "/api/warmup/control", json=fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def mailbox(cloud: LocalCloud, ask: Ask, tmp_path: Path) -> dict[str, Any]:
    """One of today's roster, while all sending is stopped."""
    order(ask, action="pause")
    lines = [f"api-{n},api-user-{n % 2},m{n}@api-{n % 2}.example,127.0.0.1,x,1,none" for n in range(6)]
    head = "mailbox_id,user_id,address,smtp_host,password,smtp_port,smtp_security"
    (tmp_path / "boxes.csv").write_text("\n".join([head, *lines]) + "\n")
    subprocess.run(
        [str(ROOT / ".venv/bin/mailtide"), "mailboxes", "import", str(tmp_path / "boxes.csv"), "--from", "2026-01-01"],
        env={"PATH": os.defpath, **cloud.environment},
        capture_output=True,
        check=True,
        timeout=60,
    )
    ends_at, next_tick = time.monotonic() + 90, 0.0
    while (page := ask("GET", "/api/warmup/quota")).status_code != 200 or not page.json()["mailboxes"]:
        assert time.monotonic() < ends_at, page.text
        if time.monotonic() > next_tick:
            order(ask, action="trigger")
            next_tick = time.monotonic() + 20
        time.sleep(0.5)
    found: dict[str, Any] = page.json()["mailboxes"][0]
    return found


def test_the_deployed_role_may_do_all_that_the_api_does(ask: Ask, mailbox: dict[str, Any]) -> None:
    name, user = mailbox["mailbox_id"], mailbox["user_id"]
    assert ask("GET", "/api/warmup/mailbox", params={"id": name}).json()["user_id"] == user
    metrics = ask("GET", "/api/warmup/metrics").json()
    assert metrics["total_mailboxes"] > 0
    assert metrics["dead_letters"] is not None
    assert "warmup_total_mailboxes " in ask("GET", "/api/warmup/metrics?format=prometheus").text
    for scope in ({"mailbox": name}, {"user": user}):
        for action in ("pause", "resume", "trigger"):
            order(ask, action=action, **scope)


def test_the_webhook_reaches_the_queues_of_the_runs(cloud: LocalCloud, ask: Ask) -> None:
    """Of an organisation and a run that do not exist, as in the sample events: the functions let them pass."""
    keys = (f"orgs/{ORG}/contacts.db", f"runs/{ORG}/{RUN}/tasks/whole/1/error.json", f"runs/{ORG}/{RUN}/result.json")
    events = [
        {"eventName": "OBJECT_CREATED_PUT", "bucket": cloud.stack.bucket, "object": {"key": key, "eTag": "e2e"}}
        for key in keys
    ]
    answer = ask("POST", "/api/webhooks/tigris", token="webhook", json={"events": events})
    assert (answer.status_code, answer.json()) == (200, {"queued": 3, "ignored": 0})
