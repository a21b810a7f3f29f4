"""Servers that lack extensions, refuse, lie or break off: nothing is lost, and no other mail is changed."""

import pytest

from mailtide.warmup.contracts import RoundState
from mailtide.warmup.reading.contracts import Placement
from mailtide.warmup.reading.read import BACK_OFF_MS
from tests.integration.reading.conftest import STRANGER, Serve, only, saying
from tests.support.odd_imap import ALL, Line, OddFolder, OddImap, OddMail, fetched
from tests.support.reading_pool import ReadingPool


def with_ours_in_junk(odd: OddImap, pool: ReadingPool) -> None:
    """A mail of ours in junk between a stranger's and one that somebody has marked as deleted."""
    ours = pool.to(0)[0]
    pool.leave(ours, RoundState.SENT)
    odd.folders["Junk"].put(STRANGER)
    odd.folders["Junk"].put(STRANGER, flags=("\\Deleted",))
    odd.folders["Junk"].put(pool.mail(ours, 0))


@pytest.mark.parametrize(
    ("capabilities", "rescued", "changing"),
    [
        (ALL, 1, ["UID STORE", "UID MOVE"]),
        (ALL.replace(" MOVE", ""), 1, ["UID STORE", "UID COPY", "UID STORE", "UID EXPUNGE"]),
        (ALL.replace(" MOVE", "").replace(" UIDPLUS", ""), 0, ["UID STORE"]),
        ("IMAP4rev1", 0, ["UID STORE"]),
    ],
)
def test_a_mail_is_moved_only_as_far_as_no_other_is_removed(
    pool_at: Serve, capabilities: str, rescued: int, changing: list[str]
) -> None:
    odd = OddImap(capabilities=capabilities)
    pool = pool_at(odd)
    with_ours_in_junk(odd, pool)
    before = odd.folders["Junk"].seen()
    report = only(pool.read(0))
    assert (report.end, report.junk, report.rescued) == ("visited", 1, rescued)
    commands = odd.commands()
    assert [one for one in commands if one in {"UID STORE", "UID COPY", "UID MOVE", "UID EXPUNGE"}] == changing
    assert not {"EXPUNGE", "CLOSE", "STORE", "COPY", "MOVE", "FETCH"} & set(commands)
    assert odd.folders["Junk"].seen()[:2] == before[:2]
    assert len(odd.folders["Junk"].mails) == 3 - rescued
    kept = odd.folders["INBOX" if rescued else "Junk"].mails[-1]
    assert {"\\Seen", "\\Flagged"} <= kept.flags
    again = only(pool.read(0))
    assert (again.junk, again.inbox, again.rescued) == (0, 0, 0)


@pytest.mark.parametrize(("capabilities", "rescued"), [(ALL, 1), (ALL.replace(" MOVE", ""), 0)])
def test_a_mail_that_was_left_in_junk_is_not_copied_twice(pool_at: Serve, capabilities: str, rescued: int) -> None:
    """An earlier visit may have ended after its COPY."""
    odd = OddImap(capabilities=capabilities)
    pool = pool_at(odd)
    with_ours_in_junk(odd, pool)
    ours = pool.to(0)[0]
    pool.placements.record(pool.day().key(ours.mailbox_id), {ours.round: Placement("junk", "google")})
    assert only(pool.read(0)).rescued == rescued
    assert len(odd.folders["INBOX"].mails) == rescued
    assert len(odd.folders["Junk"].mails) == 3 - rescued


@pytest.mark.parametrize("is_cut_after", [False, True])
@pytest.mark.parametrize("capabilities", [ALL, ALL.replace(" MOVE", "")])
def test_wherever_a_connection_breaks_nothing_is_lost_and_no_other_mail_changed(
    pool_at: Serve, capabilities: str, *, is_cut_after: bool
) -> None:
    """At each command of a visit in turn."""
    end, cut_at = "", 0
    while end != "visited":
        cut_at += 1
        odd = OddImap(capabilities=capabilities, cut_at=cut_at, is_cut_after=is_cut_after)
        pool = pool_at(odd)
        with_ours_in_junk(odd, pool)
        in_junk, in_inbox = pool.to(0)[:2]
        pool.leave(in_inbox, RoundState.UNKNOWN)
        odd.folders["INBOX"].put(STRANGER, pool.mail(in_inbox, 0))
        strangers = {name: strangers_of(folder) for name, folder in odd.folders.items()}
        end = only(pool.read(0)).end
        pool.clock.at_ms += BACK_OFF_MS
        assert only(pool.read(0)).end == "visited"

        assert {name: strangers_of(folder) for name, folder in odd.folders.items()} == strangers
        assert (pool.placed(in_junk), pool.placed(in_inbox)) == (
            Placement("junk", "google"),
            Placement("inbox", "google"),
        )
        assert pool.state(in_inbox) == RoundState.SENT
        ours = [
            (name, mail.flags)
            for name, folder in odd.folders.items()
            for mail in folder.mails
            if not is_strangers(mail)
        ]
        if "MOVE" in capabilities:
            assert ours == [("INBOX", {"\\Seen", "\\Flagged"})] * 2
        else:
            assert len(ours) in {2, 3}, "a copy and what it was made of, at worst"
            assert all({"\\Seen", "\\Flagged"} <= flags for _, flags in ours)
    assert cut_at >= 20


def is_strangers(mail: OddMail) -> bool:
    return mail.content == STRANGER


def strangers_of(folder: OddFolder) -> list[tuple[int, frozenset[str]]]:
    """Uids and flags of other people's mails."""
    return [(mail.uid, frozenset(mail.flags)) for mail in folder.mails if is_strangers(mail)]


def test_a_no_to_a_change_is_no_failure(pool_at: Serve) -> None:
    odd = OddImap()
    pool = pool_at(odd)
    with_ours_in_junk(odd, pool)
    for command in ("UID STORE", "UID MOVE"):
        odd.answers[command] = saying("{tag} NO [NOPERM] not you\r\n")
    report = only(pool.read(0))
    assert (report.end, report.junk, report.marked, report.rescued) == ("visited", 1, 0, 0)
    assert pool.placed(pool.to(0)[0]) == Placement("junk", "google")


def test_a_folder_that_may_not_be_written_to_is_left_alone(pool_at: Serve) -> None:
    odd = OddImap()
    pool = pool_at(odd)
    with_ours_in_junk(odd, pool)
    odd.answers["SELECT"] = odd.opened_read_only
    before = odd.folders["Junk"].seen()
    report = only(pool.read(0))
    assert (report.end, report.junk, report.rescued, report.marked) == ("visited", 1, 0, 0)
    assert odd.folders["Junk"].seen() == before


def test_a_folder_that_changes_its_numbers_before_it_is_written_to_is_left_alone(pool_at: Serve) -> None:
    odd = OddImap()
    pool = pool_at(odd)
    with_ours_in_junk(odd, pool)

    def renumbered(_line: Line, _tag: str, _rest: str) -> bool:
        odd.folders["Junk"].uidvalidity += 1
        return False

    odd.answers["SELECT"] = renumbered
    before = odd.folders["Junk"].seen()
    only(pool.read(0))
    assert odd.folders["Junk"].seen() == before
    assert not {"UID STORE", "UID MOVE"} & set(odd.commands())


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ({"INBOX": "", "Ungewollt": "\\Junk", "Spam": ""}, "Ungewollt"),
        ({"INBOX": "", "Bulk": "", "Mail/Junk E-mail": ""}, "Mail/Junk E-mail"),
        ({"INBOX": "", "Courrier ind&AOk-sirable": ""}, "Courrier ind&AOk-sirable"),
        ({"INBOX": "", "Spam": "\\Noselect", "Other": ""}, None),
        ({"INBOX": "", "Spamalot": "", "Junkyard": ""}, None),
    ],
)
def test_the_folder_for_junk(pool_at: Serve, folders: dict[str, str], expected: str | None) -> None:
    odd = OddImap({name: OddFolder(attributes) for name, attributes in folders.items()})
    pool = pool_at(odd)
    assert only(pool.read(0)).end == "visited"
    opened = [line.partition(" ")[2].strip('"') for line in odd.said if line.startswith("EXAMINE")]
    assert opened == [name for name in (expected, "INBOX") if name]


def test_an_odd_label_hides_no_mail(pool_at: Serve) -> None:
    odd = OddImap()
    pool = pool_at(odd)
    ours = pool.to(0)[0]
    pool.leave(ours, RoundState.SENT)
    odd.folders["INBOX"].put(STRANGER, flags=("[old", "\\Answered"))
    odd.folders["INBOX"].put(pool.mail(ours, 0), flags=("\\Seen",))
    report = only(pool.read(0))
    assert (report.end, report.looked_at, report.inbox) == ("visited", 2, 1)
    assert [mail.flags for mail in odd.folders["INBOX"].mails] == [{"[old", "\\Answered"}, {"\\Seen", "\\Flagged"}]


def test_an_odd_name_hides_no_other_folder(pool_at: Serve) -> None:
    odd = OddImap()
    pool = pool_at(odd)
    lines = ['* LIST () "/" [old', "* LIST () NIL", '* LIST () "/" {3}\r\nodd', '* LIST (\\Junk) "/" Junk']
    odd.answers["LIST"] = saying("".join(f"{line}\r\n" for line in lines) + "{tag} OK done\r\n")
    assert only(pool.read(0)).end == "visited"
    assert [line for line in odd.said if line.startswith("EXAMINE")] == ['EXAMINE "Junk"', 'EXAMINE "INBOX"']


def test_a_folder_for_junk_that_cannot_be_opened_is_as_good_as_none(pool_at: Serve) -> None:
    odd = OddImap()
    pool = pool_at(odd)
    del odd.folders["Junk"]
    odd.answers["LIST"] = saying('* LIST (\\Junk) "/" Junk\r\n{tag} OK done\r\n')
    assert only(pool.read(0)).end == "visited"
    del odd.folders["INBOX"]
    assert only(pool.read(0)).failure == "folder"


def test_a_server_that_names_no_next_uid_is_asked_for_the_last(pool_at: Serve) -> None:
    odd = OddImap()
    pool = pool_at(odd)
    odd.folders["INBOX"].put(*[STRANGER] * 3)

    def silent(line: Line, tag: str, rest: str) -> bool:
        folder = line.folder = odd.folders[rest.strip('"')]
        line.say(
            f"* {len(folder.mails)} EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1] ok\r\n{tag} OK [READ-ONLY] done\r\n"
        )
        return True

    odd.answers["EXAMINE"] = silent
    assert [only(pool.read(0)).looked_at for _ in range(2)] == [3, 0]


def test_a_huge_mailbox_is_searched_before_it_is_read(pool_at: Serve) -> None:
    """100,000 mails of others, a few of them new."""
    odd = OddImap()
    pool = pool_at(odd)
    assert only(pool.read(0)).end == "visited"
    ours = pool.to(0)[0]
    pool.leave(ours, RoundState.SENT)
    odd.folders["INBOX"].next_uid = 100_000
    odd.folders["INBOX"].put(STRANGER, pool.mail(ours, 0), STRANGER)
    report = only(pool.read(0))
    assert (report.looked_at, report.inbox) == (3, 1)
    [search] = [line for line in odd.said if line.startswith("UID SEARCH")][-1:]
    assert search == "UID SEARCH UID 1:100002 SINCE 19-Nov-2026"


def test_flags_and_bodies_that_nobody_asked_for_change_nothing(pool_at: Serve) -> None:
    """A server that slips ours under another mail's number, or a stranger's under ours."""
    odd = OddImap()
    pool = pool_at(odd)
    with_ours_in_junk(odd, pool)
    stranger, _, ours = odd.folders["Junk"].mails

    def shifted(line: Line, tag: str, rest: str) -> bool:
        made = fetched(ours, rest.partition(" ")[2])
        line.say(made.replace(b"UID %d " % ours.uid, b"UID 4711 ") + f"{tag} OK done\r\n".encode())
        return True

    odd.answers["UID FETCH"] = shifted
    before = odd.folders["Junk"].seen()
    assert only(pool.read(0)).junk == 0
    assert odd.folders["Junk"].seen() == before
    assert stranger.flags == set()
