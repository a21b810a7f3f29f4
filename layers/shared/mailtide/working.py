"""The warm-up's functions as processes that poll: wired for one role each."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from mailtide import planning_handler, read_handler, reading, send_handler, sending
from mailtide.adapters.queue_source import SqsSource
from mailtide.adapters.queues import make_sqs_client
from mailtide.errors import SettingsError
from mailtide.planning import planning
from mailtide.polling import Poller
from mailtide.warmup.contracts import WarmupTick, day_of, day_start_ms
from mailtide.warmup.settings import load_warmup_resources, load_warmup_settings
from mailtide.warmup.slots import tick_of

type Role = Literal["plan", "dispatch", "send", "read"]

BATCH_S = 300
"""As long as the functions may take."""
WINDOW_S = 5.0
"""How long the sender gathers a batch, as its function does."""
READ_BATCH = 10
"""Messages that the reader takes, as its function does."""


def make_poller(role: Role) -> Poller:
    """The process of a role. SettingsError."""
    resources = load_warmup_resources()
    if role == "plan":
        url, handler, most = resources.warmup_plan_queue_url, planning_handler.plan_ticks(), 1
    elif role == "dispatch":
        url, handler, most = resources.warmup_dispatch_queue_url, planning_handler.dispatch_ticks(), 1
    elif role == "send":
        url, handler, most = resources.warmup_send_queue_url, send_handler.handler, load_warmup_settings().batch_size
    else:
        url, handler, most = resources.warmup_read_queue_url, read_handler.handler, READ_BATCH
    if not url:
        raise SettingsError(f"The setting MAILTIDE_WARMUP_{role.upper()}_QUEUE_URL is missing.")
    source = SqsSource(make_sqs_client(), url, window_s=WINDOW_S if role == "send" else 0.0)
    before = Ticker().look if role == "plan" else lambda: None
    return Poller(f"{role} worker", source, handler, most=most, batch_s=BATCH_S, before=before)


def stop(poller: Poller) -> None:
    """No further batch, and no further send or visit of the present one: what is claimed is finished, mails are put back, visits
    are left to the next round."""
    poller.stop()
    sending.stop_starting()
    reading.stop_starting()


class Ticker:
    """In place of the schedule: queues each tick once. Several of these are one too many, not more: the planner knows ticks."""

    def __init__(self) -> None:
        self._sent_ms = -1

    def look(self) -> None:
        """Queue the present tick, if this process has not done so yet. TransientError."""
        own = planning()
        now_ms = own.clock.now_ms()
        start_ms, _ = tick_of(now_ms, day_start_ms(day_of(now_ms)), own.settings.tick_ms)
        if start_ms != self._sent_ms:
            own.queue.send_plan(WarmupTick(scheduled_ms=start_ms))
            self._sent_ms = start_ms


def serve_health(poller: Poller, port: int) -> Callable[[], None]:
    """Answer every GET on a port with 200, or 503 when the poller hangs; the function that ends it. OSError."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            facts = {"alive": poller.is_alive(), "batches": poller.batches, "silent_s": round(poller.silent_s(), 1)}
            body = json.dumps(facts).encode()
            self.send_response(200 if poller.is_alive() else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Probes are not worth a line."""

    # In a container the probe comes from outside of it.
    server = ThreadingHTTPServer(("", port), Answer)
    threading.Thread(target=server.serve_forever, daemon=True, name="health").start()
    return server.shutdown
