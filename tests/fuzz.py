"""`make fuzz`: the rules and the whole pass against the slow reference, on thousands of made-up databases.

Round after round, each with a seed of its own that is printed first: the same seed draws the same databases again.
"""

import argparse
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPARISONS = (
    "tests/property/rules/test_decide.py",
    "tests/property/rules/test_chunks.py",
    "tests/integration/pass_/test_against_reference.py",
    "tests/integration/pass_/test_chunks.py",
    "tests/integration/database/test_read.py",
    "tests/unit/database/test_keys.py",
)


def main() -> int:
    """Run rounds until the time is up or one fails; 0 when none did."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="start no further round after this time")
    parser.add_argument("--examples", type=int, default=1000, help="databases a comparison and round")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, help="one round with this seed")
    options = parser.parse_args()
    end = time.monotonic() + options.minutes * 60
    rounds = 0
    while rounds == 0 or (options.seed is None and time.monotonic() < end):
        seed = secrets.randbelow(2**32) if options.seed is None else options.seed
        rounds += 1
        print(f"round {rounds}: seed {seed}, {options.examples:,} databases a comparison", flush=True)
        if code := one_round(seed, options.examples, options.jobs):
            print(f"again: make fuzz SEED={seed} EXAMPLES={options.examples}", file=sys.stderr)
            return code
    print(f"{rounds} rounds found no difference.")
    return 0


def one_round(seed: int, examples: int, jobs: int) -> int:
    """The exit code of pytest. The database of earlier failures is left out, so that the seed alone decides."""
    command = [
        sys.executable, "-m", "pytest", "-q", "-n", str(jobs), "--timeout", "0", "-p", "no:cacheprovider", "-m", "hypothesis",
        f"--hypothesis-seed={seed}", *COMPARISONS,
    ]  # fmt: skip
    settings = {"HYPOTHESIS_PROFILE": "fuzz", "HYPOTHESIS_EXAMPLES": str(examples)}
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
