"""The mailboxes on DynamoDB."""

from collections.abc import Callable

import pytest

from mailtide.adapters.dynamodb.mailboxes import encode_mailbox, encode_mailbox_key
from mailtide.adapters.dynamodb.table import encode
from mailtide.warmup.contracts import Engagement, Mailbox, MailServer, Standing, standing_of
from tests.integration.mail.conftest import World


@pytest.fixture
def world(world_at: Callable[..., World]) -> World:
    return world_at(25)


def test_what_goes_in_comes_out(world: World) -> None:
    mailbox = world.mailbox(
        "alpha", display_name="Ann O'Nym", not_before_ms=5, status="paused", status_reason="why not"
    )
    assert world.mailboxes.get_many([mailbox.mailbox_id, "nobody"]) == {mailbox.mailbox_id: mailbox}
    assert world.mailboxes.standings([mailbox.mailbox_id, "nobody"]) == {
        mailbox.mailbox_id: Standing(status="paused", not_before_ms=5)
    }


@pytest.mark.parametrize("imap", [False, True])
@pytest.mark.parametrize("read", [False, True])
def test_a_standing_tells_whether_it_is_read_and_whether_replies_wait_for_that(
    world: World, imap: bool, read: bool
) -> None:
    server = MailServer(host="imap.example", port=993, security="tls")
    mailbox = world.mailbox("read", imap=server if imap else None, engagement=Engagement(read=read))
    assert world.mailboxes.standings([mailbox.mailbox_id]) == {mailbox.mailbox_id: standing_of(mailbox)}
    assert standing_of(mailbox) == Standing(status="active", is_read=imap, replies_wait=imap and read)


def test_many(world: World) -> None:
    first = world.mailbox("one")
    many = [first.model_copy(update={"mailbox_id": f"n{number}-{world.name}"}) for number in range(230)]
    world.mailboxes.put_many([*many, many[0]])
    found = world.mailboxes.get_many([mailbox.mailbox_id for mailbox in [*many, *many[:5]]])
    assert list(found.values()) != []
    assert {*found} == {mailbox.mailbox_id for mailbox in many}
    assert [mailbox.mailbox_id for mailbox in world.mailboxes.of_user(first.user_id)] == sorted(
        [first.mailbox_id, *found]
    )
    profiles = {profile.mailbox_id: profile for profile in world.mailboxes.profiles()}
    assert {*found} <= {*profiles}
    assert not isinstance(profiles[first.mailbox_id], Mailbox)
    assert profiles[first.mailbox_id].address == first.address


def test_statuses(world: World) -> None:
    mailbox = world.mailbox("alpha")

    def status() -> tuple[str, str]:
        stored = world.mailboxes.get_many([mailbox.mailbox_id])[mailbox.mailbox_id]
        return stored.status, stored.status_reason

    assert not world.mailboxes.set_status("nobody", "paused", "")
    assert world.mailboxes.set_status(mailbox.mailbox_id, "disconnected", "login refused")
    assert status() == ("disconnected", "login refused")
    assert world.mailboxes.set_status(mailbox.mailbox_id, "paused", "by a person")
    for word in ("disconnected", "quarantined"):
        assert world.mailboxes.set_status(mailbox.mailbox_id, word, "no")
        assert status() == ("paused", "by a person")
    assert world.mailboxes.set_status(mailbox.mailbox_id, "active", "")
    assert status() == ("active", "")
    # Whoever pauses may say more than a row takes.
    assert world.mailboxes.set_status(mailbox.mailbox_id, "paused", "holidays " * 100)
    assert status() == ("paused", ("holidays " * 100)[:300])


def test_parking_never_shortens(world: World) -> None:
    mailbox = world.mailbox("alpha")
    assert not world.mailboxes.park("nobody", 5, "")
    for until_ms, expected in ((100, 100), (50, 100), (200, 200)):
        assert world.mailboxes.park(mailbox.mailbox_id, until_ms, "parked")
        assert world.mailboxes.standings([mailbox.mailbox_id])[mailbox.mailbox_id].not_before_ms == expected


def test_the_provider_of_its_domain(world: World) -> None:
    """Rows that were written before there were providers have none."""
    mailbox = world.mailbox("alpha")

    def stored() -> set[str]:
        profiles = {one.mailbox_id: one for one in world.mailboxes.profiles()}
        found = world.mailboxes.get_many([mailbox.mailbox_id])
        return {found[mailbox.mailbox_id].provider, profiles[mailbox.mailbox_id].provider}

    world.mailboxes._table.update(encode_mailbox_key(mailbox.mailbox_id), "REMOVE v")
    assert stored() == {""}
    assert world.mailboxes.set_provider(mailbox.mailbox_id, "google")
    assert stored() == {"google"}
    assert not world.mailboxes.set_provider("nobody", "google")


def test_one_that_cannot_be_read_hides_no_other(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A row of a later version, or one that somebody changed by hand: the day's roster must not end at it."""
    good, bad = world.mailbox("alpha"), world.mailbox("beta")
    item = encode_mailbox(bad.model_copy(update={"address": "no address"}))
    world.cloud.client.put_item(TableName=world.cloud.mailboxes_table, Item=encode(item))
    names = [good.mailbox_id, bad.mailbox_id]
    assert {*world.mailboxes.get_many(names)} == {good.mailbox_id}
    assert {profile.mailbox_id for profile in world.mailboxes.profiles()} & {*names} == {good.mailbox_id}
    assert [mailbox.mailbox_id for mailbox in world.mailboxes.of_user(good.user_id)] == [good.mailbox_id]
    assert bad.mailbox_id in caplog.text
    assert "no address" not in caplog.text
    world.mailboxes.put_many([bad])
