"""How many mails were begun in each hour, from the counters of the limits; they are kept for two days."""

from collections.abc import Sequence

from mailtide.adapters.dynamodb.table import Table, as_int


def begun_by_hour(table: Table, hours: Sequence[int]) -> dict[int, int]:
    """Hour (counted from 1970-01-01T00 UTC) -> mails that were begun in it; those without any are missing."""
    found = table.get_many([{"p": f"hour#{hour}"} for hour in hours], "p, h")
    return {int(str(item["p"]).partition("#")[2]): as_int(item, "h") for item in found}
