"""Several processes that share the seeds, each with a cloud of its own."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.totals import Totals


def play_in_processes(seeds: Sequence[int], jobs: int, *, tells_all: bool) -> Totals:
    """Every process takes each jobs-th seed and tells its scenarios itself; one that died adds nothing."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{job}.json" for job in range(jobs)]
        processes = [
            # Out of the terminal's reach: one Ctrl-C is passed on once.
            subprocess.Popen(_command(seeds[job::jobs], file, f"chaos-{job + 1}", tells_all=tells_all), process_group=0)
            for job, file in enumerate(files)
        ]
        _wait_for(processes)
        return sum((Totals.model_validate_json(file.read_bytes()) for file in files if file.exists()), Totals())


def _command(seeds: Sequence[int], totals: Path, logs: str, *, tells_all: bool) -> list[str]:
    listed = ",".join(str(seed) for seed in seeds)
    command = [sys.executable, "-m", "tests.chaos", "--seeds", listed, "--totals", str(totals), "--logs", logs]
    return [*command, "--struck"] if tells_all else command


def _wait_for(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    try:
        for process in processes:
            process.wait()
    except KeyboardInterrupt:
        for process in processes:
            process.send_signal(signal.SIGINT)
        for process in processes:
            process.wait()
