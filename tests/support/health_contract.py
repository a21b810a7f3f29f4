"""What every HealthStore promises; the folder that runs it gives `store`, filled with what `boxes` names."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from mailtide.warmup.contracts import Mailbox
from mailtide.warmup.reading.fold_ports import HealthStore, KeptHealth, health_of
from mailtide.warmup.reading.record import MailboxHealth
from tests.support.placements import mailbox, tally
from tests.support.warmup_pools import DAY

type Build = Callable[[list[Mailbox]], HealthStore]


def new_mailbox() -> Mailbox:
    return mailbox(1).model_copy(update={"mailbox_id": f"box-{uuid4().hex[:8]}"})


def record(through: int = 0) -> str:
    day = DAY + timedelta(days=through)
    return MailboxHealth(through=day, days=(tally(day, 3, 1),)).to_text()


def kept(box: Mailbox, *, before: str = "", health: str = "") -> KeptHealth:
    return KeptHealth(
        mailbox_id=box.mailbox_id,
        health=health or record(),
        pace=0.35,
        graduated_on=DAY,
        held_back="slowed from 2026-11-23 on: 61 % of 140 mails in the inbox",
        before=before,
    )


def test_what_is_kept_stands_on_the_mailbox_and_the_rest_as_it_was(build: Build) -> None:
    box = new_mailbox()
    store = build([box])
    assert store.get_many([box.mailbox_id])[box.mailbox_id] == box
    assert store.keep_health([kept(box)]) == []
    found = store.get_many([box.mailbox_id])[box.mailbox_id]
    assert replace(health_of(found), before="") == kept(box)
    untouched = {"health": "", "pace": 1.0, "graduated_on": None, "held_back": ""}
    assert found.model_copy(update=untouched) == box


def test_only_what_it_has_followed_from_is_replaced_and_a_lost_answer_does_no_harm(build: Build) -> None:
    box, other = new_mailbox(), new_mailbox()
    store = build([box, other])
    first = kept(box)
    assert store.keep_health([first, kept(other)]) == []
    assert store.keep_health([first]) == [], "this very record stands already"
    assert store.keep_health([kept(box, health=record(1)), kept(box, before=record(5), health=record(6))]) == [
        box.mailbox_id,
        box.mailbox_id,
    ]
    assert store.keep_health([kept(box, before=record(), health=record(1))]) == []
    assert store.get_many([box.mailbox_id])[box.mailbox_id].health == record(1)


def test_a_mailbox_that_is_gone_does_not_come_back(build: Build) -> None:
    store = build([])
    gone = new_mailbox()
    assert store.keep_health([kept(gone)]) == [gone.mailbox_id]
    assert store.get_many([gone.mailbox_id]) == {}


def test_a_quarantine_takes_nothing_back_that_a_person_has_paused(build: Build) -> None:
    box, paused = new_mailbox(), new_mailbox().model_copy(update={"status": "paused"})
    store = build([box, paused])
    for one in (box, paused):
        assert store.set_status(one.mailbox_id, "quarantined", "why")
        store.keep_health([kept(one)])
    found = store.get_many([box.mailbox_id, paused.mailbox_id])
    assert {name: one.status for name, one in found.items()} == {
        box.mailbox_id: "quarantined",
        paused.mailbox_id: "paused",
    }
    assert {one.pace for one in found.values()} == {0.35}
