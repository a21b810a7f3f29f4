"""The sender, wired once per process; each batch has an event loop, connections and a token desk of its own."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

from mailtide.adapters.dynamodb.limits import DynamoLimits
from mailtide.adapters.mail_process import MailProcess, make_mail_process
from mailtide.adapters.mail_queue import SqsMailQueue
from mailtide.adapters.oauth2 import AccessTokens, make_http_client
from mailtide.adapters.queues import make_sqs_client
from mailtide.adapters.smtp import SmtpMailer, make_tls_context
from mailtide.warmup.attempt import SendServices
from mailtide.warmup.contracts import SendMessage
from mailtide.warmup.desk import TokenDesk
from mailtide.warmup.limits import GlobalLimits
from mailtide.warmup.pauses import HostPauses
from mailtide.warmup.send import BatchReport, Sender
from mailtide.warmup.user_files import BucketTemplates

_stopping = threading.Event()


@dataclass(frozen=True, slots=True)
class Process:
    """What lives as long as the process."""

    mail: MailProcess
    limits: DynamoLimits
    templates: BucketTemplates
    queue: SqsMailQueue
    pauses: HostPauses


@cache
def process() -> Process:
    """Wired by the environment. SettingsError."""
    # Each lane has at most one call under way; the limits have users' updates side by side besides.
    mail = make_mail_process(lambda settings: settings.max_concurrent)
    settings, resources = mail.settings, mail.resources
    return Process(
        mail=mail,
        limits=DynamoLimits(
            mail.table(resources.limits_table),
            GlobalLimits(hour=settings.global_hourly_limit, minute=settings.global_minute_limit),
            user_hourly_limit=settings.user_hourly_limit,
            executor=ThreadPoolExecutor(16, thread_name_prefix="limits"),
        ),
        templates=BucketTemplates(mail.bucket, mail.clock),
        queue=SqsMailQueue(make_sqs_client(connections=mail.connections), resources),
        pauses=HostPauses(mail.clock.monotonic_ms),
    )


def stop_starting() -> None:
    """From a signal's handler: mails that are claimed are finished, no other is begun by this process any more."""
    _stopping.set()


def send_batch(messages: Sequence[SendMessage], *, time_left_s: float) -> BatchReport:
    """One invocation's messages. The process may have been frozen before, so its idea of the time starts anew."""
    own = process()
    own.mail.clock.forget()
    return asyncio.run(_send(own, messages, time_left_s))


async def _send(own: Process, messages: Sequence[SendMessage], time_left_s: float) -> BatchReport:
    mail = own.mail
    timeout_s = mail.settings.smtp_timeout_ms / 1000
    async with make_http_client(make_tls_context(), timeout_s) as http:
        mailer = SmtpMailer(
            mail.secrets,
            AccessTokens(http, mail.access_tokens),
            timeout_s=timeout_s,
            host_concurrency=max(1, mail.settings.max_concurrent * 4 // 5),
            run_blocking=mail.run_blocking,
        )
        services = SendServices(
            ledger=mail.ledger,
            mailboxes=mail.mailboxes,
            mailer=mailer,
            templates=own.templates,
            clock=mail.clock,
            desk=TokenDesk(own.limits, mail.clock, mail.run_blocking),
            pauses=own.pauses,
            run_blocking=mail.run_blocking,
            settings=mail.settings,
        )
        sender = Sender(services, own.queue, mail.control, is_stopping=_stopping.is_set)
        return await sender.send_batch(messages, time_left_s=time_left_s)
