"""Nothing reads a whole table: not by the code, and not by the rights of the functions, which the local cloud enforces."""

import ast
from fnmatch import fnmatch
from typing import Any

import pytest

from tests.support.template import ROOT, load_template, resources

PACKAGE = ROOT / "layers" / "shared" / "mailtide"
WHOLE_TABLE = {"scan", "execute_statement", "batch_execute_statement", "export_table_to_point_in_time"}
"""Requests of DynamoDB that can read beyond one partition."""
BY_KEY = {"update_item", "get_item", "batch_get_item", "batch_write_item", "query"}
FORBIDDEN = ("dynamodb:Scan", "dynamodb:PartiQLSelect", "dynamodb:ExportTableToPointInTime")


def names_in(tree: ast.AST) -> set[str]:
    """Attributes and texts: a request of the SDK is either."""
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return attributes | {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_no_code_path_asks_for_a_whole_table() -> None:
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "functions").rglob("*.py")]:
        assert not names_in(ast.parse(path.read_text())) & WHOLE_TABLE, path


def test_the_tables_are_asked_by_key_alone() -> None:
    asked = set()
    for path in (PACKAGE / "adapters" / "dynamodb").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.Attribute) and node.attr == "get_paginator"), "it makes requests by name"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "_call":
                operation = node.args[0]
                assert isinstance(operation, ast.Constant), "a request that is not written out"
                asked.add(operation.value)
    assert asked == BY_KEY


def statements() -> list[tuple[str, dict[str, Any]]]:
    return [
        (role, statement)
        for role, properties in resources(load_template(), "AWS::IAM::Role").items()
        for policy in properties.get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
    ]


@pytest.mark.parametrize("forbidden", FORBIDDEN)
def test_no_role_may_read_a_whole_table(forbidden: str) -> None:
    found = statements()
    assert any("dynamodb:Query" in statement["Action"] for _, statement in found)
    for role, statement in found:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not any(fnmatch(forbidden, action) for action in actions), role
