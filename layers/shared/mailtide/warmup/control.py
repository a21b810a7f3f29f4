"""What a person has stopped: warmup/control.json."""

import logging

from pydantic import ValidationError

from mailtide.errors import InputError, StaleWriteError
from mailtide.warmup import keys
from mailtide.warmup.objects import ControlFlags
from mailtide.warmup.ports import Objects
from mailtide.warmup.store import put, read

log = logging.getLogger(__name__)

_TRIES = 5
UNREADABLE = f"{keys.CONTROL} is not what mailtide wrote"


def read_control(bucket: Objects) -> ControlFlags:
    """The flags; nothing is stopped while there are none. A file that cannot be read stops everything, and the log says so:
    nobody knows any more who had asked for no mails."""
    try:
        return read(bucket, keys.CONTROL, ControlFlags) or ControlFlags()
    except ValidationError:
        log.error("control_unreadable: %s; nothing is sent", UNREADABLE)
        return ControlFlags(paused=True)


def is_readable(bucket: Objects) -> bool:
    """Whether the flags say what is stopped."""
    try:
        read(bucket, keys.CONTROL, ControlFlags)
    except ValidationError:
        return False
    return True


def set_paused(bucket: Objects, *, paused: bool, user_id: str | None = None, held: bool = False) -> ControlFlags:
    """Pause or resume everything, or one user; the flags afterwards. StaleWriteError when others keep being first; InputError
    while they cannot be read, since writing would forget the users who are paused.

    held: by an operator. Pausing so holds the user until an operator resumes, which lifts the user's own pause as well.
    """
    for _ in range(_TRIES):
        stored = bucket.get(keys.CONTROL)
        old = ControlFlags() if stored is None else _parsed(stored.body)
        new = _changed(old, paused=paused, user_id=user_id, held=held)
        if put(bucket, keys.CONTROL, new, expected_etag=stored.etag if stored else None):
            return new
    raise StaleWriteError(f"{keys.CONTROL} is being changed by others all the time.")


def _parsed(body: bytes) -> ControlFlags:
    try:
        return ControlFlags.model_validate_json(body)
    except ValidationError:
        raise InputError(
            f"{UNREADABLE}, so everything is stopped and nothing can be resumed: restore its last version in the bucket, "
            "or delete it if nobody was paused."
        ) from None


def _changed(old: ControlFlags, *, paused: bool, user_id: str | None, held: bool) -> ControlFlags:
    if user_id is None:
        return ControlFlags(paused=paused, paused_users=old.paused_users, held_users=old.held_users)
    user = frozenset({user_id})
    if paused:
        own, by_operator = (frozenset(), user) if held else (user, frozenset())
        return ControlFlags(
            paused=old.paused, paused_users=old.paused_users | own, held_users=old.held_users | by_operator
        )
    still_held = old.held_users - user if held else old.held_users
    return ControlFlags(paused=old.paused, paused_users=old.paused_users - user, held_users=still_held)
