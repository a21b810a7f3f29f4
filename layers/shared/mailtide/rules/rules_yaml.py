"""YAML text to plain values: YAML 1.2's core types, exact decimals, nothing that grows or repeats.

Only null, true/false, whole numbers, decimals and text are recognised, so `08:30:00`, `yes` and `2026-01-01` stay text.
Aliases are refused (they are how a small file becomes a huge one), and so are repeated keys.
"""

import re
from collections.abc import Hashable
from decimal import Decimal
from typing import Any

import yaml

from mailtide.errors import RulesError

MAX_SIZE_BYTES = 256 * 1024
MAX_NUMBER_LENGTH = 40
MAX_DEPTH = 32
_FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,2})?"


class _Loader(yaml.CSafeLoader):
    """SafeLoader with the core schema of YAML 1.2."""

    yaml_constructors = {  # noqa: RUF012 - PyYAML's own shape
        tag: construct
        for tag, construct in yaml.CSafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in ("null", "bool", "str", "seq", "map")
    }
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise RulesError(f"The rules file has a key in line {key_node.start_mark.line + 1} that is not text.")
            if key in seen:
                raise RulesError(
                    f"The rules file sets the key {str(key)[:60]!r} twice (line {key_node.start_mark.line + 1})."
                )
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | Decimal:
        text = self.construct_scalar(node)
        if len(text) > MAX_NUMBER_LENGTH:
            raise RulesError(f"The rules file has a number of {len(text)} characters ({text[:20]}…).")
        if re.fullmatch(r"[-+]?[0-9]+", text):
            return int(text)
        if not re.fullmatch(_FLOAT, text):
            raise RulesError(f"The rules file has {text[:60]!r} where a number is needed.")
        return Decimal(text)


def _add(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z"), list(first))


_add("null", r"~|null|Null|NULL|", "~nN\0")
_Loader.yaml_implicit_resolvers.setdefault("", []).append(("tag:yaml.org,2002:null", re.compile(r"\Z")))
_add("bool", r"true|True|TRUE|false|False|FALSE", "tTfF")
_add("int", r"[-+]?[0-9]+", "-+0123456789")
_add("float", _FLOAT, "-+.0123456789")
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)


def _refuse_aliases_and_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise RulesError(f"The rules file uses the alias *{event.anchor}; write the value out instead.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise RulesError(f"The rules file nests lists and mappings more than {MAX_DEPTH} deep.")


def parse_mapping(text: str) -> dict[str, Any]:
    """The top-level mapping of a rules file; an empty file is an empty mapping.

    Raises RulesError for text that is too large, not YAML, uses aliases, repeats a key or is no mapping of text keys.
    """
    size_bytes = len(text.encode("utf-8", "surrogatepass"))
    if size_bytes > MAX_SIZE_BYTES:
        raise RulesError(f"The rules file is {size_bytes} bytes long; {MAX_SIZE_BYTES} is the most.")
    try:
        _refuse_aliases_and_depth(text)
        values = yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except (yaml.YAMLError, ValueError, LookupError) as error:
        raise RulesError(f"The rules file is not YAML that can be read: {_one_line(error)}.") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise RulesError(f"The rules file must be a mapping of keys to values, not {str(values)[:40]!r}.")
    for key in values:
        if not isinstance(key, str):
            raise RulesError(f"The rules file has the unknown key {str(key)[:60]!r}.")
    return values


def _one_line(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem} (line {error.problem_mark.line + 1})"
    return " ".join(str(error).split()) or type(error).__name__
