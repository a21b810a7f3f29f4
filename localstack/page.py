"""The page of a local cloud: where it is, a token to sign in with, and something to see on it."""

import subprocess

from localstack.cloud import ROOT, STATE, LocalCloud
from localstack.processes import LocalCloudError


def make_token(cloud: LocalCloud, name: str, *scope: str) -> str:
    """A token made as a person would make it; `scope` are options of `mailtide tokens add`. The API knows it within a minute, at
    once when nobody has asked it anything before."""
    return _mailtide(cloud, "tokens", "add", name, *scope).strip()


def upload_invented(cloud: LocalCloud, org: str, contacts: int, seed: int = 1) -> None:
    """Put a database of invented contacts into the bucket, which starts a run."""
    database = STATE / "look-around" / f"{org}.db"
    database.parent.mkdir(parents=True, exist_ok=True)
    database.unlink(missing_ok=True)
    _mailtide(cloud, "generate", "--contacts", str(contacts), "--seed", str(seed), str(database))
    _mailtide(cloud, "upload", org, str(database))


def _mailtide(cloud: LocalCloud, *arguments: str) -> str:
    command = [str(ROOT / ".venv/bin/mailtide"), *arguments]
    env = {"PATH": "/usr/bin:/bin", **cloud.environment}
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise LocalCloudError(f"mailtide {' '.join(arguments[:2])}: {done.stderr.strip()}")
    return done.stdout


def sign_in_lines(cloud: LocalCloud, token: str) -> str:
    """Two lines for a person."""
    return f"The page: {cloud.page_url}\nSign in with: {token}"
