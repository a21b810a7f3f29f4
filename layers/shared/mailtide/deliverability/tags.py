"""Lists of tags, as DKIM and DMARC records have them (RFC 6376 section 3.2)."""

import re

_TAG = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*=\s*(.*?)\s*", re.DOTALL)


class TagsError(ValueError):
    """A record is no list of tags; the text is one sentence about what is wrong with it."""


def parse_tags(record: str) -> dict[str, str]:
    """`a=1; b=2` as a dictionary, in order. TagsError for a part without =, and for a tag that comes twice."""
    tags: dict[str, str] = {}
    parts = record.split(";")
    if not parts[-1].strip():
        parts.pop()
    for part in parts:
        found = _TAG.fullmatch(part)
        if found is None:
            raise TagsError(f"{shown(part.strip())!r} is no tag like name=value.")
        if found[1] in tags:
            raise TagsError(f"The tag {found[1]} comes twice.")
        tags[found[1]] = found[2]
    return tags


def shown(text: str, most: int = 60) -> str:
    """A piece of a foreign record for a sentence: printable, and not long."""
    clean = "".join(char if char.isprintable() else "?" for char in text)
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"
