"""`make audit`: what we ship, under which licences, and which known holes it has.

A list of parts (CycloneDX) and the licences of each thing that is shipped, from an environment that holds exactly that; and every
pin of this repository against a database of known vulnerabilities. Exit codes: 0 clean, 1 something was found, 3 the database was
not reached or knows none of the packages, so that nothing can be said about holes.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "audit"
TOOLS = ROOT / ".tools" / "audit" / "bin"
UV = (str(ROOT / ".tools/uv/bin/uv"), "--no-config")
SHIPPED: dict[str, tuple[str, ...]] = {
    "functions": (),
    "machine": ("--extra", "machine", "--extra", "parquet"),
    "command-line": ("--all-extras",),
}
"""What is shipped -> the extras that it has of pyproject.toml."""
NOT_REACHED = 3


def refused_licences(packages: list[dict[str, str]], allowed: set[str], exceptions: Mapping[str, str]) -> list[str]:
    """One line for each package that may not be shipped. packages: as pip-licenses lists them."""
    return [
        f"{one['Name']} {one['Version']}: {one['License']}"
        for one in packages
        if one["Name"] not in exceptions and not is_allowed(one["License"], allowed)
    ]


def is_allowed(licence: str, allowed: set[str]) -> bool:
    """Whether all parts of an expression are (AND, and the lists of trove classifiers), of alternatives (OR) one."""
    return all(
        any(choice.strip(" ()") in allowed or choice.strip() in allowed for choice in part.split(" OR "))
        for part in re.split(r" AND |; ", licence)
    )


def unused_exceptions(names: set[str], exceptions: Mapping[str, str]) -> list[str]:
    """Exceptions for packages that are shipped no more."""
    return sorted(exceptions.keys() - names)


def holes(report: dict[str, Any]) -> Iterator[str]:
    """One line for each known vulnerability in pip-audit's report."""
    for package in report["dependencies"]:
        for hole in package.get("vulns", []):
            mended = ", ".join(hole["fix_versions"]) or "no version yet"
            yield f"{package['name']} {package['version']}: {hole['id']}, mended in {mended}"


def unknown(report: dict[str, Any]) -> list[str]:
    """Packages that the database did not answer for: pip-audit leaves them out and is content."""
    return [package["name"] for package in report["dependencies"] if "skip_reason" in package]


def _run(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    variables = {**os.environ, **environment}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)


def _must(*command: str, **environment: str) -> str:
    done = _run(*command, **environment)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        sys.exit(f"mailtide: {Path(command[0]).name} failed: {last}")
    return done.stdout


def list_parts(part: str, extras: tuple[str, ...], python: str) -> list[dict[str, str]]:
    """Write build/sbom-{part}.cdx.json; returns the packages as pip-licenses lists them."""
    home = FOLDER / part
    sync = ("sync", "--quiet", "--locked", "--no-dev", *extras, "--no-install-project", "--python", python)
    _must(*UV, *sync, UV_PROJECT_ENVIRONMENT=str(home))
    listed = _must(
        str(TOOLS / "pip-licenses"),
        *("--python", str(home / "bin/python"), "--format", "json", "--from", "mixed", "--with-system"),
    )
    packages: list[dict[str, str]] = json.loads(listed)
    sbom = ROOT / "build" / f"sbom-{part}.cdx.json"
    _must(
        str(TOOLS / "cyclonedx-py"),
        *(
            "environment",
            "--pyproject",
            "pyproject.toml",
            "--output-reproducible",
            "--output-file",
            str(sbom),
            str(home),
        ),
    )
    print(f"{part}: {len(packages)} packages, listed in {sbom.relative_to(ROOT)}")
    return packages


def pins() -> list[Path]:
    """Every file of hashed pins: of what is shipped, of the tests and of each tool."""
    everything = FOLDER / "uv-lock.txt"
    export = (
        "export",
        "--quiet",
        "--locked",
        "--all-extras",
        "--all-groups",
        "--no-emit-project",
        "--no-annotate",
        "--no-header",
    )
    everything.write_text(_must(*UV, *export), encoding="utf-8")
    return [everything, *sorted((ROOT / "localstack/tools").glob("*.txt"))]


def named(requirements: str) -> list[str]:
    """The packages that a file of pins names."""
    return re.findall(r"^([\w.-]+)==", requirements, re.MULTILINE)


def look_for_holes(file: Path, service: str) -> dict[str, Any] | None:
    """pip-audit's report about one file of pins, or None when the database was not reached."""
    report = FOLDER / f"{file.stem}-holes.json"
    report.unlink(missing_ok=True)
    options = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--vulnerability-service", service)
    _run(str(TOOLS / "pip-audit"), "--requirement", str(file), *options, "--format", "json", "--output", str(report))
    if not report.exists():
        return None
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


def check_licences(python: str) -> list[str]:
    """The lists of parts, and what is wrong with licences."""
    rules = yaml.safe_load((ROOT / "deploy/supply_chain/licences.yaml").read_text(encoding="utf-8"))
    packages = {one["Name"]: one for part, extras in SHIPPED.items() for one in list_parts(part, extras, python)}
    wrong = refused_licences([*packages.values()], set(rules["allowed"]), rules["exceptions"])
    wrong += [
        f"{name}: an exception that is no longer needed" for name in unused_exceptions({*packages}, rules["exceptions"])
    ]
    print(
        f"licences: {len(packages)} packages, " + ("all of them allowed" if not wrong else "not all of them allowed:")
    )
    return wrong


def check_holes(service: str) -> tuple[list[str], list[str]]:
    """(known vulnerabilities, pins that nothing is known about)."""
    found: list[str] = []
    silent: list[str] = []
    files = pins()
    for file in files:
        report = look_for_holes(file, service)
        if report is None:
            silent += named(file.read_text(encoding="utf-8"))
            continue
        found += [f"{file.name}: {line}" for line in holes(report)]
        silent += unknown(report)
    count = sum(len(named(file.read_text(encoding="utf-8"))) for file in files)
    print(
        f"holes: {count} pins, {len(found)} known holes" + (f", {len(silent)} pins without an answer" if silent else "")
    )
    return found, silent


def main(arguments: list[str]) -> int:
    """Exit code."""
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("--service", default="pypi", choices=["pypi", "osv"], help="database of vulnerabilities")
    given = parser.parse_args(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    wrong = check_licences((ROOT / ".tools/python313").read_text(encoding="utf-8").strip())
    found, silent = check_holes(given.service)
    for line in (*wrong, *found):
        print(f"  {line}")
    if wrong or found:
        return 1
    if silent:
        print(
            f"mailtide: the database of vulnerabilities ({given.service}) gave no answer for {len(silent)} pins, so nothing can"
            " be said about holes; try the other one (SERVICE=osv or pypi), or from another network.",
            file=sys.stderr,
        )
        return NOT_REACHED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
