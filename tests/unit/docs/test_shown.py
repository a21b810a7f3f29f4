"""What pages show beside their consoles, and what the doctor says is to be done: commands that exist, with options that exist."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import click
import pytest
from botocore import xform_name

from mailtide.cli.main import cli

ROOT = Path(__file__).resolve().parents[3]
OURS = ("README.md", "CHANGELOG.md", "docs/decisions/*.md", "docs/*.md")
PAGES = sorted({page for pattern in OURS for page in ROOT.glob(pattern)})
ADVICE = sorted((ROOT / "layers/shared/mailtide/doctor").glob("*.py"))
OF_THE_CLIENT = {"--region", "--query", "--output", "--cli-binary-format", "--profile", "--no-cli-pager"}
HIGH_LEVEL = {("s3", "cp"), ("s3", "rb"), ("s3", "ls"), ("s3", "rm"), ("s3", "sync")}
NEGATED = "--no-"


def shown(page: Path) -> Iterator[str]:
    """Command lines of a page: in its blocks, and between backticks."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^ *```[a-z]*\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
        yield from re.findall(r"^ *(?:\$ )?((?:\.venv/bin/)?mailtide .+|aws .+)$", block, re.MULTILINE)
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`((?:mailtide|aws) [^`\n]+)`", prose)


def advised(module: Path) -> Iterator[str]:
    """Command lines in the texts of a module."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"(?<![\w/])(mailtide (?:[a-z-]+ ?)+|aws [a-z0-9]+ [a-z-]+)", node.value)


def words_of(line: str) -> list[str]:
    """The words of a command line up to its end: a pipe, a comment, a second command."""
    plain = re.split(r" #|\\\||[|;>…]|&&", line)[0].removeprefix(".venv/bin/")
    try:
        return shlex.split(plain)
    except ValueError:
        return plain.split()


def fault_of(words: list[str]) -> str | None:
    """What is wrong with a command line, None when nothing is."""
    return _fault_of_ours(words[1:]) if words[0] == "mailtide" else _fault_of_aws(words[1:])


def _fault_of_ours(words: list[str]) -> str | None:
    command: click.Command = cli
    context = click.Context(cli)
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        names = re.split(r"[,|]", rest.pop(0))
        found = [command.get_command(context, name) for name in names if name.islower()]
        if None in found:
            return f"no command {names}"
        if not found:
            return None
        command = found[0] or command
    options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help", "--version"}
    unknown = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in options]
    return f"no option {unknown}" if unknown else None


def _fault_of_aws(words: list[str]) -> str | None:
    if tuple(words[:2]) in HIGH_LEVEL or len(words) < 2:
        return None
    model = botocore.session.get_session().get_service_model(words[0].replace("s3api", "s3"))
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    if words[1] not in operations:
        return f"no operation {words[:2]}"
    shape = model.operation_model(operations[words[1]]).input_shape
    options = {f"--{xform_name(name, '-')}" for name in (shape.members if shape else ())}
    options |= {option.replace("--", NEGATED, 1) for option in options} | OF_THE_CLIENT
    unknown = [word for word in words[2:] if word.startswith("--") and word.partition("=")[0] not in options]
    return f"no option {unknown}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_a_page_exist_with_their_options(page: Path) -> None:
    wrong = {line: fault for line in shown(page) if (fault := fault_of(words_of(line)))}
    assert wrong == {}


@pytest.mark.parametrize("module", ADVICE, ids=lambda module: module.name)
def test_what_the_doctor_advises_exists(module: Path) -> None:
    wrong = {line: fault for line in advised(module) if (fault := fault_of(words_of(line)))}
    assert wrong == {}


def test_what_does_not_exist_is_noticed() -> None:
    assert fault_of(words_of("mailtide runs shew acme")) == "no command ['shew']"
    assert fault_of(words_of("mailtide doctor --jsn | jq")) == "no option ['--jsn']"
    assert fault_of(words_of("aws s3api make-bucket")) == "no operation ['s3api', 'make-bucket']"
    assert fault_of(words_of("aws events enable-rule --rule x")) == "no option ['--rule']"
    assert fault_of(words_of("aws events enable-rule --name x")) is None
