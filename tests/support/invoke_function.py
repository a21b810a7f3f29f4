"""One function in a process of its own: its name as argument, on standard input an event a line; each answer is a line."""

import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"


@dataclass
class Context:
    """What Lambda hands to a function."""

    function_name: str
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:any"
    aws_request_id: str = "00000000-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return 300_000


def main() -> None:
    name = sys.argv[1]
    spec = importlib.util.spec_from_file_location("app", FUNCTIONS / name / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for line in sys.stdin:
        print(json.dumps(module.handler(json.loads(line), Context(name))))


if __name__ == "__main__":
    main()
