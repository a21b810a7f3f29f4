"""`mailtide completion`: what makes a shell complete commands, options, organisations and runs."""

import json

import click

LINES = {
    "bash": 'eval "$(mailtide completion bash)"',
    "zsh": 'eval "$(mailtide completion zsh)"',
    "fish": "mailtide completion fish | source",
}
"""Shell -> the line for its start-up file."""


@click.command(epilog="\b\n" + "\n".join(f"{shell}: {line}" for shell, line in LINES.items()))
@click.argument("shell", type=click.Choice(tuple(LINES)))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with the script in it.")
def completion(shell: str, as_json: bool) -> None:
    """Print the script that makes SHELL complete mailtide; put its line into the shell's start-up file.

    Names of organisations and runs are looked up in the bucket, where MAILTIDE_BUCKET and AWS credentials are set.
    """
    from click.shell_completion import get_completion_class

    from mailtide.cli.main import cli

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    script = found(cli, {}, "mailtide", "_MAILTIDE_COMPLETE").source()
    click.echo(json.dumps({"shell": shell, "line": LINES[shell], "script": script}) if as_json else script)
