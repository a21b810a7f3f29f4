"""The command `mailtide`: finds the subcommand, imports only its module, and turns errors into one sentence."""

import sys
from importlib import import_module
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from mailtide import __version__
from mailtide.cli.quick_imports import quick_imports
from mailtide.errors import InputError, MailtideError

COMMANDS: dict[str, tuple[str, str]] = {
    "schedule": ("mailtide.cli.schedule:schedule", "Bring the mail schedule of a database up to date."),
    "generate": ("mailtide.cli.generate:generate", "Make a database of realistic, invented contacts."),
    "db-info": ("mailtide.cli.db_info:db_info", "Say what is in a database, and what is wrong with it."),
    "diff": ("mailtide.cli.diff:diff", "Compare the planned mails of two databases."),
    "due": ("mailtide.cli.due:due", "Hand over the mails that are due on a day."),
    "explain": ("mailtide.cli.explain:explain", "Say why each mail of a contact stands where it stands."),
    "report": ("mailtide.cli.report:report", "Write a page about the schedule of a database."),
    "import": ("mailtide.cli.imports:imports", "Put contacts or suppressions from CSV or Parquet into a database."),
    "feedback": ("mailtide.cli.feedback:feedback", "Fold what became of the mails into a database, each file once."),
    "rules": ("mailtide.cli.rules:rules", "Show the rules: every value, and the windows of the states."),
    "plan": ("mailtide.cli.plan:plan", "Say which machines a run would get, and what it would take."),
    "calibrate": (
        "mailtide.cli.calibrate:calibrate",
        "Measure how fast this machine does a run; planning counts with it.",
    ),
    "upload": ("mailtide.cli.upload:upload", "Put an organisation's database into the bucket, which starts a run."),
    "sync": ("mailtide.cli.sync:sync", "Bring a local file to the published schedule, and back."),
    "orgs": ("mailtide.cli.orgs:orgs", "Add organisations and list them."),
    "run": ("mailtide.cli.run:run", "Start a run on demand."),
    "runs": (
        "mailtide.cli.runs:runs",
        "List, show and follow runs; cancel, retry, approve or reject one.",
    ),
    "logs": ("mailtide.cli.logs:logs", "The story of a run, from the logs of the functions and from the bucket."),
    "doctor": ("mailtide.cli.doctor:doctor", "Say what is wrong with a deployment, and what to do about it."),
    "mailboxes": (
        "mailtide.cli.mailboxes:mailboxes",
        "Import, export, list, check, pause and resume mailboxes.",
    ),
    "warmup": (
        "mailtide.cli.warmup:warmup",
        "How the warm-up stands, what it can carry, a simulated day, a tick by hand.",
    ),
    "tokens": ("mailtide.cli.tokens:tokens", "Make, list and revoke the bearer tokens of the API."),
    "serve": ("mailtide.cli.serve:serve", "Serve the API on a port, for teams without Lambda."),
    "completion": ("mailtide.cli.completion:completion", "Print what makes a shell complete commands, names and runs."),
    "fly": ("mailtide.cli.fly:fly", "Look after the machines that are kept stopped in the Fly app."),
    "machine": ("mailtide.cli.machine:machine", "Do one task of a run (the entry point of the machine image)."),
}
"""Name -> (module:function, one line of help); the help of the group needs no import."""

EXTRAS = {
    "numpy": "machine",
    "pyarrow": "parquet",
    "jinja2": "report",
    "markupsafe": "report",
    "vl_convert": "report",
}
"""Package that some commands need -> the extra of mailtide that brings it."""

UNUSABLE_FILE = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that `--help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All names, in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the module of one command, or None when there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        with quick_imports():
            command: click.Command = getattr(import_module(module), name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands, without importing any of them, and the options of the group."""
        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """The list of commands in the help, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mailtide")
def cli() -> None:
    """Decide which contact gets which mail on which day.

    Try it: mailtide generate --contacts 10000 demo.db && mailtide schedule demo.db --as-of 2026-11-21
    """


def main() -> None:
    """Entry point: one line on stderr for whatever a person can mend, never a traceback for it.

    Exit codes: 0 done; 1 it could not be done; 2 what was given is wrong; 130 stopped by Ctrl-C.
    """
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _leave(130, "Stopped.")
    except click.ClickException as error:
        _leave(error.exit_code, _in_words(error))
    except MailtideError as error:
        _leave(2 if isinstance(error, InputError) else 1, str(error))
    except OSError as error:
        _leave(2 if isinstance(error, UNUSABLE_FILE) else 1, _of_the_system(error))
    except MemoryError:
        _leave(1, "There is not enough memory for this.")
    except ModuleNotFoundError as error:
        _leave(1, _of_a_module(error))


def _in_words(error: click.ClickException) -> str:
    """What click says, and for a wrong argument where its help is."""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{error.format_message()} See: {error.ctx.command_path} --help"
    return error.format_message()


def _of_the_system(error: OSError) -> str:
    what = f"{error.filename} cannot be used" if error.filename else "The command could not be carried out"
    return f"{what}: {error.strerror}."


def _of_a_module(error: ModuleNotFoundError) -> str:
    name = (error.name or "").partition(".")[0]
    if name not in EXTRAS:
        raise error
    return f"This command needs {name}: install mailtide[{EXTRAS[name]}]."


def _leave(code: int, sentence: str) -> NoReturn:
    # A name of a file may hold a line feed or worse.
    line = "".join(char if char.isprintable() else "?" for char in " ".join(sentence.split()))
    click.echo(f"mailtide: {line}", err=True)
    sys.exit(code)
