"""Where the commands that the pages show are typed: on files alone, on the deployed template, beside the API, or not here."""

import re
from pathlib import Path

from tests.support.consoles import Step, steps_of

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = {page.name: page for page in DOCS.glob("*.md")}

FILES, RUNS, API, FLY = "files", "runs", "api", "fly"
PLACES = (
    (r"\.venv/bin/mailtide\b", RUNS),
    (r"mailtide fly\b", FLY),
    (r"mailtide (orgs|upload|run|runs|logs|sync pull|sync push|sync apply)\b", RUNS),
    (r"mailtide (tokens|mailboxes|warmup (status|trigger))\b|curl .*\$API", API),
    (r"(mailtide|cat|cp|echo|head|sed|export PATH=\"\$PWD)\b", FILES),
)
TYPED = {
    RUNS: ["deploy.md", "run-it.md", "sync.md", "webhooks.md"],
    API: ["http-api.md", "page.md", "tigris.md", "warmup.md"],
    FLY: ["fly.md"],
}
"""The pages with such commands, each of which a test types: in tests/e2e and in integration/api, planning and fly."""
NOT_HERE = (
    (
        r"mailtide mailboxes check\b",
        "asks the DNS of the world; tests/integration/planning/test_check.py types them with a DNS server of its own",
    ),
    (
        r"mailtide mailboxes (domains\b|import mailboxes\.csv( --no-dns-check)?\s*(#|$))",
        "asks the DNS of the world; tests/integration/planning/test_commands.py types them with a DNS server of its own",
    ),
    (r"make\b", "what a target does is its own test; make newcomer types those of README and tutorial"),
    (
        r"aws\b",
        "the AWS command line is not among the tools; tests/unit/docs/test_shown.py knows its operations and options",
    ),
    (r"(docker|sam local|localstack)\b", "needs Docker"),
    (r"(flyctl|fly)\b", "needs an account at Fly.io"),
    (r"export MAILTIDE_FLY_TOKEN=…", "the test has values of its own"),
    (r"export AWS_ENDPOINT_URL_S3=https://t3", "Tigris itself; tests/integration/tigris has a server in its place"),
    (r"eval \"\$\(make -s settings\)\"", "tests/unit/deploy; the environment of the test has what it prints"),
    (r"\.tools/sam/bin/sam delete", "the local cloud ends with its processes"),
    (
        r"(\.venv/bin/)?mailtide doctor",
        "tests/integration/doctor; tests/e2e/test_pages.py asks it of what is deployed",
    ),
    (
        r"mailtide calibrate",
        "measures for half a minute; tests/integration/cli/test_calibrate.py does it with fewer contacts",
    ),
    (
        r"mailtide orgs webhook acme --test",
        "tells an address that does not exist; tests/integration/webhook has one that does",
    ),
)


def place_of(step: Step) -> str | None:
    """FILES, RUNS, API or FLY; None for what no test can type (NOT_HERE says why). AssertionError for what nobody knows."""
    if any(re.match(pattern, step.command) for pattern, _ in NOT_HERE):
        return None
    for pattern, place in PLACES:
        if re.match(pattern, step.command):
            return place
    raise AssertionError(f"{step.where}: no test types {step.command!r}; see tests/support/pages.py")


def steps_at(place: str, page: str) -> list[Step]:
    """The commands of a page that are typed there."""
    return [step for step in steps_of(PAGES[page]) if place_of(step) == place]


def pages_at(place: str) -> list[str]:
    """The pages with a command that is typed there."""
    return sorted(page for page in PAGES if steps_at(place, page))
