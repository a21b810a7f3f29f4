"""The example of docs/webhooks.md checks what is really sent."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mailtide.runs.signing import derive_secret, headers, secret_text

PAGE = Path(__file__).resolve().parents[3] / "docs" / "webhooks.md"


def example() -> Any:  # noqa: ANN401 - a function of the page's
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own page
    return names["verified"]


def test_what_is_ours_fresh_and_new_is_taken_once() -> None:
    verified, body = example(), b'{"type":"test"}'
    secret, other = derive_secret(b"k" * 64, "acme", 2), derive_secret(b"k" * 64, "acme", 1)
    now = datetime.now(UTC)
    sent = dict(headers([secret, other], "run_1", now, body))
    for text in (secret_text(secret), secret_text(other)):
        seen: set[str] = set()
        assert verified(text, sent, body, seen)
        assert not verified(text, sent, body, seen), "a second time"
    assert not verified(secret_text(secret), sent, body + b" ", set())
    assert not verified(secret_text(secret), {**sent, "webhook-id": "run_2"}, body, set())
    late = str(int(time.time()) + 299)
    assert not verified(secret_text(secret), {**sent, "webhook-timestamp": late}, body, set()), "the time is signed"
    stale = dict(headers([secret], "run_1", datetime.fromtimestamp(time.time() - 301, UTC), body))
    assert not verified(secret_text(secret), stale, body, set())
    assert not verified(secret_text(derive_secret(b"k" * 64, "beta", 2)), sent, body, set())
