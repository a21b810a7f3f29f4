"""What reading a table's pages proves of them, and the proof of its indexes: no less than SQLite's quick_check would ask for.

quick_check of a table looks at the b-trees of the table and of its indexes (pages, cells, free blocks, rowids), counts the
entries of each index that is not partial, and parses the header of each record.
"""

from dataclasses import dataclass, field

from mailtide.database.header import Header
from mailtide.database.pages.file import PageFile, PageReader, UnusualPagesError
from mailtide.database.pages.layout import INDEX_INTERIOR
from mailtide.database.pages.tree import batches
from mailtide.database.pages.whole import PagesSeen, index_entries, whole_tree


@dataclass(slots=True)
class TableProof:
    """Of one table. What does not hold may hold all the same: SQLite must be asked."""

    seen: PagesSeen
    rows: int = 0
    holds: bool = field(default=False)
    """Set when all rows were read, and nothing was found that quick_check might object to."""

    @staticmethod
    def of(header: Header) -> "TableProof":
        """A proof that has yet to be made."""
        return TableProof(PagesSeen(header))


def index_holds(file: PageFile, root: int, proof: TableProof, *, is_partial: bool) -> bool:
    """Whether an index of a table whose proof holds is proven too; the table's indexes come one after the other.

    root: the index's root page.
    """
    try:
        found = whole_tree(file, root, INDEX_INTERIOR, proof.seen)
        reader = PageReader(file)
        entries = [index_entries(file.header, reader.read(batch), len(batch)) for batch in batches(file, found.pages)]
    except UnusualPagesError:
        return False
    counted = [count for count in entries if count is not None]
    whole = found.is_sound and len(counted) == len(entries)
    return whole and (is_partial or found.entries + sum(counted) == proof.rows)
