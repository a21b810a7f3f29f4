"""Templates and stops from the bucket, kept for a short while."""

import logging
import threading
from collections.abc import Callable

from mailtide.warmup import keys
from mailtide.warmup.content import TemplateError, TemplateSet, packaged_templates
from mailtide.warmup.control import read_control
from mailtide.warmup.objects import ControlFlags
from mailtide.warmup.ports import Objects, WarmupClock

log = logging.getLogger("mailtide.templates")

TEMPLATES_MAX_AGE_MS = 300_000
CONTROL_MAX_AGE_MS = 15_000


class _Kept[Value]:
    """Values by name, read again when they are too old. Safe for threads; two may read the same at once."""

    def __init__(self, clock: WarmupClock, max_age_ms: int, read: Callable[[str], Value]) -> None:
        self._clock = clock
        self._max_age_ms = max_age_ms
        self._read = read
        self._lock = threading.Lock()
        self._values: dict[str, tuple[int, Value]] = {}

    def get(self, name: str) -> Value:
        now_ms = self._clock.monotonic_ms()
        with self._lock:
            kept = self._values.get(name)
        if kept is not None and now_ms - kept[0] < self._max_age_ms:
            return kept[1]
        value = self._read(name)
        with self._lock:
            self._values[name] = now_ms, value
        return value


class BucketTemplates:
    """Implements mailtide.warmup.mail_ports.Templates. A file that cannot be used counts as none: mails go out all the same."""

    def __init__(self, bucket: Objects, clock: WarmupClock) -> None:
        self._bucket = bucket
        self._kept = _Kept(clock, TEMPLATES_MAX_AGE_MS, self._read)

    def of_user(self, user_id: str) -> TemplateSet:
        """See mailtide.warmup.mail_ports.Templates."""
        return self._kept.get(user_id)

    def _read(self, user_id: str) -> TemplateSet:
        stored = self._bucket.get(keys.templates(user_id))
        if stored is None:
            return packaged_templates()
        try:
            return TemplateSet.parse(stored.body, f"templates of {user_id}")
        except TemplateError as error:
            log.warning("%s", error)
            return packaged_templates()


class BucketControl:
    """Implements mailtide.warmup.mail_ports.Control."""

    def __init__(self, bucket: Objects, clock: WarmupClock) -> None:
        self._kept = _Kept(clock, CONTROL_MAX_AGE_MS, lambda _: read_control(bucket))

    def flags(self) -> ControlFlags:
        """See mailtide.warmup.mail_ports.Control."""
        return self._kept.get("")
