"""A small file that asks for millions of mails, at planning: refused in one sentence, no machine is launched."""

import sqlite3

import pytest

from mailtide.contracts import Done
from mailtide.runs import keys
from tests.model.simulation.databases import database
from tests.model.simulation.drive import ORG, Drive
from tests.model.simulation.world import World

SOURCE = keys.source(ORG)


def with_campaigns(count: int, start: str) -> bytes:
    """Three contacts, and so many campaigns for everybody."""
    with sqlite3.connect(":memory:") as db:
        db.deserialize(database(1))
        db.execute("CREATE TABLE campaign_types (name TEXT, target_all_contacts INTEGER)")
        db.execute(
            "CREATE TABLE campaign_instances (id, campaign_type, instance_name, active_start_date, active_end_date)"
        )
        db.execute("INSERT INTO campaign_types VALUES ('news', 1)")
        rows = [(number, "news", "x", start, None) for number in range(count)]
        db.executemany("INSERT INTO campaign_instances VALUES (?, ?, ?, ?, ?)", rows)
        db.commit()
        return db.serialize()


def done_with(body: bytes) -> tuple[World, Done]:
    world = World()
    world.bucket.put(SOURCE, body)
    Drive(world, {}).run()
    (key,) = (key for key in world.bucket.objects if key.endswith("/done.json"))
    return world, Done.model_validate_json(world.bucket.objects[key].body)


def test_a_file_that_asks_for_too_many_mails_is_refused_at_planning() -> None:
    body = with_campaigns(40_000, "2020-01-01")
    world, done = done_with(body)
    assert (done.status, done.reason) == (
        "failed",
        "The campaigns and rules ask for up to 120,012 mails for 3 contacts; 100 a contact are allowed "
        "(MAILTIDE_MAX_MAILS_PER_CONTACT).",
    )
    assert not world.machines.machines
    assert world.bucket.objects[SOURCE].body == body


@pytest.mark.parametrize(("count", "start"), [(40_000, "2099-01-01"), (300, "2020-01-01")])
def test_campaigns_that_do_not_run_and_few_mails_are_none_too_many(count: int, start: str) -> None:
    world, done = done_with(with_campaigns(count, start))
    assert done.status == "published"
    assert len(world.machines.machines) == 1
