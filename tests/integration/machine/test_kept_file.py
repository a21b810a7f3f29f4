"""What a machine kept of an organisation's database: fewer bytes travel, and the file is the very same."""

from pathlib import Path
from random import Random

import httpx
import pytest

from mailtide.contracts import Manifest, SourceRef, TaskDocument
from mailtide.database.blocks import BLOCK_BYTES, blocks_of
from mailtide.errors import SourceChangedError
from mailtide.machine.kept_file import FOLDER, Fetched, KeptFile, fetch_source, open_kept
from mailtide.machine.work import work
from tests.integration.machine.fault_bucket import FaultBucket
from tests.integration.machine.tasks import PLANNED_AT, SOURCE, TRY, Task, database

BLOCKS = "changes/acme/0a0a0a0a0a0a0a0a0a0a.blocks"


def silent(line: str) -> None:
    del line


class Site:
    """A machine's disk, its volume, and the bucket."""

    def __init__(self, bucket: FaultBucket, client: httpx.Client, folder: Path) -> None:
        self.bucket, self.client, self.folder = bucket, client, folder
        self.volume = folder / "volume"
        self.said: list[str] = []
        (folder / "new").touch()
        self.task = Task(bucket, b"x" * 600)

    def kept(self, org: str = "acme") -> KeptFile:
        found = open_kept(self.volume, org, self.said.append)
        assert found is not None
        return found

    def keep(self, content: bytes) -> None:
        (self.folder / "before").write_bytes(content)
        self.kept().keep(self.folder / "before", self.said.append)

    def publish(self, content: bytes, *, etag: str | None = None, digests: bytes | None = None) -> TaskDocument:
        """A version of the database with its digests, and the task that reads it."""
        etag = self.bucket.put(SOURCE, content, etag)
        (self.folder / "published").write_bytes(content)
        self.bucket.put(BLOCKS, digests if digests is not None else blocks_of(self.folder / "published").to_bytes())
        document = TaskDocument.model_validate_json(self.task.body("task.json") or b"")
        urls = document.urls.model_copy(update={"source_blocks_get": self.bucket.url(BLOCKS)})
        source = SourceRef(etag=etag, last_modified=PLANNED_AT, size_bytes=len(content))
        return document.model_copy(update={"urls": urls, "source": source})

    def fetch(self, document: TaskDocument, content: bytes) -> Fetched:
        """What a fetch moved; the file must be what was published."""
        path = self.folder / "new"
        fetched = fetch_source(self.client, document, path, self.kept(), self.said.append)
        assert path.read_bytes() == content
        assert not any("http" in line or "X-Amz" in line for line in self.said)
        return fetched


@pytest.fixture
def site(bucket: FaultBucket, client: httpx.Client, tmp_path: Path) -> Site:
    return Site(bucket, client, tmp_path)


def noise(seed: int, blocks: float) -> bytes:
    return Random(seed).randbytes(int(blocks * BLOCK_BYTES))


def test_only_what_changed_travels(site: Site) -> None:
    old = noise(1, 300.5)
    new = bytearray(old)
    for block in (3, 4, 200):
        new[block * BLOCK_BYTES + 7] ^= 1
    new += noise(2, 1)
    site.keep(old)
    document = site.publish(bytes(new))
    fetched = site.fetch(document, bytes(new))
    assert fetched.way == "ranges"
    # The three, and the last two: the one that was half full, and the one that is.
    digests = len(site.bucket.objects[BLOCKS].body)
    tail = len(new) - 300 * BLOCK_BYTES
    assert fetched.moved_bytes == 3 * BLOCK_BYTES + tail + digests
    assert fetched.moved_bytes == sum(seen.sent_bytes for seen in site.bucket.seen)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_stands_on_the_volume_the_file_is_the_published_one(site: Site, seed: int) -> None:
    random = Random(seed)
    new = noise(seed, random.choice((0.1, 1, 7.3, 40, 280)))
    old = bytearray(new[: random.choice((len(new), len(new) // 2))])
    for _ in range(random.choice((0, 1, 20))):
        old[random.randrange(len(old))] ^= 0xFF
    old += random.randbytes(random.choice((0, 1, 3 * BLOCK_BYTES)))
    if random.random() < 0.2:
        old = bytearray(b"\0" * len(new))
    site.keep(bytes(old))
    parts = random.choice((None, 5 * BLOCK_BYTES))
    document = site.publish(new).model_copy(update={"source_part_bytes": parts})
    site.fetch(document, new)


def test_an_unchanged_file_takes_its_digests_alone_and_without_digests_nothing(site: Site) -> None:
    content = noise(3, 30)
    site.keep(content)
    document = site.publish(content)
    assert site.fetch(document, content) == Fetched("ranges", len(site.bucket.objects[BLOCKS].body))
    urls = document.urls.model_copy(update={"source_blocks_get": None})
    assert site.fetch(document.model_copy(update={"urls": urls}), content) == Fetched("kept", 0)


@pytest.mark.parametrize("spoil", ["damaged", "other", "of other bytes", "gone", "unstated", "changed"])
def test_what_cannot_be_proved_is_fetched_whole(site: Site, spoil: str) -> None:
    old, new = noise(4, 40), noise(4, 39) + noise(5, 1)
    site.keep(old)
    (site.folder / "other").write_bytes(noise(6, 40))
    if spoil == "damaged":
        document = site.publish(new, digests=b"no digests at all")
    elif spoil == "other":
        document = site.publish(new, digests=blocks_of(site.folder / "before").to_bytes()[:-16])
    elif spoil == "of other bytes":
        # Digests of what is kept, as if nothing had changed: the ETag says otherwise.
        document = site.publish(new, digests=blocks_of(site.folder / "before").to_bytes())
    elif spoil == "gone":
        document = site.publish(new)
        del site.bucket.objects[BLOCKS]
    elif spoil == "unstated":
        document = site.publish(new, etag="not-a-checksum")
    else:
        new = noise(7, 40)
        document = site.publish(new)
    assert site.fetch(document, new) == Fetched("whole", len(new))


def test_a_range_that_arrives_wrong_is_fetched_with_all_the_rest(site: Site) -> None:
    old = noise(8, 40)
    new = old[: 20 * BLOCK_BYTES] + noise(9, 2) + old[22 * BLOCK_BYTES :]
    site.keep(old)
    document = site.publish(new)
    site.bucket.fail("GET", SOURCE, "wrong_bytes")
    assert site.fetch(document, new) == Fetched("whole", len(new))


def test_a_version_that_was_replaced_meanwhile_is_the_end(site: Site) -> None:
    site.keep(noise(10, 40))
    document = site.publish(noise(11, 1) + noise(10, 40)[BLOCK_BYTES:])
    site.bucket.put(SOURCE, b"another")
    with pytest.raises(SourceChangedError):
        fetch_source(site.client, document, site.folder / "new", site.kept(), silent)


def test_a_task_of_another_organisation_finds_nothing(site: Site) -> None:
    site.keep(b"what acme's contacts are")
    beside = site.volume / FOLDER
    (beside / "left.part").write_bytes(b"by a task that was cut off")
    (beside / "folder").mkdir()
    (beside / "folder" / "file").touch()
    (beside / f"{'0' * 32}.db").symlink_to(site.folder / "before")
    assert site.kept().path.read_bytes() == b"what acme's contacts are"
    assert [path.name for path in beside.iterdir()] == [site.kept().path.name]
    assert site.kept("bolt").path != site.kept("acme").path
    site.keep(b"again")
    site.kept("bolt")
    assert list(beside.iterdir()) == []
    assert (site.folder / "before").exists()


def test_a_volume_that_cannot_be_used_costs_no_task(site: Site) -> None:
    site.volume.write_bytes(b"a file in the place of a folder")
    assert open_kept(site.volume, "acme", site.said.append) is None
    content = database(site.folder, 20)
    task = Task(site.bucket, content)
    assert work(task.url, machine_id=None, say=site.said.append, cache_dir=site.volume).ok
    assert site.said[0] != site.said[1]
    kept = KeptFile(site.folder / "missing" / "acme.db")
    kept.keep(site.folder / "new", site.said.append)
    assert site.said[-1].startswith("the database is not kept: ")


def test_the_second_task_of_a_machine_fetches_next_to_nothing(site: Site) -> None:
    """From the delivered database to the next day's run of it, by the real pass."""
    site.task = Task(site.bucket, database(site.folder, 300))
    first = work(site.task.url, machine_id=None, say=silent, cache_dir=site.volume)
    assert first.sentence == "Delivered."
    delivered = site.task.body("contacts.db")
    assert delivered is not None
    assert site.kept().path.read_bytes() == delivered
    document = site.publish(delivered)
    for name in ("claim.json", "contacts.db", "manifest.json"):
        del site.bucket.objects[f"{TRY}/{name}"]
    site.bucket.put(f"{TRY}/task.json", document.to_bytes())
    site.bucket.seen.clear()
    assert work(site.task.url, machine_id=None, say=silent, cache_dir=site.volume).sentence == "Nothing to change."
    manifest = Manifest.model_validate_json(site.task.body("manifest.json") or b"")
    assert manifest.report["source_bytes_read"] == len(site.bucket.objects[BLOCKS].body)
    assert site.bucket.of("GET", SOURCE) == []
