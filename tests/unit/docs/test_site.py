"""The site is built strictly: every link, anchor and page in its place."""

import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

from mkdocs_hooks import leaves

ROOT = Path(__file__).resolve().parents[3]


def test_the_site_builds(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")],
        check=False,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Tutorial: from nothing to a schedule" in (tmp_path / "site" / "tutorial.html").read_text(encoding="utf-8")


def test_links_out_of_the_site_are_known() -> None:
    decisions = PurePosixPath("decisions")
    assert leaves(PurePosixPath("."), "../template.yaml")
    assert leaves(decisions, "../../template.yaml")
    assert not leaves(decisions, "../rules.md")
