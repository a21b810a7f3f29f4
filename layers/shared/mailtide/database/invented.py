"""Databases of invented contacts that look like an insurance agency's: for trying things out, demos and benchmarks.

Nobody in them exists: addresses end in the domains that RFC 2606 reserves, telephone numbers are 555-01xx. States are
weighted by the census of 2020 (thousands of people), ZIPs are real ones of the state. Equal arguments give equal rows.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from mailtide.rules.states import STATES
from mailtide.rules.zip_lookup import state_of_zip

_PEOPLE = {
    "AL": 5024, "AK": 733, "AZ": 7152, "AR": 3012, "CA": 39538, "CO": 5774, "CT": 3606, "DC": 690, "DE": 990,
    "FL": 21538, "GA": 10712, "HI": 1455, "IA": 3190, "ID": 1839, "IL": 12813, "IN": 6786, "KS": 2938, "KY": 4506,
    "LA": 4658, "MA": 7030, "MD": 6177, "ME": 1362, "MI": 10077, "MN": 5706, "MO": 6155, "MS": 2961, "MT": 1084,
    "NC": 10439, "ND": 779, "NE": 1962, "NH": 1378, "NJ": 9289, "NM": 2118, "NV": 3105, "NY": 20201, "OH": 11799,
    "OK": 3959, "OR": 4237, "PA": 13003, "RI": 1097, "SC": 5118, "SD": 887, "TN": 6911, "TX": 29146, "UT": 3272,
    "VA": 8631, "VT": 643, "WA": 7705, "WI": 5894, "WV": 1794, "WY": 577,
}  # fmt: skip
_FIRST_NAMES = (
    "Mary", "James", "Patricia", "Robert", "Linda", "John", "Barbara", "Michael", "Susan", "David", "Carol",
    "William", "Nancy", "Richard", "Sharon", "Thomas", "Donna", "Charles", "Sandra", "Joseph", "Ruth", "Daniel",
    "Judith", "George", "Betty", "Kenneth", "Shirley", "Ronald", "Joyce", "Edward", "Dorothy", "Larry", "Janet",
    "Frank", "Alice", "Raymond", "Diane", "Jerry", "Gloria", "Dennis", "Rosa", "Luis", "Elena", "Carlos", "Mei",
    "Wei", "Aisha", "Omar", "Ingrid", "Lars",
)  # fmt: skip
_LAST_NAMES = (
    "Smith", "Johnson", "Williams", "Brown", "Jones", "Garcia", "Miller", "Davis", "Rodriguez", "Martinez",
    "Hernandez", "Lopez", "Wilson", "Anderson", "Thomas", "Taylor", "Moore", "Jackson", "Martin", "Lee", "Perez",
    "Thompson", "White", "Harris", "Clark", "Lewis", "Robinson", "Walker", "Young", "Allen", "King", "Wright",
    "Scott", "Torres", "Nguyen", "Hill", "Flores", "Green", "Adams", "Nelson", "Baker", "Hall", "Rivera", "Campbell",
    "Mitchell", "Carter", "Roberts", "Okafor", "Kim",
)  # fmt: skip
_DOMAINS = ("example.com", "example.net", "example.org")
_REFERENCE_YEAR = 2026
_AGES = np.arange(30, 96)
_CREATE = """
CREATE TABLE contacts (
    id INTEGER PRIMARY KEY, first_name TEXT, last_name TEXT, email TEXT NOT NULL, phone_number TEXT,
    zip_code TEXT, state TEXT, birth_date TEXT, effective_date TEXT
);
CREATE TABLE suppressions (email TEXT);
"""


@dataclass(frozen=True, slots=True)
class Invented:
    """What was made."""

    contacts: int
    bad_contacts: int
    suppressions: int
    size_bytes: int


def invent_database(path: Path, contacts: int, seed: int, bad_fraction: float) -> Invented:
    """Write a database of `contacts` invented people to `path`, replacing what is there at the end, at once.

    seed: any integer from 0. bad_fraction: 0..1, the share of contacts with something wrong, evenly of every kind.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.absolute().parent)
    os.close(descriptor)
    draft = Path(name)
    try:
        rng = np.random.default_rng(seed)
        connection = apsw.Connection(name)
        try:
            for statement in ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", _CREATE, "BEGIN"):
                connection.execute(statement).fetchall()
            bad, suppressions = _fill(connection, rng, contacts, bad_fraction)
            connection.execute("COMMIT")
        finally:
            connection.close()
        umask = os.umask(0)
        os.umask(umask)
        draft.chmod(0o666 & ~umask)
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    return Invented(contacts, bad, suppressions, path.stat().st_size)


def _fill(connection: apsw.Connection, rng: np.random.Generator, count: int, bad_fraction: float) -> tuple[int, int]:
    bad = np.sort(rng.choice(count, round(count * bad_fraction), replace=False)) if count else np.empty(0, np.int64)
    kind = dict(zip(bad.tolist(), np.resize(np.arange(len(_FAULTS)), len(bad)).tolist(), strict=True))
    suppressed: list[str] = []

    def rows() -> Iterator[list[Any]]:
        for start in range(0, count, 65_536):
            for row in _people(rng, start, min(65_536, count - start)):
                index = row[0] - 1
                values = list(row)
                if index in kind:
                    _FAULTS[kind[index]](values, suppressed)
                yield values

    connection.executemany("INSERT INTO contacts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows())
    connection.executemany("INSERT INTO suppressions VALUES (?)", ((email,) for email in suppressed))
    return len(bad), len(suppressed)


def _people(rng: np.random.Generator, start: int, count: int) -> Iterator[tuple[Any, ...]]:
    """Rows of the table contacts, from id start + 1 on."""
    people = np.array([_PEOPLE[name] for name in STATES], float)
    state = rng.choice(len(STATES), count, p=people / people.sum())
    first = rng.integers(len(_FIRST_NAMES), size=count)
    last = rng.integers(len(_LAST_NAMES), size=count)
    domain = rng.integers(len(_DOMAINS), size=count)
    area, line = rng.integers(201, 990, size=count), rng.integers(100, size=count)
    has_phone = rng.random(count) < 0.7
    birth = _births(rng, count)
    effective = _effective_dates(rng, birth)
    has_birth, has_effective = rng.random(count) < 0.97, rng.random(count) < 0.96
    columns = (state, first, last, domain, area, line, has_phone, _zips(rng, state), has_birth, has_effective)
    texts = (np.datetime_as_string(birth).tolist(), np.datetime_as_string(effective).tolist())
    for number, (s, f, n, d, a, p, phone, zip_code, born, began, birth_date, effective_date) in enumerate(
        zip(*(column.tolist() for column in columns), *texts, strict=True), start + 1
    ):
        yield (
            number,
            _FIRST_NAMES[f],
            _LAST_NAMES[n],
            f"{_FIRST_NAMES[f]}.{_LAST_NAMES[n]}{number}@{_DOMAINS[d]}".lower(),
            f"{a}-555-01{p:02d}" if phone else None,
            f"{zip_code:05d}",
            STATES[s],
            birth_date if born else None,
            effective_date if began else None,
        )


def _zips(rng: np.random.Generator, state: NDArray[np.int64]) -> NDArray[np.int64]:
    known = state_of_zip(np.arange(100_000))
    zips = np.zeros(len(state), np.int64)
    for code in range(len(STATES)):
        members = np.flatnonzero(state == code)
        zips[members] = rng.choice(np.flatnonzero(known == code), len(members))
    return zips


def _births(rng: np.random.Generator, count: int) -> NDArray[np.datetime64]:
    """Mostly 64 to 90 years old, fewer with age; one in forty younger."""
    weights = np.where(_AGES < 64, 0.025 / 34, np.exp(-(((_AGES - 64) / 14.0) ** 2)))
    weights[_AGES >= 64] *= 0.975 / weights[_AGES >= 64].sum()
    age = rng.choice(_AGES, count, p=weights / weights.sum())
    first = np.array(_REFERENCE_YEAR - age - 1970, "datetime64[Y]").astype("datetime64[D]")
    days: NDArray[np.datetime64] = first + rng.integers(0, 365, count).astype("timedelta64[D]")
    return days


def _effective_dates(rng: np.random.Generator, birth: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Policies mostly start on the first of a month, often of January or of the month of the 65th birthday."""
    count = len(birth)
    turned_65 = birth.astype("datetime64[M]") + np.timedelta64(65 * 12, "M")
    latest = np.datetime64(f"{_REFERENCE_YEAR}-10", "M")
    span = np.maximum((latest - np.minimum(turned_65, latest)).astype(np.int64), 0)
    later = np.minimum(turned_65, latest) + (rng.random(count) * (np.minimum(span, 180) + 1)).astype("timedelta64[M]")
    january = later.astype("datetime64[Y]").astype("datetime64[M]")
    month = np.where(rng.random(count) < 0.3, january, later)
    within = np.where(rng.random(count) < 0.92, 0, rng.integers(1, 28, count))
    days: NDArray[np.datetime64] = month.astype("datetime64[D]") + within.astype("timedelta64[D]")
    return days


_EMAIL, _PHONE, _ZIP, _STATE, _BIRTH, _EFFECTIVE = 3, 4, 5, 6, 7, 8


def _suppress(row: list[Any], suppressed: list[str]) -> None:
    suppressed.append(f" {row[_EMAIL].upper()} ")


def _no_place(row: list[Any], _: list[str]) -> None:
    row[_STATE], row[_ZIP] = "ZZ", "00000"


def _moved(row: list[Any], _: list[str]) -> None:
    row[_STATE] = "TX" if row[_STATE] == "CA" else "CA"


def _setter(column: int, value: object) -> Any:  # noqa: ANN401 - a function of a row, of the shape of the others
    def change(row: list[Any], _: list[str]) -> None:
        row[column] = value(row[column]) if callable(value) else value

    return change


_FAULTS = (
    _setter(_EMAIL, lambda email: email.replace("@", " at ")),
    _setter(_EMAIL, ""),
    _setter(_EMAIL, "shared.mailbox@example.com"),
    _setter(_EMAIL, lambda email: f"  {email.upper()} "),
    _suppress,
    _no_place,
    _moved,
    _setter(_STATE, None),
    _setter(_STATE, lambda state: f" {state.lower()} "),
    _setter(_ZIP, lambda zip_code: f"{zip_code}-1234"),
    _setter(_ZIP, lambda zip_code: zip_code.lstrip("0")),
    _setter(_BIRTH, "1951-02-30"),
    _setter(_BIRTH, "03/15/1949"),
    _setter(_BIRTH, "1952-02-29"),
    _setter(_EFFECTIVE, "unknown"),
    _setter(_EFFECTIVE, "2019-07-01T00:00:00Z"),
    _setter(_PHONE, "  "),
)
"""What is wrong with a bad contact; the last of each column's are unusual rather than wrong."""
