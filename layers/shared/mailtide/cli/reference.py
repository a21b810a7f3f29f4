"""The reference pages that are made from the code: `python -m mailtide.cli.reference docs`."""

import sys
from pathlib import Path

import click
from pydantic_core import PydanticUndefined

from mailtide.cli.main import COMMANDS, cli
from mailtide.settings import SIZE_TABLE, Settings


def commands_page() -> str:
    """Every command with its help, as Markdown."""
    context = click.Context(cli, info_name="mailtide", help_option_names=["-h", "--help"], terminal_width=100)
    parts = ["# Commands\n\nMade from the code by `make reference`. Exit codes: 0 done, 1 failed, 2 bad input.\n"]
    for name in COMMANDS:
        command = cli.get_command(context, name)
        if command is not None:
            parts += _command(command, click.Context(command, parent=context, info_name=name))
    return "\n".join(parts)


def _command(command: click.Command, context: click.Context) -> list[str]:
    parts = [f"## `{context.command_path}`\n", f"```text\n{command.get_help(context).rstrip()}\n```\n"]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                parts += _command(child, click.Context(child, parent=context, info_name=name))
    return parts


def settings_page() -> str:
    """Every setting of the run functions, as Markdown."""
    rows = [
        f"| `MAILTIDE_{name.upper()}` | {_default(field.default, name)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    sizes = [
        f"| {'the rest' if tier.below_contacts is None else f'< {tier.below_contacts:,}'} | {tier.size} | {tier.usd_per_s:.7f} |"
        for tier in SIZE_TABLE
    ]
    return "\n".join(
        [
            "# Settings",
            "",
            "Made from the code by `make reference`. The functions get them from template.yaml, where most are parameters of the "
            "same name; the command line reads them from the shell.",
            "",
            "| variable | default | meaning |",
            "|---|---|---|",
            *rows,
            "",
            "## The size table",
            "",
            "| contacts | machine | dollars a second |",
            "|---|---|---|",
            *sizes,
            "",
        ]
    )


def _default(value: object, name: str) -> str:
    if value is PydanticUndefined:
        return "required"
    if name == "size_table":
        return "see below"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    return "–" if value in {None, ""} else f"`{value}`"


def write_pages(folder: Path) -> None:
    """Write both pages into a folder."""
    (folder / "commands.md").write_text(commands_page(), encoding="utf-8")
    (folder / "settings.md").write_text(settings_page(), encoding="utf-8")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
