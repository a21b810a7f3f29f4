"""Runs on a new machine, on a kept one that has nothing yet, and on one that has yesterday's version: bytes and seconds.

    python -m tests.bench.pool --contacts 100000

The machines are processes of the local Fly server, the bucket is MiniStack's: a boot takes no time and a byte costs none, so what
counts are the bytes, and the seconds that the pool's own requests and comparing take.
"""

import argparse
import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localstack.fly.app import Options
from localstack.fly.server import running
from mailtide.contracts import Done
from mailtide.database.invented import invent_database
from mailtide.runs import store
from mailtide.runs.pool.fill import deploy
from mailtide.settings import SIZE_TABLE
from tests.integration.bucket.conftest import MINISTACK
from tests.integration.sync.kept import IMAGES, TOKEN, KeptSite, Ran
from tests.integration.sync.site import Site


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=100_000)
    contacts = parser.parse_args().contacts
    size = next(tier.size for tier in SIZE_TABLE if tier.below_contacts is None or contacts < tier.below_contacts)
    with tempfile.TemporaryDirectory(prefix="bench-pool-") as name:
        folder = Path(name)
        options = Options(TOKEN, IMAGES, folder / "logs", rate_per_s=None)
        with _ministack(folder) as url, running(options) as fly:
            site = Site(url, "bench-pool", folder)
            kept = KeptSite(site, fly, pool_machine_size=size, task_timeout_s=600)
            invent_database(folder / "contacts.db", contacts, seed=1, bad_fraction=0.01)
            site.upload(folder / "contacts.db")
            print(f"{contacts:,} contacts on {size}")
            print("| run | machine | database | moved | launch s | fetch s | pass s | deliver s | egress $ |")
            print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
            _row(site, "first", kept.run())
            deploy(kept.services)
            site.day_passes()
            _row(site, "day 2", kept.run(on_demand="2"))
            for day in (3, 4):
                site.day_passes()
                _row(site, f"day {day}", kept.run(on_demand=str(day)))


@contextmanager
def _ministack(folder: Path) -> Iterator[str]:
    """An S3 server of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}
    with (folder / "ministack.log").open("wb") as log:
        process = subprocess.Popen([MINISTACK], env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _row(site: Site, name: str, ran: Ran) -> None:
    cost, timings = ran.done.cost, ran.manifest.timings
    assert cost is not None
    size_bytes = _size_bytes(site, ran.done)
    moved = ran.moved_bytes if ran.moved_bytes is not None else size_bytes
    machine = "kept" if ran.launch.kept else "new"
    print(
        f"| {name} | {machine} | {size_bytes:,} | {moved:,} | {ran.launch_s:.2f} | {timings.fetch_s:.2f} "
        f"| {timings.pass_s:.2f} | {timings.deliver_s:.2f} | {cost.egress_usd:.6f} |",
        flush=True,
    )


def _size_bytes(site: Site, done: Done) -> int:
    """Of the database that the run read."""
    plan = store.read_plan(site.bucket, done.org, done.run)
    assert plan is not None
    return plan.read.size_bytes


if __name__ == "__main__":
    main()
