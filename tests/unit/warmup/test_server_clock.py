"""The table server's time, learnt from Date headers."""

from email.utils import formatdate

from hypothesis import given
from hypothesis import strategies as st

from mailtide.adapters.dynamodb.clock import ServerClock

SERVER_AT_ZERO_MS = 1_795_000_000_123


class World:
    """A server's time, and a process whose wall clock is wrong."""

    def __init__(self, wall_error_ms: float = 0.0) -> None:
        self.monotonic = 50_000.0
        self.wall_error_ms = wall_error_ms
        self.clock = ServerClock(lambda: self.server_ms + wall_error_ms, lambda: self.monotonic)

    @property
    def server_ms(self) -> float:
        return SERVER_AT_ZERO_MS + self.monotonic

    def ask(self, there_ms: float, back_ms: float) -> None:
        sent = self.clock.elapsed_ms()
        self.monotonic += there_ms
        header = formatdate(int(self.server_ms // 1000), usegmt=True)
        self.monotonic += back_ms
        self.clock.observe(header, sent, self.clock.elapsed_ms())


def test_the_wall_clock_serves_until_the_first_answer() -> None:
    world = World(wall_error_ms=-40_000)
    assert abs(world.clock.now_ms() - world.server_ms + 40_000) < 1
    world.ask(5, 5)
    assert abs(world.clock.now_ms() - world.server_ms) < 1_000


@given(st.lists(st.tuples(st.floats(0, 2_000), st.floats(0, 2_000), st.floats(0, 60_000)), min_size=1, max_size=30))
def test_never_further_off_than_one_answer_allows(answers: list[tuple[float, float, float]]) -> None:
    world = World(wall_error_ms=3_600_000)
    for there, back, pause in answers:
        world.ask(there, back)
        assert abs(world.clock.now_ms() - world.server_ms) <= (1_000 + there + back) / 2 + 1
        world.monotonic += pause


def test_many_answers_bring_it_close() -> None:
    world = World(wall_error_ms=60_000)
    for _ in range(40):
        world.ask(3, 3)
        world.monotonic += 137
    assert abs(world.clock.now_ms() - world.server_ms) < 100


def test_a_frozen_process_learns_anew() -> None:
    world = World()
    world.ask(5, 5)
    before = world.monotonic
    frozen = World()
    frozen.monotonic = before + 1_800_000
    header = formatdate(int(frozen.server_ms // 1000), usegmt=True)
    world.clock.observe(header, before, before + 10)
    assert abs(world.clock.now_ms() - frozen.server_ms) <= 600


def test_nonsense_is_no_time() -> None:
    world = World()
    for header in (None, "", "yesterday", "Mon, 99 Nov 2026 00:00:00 GMT"):
        world.clock.observe(header, 0, 1)
    assert abs(world.clock.now_ms() - world.server_ms) < 1
