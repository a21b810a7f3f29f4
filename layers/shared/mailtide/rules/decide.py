"""The whole of the rules: from the columns of a database to the rows that should stand in it (spec §2 to §8).

Three parts that follow one another: who is eligible (people), what each contact could get (propose), and what of it
stands (settle). Where the contacts are cut over several machines, each proposes for its own, and one settles.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mailtide.rules.candidates import Chunk
from mailtide.rules.columns import Inputs, Int32, Outcome
from mailtide.rules.config import Rules
from mailtide.rules.ground import check_volume, lay_ground
from mailtide.rules.handled import Handled
from mailtide.rules.people import judge
from mailtide.rules.propose import Proposer
from mailtide.rules.settle import Progress, counted, settle, with_post_window
from mailtide.rules.volume import NO_LIMITS, Limits

CHUNK_CONTACTS = 1 << 16


def split_contacts(eligible: Int32, contacts: int) -> list[Int32]:
    """The indexes of the eligible contacts (ascending) in parts, one for each CHUNK_CONTACTS of all; at least one part."""
    edges = np.arange(0, contacts, CHUNK_CONTACTS)[1:]
    return np.split(eligible, np.searchsorted(eligible, edges))


def decide(
    inputs: Inputs,
    rules: Rules,
    as_of: int,
    threads: int = 1,
    progress: Progress | None = None,
    limits: Limits = NO_LIMITS,
) -> Outcome:
    """The rows that should stand in email_schedules on the day `as_of` (days since 1970-01-01).

    threads: 1 or more; the rows are the same for any number. progress: called with a stage, the chunks done and their number.
    DatabaseError when more could come of it than the limits allow.
    """
    with ThreadPoolExecutor(threads) as pool:
        people, skipped, mismatches = judge(inputs.contacts, pool)
        ground = lay_ground(inputs, people, rules, as_of)
        check_volume(ground, limits)
        handled = Handled(inputs, rules, ground.table)
        proposer = Proposer(ground, handled)

        def make(contact: Int32) -> Chunk:
            return with_post_window(ground, handled, proposer.propose(contact))

        parts = split_contacts(people.eligible, len(inputs.contacts))
        chunks = counted(pool.map(make, parts), "candidates", len(parts), progress)
        desired, notes = settle(ground, chunks, pool, progress)
    return Outcome(
        desired=desired,
        eligible=len(people.eligible),
        skipped_contacts=skipped,
        notes={"state_zip_mismatch": mismatches, **notes},
    )
