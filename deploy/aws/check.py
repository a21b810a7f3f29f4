"""`make check-template`: checkov over template.yaml, each exception explained in exceptions.yaml; hadolint over the image."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import yaml

from deploy.aws.template import ROOT

TOOLS = ROOT / ".tools" / "check" / "bin"
type Exceptions = dict[str, dict[str, Any]]
type Finding = tuple[str, str, str]
"""Check, resource, what checkov says of it."""


def load_exceptions() -> Exceptions:
    """deploy/aws/exceptions.yaml: by check; `resources` are patterns, `why` is a sentence."""
    found: Exceptions = yaml.safe_load((ROOT / "deploy/aws/exceptions.yaml").read_text(encoding="utf-8"))
    return found


def unexplained(findings: Iterable[Finding], exceptions: Exceptions) -> list[str]:
    """One line for each finding without an exception, then one for each exception without a finding."""
    findings = list(findings)
    used: set[tuple[str, str]] = set()
    lines = []
    for check, resource, says in findings:
        patterns = [one for one in exceptions.get(check, {}).get("resources", []) if fnmatchcase(resource, one)]
        used |= {(check, one) for one in patterns}
        if not patterns:
            lines.append(f"{check} {resource}: {says}")
    idle = [(check, one) for check, rule in exceptions.items() for one in rule["resources"] if (check, one) not in used]
    return [*lines, *(f"{check} {one}: an exception for something that is not found any more" for check, one in idle)]


def checkov() -> list[Finding]:
    """What it finds. It asks its maker for guidelines unless it is told not to; this does."""
    command = (str(TOOLS / "checkov"), "--framework", "cloudformation", "--file", "template.yaml", "--output", "json")
    quiet = {**os.environ, "BC_SKIP_MAPPING": "TRUE", "LOG_LEVEL": "ERROR"}
    done = subprocess.run([*command, "--compact"], cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        sys.exit(f"mailtide: checkov gave no report: {done.stderr.strip().rpartition('\n')[2]}")
    if report["summary"]["parsing_errors"] or not report["summary"]["resource_count"]:
        sys.exit("mailtide: checkov could not read template.yaml.")
    print(f"checkov: {report['summary']['passed']} checks passed, {report['summary']['failed']} found something")
    return [(one["check_id"], one["resource"], one["check_name"]) for one in report["results"]["failed_checks"]]


def main() -> int:
    """Exit code: 0 when all that is found is explained."""
    exceptions = load_exceptions()
    lines = unexplained(checkov(), exceptions)
    print("\n".join(f"  {line}" for line in lines) or f"  all of it explained by {len(exceptions)} exceptions")
    image = subprocess.run([str(TOOLS / "hadolint"), "machine/Dockerfile"], cwd=ROOT, check=False).returncode
    print(f"hadolint: machine/Dockerfile is {'not ' if image else ''}clean")
    return 1 if lines or image else 0


if __name__ == "__main__":
    sys.exit(main())
