"""Taking the UNIQUE constraints out of a CREATE TABLE statement, token by token; everything else stays as it was written.

No numpy. Grammar: https://www.sqlite.org/lang_createtable.html.
"""

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""\s+ | --[^\n]* | /\*.*?(?:\*/|\Z)
    | '(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\]
    | [^\W\d][\w$]* | [0-9][\w.]* | .""",
    re.VERBOSE | re.DOTALL,
)
_BLANK = re.compile(r"\s|--|/\*")


def without_unique(sql: str, table: str, rowid_column: str) -> str:
    """The statement that makes `table` (an identifier already quoted) with the columns of `sql` but no UNIQUE constraint.

    rowid_column: the lower-cased name of the integer primary key; the primary key of any other column goes too, and
    this one becomes INTEGER PRIMARY KEY if it was not. Raises ValueError when `sql` is not CREATE TABLE name (…).
    """
    tokens = _TOKEN.findall(sql)
    start, end = _body(tokens)
    definitions = list(_split(tokens[start + 1 : end]))
    if any(_column_name(part) == rowid_column for part in definitions):
        kept = [_without_constraints(part, rowid_column) for part in definitions if not _is_key(part)]
        return f"CREATE TABLE {table} ({','.join(kept)}){''.join(tokens[end + 1 :])}"
    raise ValueError(f"no column {rowid_column}")


def _body(tokens: list[str]) -> tuple[int, int]:
    """The positions of the parentheses around the definitions."""
    depth = 0
    start = -1
    for index, token in enumerate(tokens):
        if token == "(":
            start = index if start < 0 else start
            depth += 1
        elif token == ")":
            depth -= 1
            if depth == 0:
                return start, index
    raise ValueError("no list of columns")


def _split(tokens: list[str]) -> Iterator[list[str]]:
    """The definitions between the top-level commas, comments dropped (one could swallow what follows it)."""
    depth = 0
    part: list[str] = []
    for token in tokens:
        depth += (token == "(") - (token == ")")
        if token == "," and depth == 0:
            yield part
            part = []
        else:
            part.append(" " if _BLANK.match(token) else token)
    yield part


def _words(part: list[str]) -> list[tuple[int, str]]:
    """Position and upper-cased text of the tokens outside parentheses that are not blank."""
    words = []
    depth = 0
    for index, token in enumerate(part):
        if depth == 0 and token != " ":
            words.append((index, token.upper()))
        depth += (token == "(") - (token == ")")
    return words


def _column_name(part: list[str]) -> str:
    words = _words(part)
    token = part[words[0][0]] if words else ""
    return (token[1:-1] if token[:1] in "\"`['" and len(token) > 1 else token).lower()


def _is_key(part: list[str]) -> bool:
    """Whether a definition is a table constraint UNIQUE (…) or PRIMARY KEY (…)."""
    words = [word for _, word in _words(part)]
    if words[:1] == ["CONSTRAINT"]:
        words = words[2:]
    if words[:1] == ["PRIMARY"]:
        return words[1:2] == ["KEY"]
    return words[:1] == ["UNIQUE"] and words[1:2] == ["("]


def _without_constraints(part: list[str], rowid_column: str) -> str:
    """A column's definition without UNIQUE and PRIMARY KEY; the rowid column is written anew."""
    words = _words(part)
    if _is_table_constraint(words):
        return "".join(part)
    if _column_name(part) == rowid_column:
        keeps_count = any(word == "AUTOINCREMENT" for _, word in words)
        return f"{part[words[0][0]]} INTEGER PRIMARY KEY{' AUTOINCREMENT' if keeps_count else ''}"
    dropped: set[int] = set()
    for position, (_, word) in enumerate(words[1:], start=1):
        if word == "UNIQUE" or (word == "PRIMARY" and _word(words, position + 1) == "KEY"):
            first, last = _constraint_span(words, position)
            dropped.update(range(words[first][0], words[last][0] + 1))
    return "".join(" " if index in dropped else token for index, token in enumerate(part))


def _is_table_constraint(words: list[tuple[int, str]]) -> bool:
    first, second = _word(words, 0), _word(words, 1)
    return first == "CONSTRAINT" or (first == "CHECK" and second == "(") or (first == "FOREIGN" and second == "KEY")


def _constraint_span(words: list[tuple[int, str]], position: int) -> tuple[int, int]:
    """First and last word of a column constraint whose keyword stands at `position`, name and conflict clause included."""
    first = position - 2 if _word(words, position - 2) == "CONSTRAINT" and position > 2 else position
    last = position if _word(words, position) == "UNIQUE" else position + 1
    if _word(words, last + 1) in ("ASC", "DESC"):
        last += 1
    if _word(words, last + 1) == "ON" and _word(words, last + 2) == "CONFLICT":
        last += 3
    return first, last


def _word(words: list[tuple[int, str]], position: int) -> str:
    return words[position][1] if 0 <= position < len(words) else ""
