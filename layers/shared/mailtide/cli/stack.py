"""`--stack`: the deployment that a command looks at."""

import click

stack_option = click.option(
    "--stack", default="mailtide", show_default=True, envvar="MAILTIDE_STACK", metavar="NAME",
    help="Name of the deployed stack; MAILTIDE_STACK sets it too.",
)  # fmt: skip
