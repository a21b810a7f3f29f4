"""Requests that nobody means well: whatever comes, the answer is one sentence with a status that fits, never a 5xx."""

import json
import random
import string
from typing import Any

from tests.integration.api.conftest import DOCUMENT, Api

PIECES = [
    "",
    "0",
    "-1",
    "1e9",
    "null",
    "true",
    "' OR 1=1 --",
    "../../etc/passwd",
    "%00",
    "a" * 300,
    "é",
    "\u202e",
    "{{7*7}}",
    "<script>",
]
KEYS = ["format", "status", "user", "limit", "cursor", "id", "Format", "limit[]", "", "a.b"]
BODIES: list[Any] = [
    None,
    0,
    "",
    [],
    {},
    {"action": None},
    {"action": ["pause"]},
    {"action": "pause", "user": {}},
    {"action": "pause", "mailbox": ["x"]},
    {"action": "resume", "user": "x" * 65},
    {"events": None},
    {"events": [None]},
    {"events": [{"eventName": 1, "bucket": 2, "object": 3}]},
    {"events": [{"eventName": "OBJECT_CREATED_PUT", "bucket": "b", "object": {"key": "\u0000"}}] * 101},
    {"events": [{"eventName": "OBJECT_CREATED_PUT", "bucket": "b", "object": {"key": "orgs/../../contacts.db"}}]},
]


def test_nothing_breaks_it(planned: Api) -> None:
    chance = random.Random(20_261_122)
    statuses: set[int] = set()
    for number in range(250):
        method = chance.choice(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "QUERY"])
        path = chance.choice(
            [*DOCUMENT["paths"], "/api/%2e%2e/health", "/api//health", "/API/health", "/api/health/", "/\u00e9"]
        )
        query = {chance.choice(KEYS): chance.choice(PIECES) for _ in range(chance.randrange(4))}
        content = None
        if method in {"POST", "PUT", "PATCH"}:
            content = json.dumps(chance.choice(BODIES)).encode()
            if number % 5 == 0:
                content = bytes(chance.randrange(256) for _ in range(chance.randrange(200)))
        headers = {"Content-Type": chance.choice(["application/json", "text/plain", "multipart/form-data", "x"])}
        headers["Idempotency-Key"] = chance.choice(["k", "", "a b", "x" * 65, string.punctuation])
        answer = planned.ask(
            method, path, chance.choice(["operator", "one", "hook"]), params=query, content=content, headers=headers
        )
        statuses.add(answer.status_code)
        assert answer.status_code < 500, (method, path, query, content, answer.text)
        if answer.status_code >= 400 and method != "HEAD":
            sentence = answer.json()["error"]
            assert sentence.endswith(".")
            assert len(sentence) < 300
    assert statuses >= {200, 400, 403, 404, 405}
