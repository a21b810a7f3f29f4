"""Telling an organisation's webhook that a run has ended: at least once, signed, and never in the way of the run.

The tail of a run only queues a message, which holds neither address nor secret. Each failure queues the next try; the last
one's message ends in the dead-letter queue.
"""

import json
from datetime import datetime, timedelta

from pydantic import ValidationError

from mailtide.contracts import Done, RunFinished, Webhook, WebhookMessage
from mailtide.errors import InputError, MailtideError, TransientError
from mailtide.ports import Bucket, Hooks
from mailtide.runs import keys, signing, store
from mailtide.runs.services import Services, StepReport

PAUSES_S = (30, 120, 600, 1_800, 9_000, 18_000, 36_000)
"""Before the second and each later try: the last comes 18 hours after the first."""
MAX_DELAY_S = 900
"""The longest that a queue may hold a message back; longer pauses are several."""
OVERLAP = timedelta(days=1)
"""How long the secret before a rotation signs as well."""
_GONE = 410


class WebhookFailedError(MailtideError):
    """The last try failed as well."""


def finished(done: Done) -> RunFinished:
    """What others are told of a run's end."""
    return RunFinished(
        org=done.org,
        run=done.run,
        status=done.status,
        reason=done.reason,
        changed=done.changed,
        published_etag=done.published_etag,
        sync=done.sync,
        shared=done.shared,
        as_of=done.as_of,
        finished_at=done.finished_at,
    )


def queue_webhook(services: Services, done: Done) -> None:
    """Have the end of a run told, where the organisation has a webhook. Safe to repeat: the id of what is sent is the run's."""
    if services.bucket.head(keys.webhook(done.org)) is not None:
        services.queues.send(WebhookMessage(org=done.org, run=done.run))


def send_webhook(services: Services, message: WebhookMessage) -> StepReport:
    """Send one webhook, or put it off. WebhookFailedError when the last try has failed."""
    now = services.clock.now()
    if message.not_before is not None and message.not_before > now:
        return _wait(services, message, now)
    try:
        webhook = read_webhook(services.bucket, message.org)
    except InputError:
        return StepReport("webhook_unusable", message.org, message.run)
    done = store.read_done(services.bucket, message.org, message.run)
    if webhook is None or done is None:
        return StepReport("no_webhook", message.org, message.run)
    body = body_of("run.finished", done.finished_at, finished(done).model_dump(mode="json"))
    try:
        status = post(services.hooks, webhook, message.org, f"run_{message.run}", body, now)
        problem = None if 200 <= status < 300 else f"it answered {status}"
    except (InputError, TransientError) as error:
        status, problem = 0, str(error)
    facts: dict[str, object] = {"try": message.attempt, "status": status}
    if problem is None or status == _GONE:
        return StepReport("webhook_gone" if problem else "webhook_sent", message.org, message.run, facts)
    return _put_off(services, message, now, facts | {"reason": problem})


def read_webhook(bucket: Bucket, org: str) -> Webhook | None:
    """An organisation's webhook.json. InputError when it is not one."""
    try:
        return store.read(bucket, keys.webhook(org), Webhook)
    except ValidationError:
        raise InputError(f"{keys.webhook(org)} is not usable; set it anew with mailtide orgs webhook.") from None


def body_of(kind: str, moment: datetime, data: dict[str, object]) -> bytes:
    """The JSON of an event. The same event always has the same bytes."""
    content = {"type": kind, "timestamp": moment.isoformat(), "data": data}
    return json.dumps(content, separators=(",", ":")).encode()


def post(hooks: Hooks, webhook: Webhook, org: str, message_id: str, body: bytes, now: datetime) -> int:
    """Sign and send; the status that was answered. InputError for an address that may not be asked; TransientError."""
    return hooks.post(webhook.url, body, signing.headers(secrets_of(hooks, webhook, org, now), message_id, now, body))


def secrets_of(hooks: Hooks, webhook: Webhook, org: str, now: datetime) -> list[bytes]:
    """The secrets that sign now, the newest first."""
    versions = [webhook.key_version]
    if webhook.rotated_at is not None and now - webhook.rotated_at < OVERLAP and webhook.key_version > 1:
        versions.append(webhook.key_version - 1)
    return [signing.derive_secret(hooks.signing_key(), org, version) for version in versions]


def _wait(services: Services, message: WebhookMessage, now: datetime) -> StepReport:
    left_s = ((message.not_before or now) - now).total_seconds()
    services.queues.send(message, delay_s=min(MAX_DELAY_S, max(1, int(left_s))))
    return StepReport("webhook_waits", message.org, message.run, {"try": message.attempt})


def _put_off(services: Services, message: WebhookMessage, now: datetime, facts: dict[str, object]) -> StepReport:
    if message.attempt > len(PAUSES_S):
        raise WebhookFailedError(f"The webhook of {message.org} failed {message.attempt} times: {facts['reason']}.")
    pause_s = PAUSES_S[message.attempt - 1]
    later = message.model_copy(update={"attempt": message.attempt + 1, "not_before": now + timedelta(seconds=pause_s)})
    services.queues.send(later, delay_s=min(MAX_DELAY_S, pause_s))
    return StepReport("webhook_put_off", message.org, message.run, facts | {"again_in_s": pause_s})
