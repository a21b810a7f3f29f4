"""What a person has stopped: warmup/control.json."""

from mailtide.errors import StaleWriteError
from mailtide.warmup import keys
from mailtide.warmup.objects import ControlFlags
from mailtide.warmup.ports import Objects
from mailtide.warmup.store import put, read

_TRIES = 5


def read_control(bucket: Objects) -> ControlFlags:
    """The flags; nothing is stopped while there are none."""
    return read(bucket, keys.CONTROL, ControlFlags) or ControlFlags()


def set_paused(bucket: Objects, *, paused: bool, user_id: str | None = None) -> ControlFlags:
    """Pause or resume everything, or one user; the flags afterwards. StaleWriteError when others keep being first."""
    for _ in range(_TRIES):
        stored = bucket.get(keys.CONTROL)
        old = ControlFlags() if stored is None else ControlFlags.model_validate_json(stored.body)
        new = _changed(old, paused=paused, user_id=user_id)
        if put(bucket, keys.CONTROL, new, expected_etag=stored.etag if stored else None):
            return new
    raise StaleWriteError(f"{keys.CONTROL} is being changed by others all the time.")


def _changed(old: ControlFlags, *, paused: bool, user_id: str | None) -> ControlFlags:
    if user_id is None:
        return ControlFlags(paused=paused, paused_users=old.paused_users)
    users = old.paused_users | {user_id} if paused else old.paused_users - {user_id}
    return ControlFlags(paused=old.paused, paused_users=users)
