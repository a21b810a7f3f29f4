"""Every command can be found, imported and understood from its help."""

import json
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from mailtide.cli.main import COMMANDS, cli
from tests.unit.cli.conftest import Run


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below a group, with its path; imports all of them."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = list(commands(cli))
LEAVES = [(path, command) for path, command in ALL if not isinstance(command, click.Group)]
by_path = pytest.mark.parametrize(("path", "command"), ALL, ids=lambda value: "-".join(value) if value else "")
leaf_by_path = pytest.mark.parametrize(("path", "command"), LEAVES, ids=[" ".join(path) for path, _ in LEAVES])


def test_every_command_of_the_list_is_imported_under_its_name() -> None:
    top = [(path[0], command.name) for path, command in ALL if len(path) == 1]
    assert [name for name, _ in top] == list(COMMANDS)
    assert [name for name, _ in top] == [own for _, own in top]
    assert len(LEAVES) >= 9


@leaf_by_path
def test_help_mentions_every_option_and_argument(run: Run, path: tuple[str, ...], command: click.Command) -> None:
    shown = run(*path, "--help")
    assert shown.code == 0
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert all(name in shown.out for name in parameter.opts)
        else:
            assert parameter.make_metavar(click.Context(command)).strip("[]") in shown.out
    assert command.help
    assert "  -h, --help" in shown.out


@leaf_by_path
def test_every_command_can_answer_in_json(path: tuple[str, ...], command: click.Command) -> None:
    flags = [parameter for parameter in command.params if "--json" in parameter.opts]
    assert len(flags) == 1, path
    assert isinstance(flags[0], click.Option)
    assert flags[0].is_flag


def test_the_first_help_lists_every_command_with_its_line(run: Run) -> None:
    shown = run("--help")
    words = " ".join(shown.out.split())
    for name, (_, line) in COMMANDS.items():
        assert f"{name} {line}" in words
    assert run().err.splitlines() == shown.out.splitlines()
    assert run().code == 2


COUNT_IMPORTS = """
import json, sys
from mailtide.cli.main import main
sys.argv = ["mailtide", *sys.argv[1:]]
try:
    main()
except SystemExit as ended:
    assert ended.code in (0, None), ended.code
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def imported_by(*arguments: str) -> set[str]:
    command = [sys.executable, "-c", COUNT_IMPORTS, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


HEAVY = {"numpy", "boto3", "botocore", "pydantic", "rich", "httpx", "apsw", "yaml"}


def test_the_first_help_and_the_version_import_nothing_heavy() -> None:
    assert imported_by("--help") & HEAVY == set()
    assert imported_by("--version") & HEAVY == set()


@pytest.mark.parametrize("command", ["upload", "orgs", "run", "plan"])
def test_commands_for_the_cloud_need_no_arrays(command: str) -> None:
    assert "numpy" not in imported_by(command, "--help")


@pytest.mark.parametrize("command", ["schedule", "generate", "db-info", "plan"])
def test_commands_for_local_files_need_no_cloud(command: str) -> None:
    assert imported_by(command, "--help") & {"boto3", "botocore"} == set()
