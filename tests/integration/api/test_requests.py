"""Every endpoint over HTTP, as operator, as user, and as somebody who should not."""

import json
import socket
import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mailtide.api.gate import MAX_BODY_BYTES
from mailtide.warmup import keys
from mailtide.warmup.contracts import SendMessage, day_of
from mailtide.warmup.domains import BrokenCheck, DomainIndex, DomainRow
from mailtide.warmup.metrics import GAUGES
from tests.integration.api.conftest import DOCUMENT, MAILBOXES, Api

PATHS = [(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods]
GUARDED = [(method, path) for method, path in PATHS if path != "/api/health"]
AUDIT = ("@", "box-", "user-", "mt_")


def test_health_is_open_and_tells_nothing_else(api: Api) -> None:
    assert api.get("/api/health", None).keys() == {"status", "version"}


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_nothing_else_is_open(api: Api, method: str, path: str) -> None:
    answer = api.ask(method.upper(), path, None)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    allowed = {400} if "webhooks" in path else {200} if path == "/v1/session" and method != "post" else {400, 403, 404}
    assert api.ask(method.upper(), path, "hook").status_code in allowed


@pytest.mark.parametrize(("method", "path"), [one for one in GUARDED if one[1].startswith("/api/")])
def test_a_wrong_token_opens_nothing(api: Api, method: str, path: str) -> None:
    """Of a few paths: an address that tries more often is told to wait."""
    wrong = api.ask(method.upper(), path, "mt_wrong")
    assert wrong.status_code == 401
    assert wrong.json() == {"error": "This token is not known, or it has expired."}


@pytest.mark.parametrize("given", ["Basic b25lOnR3bw==", "Bearer", "bearer\tx", "", f"Bearer {'x' * 5000}"])
def test_strange_authorization(api: Api, given: str) -> None:
    answer = api.ask("GET", "/api/warmup/quota", None, headers={"Authorization": given})
    assert answer.status_code == 401


def test_what_is_not_there_and_what_takes_another_method(api: Api) -> None:
    assert api.ask("GET", "/api/nothing").status_code == 404
    answer = api.ask("DELETE", "/api/warmup/control")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json() == {"error": "This takes POST only."}


def test_what_is_too_large(api: Api) -> None:
    body = b"x" * (MAX_BODY_BYTES + 1)
    assert api.ask("POST", "/api/warmup/control", content=body).status_code == 413
    assert api.ask("GET", f"/api/warmup/quota?status={'x' * 2_000}").status_code == 414
    assert api.ask("GET", f"/api/{'x' * 2_000}").status_code == 414
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        raw.sendall(b"POST /api/warmup/control HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\nabc")
        assert b" 413 " in raw.recv(4_096)


@pytest.mark.parametrize(
    ("told", "status"),
    [
        (b"Content-Length: 4x", b"200"),
        (b"Content-Length: -4", b"200"),
        (b"Content-Length: 0\r\nContent-Length: 40", b"200"),
        (b"Transfer-Encoding: chunked", b"200"),
        (b"Content-Length: " + b"9" * 5_000, b"413"),
        (b"Content-Length: " + b"0" * 5_000, b"200"),
    ],
)
def test_no_request_is_smuggled_behind_another(api: Api, told: bytes, status: bytes) -> None:
    """A proxy may read a length that is not clear in another way: what follows is then nobody's request."""
    host, port = api.url.removeprefix("http://").split(":")
    ask = b"GET /api/health HTTP/1.1\r\nHost: x\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        raw.sendall(ask + told + b"\r\n\r\n" + (b"" if told.endswith(b"000") else ask + b"Connection: close\r\n\r\n"))
        raw.shutdown(socket.SHUT_WR)
        answers = b""
        while piece := raw.recv(4_096):
            answers += piece
    assert answers.count(b"HTTP/1.1 ") == 1
    assert answers.startswith(b"HTTP/1.1 " + status)


def test_a_client_that_stalls_holds_nobody_up(api: Api) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as stalled:
        stalled.sendall(b"POST /api/warmup/control HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
        began_s = time.monotonic()
        assert api.get("/api/health", None)["status"] == "ok"
        assert time.monotonic() - began_s < 5


@pytest.mark.parametrize(
    "order",
    [
        b"",
        b"no JSON",
        b"[]",
        b'{"action": "explode"}',
        b'{"action": "pause", "user": "a", "mailbox": "b"}',
        b'{"action": "pause", "user": "a/../b"}',
        b'{"action": "pause", "more": 1}',
        b"\xff\xfe",
    ],
)
def test_a_bad_order_is_one_sentence(api: Api, order: bytes) -> None:
    answer = api.ask("POST", "/api/warmup/control", content=order, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    sentence = answer.json()["error"]
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 200


@pytest.mark.parametrize(
    "query",
    [
        "status=late",
        "limit=0",
        "limit=5001",
        "limit=x",
        "cursor=x",
        "cursor=1.2.3",
        "cursor=-1.0",
        "user=a b",
        "cursor=1",
    ],
)
def test_a_bad_query_is_one_sentence(api: Api, query: str) -> None:
    answer = api.ask("GET", f"/api/warmup/quota?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"].startswith(query.partition("=")[0])


def test_domains_for_operators_and_users(planned: Api) -> None:
    spoiled = BrokenCheck("SPF", "It ends in +all.", "end the record in ~all or -all")
    rows = (
        DomainRow("new.internal", ("user-2",), 1),
        DomainRow("sound.internal", ("user-1",), 3, "google", 5, True),
        DomainRow("spoiled.internal", ("user-1", "user-2"), 9, "microsoft", 5, True, (spoiled,), ("DMARC",)),
    )
    planned.deployed.bucket.create(keys.DOMAIN_INDEX, DomainIndex(rows=rows).to_bytes())
    found = planned.get("/api/warmup/domains")
    assert (found["known"], found["broken"], found["unchecked"]) == (3, 1, 1)
    (broken,) = found["domains"]
    assert (broken["domain"], broken["warnings"]) == ("spoiled.internal", ["DMARC"])
    assert broken["broken"] == [spoiled._asdict()]
    whole = planned.get("/api/warmup/domains", "one", sound="true")
    assert [one["domain"] for one in whole["domains"]] == ["spoiled.internal", "sound.internal"]
    assert [one["mailboxes"] for one in whole["domains"]] == [0, 3], "how many others have is nobody's business"
    assert broken["mailboxes"] == 9
    assert planned.get("/api/warmup/domains", user="user-2")["known"] == 2
    planned.get("/api/warmup/domains", "one", 403, user="user-2")


def test_metrics_for_operators_and_users(planned: Api) -> None:
    found = planned.get("/api/warmup/metrics")
    assert (found["total_mailboxes"], found["planned_today"]) == (MAILBOXES, MAILBOXES * 30)
    assert (found["warnings"], found["shards_stale"], found["size_threshold_crossed"]) == ([], 0, 0)
    assert 0 <= found["figures_age_seconds"] < 600
    page = planned.get("/api/warmup/quota")
    assert abs(page["as_of_ms"] - found["at_ms"]) < 600_000
    own = planned.get("/api/warmup/metrics", "one")
    assert (own["user_id"], own["mailboxes"], own["planned_today"]) == ("user-1", 3, 90)
    assert page["as_of_ms"] <= own["as_of_ms"] <= found["at_ms"] + 60_000
    planned.get("/api/warmup/metrics", "one", 403, format="prometheus")
    planned.get("/api/warmup/metrics", "hook", 403)


def test_prometheus_text_names_nobody(planned: Api) -> None:
    answer = planned.ask("GET", "/api/warmup/metrics?format=prometheus")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    missing = {f"warmup_{name}" for name in GAUGES} - families.keys()
    assert missing <= {"warmup_quota_completion_rate_yesterday"}
    assert families["warmup_dead_letters"].samples[0].value == 2
    labels = {
        (name, value)
        for family in families.values()
        for sample in family.samples
        for name, value in sample.labels.items()
    }
    status = {("status", word) for word in ("complete", "on_track", "behind", "failing")}
    # Where mails landed has labels of its own (test_placement.py).
    assert {label for label in labels if label[0] not in {"provider", "verdict", "state", "measure"}} == status
    for trace in AUDIT:
        assert trace not in answer.text


def test_quota_by_the_page(planned: Api) -> None:
    seen: list[str] = []
    cursor = "0.0"
    while True:
        page = planned.get("/api/warmup/quota", limit=25, cursor=cursor)
        assert len(page["mailboxes"]) <= 25
        seen += [row["mailbox_id"] for row in page["mailboxes"]]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert sorted(seen) == sorted(f"box-{number}" for number in range(MAILBOXES))
    whole = planned.get("/api/warmup/quota")["mailboxes"]
    by_status = [
        row["mailbox_id"]
        for status in ("complete", "on_track", "behind", "failing")
        for row in planned.get("/api/warmup/quota", status=status)["mailboxes"]
    ]
    assert sorted(by_status) == sorted(row["mailbox_id"] for row in whole)


def test_users_see_their_own_mailboxes(planned: Api) -> None:
    own = {row["mailbox_id"] for row in planned.get("/api/warmup/quota", "one")["mailboxes"]}
    assert own == {"box-3", "box-4", "box-5"}
    assert planned.get("/api/warmup/quota", "one", user="user-1")["mailboxes"]
    planned.get("/api/warmup/quota", "one", 403, user="user-2")
    assert len(planned.get("/api/warmup/quota", user="user-2")["mailboxes"]) == 3
    box = planned.get("/api/warmup/mailbox", "one", id="box-3")
    assert (box["user_id"], box["target"], len(box["due_ms"])) == ("user-1", 30, 30)
    others = planned.get("/api/warmup/mailbox", "one", 404, id="box-6")
    assert others == planned.get("/api/warmup/mailbox", "one", 404, id="box-999")
    assert planned.get("/api/warmup/mailbox", id="box-6")["mailbox_id"] == "box-6"


def standing(api: Api, mailbox_id: str) -> str:
    return api.deployed.mailboxes.standings([mailbox_id])[mailbox_id].status


def test_a_user_pauses_and_resumes_its_own(planned: Api) -> None:
    planned.control("one", 403, action="pause")
    planned.control("one", 403, action="pause", user="user-2")
    assert planned.control("one", 404, action="pause", mailbox="box-6") == {"error": "There is no mailbox box-6."}
    assert planned.control("one", action="pause", mailbox="box-3")["scope"] == "mailbox"
    assert standing(planned, "box-3") == "paused"
    planned.control("one", action="resume", mailbox="box-3")
    assert standing(planned, "box-3") == "active"
    planned.control("one", action="pause", user="user-1")
    planned.control("one", action="resume", user="user-1")


def test_what_an_operator_stopped_its_user_does_not_start(planned: Api) -> None:
    planned.control(action="pause", mailbox="box-4")
    assert "only an operator" in planned.control("one", 403, action="resume", mailbox="box-4")["error"]
    planned.control(action="resume", mailbox="box-4")
    planned.deployed.mailboxes.set_status("box-4", "quarantined", "too many bounces")
    planned.control("one", 403, action="resume", mailbox="box-4")
    planned.deployed.mailboxes.set_status("box-4", "disconnected", "credentials refused")
    planned.control("one", action="resume", mailbox="box-4")
    planned.control(action="pause", user="user-1")
    planned.control("one", action="pause", user="user-1")
    planned.control("one", 403, action="resume", user="user-1")
    planned.control(action="resume", user="user-1")
    planned.control("one", action="resume", user="user-1")
    planned.control(expect=404, action="pause", user="nobody")


def test_a_demand_offers_what_is_due_once_more(planned: Api) -> None:
    before = planned.deployed.delayed("send")
    queued = planned.control("one", action="trigger", user="user-1")["queued"]
    ticks = planned.deployed.received("dispatch")
    assert len(ticks) == queued
    assert {json.loads(body)["user_id"] for body in ticks} == {"user-1"}
    _, log = planned.deployed.invoke("dispatch_shard", *ticks)
    assert '"demanded"' in log
    offered = planned.deployed.delayed("send") - before
    due = sum(
        any(moment <= time.time() * 1000 for moment in planned.get("/api/warmup/mailbox", id=name)["due_ms"])
        for name in ("box-3", "box-4", "box-5")
    )
    assert offered == due
    one = planned.control("two", action="trigger", mailbox="box-6")
    assert one["queued"] == 1
    (tick,) = planned.deployed.received("dispatch")
    assert json.loads(tick)["mailbox_id"] == "box-6"
    planned.deployed.invoke("dispatch_shard", tick)
    for body in planned.deployed.received("send"):
        assert SendMessage.model_validate_json(body).day == day_of(int(time.time() * 1000))


def test_an_idempotency_key_makes_a_request_happen_once(api: Api) -> None:
    first = api.control(key="k-1", action="trigger")
    assert api.control(key="k-1", action="trigger") == first
    assert len(api.deployed.received("plan")) == 1
    assert "another request" in api.control(key="k-1", expect=422, action="pause")["error"]
    api.control(key="k-2", action="trigger")
    assert len(api.deployed.received("plan")) == 1
    api.control("one", 403, key="k-3", action="trigger")
    api.control(key="a b", expect=400, action="trigger")


def tigris(api: Api, *keys: str, etag: str = "e1", bucket: str | None = None, kind: str = "PUT") -> httpx.Response:
    events = [
        {
            "eventVersion": "1",
            "eventName": f"OBJECT_{'CREATED_PUT' if kind == 'PUT' else 'DELETED'}",
            "eventTime": "2026-11-22T02:03:04Z",
            "bucket": bucket or api.deployed.bucket_name,
            "object": {"key": key, "size": 7, "eTag": etag},
        }
        for key in keys
    ]
    return api.ask("POST", "/api/webhooks/tigris", "hook", json={"events": events})


def received(api: Api, kind: str) -> list[dict[str, object]]:
    answer = api.deployed.sqs.receive_message(QueueUrl=api.run_queues[kind], MaxNumberOfMessages=10)
    messages = answer.get("Messages", [])
    for message in messages:
        api.deployed.sqs.delete_message(QueueUrl=api.run_queues[kind], ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in messages]


def test_the_webhook_queues_each_event_once(api: Api) -> None:
    assert tigris(api, "orgs/acme/contacts.db", "orgs/acme/rules.yaml").json() == {"queued": 1, "ignored": 1}
    assert tigris(api, "orgs/acme/contacts.db").json() == {"queued": 1, "ignored": 0}
    (message,) = received(api, "plan")
    assert (message["kind"], message["org"]) == ("plan", "acme")
    tigris(api, "orgs/acme/contacts.db", etag="e2")
    assert len(received(api, "plan")) == 1
    assert tigris(api, "orgs/b/contacts.db", bucket="another").json() == {"queued": 0, "ignored": 1}
    assert tigris(api, "orgs/b/contacts.db", kind="DELETE").json() == {"queued": 0, "ignored": 1}
    assert received(api, "plan") == []
    assert api.ask("POST", "/api/webhooks/tigris", "operator", json={"events": []}).status_code == 403
    assert api.ask("POST", "/api/webhooks/tigris", "hook", json={"events": 1}).status_code == 400


def test_the_log_names_the_token_and_nobody_else(planned: Api) -> None:
    planned.get("/api/warmup/mailbox", id="box-3")
    planned.ask("GET", "/api/someone@example.com")
    planned.ask("GET", "/api/warmup/quota", "mt_wrong")
    planned.get("/api/warmup/quota", "one")
    lines = [json.loads(line) for line in planned.log.splitlines() if '"answered"' in line]
    assert {line.get("token") for line in lines} >= {"operator", "one", None}
    assert {line["path"] for line in lines} >= {"/api/warmup/mailbox", "unknown"}
    assert '"api_token_refused"' in planned.log
    for trace in (*AUDIT, "example.com", *planned.tokens.values()):
        assert trace not in planned.log


@pytest.mark.parametrize("path", ["/api/warmup/quota", "/api/warmup/domains"])
def test_a_user_asks_for_nobody_elses_mailboxes(api: Api, path: str) -> None:
    refused = api.ask("GET", f"{path}?user=two", "one")
    assert (refused.status_code, refused.json()) == (403, {"error": "This token is for another user's mailboxes."})
