"""What the origin's documents name: variables, commands and figures, for comparison with the pages about them.

The documents are no part of the repository; whoever has them keeps them in ../shared/origin beside the checkout.
"""

import re
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "origin"
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
_NUMBER = re.compile(r"(?<![\w.,-])(\d[\d,]*(?:\.\d+)?)([kKM]?)(?![\d]|[a-z]*[A-Z]|\w*\()")
_WITH_VERBS = {"docker", "kubectl", "flyctl", "npx", "dune"}
_NO_COMMANDS = re.compile(r"for|done|\.\.\.|\w+=.*|[\w-]+:")
"""Loops, assignments, and the keys of a compose file that stands among them."""
_SQL_WORDS = {"CURRENT_DATE"}


def variables(text: str) -> set[str]:
    """Names in capital letters with an underscore."""
    return set(_VARIABLE.findall(text)) - _SQL_WORDS


def commands(text: str) -> set[str]:
    """The beginnings of shell commands: the program, and its verb where it has several."""
    lines = (line for language, body in _FENCE.findall(text) if language == "bash" for line in _joined(body))
    return {_beginning(words) for line in lines if not _NO_COMMANDS.fullmatch((words := line.split())[0])}


def _joined(body: str) -> Iterator[str]:
    for line in body.replace("\\\n", " ").splitlines():
        bare = re.sub(r"(^|\s)#.*", "", line).strip()
        if bare:
            yield bare


def _beginning(words: list[str]) -> str:
    return " ".join(words[:2]) if words[0] in _WITH_VERBS else words[0]


def code_spans(text: str) -> set[str]:
    """First words of what stands between backticks in sentences and tables."""
    return {span.split()[0] for span in re.findall(r"`([^`\n]+)`", _FENCE.sub("", text))}


def numbers(text: str) -> set[float]:
    """Figures, with k and M counted out. Numbers of lists and headings are none, nor are those inside names."""
    bare = re.sub(r"^\s*(?:#+ |\*\*)*(?:\d+\.|Step \d+:|Option \d+:|Trigger \d+:)\s", "", text, flags=re.MULTILINE)
    bare = bare.replace(",", "").replace("\u2013", " ").replace("-", " ")
    factors = {"": 1, "k": 1_000, "K": 1_000, "M": 1_000_000}
    return {float(number) * factors[unit] for number, unit in _NUMBER.findall(bare) if number}
