"""What `sam build` made is what AWS gets: each function must start from it alone."""

import os
import subprocess
from pathlib import Path

import pytest

from localstack.cloud import ROOT, STATE, TOOLS, LocalCloud

BUILD = STATE / "sam" / "build"
FUNCTIONS = {
    "PlanRun": "plan_run",
    "LaunchMachine": "launch_machine",
    "CollectParts": "collect_parts",
    "FinishRun": "finish_run",
    "WatchRuns": "watch_runs",
    "PlanWarmup": "plan_warmup",
    "DispatchShard": "dispatch_shard",
    "SendMail": "send_mail",
    "ReadMailboxes": "read_mailboxes",
}
IMPORT = """
import sys
sys.path[:0] = sys.argv[1:]
import app
assert callable(app.handler)
heavy = {"numpy", "pandas"} & set(sys.modules)
assert not heavy, heavy
print(*sorted({(m.__file__ or "") for m in list(sys.modules.values()) if getattr(m, "__file__", None)}), sep="\\n")
"""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_starts_in_a_bare_interpreter(cloud: LocalCloud, function: str) -> None:
    assert cloud.stack.bucket, "the build is that of the deployed stack"
    paths = [BUILD / function, BUILD / "SharedLayer" / "python", BUILD / "DepsLayer" / "python"]
    ended = subprocess.run(
        [str(TOOLS / "runtime/bin/python"), "-IB", "-c", IMPORT, *map(str, paths)],
        env={"PATH": os.defpath, "AWS_DEFAULT_REGION": "us-east-1", "POWERTOOLS_TRACE_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    foreign = [line for line in ended.stdout.splitlines() if str(ROOT) in line and not line.startswith(str(BUILD))]
    assert not foreign, "imported from somewhere else"


def test_the_layers_hold_no_numpy_and_fit_into_lambda(cloud: LocalCloud) -> None:
    assert cloud.stack.bucket
    layers = [BUILD / "SharedLayer" / "python", BUILD / "DepsLayer" / "python"]
    assert not [path for layer in layers for path in layer.glob("numpy*")]
    size_bytes = sum(path.stat().st_size for layer in layers for path in layer.rglob("*") if path.is_file())
    assert size_bytes < 150_000_000, "250 MB is the limit of Lambda; a cold start feels every one of them"
    assert (layers[0] / "mailtide" / "py.typed").is_file()


def test_functions_see_nothing_of_the_emulator() -> None:
    site_packages = next(Path(TOOLS / "ministack").glob("lib/python3*/site-packages"))
    assert (site_packages / "hypercorn").is_dir()
    probe = "import importlib.util as u; print([n for n in ('hypercorn', 'ministack', 'botocore', 'yaml') if u.find_spec(n)])"
    ended = subprocess.run(
        [str(TOOLS / "runtime/bin/python"), "-I", "-c", probe], capture_output=True, text=True, check=True, timeout=30
    )
    assert ended.stdout.strip() == "[]"
