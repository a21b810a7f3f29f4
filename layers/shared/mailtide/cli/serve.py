"""`mailtide serve`: the API on a port of this machine."""

import json
import signal

import click

from mailtide.cli.cloud import cloud_command


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(min=0, max=65_535),
    default=8080,
    show_default=True,
    help="Port to listen on; 0 for a free one.",
)
@click.option("--json", "as_json", is_flag=True, help="Say where it listens as one JSON object.")
@cloud_command
def serve(host: str, port: int, as_json: bool) -> None:
    """Serve the HTTP API of the api function, for teams without Lambda, until Ctrl-C or SIGTERM.

    It speaks plain HTTP: put a proxy with TLS before it. Its log goes to standard output, one JSON object a line.
    """
    from mailtide.adapters.environment import stand_in_for_lambda

    stand_in_for_lambda()
    from mailtide.api.http_server import make_server

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with make_server(host, port) as server:
        url = f"http://{host}:{server.server_address[1]}"
        click.echo(json.dumps({"url": url}) if as_json else f"The API is at {url}/api/health.", err=not as_json)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
