"""`python -m deploy.aws.image --env dev`: build and push the image of the machines, and note its digest.

A tag can move, a digest cannot: deploy/aws/image.yaml names what was built, and `make deploy` hands that to the stack.
"""

import argparse
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from deploy.aws.environments import IMAGE_FILE, LOCALSTACK, load_environment
from deploy.aws.steps import Steps, main, need_docker
from deploy.aws.template import ROOT
from mailtide.errors import InputError

REGISTRY = "registry.fly.io"
METADATA = Path("build/image.json")
DIGESTED = re.compile(r"[a-z0-9.:-]+(/[a-z0-9._-]+)+(:[\w.-]+)?@sha256:[0-9a-f]{64}")


def build(reference: str, *, push: bool, dry: bool) -> str:
    """Build machine/Dockerfile for Fly's processors. Returns the digest, empty when it was not pushed or the run is dry.

    InputError where there is no Docker with buildx.
    """
    if not dry:
        need_docker("make image", buildx=True)
        (ROOT / METADATA).parent.mkdir(exist_ok=True)
    # No provenance: the digest is then that of the image itself, not of a list with an attestation beside it.
    options = ["--platform", "linux/amd64", "--provenance=false", "--file", "machine/Dockerfile", "--tag", reference]
    ends = ["--push" if push else "--load", "--metadata-file", str(METADATA), "."]
    Steps(dry=dry).run("docker", "buildx", "build", *options, *ends)
    if dry or not push:
        return ""
    made = json.loads((ROOT / METADATA).read_text(encoding="utf-8"))
    return str(made["containerimage.digest"])


def note(image: str, origin: str, root: Path = ROOT) -> None:
    """Write deploy/aws/image.yaml. InputError for an image without a digest."""
    if not DIGESTED.fullmatch(image):
        raise InputError(f"{image!r} names no digest; an image is noted as {REGISTRY}/APP@sha256:….")
    stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = f"# By `make image`, {stamp}, {origin}. Commit it: it says what runs.\nMachineImage: {image}\n"
    (root / IMAGE_FILE).write_text(text, encoding="utf-8")
    print(f"{IMAGE_FILE} now names {image}")


def commit_name() -> str:
    """The commit that is built, with -changed where the work tree differs from it; `unversioned` without git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=-changed", "--exclude", "*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return "unversioned"
    return done.stdout.strip() or "unversioned"


def run(arguments: list[str]) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.aws.image", description=__doc__)
    parser.add_argument("--env", default="dev", help="environment of samconfig.toml whose FlyApp gets the image")
    parser.add_argument(
        "--cloud", default="aws", choices=["aws", LOCALSTACK], help="localstack: build for here, push nothing"
    )
    parser.add_argument("--app", help="another Fly app; images may be used across the apps of an organisation")
    parser.add_argument("--image", help="note this image, built elsewhere, instead of building one")
    parser.add_argument("--dry", action="store_true", help="only show the command")
    given = parser.parse_args(arguments)
    if given.image:
        note(given.image, "built elsewhere")
        return
    if given.cloud == LOCALSTACK:
        build("mailtide:local", push=False, dry=given.dry)
        return
    repository = f"{REGISTRY}/{given.app or load_environment(given.env).parameter('FlyApp', 'mailtide')}"
    commit = commit_name()
    digest = build(f"{repository}:{commit}", push=True, dry=given.dry)
    if digest:
        note(f"{repository}@{digest}", f"tag {commit}")


if __name__ == "__main__":
    main(lambda: run(sys.argv[1:]))
