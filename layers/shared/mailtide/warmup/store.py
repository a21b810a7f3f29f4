"""Reading and creating typed objects in the bucket."""

from mailtide.contracts import Contract
from mailtide.errors import StaleWriteError
from mailtide.warmup.ports import Objects


def read[T: Contract](bucket: Objects, key: str, model: type[T]) -> T | None:
    """The object, None when there is none. pydantic.ValidationError when it is not what it should be."""
    stored = bucket.get(key)
    return None if stored is None else model.model_validate_json(stored.body)


def create_once[T: Contract](bucket: Objects, key: str, value: T) -> T:
    """Create the object, or read the one that stands there already: the caller goes on with what is returned."""
    try:
        bucket.create(key, value.to_bytes())
    except StaleWriteError:
        existing = read(bucket, key, type(value))
        if existing is None:
            raise
        return existing
    return value


def put[T: Contract](bucket: Objects, key: str, value: T, *, expected_etag: str | None) -> bool:
    """Create the object (None) or replace that version of it; False when another writer was first."""
    try:
        if expected_etag is None:
            bucket.create(key, value.to_bytes())
        else:
            bucket.replace(key, value.to_bytes(), expected_etag=expected_etag)
    except StaleWriteError:
        return False
    return True
