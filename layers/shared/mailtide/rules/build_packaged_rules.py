"""Writes the packaged rules files as JSON: `python -m mailtide.rules.build_packaged_rules`, after each change of one."""

import json
import sys
from pathlib import Path

from mailtide.rules.config import DATA, PACKAGED, load_rules, packaged_rules
from mailtide.rules.rules_file import checked_values


def json_path(name: str) -> Path:
    """Where the JSON of a packaged file lies."""
    return DATA / f"{name}.json"


def json_text(name: str) -> str:
    """What `load_packaged` reads: the effective values of a packaged file, without what is as usual, and their digest."""
    values = checked_values(packaged_rules(name)).model_dump(mode="json", exclude_defaults=True)
    values["sha256"] = load_rules(packaged_rules(name)).sha256
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for packaged in PACKAGED:
        json_path(packaged).write_text(json_text(packaged), encoding="utf-8")
        sys.stdout.write(f"{json_path(packaged)}\n")
