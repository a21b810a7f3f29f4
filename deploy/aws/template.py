"""template.yaml as plain data, with CloudFormation's short tags written out."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


class _Loader(yaml.CSafeLoader):
    """CSafeLoader that also knows !Ref, !GetAtt and the other short tags."""


def _short_tag(loader: yaml.CSafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    if isinstance(node, yaml.MappingNode):
        return {name: loader.construct_mapping(node, deep=True)}
    raise TypeError(f"a tag on a {type(node).__name__}")


_Loader.add_multi_constructor("!", _short_tag)


@cache
def load_template() -> dict[str, Any]:
    """The whole template, read once: nobody may change it."""
    template: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), _Loader)  # noqa: S506 - a CSafeLoader
    return template


def resources(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Properties of each resource of a type, by logical name."""
    return {name: body.get("Properties", {}) for name, body in template["Resources"].items() if body["Type"] == kind}


def attribute_of(value: dict[str, Any]) -> str:
    """The resource that a !GetAtt or !Ref names."""
    return str(value["Fn::GetAtt"][0] if "Fn::GetAtt" in value else value["Ref"])


def listed[T](value: T | list[T]) -> list[T]:
    """One or several, as a list: IAM takes both."""
    return value if isinstance(value, list) else [value]
