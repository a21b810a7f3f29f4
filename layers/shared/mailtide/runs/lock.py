"""lock.json: who may publish for an organisation. Taken, renewed, stolen after expiry and released only by conditional
writes; the object is never deleted and its epoch never falls, so an overtaken holder cannot mistake it for its own."""

from datetime import timedelta

from mailtide.contracts import Lock
from mailtide.errors import StaleWriteError
from mailtide.runs import keys
from mailtide.runs.services import Services
from mailtide.runs.store import Versioned, read_done

_ROUNDS = 5


def _read(services: Services, org: str) -> Versioned[Lock] | None:
    stored = services.bucket.get(keys.lock(org))
    return None if stored is None else Versioned(Lock.model_validate_json(stored.body), stored.etag)


def _is_free(services: Services, org: str, lock: Lock) -> bool:
    if lock.owner is None or lock.expires_at <= services.clock.now():
        return True
    return read_done(services.bucket, org, lock.owner) is not None


def take(services: Services, org: str, run: str) -> Lock | None:
    """Take the lock for a run, or renew its own. None while another live run holds it."""
    for _ in range(_ROUNDS):
        current = _read(services, org)
        if current and current.value.owner != run and not _is_free(services, org, current.value):
            return None
        held = current is not None and current.value.owner == run
        epoch = 1 if current is None else current.value.epoch + (0 if held else 1)
        expires_at = services.clock.now() + timedelta(seconds=services.settings.lock_ttl_s)
        wanted = Lock(owner=run, epoch=epoch, expires_at=expires_at)
        if _write(services, org, wanted, current):
            return wanted
    return None


def renew(services: Services, org: str, run: str) -> bool:
    """Push the expiry back when the run holds the lock; False when it does not."""
    current = _read(services, org)
    if current is None or current.value.owner != run:
        return False
    return take(services, org, run) is not None


def release(services: Services, org: str, run: str) -> None:
    """Free the lock when the run holds it; nothing to do otherwise."""
    for _ in range(_ROUNDS):
        current = _read(services, org)
        if current is None or current.value.owner != run:
            return
        free = Lock(owner=None, epoch=current.value.epoch, expires_at=services.clock.now())
        if _write(services, org, free, current):
            return
    raise StaleWriteError(f"The lock of {org} keeps changing; it will expire by itself.")


def owner(services: Services, org: str) -> str | None:
    """The run that the lock names."""
    current = _read(services, org)
    return current.value.owner if current else None


def _write(services: Services, org: str, wanted: Lock, current: Versioned[Lock] | None) -> bool:
    key = keys.lock(org)
    try:
        if current is None or current.etag is None:
            services.bucket.create(key, wanted.to_bytes())
        else:
            services.bucket.replace(key, wanted.to_bytes(), expected_etag=current.etag)
    except StaleWriteError:
        stands = _read(services, org)
        return stands is not None and stands.value.token == wanted.token
    return True
