"""What machines read of a bucket by presigned URL: parts of one version of an object."""

from random import Random

import pytest

from mailtide.errors import SourceChangedError
from mailtide.machine.transfer import ObjectReader, get_limited, make_client
from tests.integration.bucket.conftest import s3_place

KEY = "orgs/acme/contacts.db"


@pytest.mark.parametrize("kind", ["moto", "ministack"])
def test_parts_are_of_one_version(kind: str, request: pytest.FixtureRequest) -> None:
    place = s3_place(kind, request.getfixturevalue(f"{kind}_url"))
    body = Random(1).randbytes(300_000)
    place.others.put(KEY, body)
    info = place.bucket.head(KEY)
    assert info is not None
    url = place.bucket.presign_get(KEY, expires_s=60)
    with make_client() as client:
        reader = ObjectReader(client, url, info.etag, len(body))
        for offset, length in ((0, 100), (4096, 200_000), (len(body) - 7, 7)):
            assert reader.read(offset, length) == body[offset : offset + length]
        assert get_limited(client, url, "fetching", len(body)) == body
        place.others.put(KEY, body[::-1])
        with pytest.raises(SourceChangedError, match="was replaced"):
            reader.read(4096, 10)
