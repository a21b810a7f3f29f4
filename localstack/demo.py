"""`make demo`: the main job, end to end, on a cloud of your own.

An organisation's database goes into a bucket by a plain S3 PUT. From then on this program only watches: events, functions
and a machine of the run's own do the rest, and the database comes back with its mail schedule.
"""

import argparse
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from localstack.at_terminal import for_a_person
from localstack.cloud import ROOT, STATE, LocalCloud
from localstack.compose import cloud_class
from localstack.page import make_token, sign_in_lines
from localstack.processes import Child, LocalCloudError
from localstack.story import tell
from localstack.watching import RunWatcher, describe
from mailtide.contracts import Done

ORG = "acme"
KEY = f"orgs/{ORG}/contacts.db"
FOLDER = STATE / "demo"
RUN_TIMEOUT_S = 180.0
PHASES = {
    "wait": "waiting until another local cloud of this checkout is deployed",
    "build": "building the functions and their layers (the first time takes longest)",
    "start": "starting MiniStack and the Fly Machines server",
    "deploy": "deploying template.yaml",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration. 1 with one line when something is missing or the run fails, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m localstack.demo", description=__doc__)
    parser.add_argument("--contacts", type=int, default=100_000, help="how many contacts (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other people (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port of the AWS side (default: a free one)")
    parser.add_argument(
        "--cloud", choices=["ministack", "localstack"], default="ministack", help="localstack needs Docker"
    )
    given = parser.parse_args(arguments)
    return for_a_person(
        lambda console: _demonstrate(console, given.contacts, given.seed, cloud_class(given.cloud), given.port)
    )


def _demonstrate(console: Console, contacts: int, seed: int, kind: type[LocalCloud], port: int) -> int:
    began = time.monotonic()
    uploaded, published = FOLDER / "uploaded.db", FOLDER / "contacts.db"
    FOLDER.mkdir(parents=True, exist_ok=True)
    generated = _generate(contacts, seed, uploaded)
    try:
        with console.status("") as status:
            cloud = kind(port=port, on_phase=lambda phase: status.update(f"{PHASES[phase]} …"))
            with cloud:
                seconds = ", ".join(f"{name} {taken:.1f} s" for name, taken in cloud.phases.items())
                console.print(f"The local cloud is up ({seconds}), on {cloud.endpoint_url} and {cloud.fly_api_url}.")
                status.update("making a token for the page …")
                console.print(sign_in_lines(cloud, make_token(cloud, "demo", "--operator")), soft_wrap=True)
                status.update(f"inventing {contacts:,} contacts …")
                if generated.wait(120) != 0:
                    raise LocalCloudError(f"cannot make the contacts: {generated.last_words()}")
                done = _watch(console, status.update, cloud, uploaded)
                if done.status == "published":
                    cloud.client("s3").download_file(cloud.stack.bucket, KEY, str(published))
    finally:
        generated.stop()
    if done.status != "published":
        raise LocalCloudError(f"the run {done.status}: {done.reason}")
    console.print()
    tell(console, done, published)
    _what_next(console, done, published)
    console.print(f"All of it took {time.monotonic() - began:.1f} s. Nothing is left running.")
    return 0


def _generate(contacts: int, seed: int, path: Path) -> Child:
    """Start `mailtide generate`, which has the time that the cloud needs to start."""
    path.unlink(missing_ok=True)
    command = [
        str(ROOT / ".venv/bin/mailtide"),
        "generate",
        "--contacts",
        str(contacts),
        "--seed",
        str(seed),
        str(path),
    ]
    return Child("mailtide generate", command, env={"PATH": "/usr/bin:/bin"}, log=FOLDER / "generate.log", cwd=ROOT)


def _watch(console: Console, say: Callable[[str], None], cloud: LocalCloud, database: Path) -> Done:
    """Put the database into the bucket and follow the run to its end."""
    s3 = cloud.client("s3")
    size_mb = database.stat().st_size / 1_000_000
    console.print(
        f"\n[bold]PUT[/] s3://{cloud.stack.bucket}/{KEY} ({size_mb:.1f} MB). From here on, this only watches:"
    )
    began = time.monotonic()
    with database.open("rb") as body:
        s3.put_object(Bucket=cloud.stack.bucket, Key=KEY, Body=body)
    watcher = RunWatcher(s3, cloud.stack.bucket, ORG)
    say("waiting for the first event …")
    for key in watcher.new_objects(RUN_TIMEOUT_S):
        told = describe(watcher, key)
        if told is not None:
            console.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {told}")
        say(f"s3://{cloud.stack.bucket}/{key} was the last object to appear …")
    return watcher.read(key, Done)


def _what_next(console: Console, done: Done, published: Path) -> None:
    here = published.relative_to(ROOT)
    console.print(f"""[bold]Files[/]
  {here}             the database as it was published, schedule and all
  {(FOLDER / "uploaded.db").relative_to(ROOT)}             as it was uploaded
  {(STATE / "logs").relative_to(ROOT)}/                        logs of the local cloud and of the machine

[bold]What to try next[/]
  .venv/bin/mailtide db-info {here}
  .venv/bin/mailtide schedule {here} --as-of {done.as_of}    the same day again: nothing to write
  .venv/bin/mailtide schedule {here} --as-of {_tomorrow(done)}    the next day: a few differences
  make demo-warmup                  the other half: a day of the warm-up in a few minutes
  make up                           the same cloud, kept up, with the page to look around
  make cloud                        the same, for your own uploads
  less README.md docs/
""")


def _tomorrow(done: Done) -> str:
    return "" if done.as_of is None else (done.as_of + timedelta(days=1)).isoformat()


if __name__ == "__main__":
    sys.exit(main())
