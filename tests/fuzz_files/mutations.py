"""Ways to damage or to poison an SQLite file, from single bits to the schema's own text.

Offsets are those of https://www.sqlite.org/fileformat2.html.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import apsw

type Mutation = Callable[[bytearray, Random], None]

_TEMPTING = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)
_HEADER_FIELDS = (
    (16, 2),
    (18, 1),
    (19, 1),
    (20, 1),
    (24, 4),
    (28, 4),
    (32, 4),
    (36, 4),
    (44, 4),
    (52, 4),
    (56, 4),
    (92, 4),
)
_PAGE_FIELDS = ((0, 1), (1, 2), (3, 2), (5, 2), (7, 1), (8, 4))
_NAMES = (
    "contacts",
    "email_schedules",
    "suppressions",
    "campaign_types",
    "campaign_instances",
    "contact_campaigns",
    "contact_events",
)
_POISON = (
    "); DROP TABLE contacts; --", "\" || load_extension('x') || \"", "x' OR 1=1 --", "a\0b", "é" * 3000, "[id]]", "`",
    "sqlite_master",
    "CHECK (1 = (SELECT count(*) FROM contacts a, contacts b))", "DEFAULT (randomblob(1000000000))", "AS (email) STORED",
    "COLLATE nowhere", "REFERENCES other (x) DEFERRABLE", "CHECK (" + "(" * 900 + "1" + ")" * 900 + ")", "NOT NULL", "UNIQUE",
    ", " + ", ".join(f"c{number}" for number in range(2100)),
)  # fmt: skip
_SCHEMA_SQL = (
    "UPDATE sqlite_schema SET rootpage = rootpage + {small} WHERE name = '{name}'",
    "UPDATE sqlite_schema SET rootpage = {any} WHERE name = '{name}'",
    "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = '{other}') WHERE name = '{name}'",
    "UPDATE sqlite_schema SET sql = replace(sql, ')', ?) WHERE name = '{name}'",
    "UPDATE sqlite_schema SET sql = sql || ? WHERE name = '{name}'",
    "UPDATE sqlite_schema SET sql = substr(sql, 1, {small} * 7) WHERE name = '{name}'",
    "UPDATE sqlite_schema SET type = 'view', sql = 'CREATE VIEW {name} AS SELECT * FROM {other}' WHERE name = '{name}'",
    "UPDATE sqlite_schema SET name = '{other}', tbl_name = '{other}' WHERE name = '{name}'",
    "UPDATE sqlite_schema SET name = ?, tbl_name = ? WHERE name = '{name}'",
    "UPDATE sqlite_schema SET sql = CAST(randomblob({small} * 9) AS TEXT) WHERE name = '{name}'",
    "INSERT INTO sqlite_schema SELECT * FROM sqlite_schema WHERE name = '{name}'",
    "INSERT INTO sqlite_schema VALUES ('index', ?, '{name}', {any}, 'CREATE INDEX i ON {name} (id)')",
    "INSERT INTO sqlite_schema VALUES ('trigger', ?, '{name}', 0, 'CREATE TRIGGER t AFTER INSERT ON {name} BEGIN SELECT 1; END')",
    "INSERT INTO sqlite_schema VALUES ('table', ?, ?, 0, 'CREATE VIRTUAL TABLE v USING fts5(x)')",
)
_ROW_SQL = (
    "UPDATE contacts SET email = zeroblob({any} % 3000000) WHERE id % 13 = {small}",
    "UPDATE contacts SET id = {any} - 5000000000 WHERE rowid = {small}",
    "UPDATE contacts SET birth_date = {any} || '-02-30', state = char(0) WHERE id % 5 = {small}",
    "UPDATE contacts SET zip_code = 9e999, effective_date = '29{small}6-02-29'",
    "INSERT INTO suppressions SELECT hex(zeroblob({any} % 100000)) FROM contacts",
    "UPDATE contact_events SET metadata = replace(hex(zeroblob({small} * 5000)), '00', '[')",
    "UPDATE campaign_types SET days_before_event = {any} * 1000000000, priority = -{any}, target_all_contacts = 1",
    "UPDATE campaign_instances SET active_start_date = '9999-12-31', active_end_date = NULL, id = -id",
    "UPDATE email_schedules SET event_date = '0000-00-00', status = 'SENT ', contact_id = {any}",
    "UPDATE email_schedules SET campaign_instance_id = 1e300, email_type = zeroblob({small} * 1000)",
    "UPDATE email_schedules SET scheduled_send_date = '9999-12-31', actual_send_datetime = '9999-12-31T23', status = 'sent'",
    "DELETE FROM email_schedules WHERE id % 2 = {small} % 2",
)


def page_size_of(content: bytearray) -> int:
    """The page size that the header gives, or 512 where it makes no sense."""
    stored = int.from_bytes(content[16:18], "big")
    size = 65_536 if stored == 1 else stored
    return size if size in {512 << power for power in range(8)} and size <= len(content) else 512


def flip_bits(content: bytearray, random: Random) -> None:
    """One bit, or a few."""
    for _ in range(random.choice((1, 1, 1, 8))):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)


def tempting_bytes(content: bytearray, random: Random) -> None:
    """Values at the edges of what a byte or a varint can say, one after another."""
    at = random.randrange(len(content))
    for offset in range(at, min(len(content), at + random.choice((1, 2, 9)))):
        content[offset] = random.choice(_TEMPTING)


def header_field(content: bytearray, random: Random) -> None:
    """A field of the file's header."""
    _set_field(content, 0, random.choice(_HEADER_FIELDS), random)


def page_field(content: bytearray, random: Random) -> None:
    """A field of a b-tree page's header."""
    _set_field(content, _page_start(content, random), random.choice(_PAGE_FIELDS), random)


def cell_pointer(content: bytearray, random: Random) -> None:
    """Where a cell of a page begins."""
    start = _page_start(content, random)
    kind = content[start] if start < len(content) else 0
    cells = int.from_bytes(content[start + 3 : start + 5], "big") or 1
    _set_field(content, start, ((12 if kind in {2, 5} else 8) + 2 * random.randrange(cells), 2), random)


def in_a_cell(content: bytearray, random: Random) -> None:
    """The lengths, the row id and the types of a record."""
    start = _page_start(content, random)
    cells = int.from_bytes(content[start + 3 : start + 5], "big") or 1
    pointer = start + (12 if content[start] in {2, 5} else 8) + 2 * random.randrange(cells)
    page = start - start % page_size_of(content)
    cell = page + int.from_bytes(content[pointer : pointer + 2], "big")
    for offset in range(cell, min(len(content), cell + random.randrange(1, 12))):
        if random.random() < 0.4:
            content[offset] = random.choice((*_TEMPTING, random.randrange(256)))


def swap_pages(content: bytearray, random: Random) -> None:
    """Two pages change places, or one is written over another."""
    size = page_size_of(content)
    pages = len(content) // size
    one, other = random.randrange(pages) * size, random.randrange(pages) * size
    first, second = bytes(content[one : one + size]), bytes(content[other : other + size])
    content[other : other + size] = first
    if random.random() < 0.5:
        content[one : one + size] = second


def wipe_page(content: bytearray, random: Random) -> None:
    """A page of zeros, of ones or of noise."""
    size = page_size_of(content)
    start = random.randrange(len(content) // size) * size
    content[start : start + size] = random.choice((bytes(size), b"\xff" * size, random.randbytes(size)))


def cut_or_grow(content: bytearray, random: Random) -> None:
    """A file that ends too soon, or goes on."""
    if random.random() < 0.6:
        del content[random.randrange(100, len(content)) :]
    else:
        content += random.randbytes(random.choice((1, 511, page_size_of(content))))


def poisoned_schema(content: bytearray, random: Random) -> None:
    """The text, the names or the root pages of the schema, written as no statement could."""
    _through_sqlite(content, random, random.choice(_SCHEMA_SQL))


def strange_rows(content: bytearray, random: Random) -> None:
    """Values that are allowed, and that nobody expects."""
    _through_sqlite(content, random, random.choice(_ROW_SQL))


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits, flip_bits, tempting_bytes, header_field, page_field, page_field, cell_pointer, in_a_cell, in_a_cell, in_a_cell,
    swap_pages, wipe_page, cut_or_grow, poisoned_schema, poisoned_schema, strange_rows, strange_rows,
)  # fmt: skip


def mutate(content: bytes, random: Random) -> bytes:
    """One to four mutations, one after the other."""
    damaged = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 4))):
        if len(damaged) >= 512:
            random.choice(MUTATIONS)(damaged, random)
    return bytes(damaged)


def mutate_plain(content: bytes, random: Random) -> bytes:
    """Damage to a file of any kind: bits, edges, cuts, pieces that are doubled, swapped or gone."""
    damaged = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 4))):
        if damaged:
            random.choice((flip_bits, tempting_bytes, tempting_bytes, _move_piece, _move_piece, _cut_end))(
                damaged, random
            )
    return bytes(damaged)


def _move_piece(content: bytearray, random: Random) -> None:
    start, target = random.randrange(len(content)), random.randrange(len(content))
    length = random.choice((1, 2, 9, 40, 400))
    piece = bytes(content[start : start + length])
    if random.random() < 0.5:
        del content[start : start + length]
    content[target:target] = piece * random.choice((0, 1, 1, 3))


def _cut_end(content: bytearray, random: Random) -> None:
    del content[random.randrange(len(content)) :]


def _page_start(content: bytearray, random: Random) -> int:
    size = page_size_of(content)
    page = random.randrange(len(content) // size)
    return page * size if page else 100


def _set_field(content: bytearray, start: int, field: tuple[int, int], random: Random) -> None:
    offset, length = field
    at = start + offset
    if at + length > len(content):
        return
    now = int.from_bytes(content[at : at + length], "big")
    top = (1 << 8 * length) - 1
    wanted = random.choice(
        (0, 1, now + 1, now - 1, now * 2, top, top >> 1, random.randint(0, top), random.randint(0, 40))
    )
    content[at : at + length] = (wanted & top).to_bytes(length, "big")


def _through_sqlite(content: bytearray, random: Random, template: str) -> None:
    """Run a statement on the content as a file; what SQLite refuses leaves it as it was."""
    name, other = random.choice(_NAMES), random.choice(_NAMES)
    sql = template.format(name=name, other=other, small=random.randrange(1, 12), any=random.randrange(2**33))
    bindings = tuple(random.choice(_POISON) for _ in range(sql.count("?")))
    with TemporaryDirectory(prefix="mailtide-fuzz-") as folder:
        path = Path(folder) / "a.db"
        path.write_bytes(content)
        try:
            connection = apsw.Connection(str(path))
            try:
                connection.set_progress_handler(lambda: True, 3_000_000)
                connection.pragma("writable_schema", True)
                connection.execute(sql, bindings).fetchall()
            finally:
                connection.close(True)
        except (apsw.Error, UnicodeError):
            return
        content[:] = path.read_bytes()
