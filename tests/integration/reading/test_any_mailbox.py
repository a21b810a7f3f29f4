"""Whatever lies in a mailbox: what is the warm-up's own is treated once, as the owner wishes, and the rest stays bit by bit."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from mailtide.warmup.contracts import Engagement, MailServer, RoundState
from mailtide.warmup.ids import SendId
from tests.support.odd_imap import ALL, OddFolder, OddImap, serving
from tests.support.reading_pool import LOOPBACK, ReadingPool

ADDRESSES = [f"person@company-{number}.example" for number in range(12)]
LOOKED_INTO = {"Junk": "junk", "INBOX": "inbox"}
"""In the order of a visit."""
FLAGS = ("\\Seen", "\\Flagged", "\\Deleted", "\\Answered", "Label")


@dataclass(frozen=True)
class Laid:
    """A mail in a mailbox: the number of a send to it, or None for a stranger's; and how it is forged, if it is."""

    folder: str
    send: int | None
    is_forged: bool
    flags: frozenset[str]


LAID = st.builds(
    Laid,
    st.sampled_from([*LOOKED_INTO, "Archive"]),
    st.sampled_from([0, 1, 2, 3, None]),
    st.sampled_from([False, False, True]),
    st.frozensets(st.sampled_from(FLAGS), max_size=3),
)
# Most often sent, and each other state too; "" is nothing yet.
STATES = st.lists(st.sampled_from(["s", "s", "s", "u", "d", "c", "r", "f", ""]), min_size=4, max_size=4)

WISHES = [
    Engagement(flag=True),
    Engagement(),
    Engagement(read=False),
    Engagement(rescue=False, flag=True),
    Engagement(read=False, rescue=False),
]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.lists(LAID, min_size=6, max_size=12),
    STATES,
    st.sampled_from(WISHES),
    st.sampled_from([ALL, ALL.replace(" MOVE", ""), ALL.replace(" MOVE", "").replace(" UIDPLUS", "")]),
)
def test_any_mailbox(laid: list[Laid], states: list[str], engagement: Engagement, capabilities: str) -> None:
    odd = OddImap({name: OddFolder() for name in [*LOOKED_INTO, "Archive"]}, capabilities)
    with serving(odd) as port:
        server = MailServer(host=LOOPBACK, port=port, security="none")
        pool = ReadingPool(ADDRESSES, server, engagement=engagement)
        sends = pool.to(0)
        for send_id, state in zip(sends, states, strict=True):
            if state:
                pool.leave(send_id, RoundState(state))
        for one in laid:
            odd.folders[one.folder].put(content_of(pool, one, sends), flags=tuple(one.flags))
        expected, places = what_should_be(odd, pool, laid, sends, states)
        assert [report.end for report in pool.read(0)] == ["visited"]
        assert everything_in(odd) == expected
        verdicts = {send_id: pool.placed(send_id) for send_id in sends}
        assert {send_id: placed.verdict for send_id, placed in verdicts.items() if placed} == places
        # All of the inbox is read anew.
        odd.folders["INBOX"].uidvalidity += 1
        assert [report.end for report in pool.read(0)] == ["visited"]
        assert everything_in(odd) == expected


def content_of(pool: ReadingPool, one: Laid, sends: list[SendId]) -> bytes:
    if one.send is None:
        return b"From: a@b.example\r\nX-Mailtide-Warmup: yes\r\n\r\nHello.\r\n"
    mail = pool.mail(sends[one.send], 0)
    return mail.replace(b"<person@", b"<another@", 1) if one.is_forged else mail


def everything_in(odd: OddImap) -> dict[str, list[tuple[int, frozenset[str], bytes]]]:
    """By folder: uids, flags and contents."""
    return {name: folder.seen() for name, folder in odd.folders.items()}


def what_should_be(
    odd: OddImap, pool: ReadingPool, laid: list[Laid], sends: list[SendId], states: list[str]
) -> tuple[dict[str, list[tuple[int, frozenset[str], bytes]]], dict[SendId, str]]:
    """Folders after a visit, and verdicts."""
    engagement = pool.mailbox(0).engagement
    wanted = {flag for flag, wish in (("\\Seen", engagement.read), ("\\Flagged", engagement.flag)) if wish}
    can_move = any(f" {name}" in odd.capabilities for name in ("MOVE", "UIDPLUS"))
    expected: dict[str, list[tuple[int, frozenset[str], bytes]]] = {"Archive": odd.folders["Archive"].seen()}
    moved: list[tuple[frozenset[str], bytes]] = []
    places: dict[SendId, str] = {}
    for folder, verdict in LOOKED_INTO.items():
        expected[folder] = []
        in_folder = [one for one in laid if one.folder == folder]
        for one, mail in zip(in_folder, odd.folders[folder].seen(), strict=True):
            send_id = sends[one.send] if one.send is not None and not one.is_forged else None
            if send_id is None or states[sends.index(send_id)] not in {"s", "u", "d"} or send_id in places:
                expected[folder].append(mail)
                continue
            places[send_id] = verdict
            uid, flags, content = mail
            if verdict == "junk" and engagement.rescue and can_move:
                moved.append((flags | wanted, content))
            else:
                expected[folder].append((uid, flags | wanted, content))
    first_uid = odd.folders["INBOX"].next_uid
    expected["INBOX"] += [(first_uid + place, *mail) for place, mail in enumerate(moved)]
    return expected, places
