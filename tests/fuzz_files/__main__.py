"""`make fuzz-files`: hostile and damaged files against everything that reads them, for a bounded time: databases, and with
--what changesets and feedback."""

import argparse
import hashlib
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.fuzz_files.changesets import CHANGESETS, make_changesets
from tests.fuzz_files.feedback import FEEDBACK, make_feedback
from tests.fuzz_files.guide import DATABASES, Campaign, Finding, Target, run
from tests.fuzz_files.seeds import make_seeds
from tests.fuzz_files.trial import try_file

ROOT = Path(__file__).resolve().parents[2]
FINDINGS = ROOT / ".local" / "fuzz-files"


def _databases(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in make_seeds(folder)]


TARGETS: dict[str, tuple[Target, Callable[[Path], list[bytes]]]] = {
    "databases": (DATABASES, _databases),
    "changesets": (CHANGESETS, make_changesets),
    "feedback": (FEEDBACK, make_feedback),
}


def main() -> int:
    """0 when nothing was found, 1 when something was."""
    parser = argparse.ArgumentParser(prog="make fuzz-files", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="begin no further trial after this time")
    parser.add_argument("--trials", type=int, help="so many trials instead; then the seed alone decides what is tried")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="draw the same files again")
    parser.add_argument("--what", choices=TARGETS, default="databases", help="what the files are")
    parser.add_argument("--file", type=Path, help="try this one file, with every use")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="mailtide-fuzz-") as folder:
        if options.file:
            return _one(options.file, TARGETS[options.what][0], Path(folder))
        return _many(options, Path(folder))


def _one(path: Path, target: Target, folder: Path) -> int:
    verdict = try_file(path.read_bytes(), target.uses, folder)
    for name, sentence in verdict.sentences.items():
        print(f"{name}: {sentence or 'went well'}")
    print(verdict.finding or f"Nothing is wrong: {verdict.seconds:.1f} s, {verdict.memory_mb:.0f} MB.")
    return 1 if verdict.finding else 0


def _many(options: argparse.Namespace, folder: Path) -> int:
    (folder / "seeds").mkdir()
    (folder / "trial").mkdir()
    target, make = TARGETS[options.what]
    seeds = make(folder / "seeds")
    campaign = Campaign(seeds, Random(options.seed), folder / "trial", target)
    print(f"{options.what}: seed {options.seed}, {len(seeds)} files to begin with", flush=True)
    until_s = None if options.trials else time.monotonic() + options.minutes * 60
    run(campaign, trials=options.trials, until_s=until_s, say=lambda line: print(line, flush=True), report=_report)
    print(
        f"{campaign.trials:,} trials from seed {options.seed}: {campaign.refused:,} refused in {len(campaign.sentences)} ways, "
        f"{campaign.accepted:,} accepted; slowest {campaign.slowest_s:.1f} s, most memory {campaign.most_memory_mb:.0f} MB; "
        f"{len(campaign.lines):,} lines reached; {len(campaign.findings)} findings"
    )
    return 1 if campaign.findings else 0


def _report(finding: Finding) -> None:
    FINDINGS.mkdir(parents=True, exist_ok=True)
    path = FINDINGS / f"{hashlib.sha256(finding.content).hexdigest()[:16]}.db"
    path.write_bytes(finding.content)
    print(f"\n{finding.what}\n  kept: {path.relative_to(ROOT)} ({', '.join(finding.uses)})", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
