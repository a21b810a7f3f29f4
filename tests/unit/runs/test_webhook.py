"""When a webhook is queued, sent, put off and given up: the use case, with everything in memory."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from mailtide.contracts import Done, WebhookMessage
from mailtide.errors import InputError, TransientError
from mailtide.runs import keys, signing, store
from mailtide.runs.conclude import close
from mailtide.runs.services import Services
from mailtide.runs.webhook import PAUSES_S, WebhookFailedError, send_webhook
from tests.support.memory_services import MemoryServices

ORG, RUN = "acme", "0123456789abcdef0123"
MESSAGE = WebhookMessage(org=ORG, run=RUN)
URL = "https://hooks.example.org/in?token=private"


@dataclass
class Receiver:
    """Somebody who answers, or does not. Implements mailtide.ports.Hooks."""

    answers: list[int | Exception] = field(default_factory=list)
    seen: list[tuple[str, bytes, Mapping[str, str]]] = field(default_factory=list)

    def signing_key(self) -> bytes:
        return b"k" * 64

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        self.seen.append((url, body, headers))
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class Scene:
    own: MemoryServices
    receiver: Receiver

    @property
    def services(self) -> Services:
        return replace(self.own.services, hooks=self.receiver)

    def queued(self) -> list[WebhookMessage]:
        found = [envelope.message for envelope in self.own.queues.waiting]
        self.own.queues.waiting.clear()
        return [message for message in found if isinstance(message, WebhookMessage)]


@pytest.fixture
def scene() -> Scene:
    own = MemoryServices()
    own.bucket.put(keys.webhook(ORG), json.dumps({"url": URL}).encode())
    done = Done(org=ORG, run=RUN, status="published", changed=True, finished_at=own.clock.now())
    store.create_once(own.bucket, keys.done(ORG, RUN), done)
    return Scene(own, Receiver())


def test_the_tail_queues_it_and_says_neither_where_nor_with_what(scene: Scene) -> None:
    done = store.read_done(scene.own.bucket, ORG, RUN)
    assert done is not None
    close(scene.services, done)
    assert scene.queued() == [MESSAGE]
    scene.own.bucket.delete(keys.webhook(ORG))
    close(scene.services, done)
    assert scene.queued() == []
    assert set(WebhookMessage.model_fields) == {"kind", "org", "run", "attempt", "not_before"}


def test_it_is_signed_and_always_the_same(scene: Scene) -> None:
    assert send_webhook(scene.services, MESSAGE).action == "webhook_sent"
    scene.own.clock.advance(60)
    send_webhook(scene.services, MESSAGE)
    (url, body, headers), (_, again, later) = scene.receiver.seen
    assert (url, body) == (URL, again)
    assert headers["webhook-id"] == later["webhook-id"] == f"run_{RUN}"
    assert int(later["webhook-timestamp"]) - int(headers["webhook-timestamp"]) == 60
    secret = signing.derive_secret(b"k" * 64, ORG, 1)
    wanted = signing.sign(secret, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    assert headers["webhook-signature"] == wanted
    told = json.loads(body)
    assert (told["type"], told["data"]["run"], told["data"]["status"]) == ("run.finished", RUN, "published")


def test_after_a_rotation_both_secrets_sign_for_a_day(scene: Scene) -> None:
    now = scene.own.clock.now()
    scene.own.bucket.put(
        keys.webhook(ORG), json.dumps({"url": URL, "key_version": 3, "rotated_at": now.isoformat()}).encode()
    )
    send_webhook(scene.services, MESSAGE)
    scene.own.clock.advance(24 * 3600)
    send_webhook(scene.services, MESSAGE)
    counts = [len(headers["webhook-signature"].split(" ")) for _, _, headers in scene.receiver.seen]
    assert counts == [2, 1]


@pytest.mark.parametrize("answer", [500, 404, 302, 199, TransientError("slow"), InputError("not public")])
def test_a_failure_is_put_off(scene: Scene, answer: int | Exception) -> None:
    scene.receiver.answers = [answer]
    report = send_webhook(scene.services, MESSAGE)
    assert report.action == "webhook_put_off"
    assert "private" not in str(report)
    (later,) = scene.queued()
    assert (later.attempt, later.not_before) == (2, scene.own.clock.now() + timedelta(seconds=PAUSES_S[0]))
    assert send_webhook(scene.services, later).action == "webhook_waits", "it came too early"
    assert len(scene.receiver.seen) == 1


def test_eight_tries_over_eighteen_hours_and_then_the_dead_letters(scene: Scene) -> None:
    scene.receiver.answers = [500] * 100
    message, began = MESSAGE, scene.own.clock.now()
    while message.attempt <= len(PAUSES_S) or (message.not_before or began) > scene.own.clock.now():
        send_webhook(scene.services, message)
        (envelope,) = scene.own.queues.waiting
        scene.own.queues.waiting.clear()
        delay_s = (envelope.ready_at - scene.own.clock.now()).total_seconds()
        assert 0 < delay_s <= 900, "a queue holds nothing back for longer"
        scene.own.clock.advance(delay_s)
        assert isinstance(envelope.message, WebhookMessage)
        message = envelope.message
    with pytest.raises(WebhookFailedError, match=r"^The webhook of acme failed 8 times: it answered 500\.$"):
        send_webhook(scene.services, message)
    assert len(scene.receiver.seen) == len(PAUSES_S) + 1 == 8
    assert timedelta(hours=18) < scene.own.clock.now() - began < timedelta(hours=19)


def test_who_is_gone_is_not_asked_again(scene: Scene) -> None:
    scene.receiver.answers = [410]
    assert send_webhook(scene.services, MESSAGE).action == "webhook_gone"
    assert scene.queued() == []


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"url": "", "key_version": 0}', b"\xff"])
def test_a_webhook_json_that_is_none_harms_nobody(scene: Scene, body: bytes) -> None:
    scene.own.bucket.put(keys.webhook(ORG), body)
    assert send_webhook(scene.services, MESSAGE).action == "webhook_unusable"


def test_nothing_is_sent_where_there_is_no_webhook_any_more(scene: Scene) -> None:
    scene.own.bucket.delete(keys.webhook(ORG))
    assert send_webhook(scene.services, MESSAGE).action == "no_webhook"
    assert scene.receiver.seen == []
