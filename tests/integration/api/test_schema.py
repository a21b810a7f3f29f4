"""Schemathesis asks the API what its OpenAPI document allows, and what it does not, and judges every answer by it.

A short part of it; MAILTIDE_API_EXAMPLES=100 asks so much of each operation, and each bound of each parameter (`make fuzz-api`).
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.integration.api.conftest import OPERATOR, Api

ROOT = Path(__file__).resolve().parents[3]
CONFIG = Path(__file__).with_name("schemathesis.toml")
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "response_headers_conformance,negative_data_rejection,unsupported_method,allow_header_conformance"
)
"""Not `ignored_auth`: after twenty wrong tokens the answer is 429; test_requests.py has each resource without a token."""


def test_answers_are_what_the_document_says(planned: Api, tmp_path: Path) -> None:
    examples = os.environ.get("MAILTIDE_API_EXAMPLES")
    phases = "coverage,fuzzing" if examples else "fuzzing"
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG)),
            *("run", str(ROOT / "docs" / "openapi.json")),
            *("--url", planned.url, "--header", f"Authorization: Bearer {planned.tokens[OPERATOR]}"),
            *("--phases", phases, "--max-examples", examples or "4", "--seed", "20261122"),
            *("--checks", CHECKS, "--no-shrink", "--continue-on-failure", "--generation-database", "none"),
        ],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Tested: " in done.stdout
    print(done.stdout[done.stdout.index("= SUMMARY =") :])
