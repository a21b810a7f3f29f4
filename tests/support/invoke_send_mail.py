"""One invocation of functions/send_mail in a process of its own: an event on standard input, its answer on the last line."""

import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path

APP = Path(__file__).resolve().parents[2] / "functions" / "send_mail" / "app.py"


@dataclass
class Context:
    """What Lambda hands to a function."""

    function_name: str = "send_mail"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:send_mail"
    aws_request_id: str = "00000000-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return 300_000


if __name__ == "__main__":
    spec = importlib.util.spec_from_file_location("app", APP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    answer = module.handler(json.load(sys.stdin), Context())
    print(json.dumps(answer))
