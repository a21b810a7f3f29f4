"""The deployed template with the proxies in its lines, its waiting times short, and chunks for small databases."""

import ctypes.util
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localstack.cloud import LocalCloud
from mailtide.settings import Settings
from tests.chaos.proxy import Proxies, proxies_before
from tests.chaos.rules import FUNCTIONS, Role, RuleBook

RETRY_AFTER_S = 8
"""Visibility time-out of the queues: longer than a cold start takes here."""
TASK_TIMEOUT_S = 12
CHUNK_FROM_CONTACTS, CHUNK_CONTACTS = 200, 150
SHORT: Mapping[str, str] = {
    "WATCH_STALL_S": "4",
    "LOCK_TTL_S": "30",
    "TASK_TIMEOUT_S": str(TASK_TIMEOUT_S),
    "RUN_TIMEOUT_S": "75",
    # Each upload is another file on purpose.
    "BRAKE_SHARE": "1000",
    "CHUNKING": "always",
    "CHUNK_FROM_CONTACTS": str(CHUNK_FROM_CONTACTS),
    "CHUNK_CONTACTS": str(CHUNK_CONTACTS),
}
AS_DEPLOYED: Mapping[str, str] = {
    **SHORT,
    **{
        name: str(Settings.model_fields[name.lower()].default)
        for name in ("LOCK_TTL_S", "TASK_TIMEOUT_S", "RUN_TIMEOUT_S")
    },
}
"""With the real time-outs, against which five minutes of a wrong clock count."""
_NAMES: Mapping[Role, str] = {
    "plan": "plan-run",
    "launch": "launch-machine",
    "collect": "collect-parts",
    "finish": "finish-run",
    "watch": "watch-runs",
}
_CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long off(void) { const char *s = getenv("CHAOS_CLOCK_S"); return s ? atol(s) : 0; }
int clock_gettime(clockid_t id, struct timespec *ts) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int code = real(id, ts);
  if (!code && id == CLOCK_REALTIME) ts->tv_sec += off();
  return code;
}
int gettimeofday(struct timeval *tv, void *zone) {
  static int (*real)(struct timeval *, void *);
  if (!real) real = dlsym(RTLD_NEXT, "gettimeofday");
  int code = real(tv, zone);
  if (!code) tv->tv_sec += off();
  return code;
}
time_t time(time_t *out) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  if (out) *out = ts.tv_sec;
  return ts.tv_sec;
}
"""


def wrong_clock_library(folder: Path) -> Path | None:
    """A library that puts the clock of a process wrong by CHAOS_CLOCK_S; None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None or ctypes.util.find_library("c") is None:
        return None
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(_CLOCK)
    done = subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=False)
    return library if done.returncode == 0 else None


@dataclass
class Stage:
    """Where scenarios are played."""

    cloud: LocalCloud
    proxies: Proxies
    book: RuleBook
    clock_library: Path | None
    given: dict[Role, dict[str, str]]
    """Environment of each function as it was deployed."""
    _now: tuple[Mapping[str, str], Mapping[Role, int]] | None = None

    def name(self, role: Role) -> str:
        """The deployed function."""
        return next(name for name in self.cloud.stack.functions if name.endswith(_NAMES[role]))

    def configure(self, settings: Mapping[str, str], clocks_s: Mapping[Role, int]) -> None:
        """Give the functions these settings and clocks; nothing is done when they have them."""
        if (settings, clocks_s) == self._now:
            return
        for role in FUNCTIONS:
            environment = {
                **self.given[role],
                **{f"MAILTIDE_{name}": value for name, value in settings.items()},
                **{f"AWS_ENDPOINT_URL_{name}": self.proxies.urls[role] for name in ("S3", "SQS", "EVENTBRIDGE")},
                "MAILTIDE_MACHINE_S3_ENDPOINT_URL": self.proxies.urls["machine"],
            }
            if clocks_s.get(role):
                environment |= {"LD_PRELOAD": str(self.clock_library), "CHAOS_CLOCK_S": str(clocks_s[role])}
            self._set(role, environment)
        self._now = (settings, dict(clocks_s))

    def restore(self) -> None:
        """As it was deployed."""
        for role in FUNCTIONS:
            self._set(role, self.given[role])

    def _set(self, role: Role, environment: Mapping[str, str]) -> None:
        functions = self.cloud.client("lambda")
        functions.update_function_configuration(
            FunctionName=self.name(role), Environment={"Variables": dict(environment)}
        )
        ends_at = time.monotonic() + 10
        while time.monotonic() < ends_at:
            if functions.get_function_configuration(FunctionName=self.name(role))["LastUpdateStatus"] == "Successful":
                return
            time.sleep(0.05)
        raise TimeoutError(f"{self.name(role)} did not take its settings")

    def hide_messages_for(self, seconds: int, *queues: str) -> None:
        """Set the visibility time-out of queues."""
        for queue in queues:
            attributes = {"VisibilityTimeout": str(seconds)}
            self.cloud.client("sqs").set_queue_attributes(
                QueueUrl=self.cloud.stack.queue_url(queue), Attributes=attributes
            )


@contextmanager
def staged(cloud: LocalCloud, folder: Path, *, retry_after_s: int) -> Iterator[Stage]:
    """Put the proxies into the lines of a deployed cloud, and take them out again. retry_after_s: as it was deployed with."""
    book = RuleBook()
    with proxies_before(cloud.endpoint_url, book) as proxies:
        stage = Stage(cloud, proxies, book, wrong_clock_library(folder), {})
        functions = cloud.client("lambda")
        for role in FUNCTIONS:
            given = functions.get_function_configuration(FunctionName=stage.name(role))["Environment"]["Variables"]
            stage.given[role] = dict(given)
        stage.hide_messages_for(RETRY_AFTER_S, *FUNCTIONS)
        try:
            yield stage
        finally:
            book.disarm()
            stage.hide_messages_for(retry_after_s, *FUNCTIONS)
            stage.restore()
