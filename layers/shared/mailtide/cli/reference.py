"""The reference pages that are made from the code: `python -m mailtide.cli.reference docs`."""

import json
import sys
from pathlib import Path

import click
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from mailtide.api.openapi import openapi_text
from mailtide.api.settings import ApiSettings
from mailtide.cli.main import COMMANDS, cli
from mailtide.machines import MachineSize
from mailtide.settings import SIZE_TABLE, Settings
from mailtide.warmup.settings import OLD_NAMES, WarmupResources, WarmupSettings


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
    """Every setting, as Markdown."""
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
            *_settings_table(Settings, "MAILTIDE_"),
            "## The warm-up",
            "",
            *_settings_table(WarmupSettings, "WARMUP_"),
            "## The warm-up's tables, queues and key",
            "",
            *_settings_table(WarmupResources, "MAILTIDE_"),
            "## The API",
            "",
            *_settings_table(ApiSettings, "MAILTIDE_API_"),
            "## Names of the system that this one replaces",
            "",
            "`mailtide warmup status` and `mailtide warmup worker` say so where they find one in the environment.",
            "",
            "| variable | what to do |",
            "|---|---|",
            *(f"| `{name}` | {note} |" for name, note in OLD_NAMES.items()),
            "",
            "## The size table",
            "",
            "| contacts | machine | dollars a second |",
            "|---|---|---|",
            *sizes,
            "",
        ]
    )


def _settings_table(model: type[BaseSettings], prefix: str) -> list[str]:
    rows = [
        f"| `{prefix}{name.upper()}` | {_default(field.default, name)} | {field.description} |"
        for name, field in model.model_fields.items()
    ]
    return ["| variable | default | meaning |", "|---|---|---|", *rows, ""]


def _default(value: object, name: str) -> str:
    if value is PydanticUndefined:
        return "required"
    if name == "size_table":
        return "see below"
    if isinstance(value, tuple) and value:
        return f"`{','.join(map(str, value))}`"
    if isinstance(value, dict):
        return f"`{json.dumps(value)}`"
    if isinstance(value, MachineSize):
        return f"`{value.model_dump_json()}`"
    return "–" if value in (None, "", ()) else f"`{value}`"


def write_pages(folder: Path) -> None:
    """Write all of them into a folder."""
    (folder / "commands.md").write_text(commands_page(), encoding="utf-8")
    (folder / "settings.md").write_text(settings_page(), encoding="utf-8")
    (folder / "openapi.json").write_text(openapi_text(), encoding="utf-8")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
