"""An organisation on a real S3 server whose runs have real machines: processes of the local Fly server, kept in between."""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import SecretStr

from localstack.fly.faults import FaultClient
from localstack.fly.server import Running
from mailtide.adapters.fly import FlyClient, FlyMachineHost, FlyMachinePool
from mailtide.contracts import CollectMessage, Done, FinishMessage, Launch, LaunchMessage, Manifest, Plan
from mailtide.machines import MachineInfo
from mailtide.runs import keys, store
from mailtide.runs.collect import collect_parts
from mailtide.runs.finish import finish_run
from mailtide.runs.launch import launch_machine
from mailtide.runs.pool.kept import kept_machines
from mailtide.runs.services import Services
from tests.integration.sync.site import ORG, Site

TOKEN = "FlyV1 token-of-the-runs"
IMAGE = "mailtide"
IMAGES = {IMAGE: [str(Path(sys.executable).with_name("mailtide")), "machine"]}
LONGEST_S = 120


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: how it ended, and what its machine told."""

    done: Done
    launch: Launch
    manifest: Manifest
    launch_s: float
    """From the call of launch_machine to its answer."""

    @property
    def moved_bytes(self) -> int | None:
        """What the machine says that it fetched of the database; None for all of it."""
        told = self.manifest.report.get("source_bytes_read")
        assert told is None or isinstance(told, int)
        return told


class KeptSite:
    """The runs of one organisation, one after the other."""

    def __init__(self, site: Site, fly: Running, pool_size: int = 1, **settings: object) -> None:
        self.site = site
        self.client = FlyClient(f"app-{site.name}", SecretStr(TOKEN), base_url=fly.base_url)
        wanted = {"pool_size": pool_size, "machine_image": IMAGE, "fly_regions": ("iad",), **settings}
        self.services: Services = replace(
            site.services,
            settings=site.services.settings.model_copy(update=wanted),
            machines=FlyMachineHost(self.client),
            pool=FlyMachinePool(self.client, lease_pause_s=0.1),
        )
        site.services = self.services

    def run(self, *, on_demand: str | None = None) -> Ran:
        """A whole run, with the functions called in order."""
        plan = self.site.plan(on_demand=on_demand)
        began = time.monotonic()
        report = launch_machine(self.services, LaunchMessage(org=ORG, run=plan.run, task="whole", attempt=1))
        launch_s = time.monotonic() - began
        assert report.action == "launched", report
        paths = keys.TryKeys(ORG, plan.run, "whole", 1)
        self._wait(plan, paths)
        collect_parts(self.services, CollectMessage(org=ORG, run=plan.run, task="whole", attempt=1))
        finish_run(self.services, FinishMessage(org=ORG, run=plan.run))
        done = store.read_done(self.site.bucket, ORG, plan.run)
        launch = store.read(self.site.bucket, paths.launch, Launch)
        manifest = store.read(self.site.bucket, paths.manifest, Manifest)
        assert done is not None
        assert launch is not None
        assert manifest is not None
        if launch.kept:
            assert self.client.wait(launch.machine_id, "stopped", timeout_s=LONGEST_S) is not None
        return Ran(done, launch, manifest, launch_s)

    def _wait(self, plan: Plan, paths: keys.TryKeys) -> None:
        deadline = time.monotonic() + LONGEST_S
        while self.site.bucket.head(paths.manifest) is None:
            failure = store.read_failure(self.site.bucket, paths)
            assert failure is None, failure
            assert time.monotonic() < deadline, f"run {plan.run} delivers nothing"
            time.sleep(0.05)

    @property
    def machines(self) -> list[MachineInfo]:
        return kept_machines(self.services)

    def cached(self, faults: FaultClient) -> list[Path]:
        """The databases that stand on the volumes of this app."""
        folders = (row["folder"] for row in faults.volumes() if row["app"] == self.client.app)
        return [path for folder in folders for path in Path(folder).glob("mailtide/*")]
