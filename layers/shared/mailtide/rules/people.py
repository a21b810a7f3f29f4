"""Who is eligible (spec §2), and of these what the windows need: the state and the codes of the two dates."""

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from mailtide.rules.columns import NO_STATE, Bool, Contacts, Int16, Int32, Int64, UInt8
from mailtide.rules.dates import code_and_year


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """All contacts by index; shape (n,)."""

    id: Int64
    state: UInt8
    """NO_STATE for a contact that is not eligible."""
    birth_code: Int16
    birth_year: Int16
    effective_code: Int16
    has_phone: Bool
    eligible: Int32
    """Indexes of the eligible contacts, ascending."""


def judge(contacts: Contacts, pool: Executor | None = None) -> tuple[People, dict[str, int], int]:
    """The people, the number of ineligible contacts by first reason, and how many eligible ones have a ZIP elsewhere.

    pool: has threads to spare.
    """
    dated = (pool.map if pool else map)(code_and_year, (contacts.birth, contacts.effective))
    state = np.where(contacts.state != NO_STATE, contacts.state, contacts.zip_state)
    invalid = ~contacts.email_valid
    suppressed = ~invalid & contacts.suppressed
    reachable = contacts.email_valid & ~contacts.suppressed
    eligible = reachable & (state != NO_STATE)
    both = eligible & (contacts.state != NO_STATE) & (contacts.zip_state != NO_STATE)
    counts = {
        "invalid_email": int(np.count_nonzero(invalid)),
        "suppressed": int(np.count_nonzero(suppressed)),
        "no_state": int(np.count_nonzero(reachable)) - int(np.count_nonzero(eligible)),
    }
    (birth_code, birth_year), (effective_code, _) = dated
    people = People(
        id=contacts.id,
        state=np.where(eligible, state, NO_STATE).astype(np.uint8),
        birth_code=birth_code,
        birth_year=birth_year,
        effective_code=effective_code,
        has_phone=contacts.has_phone,
        eligible=np.flatnonzero(eligible).astype(np.int32),
    )
    return people, counts, int(np.count_nonzero(both & (contacts.state != contacts.zip_state)))
