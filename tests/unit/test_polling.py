"""The loop that stands in for Lambda's event source mapping."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mailtide.errors import TransientError
from mailtide.polling import MARGIN_S, Poller, Received


@dataclass
class ListSource:
    """Hands out what it is given, and then nothing; tells the poller to stop when it is empty."""

    batches: list[list[Received] | TransientError]
    deleted: list[str] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)
    poller: Poller | None = None

    def receive(self, most: int, *, hidden_s: int) -> list[Received]:
        self.asked.append((most, hidden_s))
        if not self.batches:
            assert self.poller is not None
            self.poller.stop()
            return []
        batch = self.batches.pop(0)
        if isinstance(batch, TransientError):
            raise batch
        return batch

    def delete(self, messages: Sequence[Received]) -> None:
        self.deleted += [message.message_id for message in messages]


def message(name: str) -> Received:
    return Received(name, f"body of {name}", f"receipt of {name}", {"SentTimestamp": "1"})


def run(source: ListSource, handler: Any, **options: Any) -> Poller:  # noqa: ANN401 - as Poller takes them
    poller = Poller("test", source, handler, most=10, batch_s=300, **options)
    source.poller = poller
    poller.run()
    return poller


def test_what_a_handler_names_as_failed_stays() -> None:
    seen: list[Any] = []

    def handler(event: dict[str, Any], context: Any) -> Any:  # noqa: ANN401 - as Lambda's
        assert 290_000 < context.get_remaining_time_in_millis() <= 300_000
        seen.append(event["Records"])
        return {"batchItemFailures": [{"itemIdentifier": "b"}]}

    source = ListSource([[message("a"), message("b")], [message("c")]])
    poller = run(source, handler)
    assert source.deleted == ["a", "c"]
    assert poller.batches == 2
    assert seen[0][0]["body"] == "body of a"
    assert seen[0][0]["messageId"] == "a"
    assert source.asked[0] == (10, 300 + MARGIN_S)


def test_a_handler_that_raises_loses_nothing_and_ends_nothing() -> None:
    calls: list[str] = []

    def handler(event: dict[str, Any], _context: object) -> Any:  # noqa: ANN401 - as Lambda's
        calls.append(event["Records"][0]["messageId"])
        if len(calls) == 1:
            raise RuntimeError("broken")
        return {"batchItemFailures": []}

    source = ListSource([[message("a")], [message("b")]])
    run(source, handler)
    assert calls == ["a", "b"]
    assert source.deleted == ["b"]


def test_a_pause_after_what_does_not_answer_ends_with_the_poller() -> None:
    source = ListSource([TransientError("away"), [message("a")]])
    looks: list[None] = []
    done = run(source, lambda _event, _context: {"batchItemFailures": []}, before=lambda: looks.append(None))
    assert source.deleted == ["a"]
    assert len(looks) == 3
    source = ListSource([TransientError("away")] * 50)
    poller = Poller("test", source, lambda _event, _context: None, most=1, batch_s=300)
    thread = threading.Thread(target=poller.run)
    thread.start()
    poller.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert done.is_alive()
    assert done.silent_s() < 5
