"""Keys are read back exactly, and nothing else is taken for one."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.contracts import PlanMessage
from mailtide.runs import keys
from mailtide.runs.inbox import of_key

RUN = "0123456789abcdef0123"
ORGS = st.builds(
    lambda head, tail: head + tail,
    st.sampled_from(string.ascii_letters + string.digits),
    st.text(string.ascii_letters + string.digits + "._-", max_size=62),
)
RUNS = st.text("0123456789abcdef", min_size=20, max_size=20)
TASKS = st.one_of(st.sampled_from(["whole", "merge"]), st.integers(0, 9999).map("chunk-{:04}".format))


@given(ORGS, RUNS, TASKS, st.integers(1, 99), st.sampled_from(["manifest.json", "error.json", "contacts.db"]))
def test_a_key_reads_back_as_it_was_made(org: str, run: str, task: str, attempt: int, name: str) -> None:
    paths = keys.TryKeys(org, run, task, attempt)
    made = {"manifest.json": paths.manifest, "error.json": paths.error, "contacts.db": paths.delivered("contacts.db")}[
        name
    ]
    assert keys.parse_try(made) == (paths, name)
    assert keys.parse_source(keys.source(org)) == org
    assert keys.parse_result(keys.result(org, run)) == (org, run)
    assert keys.parse_marker(keys.marker(org, run)) == (org, run)


HOSTILE = [
    "",
    "/",
    "orgs//contacts.db",
    "orgs/acme/contacts.db\n",
    "orgs/acme/contacts.db/",
    "orgs/acme/x/contacts.db",
    "orgs/../contacts.db",
    "orgs/.hidden/contacts.db",
    "orgs/-dash/contacts.db",
    "orgs/a b/contacts.db",
    "orgs/ärzte/contacts.db",
    "orgs/acme%2F/contacts.db",
    "orgs/acme\x00/contacts.db",
    "orgs/" + "a" * 64 + "/contacts.db",
    "orgs/acme/Contacts.db",
    "Orgs/acme/contacts.db",
    "xorgs/acme/contacts.db",
    "orgs/acme/contacts.db.bak",
    f"runs/acme/{RUN}/tasks/whole/0/manifest.json",
    f"runs/acme/{RUN}/tasks/whole/01/manifest.json",
    f"runs/acme/{RUN}/tasks/whole/100/manifest.json",
    f"runs/acme/{RUN}/tasks/whole/١/manifest.json",
    f"runs/acme/{RUN}/tasks/whole/1/x/manifest.json",
    f"runs/acme/{RUN}/tasks/whole/1/",
    f"runs/acme/{RUN}/tasks/chunk-1/1/manifest.json",
    f"runs/acme/{RUN}/tasks/../1/manifest.json",
    f"runs/acme/{RUN.upper()}/result.json",
    f"runs/acme/{RUN}0/result.json",
    f"runs/acme/{RUN}/result.json\n",
    f"runs/acme/x/{RUN}/result.json",
    f"open/acme/{RUN}/",
    f"open/acme/{RUN}\n",
    f"open/{RUN}",
]


@pytest.mark.parametrize("key", HOSTILE)
def test_strangers_are_nobody(key: str) -> None:
    assert keys.parse_source(key) is None
    assert keys.parse_result(key) is None
    assert keys.parse_marker(key) is None
    assert keys.parse_try(key) is None
    assert of_key(key) is None


@given(st.text(max_size=120))
def test_any_text_is_read_without_an_error(key: str) -> None:
    assert keys.parse_try(key) is None or key.startswith("runs/")
    message = of_key(key)
    assert message is None or isinstance(message, PlanMessage) or key.startswith("runs/")


@pytest.mark.parametrize("name", ["claim.json", "task.json", "launch.json", "contacts.db", "manifest.json.tmp"])
def test_only_manifests_and_errors_are_deliveries(name: str) -> None:
    key = f"runs/acme/{RUN}/tasks/whole/1/{name}"
    assert keys.parse_try(key) is not None
    assert of_key(key) is None
