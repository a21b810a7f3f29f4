"""The lock: one owner, stolen only after expiry or from an ended run, never deleted, and its epoch never falls."""

from datetime import timedelta

import pytest

from mailtide.contracts import Done, Lock
from mailtide.errors import TransientError
from mailtide.runs import keys, lock, store
from tests.model.simulation.stepped import SteppedBucket
from tests.model.simulation.steps import Actor, Fault
from tests.support.memory_services import MemoryServices

ONE, TWO = "1" * 20, "2" * 20


@pytest.fixture
def memory() -> MemoryServices:
    return MemoryServices()


def standing(memory: MemoryServices) -> Lock:
    found = store.read(memory.bucket, keys.lock("acme"), Lock)
    assert found is not None
    return found


def test_first_come(memory: MemoryServices) -> None:
    taken = lock.take(memory.services, "acme", ONE)
    assert taken is not None
    assert (taken.owner, taken.epoch) == (ONE, 1)
    assert taken.expires_at == memory.clock.now() + timedelta(seconds=memory.settings.lock_ttl_s)
    assert lock.take(memory.services, "acme", TWO) is None
    assert lock.owner(memory.services, "acme") == ONE


def test_its_owner_takes_it_again_and_it_holds_longer(memory: MemoryServices) -> None:
    lock.take(memory.services, "acme", ONE)
    memory.clock.advance(100)
    again = lock.take(memory.services, "acme", ONE)
    assert again is not None
    assert again.epoch == 1
    assert again.expires_at == memory.clock.now() + timedelta(seconds=memory.settings.lock_ttl_s)


def test_it_is_stolen_when_it_has_expired_and_not_a_second_before(memory: MemoryServices) -> None:
    lock.take(memory.services, "acme", ONE)
    memory.clock.advance(memory.settings.lock_ttl_s - 1)
    assert lock.take(memory.services, "acme", TWO) is None
    memory.clock.advance(1)
    stolen = lock.take(memory.services, "acme", TWO)
    assert stolen is not None
    assert stolen.epoch == 2


def test_the_lock_of_an_ended_run_is_free(memory: MemoryServices) -> None:
    lock.take(memory.services, "acme", ONE)
    done = Done(org="acme", run=ONE, status="failed", finished_at=memory.clock.now())
    store.create_once(memory.bucket, keys.done("acme", ONE), done)
    assert lock.take(memory.services, "acme", TWO) is not None


def test_release_keeps_the_object_and_the_epoch(memory: MemoryServices) -> None:
    lock.take(memory.services, "acme", ONE)
    lock.release(memory.services, "acme", ONE)
    assert (standing(memory).owner, standing(memory).epoch) == (None, 1)
    assert lock.take(memory.services, "acme", TWO) is not None
    assert standing(memory).epoch == 2


def test_only_its_owner_releases_or_renews_it(memory: MemoryServices) -> None:
    lock.release(memory.services, "acme", ONE)
    assert memory.bucket.head(keys.lock("acme")) is None
    lock.take(memory.services, "acme", ONE)
    lock.release(memory.services, "acme", TWO)
    assert not lock.renew(memory.services, "acme", TWO)
    assert lock.owner(memory.services, "acme") == ONE


def test_an_overtaken_owner_cannot_renew(memory: MemoryServices) -> None:
    lock.take(memory.services, "acme", ONE)
    memory.clock.advance(memory.settings.lock_ttl_s)
    lock.take(memory.services, "acme", TWO)
    assert not lock.renew(memory.services, "acme", ONE)
    assert standing(memory).owner == TWO


def test_organisations_do_not_share_it(memory: MemoryServices) -> None:
    assert lock.take(memory.services, "acme", ONE) is not None
    assert lock.take(memory.services, "bolt", TWO) is not None


@pytest.mark.parametrize("held", [False, True])
def test_a_lost_answer_to_its_own_write_counts_as_taken(memory: MemoryServices, held: bool) -> None:
    if held:
        lock.take(memory.services, "acme", TWO)
        lock.release(memory.services, "acme", TWO)
    taken: list[Lock | None] = []

    def take(actor: Actor) -> None:
        services = memory.services
        stepped = type(services)(
            bucket=SteppedBucket(memory.bucket, actor),
            queues=services.queues,
            machines=services.machines,
            announcer=services.announcer,
            clock=services.clock,
            settings=services.settings,
        )
        taken.append(lock.take(stepped, "acme", ONE))

    actor = Actor("taker", take, late=lambda _: None)
    while not actor.finished:
        writes = actor.next is not None and actor.next.what in {"create", "replace"}
        actor.advance(Fault.REPEATED if writes else Fault.NONE)
        if writes:
            actor.advance(Fault.NONE)
    assert actor.error is None
    assert taken[0] is not None
    assert standing(memory) == taken[0]


def test_an_unanswered_write_is_an_error_not_a_guess(memory: MemoryServices) -> None:
    def take(actor: Actor) -> None:
        services = memory.services
        lock.take(
            type(services)(
                bucket=SteppedBucket(memory.bucket, actor),
                queues=services.queues,
                machines=services.machines,
                announcer=services.announcer,
                clock=services.clock,
                settings=services.settings,
            ),
            "acme",
            ONE,
        )

    actor = Actor("taker", take, late=lambda _: None)
    actor.advance(Fault.NONE)
    actor.advance(Fault.LOST)
    assert isinstance(actor.error, TransientError)
    assert lock.take(memory.services, "acme", ONE) is not None
