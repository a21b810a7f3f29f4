"""Imports point inward, and what Lambda imports needs no numpy. Ruff's TID251 bans boto3 and os.environ beside this."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "layers" / "shared" / "mailtide"
FUNCTIONS = sorted((ROOT / "functions").glob("*/app.py"))
BASICS = frozenset({"errors", "machines"})
ALLOWED: dict[str, frozenset[str]] = {
    # For type checkers alone: at run time mailtide.schedule is imported when it is first used.
    "": frozenset({"machine"}),
    "errors": frozenset(),
    "machines": frozenset(),
    "contracts": frozenset({"machines"}),
    "ports": BASICS | {"contracts"},
    "settings": BASICS,
    "rules": BASICS,
    "database": BASICS | {"rules", "contracts"},
    "runs": BASICS | {"contracts", "ports", "settings", "rules", "database"},
    "sync": BASICS | {"contracts", "ports", "settings", "database", "runs"},
    # Of the runs it uses how objects are read and created once (mailtide.runs.store); never the other way round.
    "warmup": BASICS | {"contracts", "ports", "settings", "runs"},
    "machine": BASICS | {"contracts", "rules", "database", "feedback"},
    "access": BASICS | {"contracts"},
    "importing": BASICS | {"rules", "database"},
    "privacy": BASICS | {"contracts", "ports", "runs", "database"},
    "feedback": BASICS | {"contracts", "rules", "database", "importing"},
    "reporting": BASICS | {"rules", "database"},
    # Of the warm-up it reads the switch that a person has set.
    "doctor": BASICS | {"access", "contracts", "ports", "rules", "runs", "warmup"},
    # Of the doctor it uses how a verdict is written, of the warm-up what a mailbox is.
    "deliverability": BASICS | {"contracts", "doctor", "warmup"},
    "polling": BASICS,
    "adapters": BASICS | {"access", "contracts", "deliverability", "doctor", "polling", "ports", "settings", "warmup"},
    "bootstrap": BASICS | {"contracts", "ports", "settings", "adapters", "runs"},
    "handlers": BASICS | {"contracts", "bootstrap", "runs"},
    "sending": BASICS | {"contracts", "ports", "settings", "adapters", "warmup"},
    "send_handler": BASICS | {"sending", "warmup"},
    "reading": BASICS | {"adapters", "warmup"},
    "read_handler": BASICS | {"reading", "warmup"},
    "planning": BASICS | {"contracts", "ports", "settings", "adapters", "deliverability", "warmup"},
    "planning_handler": BASICS | {"deliverability", "planning", "runs", "warmup"},
    "working": BASICS
    | {
        "adapters",
        "planning",
        "planning_handler",
        "polling",
        "read_handler",
        "reading",
        "send_handler",
        "sending",
        "warmup",
    },
    # The API's settings and what its resources are given; the resources are never imported from here.
    "serving": BASICS | {"adapters", "api", "bootstrap", "planning", "warmup"},
    "api": BASICS
    | {"access", "bootstrap", "contracts", "planning", "ports", "rules", "runs", "serving", "settings", "warmup"},
}
"""Part of the package -> the other parts that it may import. The command line may import every part."""
OUTSIDERS: dict[str, frozenset[str]] = {
    "boto3": frozenset({"adapters"}),
    "botocore": frozenset({"adapters"}),
    "aiosmtplib": frozenset({"adapters"}),
    "dns": frozenset({"adapters"}),
    "imapclient": frozenset({"adapters"}),
    "httpx": frozenset({"adapters", "machine", "cli"}),
    "apsw": frozenset({"database", "machine", "reporting", "cli"}),
    "numpy": frozenset({"rules", "database", "machine", "reporting", "cli"}),
    "pyarrow": frozenset({"database", "importing"}),
    "jinja2": frozenset({"reporting"}),
    "vl_convert": frozenset({"reporting"}),
    "aws_lambda_powertools": frozenset(
        {"api", "handlers", "send_handler", "read_handler", "planning_handler", "adapters"}
    ),
    "click": frozenset({"cli"}),
    "rich": frozenset({"cli"}),
}
"""Package of others -> the parts that may import it."""


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, by its full name, and where that is done."""

    part: str
    module: str
    where: str


def part_of(module: str) -> str:
    """The part of mailtide that a module belongs to: its first name after the package's."""
    return module.split(".")[1] if "." in module else ""


def imports_of(path: Path, part: str) -> Iterator[Import]:
    file = path.relative_to(ROOT)
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        where = f"{file}:{node.lineno}"
        if isinstance(node, ast.Import):
            yield from (Import(part, name.name, where) for name in node.names)
        else:
            assert node.level == 0, f"{where}: relative import"
            module = node.module or ""
            # `from mailtide import errors` and `from mailtide.runs import keys` name modules too.
            yield from (Import(part, f"{module}.{name.name}", where) for name in node.names)


@cache
def package_imports() -> list[Import]:
    found: list[Import] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        names = path.relative_to(PACKAGE).with_suffix("").parts
        found += imports_of(path, "" if names[0] == "__init__" else names[0])
    return found


def test_every_part_of_the_package_has_its_rule() -> None:
    assert {found.part for found in package_imports()} <= {*ALLOWED, "cli"}


def test_imports_point_inward() -> None:
    wrong = [
        f"{found.where}: {found.part} imports {found.module}"
        for found in package_imports()
        if found.module.startswith("mailtide.")
        and found.part != "cli"
        and part_of(found.module) not in ALLOWED[found.part] | {found.part, "__version__"}
    ]
    assert wrong == []


def test_other_packages_stay_where_they_belong() -> None:
    wrong = [
        f"{found.where}: {found.part} imports {found.module}"
        for found in package_imports()
        if found.part not in OUTSIDERS.get(found.module.partition(".")[0], {found.part})
    ]
    assert wrong == []


def test_nothing_imports_the_command_line_but_itself() -> None:
    assert [found.where for found in package_imports() if part_of(found.module) == "cli" and found.part != "cli"] == []


@pytest.mark.parametrize("path", FUNCTIONS, ids=lambda path: path.parent.name)
def test_a_function_is_a_thin_handler(path: Path) -> None:
    modules = {found.module.rpartition(".")[0] for found in imports_of(path, "functions")}
    assert modules <= {
        "mailtide.handlers",
        "mailtide.send_handler",
        "mailtide.read_handler",
        "mailtide.planning_handler",
        "mailtide.api.handler",
        "mailtide.contracts",
    }
    assert len(path.read_text().splitlines()) <= 25


BARE = """
import importlib.util, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"numpy", "rich", "click"}:
            raise ModuleNotFoundError(f"a function must not need {name}", name=name)

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])
for number, path in enumerate(sys.argv[2:]):
    spec = importlib.util.spec_from_file_location(f"app_{number}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert callable(module.handler), path
"""


def test_functions_import_without_numpy_and_the_packages_of_the_command_line() -> None:
    command = [sys.executable, "-I", "-c", BARE, str(PACKAGE.parent), *map(str, FUNCTIONS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={})
    assert done.returncode == 0, done.stderr
    assert len(FUNCTIONS) == 11
