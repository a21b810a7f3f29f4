"""A mailbox seen through IMAP (RFC 9051 and 3501): looked at read-only, changed by uid alone, one named mail at a time."""

import imaplib
import re
import ssl
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from typing import Any

from imapclient.exceptions import ProtocolError

from mailtide.adapters.imap_connection import BoundedClient, Bounds, TooMuchError
from mailtide.warmup.reading.ports import Folder, Header, VisitFailedError
from mailtide.warmup.reading.recognise import FIELDS, MAX_FIELDS_BYTES

LOGOUT_S = 2.0
MAX_NAME = 200
"""A folder's name longer than that is not looked into: what was read of it is remembered under it."""
MAX_OTHERS = 20
"""Folders that are searched for a mail that did not come."""
JUNK_NAMES = (
    "junk",
    "spam",
    "junk e-mail",
    "junk email",
    "junk mail",
    "bulk mail",
    "bulk",
    "spamverdacht",
    "junk-e-mail",
    "courrier indésirable",
    "correo no deseado",
    "posta indesiderata",
    "ongewenste e-mail",
)
"""Names that a folder for junk usually has, the most usual first, where the server marks none."""
_NOT_NOW = re.compile(r"\[(UNAVAILABLE|INUSE)\b|throttled", re.IGNORECASE)
"""A refusal that passes (RFC 5530, and what Exchange says when it is asked too much)."""
_CLOSED = {b"\\NOSELECT", b"\\NONEXISTENT"}
_PEEK_FIELDS = f"BODY.PEEK[HEADER.FIELDS ({' '.join(name.upper() for name in FIELDS)})]<0.{MAX_FIELDS_BYTES}>"


@contextmanager
def translated(client: BoundedClient | None = None) -> Iterator[None]:
    """Whatever a server or the library makes of an answer, as VisitFailedError without a word of it."""
    try:
        yield
    except VisitFailedError:
        raise
    except TooMuchError:
        raise VisitFailedError("too_much") from None
    except ssl.SSLCertVerificationError:
        raise VisitFailedError("certificate") from None
    except TimeoutError:
        raise VisitFailedError("timeout") from None
    except OSError:
        raise VisitFailedError("unreachable") from None
    except Exception:  # noqa: BLE001 - the library has no error of its own for half of what it cannot read
        raise VisitFailedError("unreachable" if client is not None and client.is_cut else "answer") from None


class ImapView:
    """Implements mailtide.warmup.reading.ports.MailboxView."""

    def __init__(self, client: BoundedClient, bounds: Bounds) -> None:
        self._client = client
        self._bounds = bounds
        self._others: tuple[str, ...] = ()
        """Folders beside the inbox and junk, as far as they were listed."""

    def junk_folder(self) -> str | None:
        """See mailtide.warmup.reading.ports.MailboxView."""
        with self._asking():
            names = [(name, flags, last) for name, flags, last in map(_folder, self._client.list_folders()) if name]
        marked = sorted((len(name), name) for name, flags, _ in names if b"\\JUNK" in flags)
        usual = sorted((JUNK_NAMES.index(last), len(name), name) for name, _, last in names if last in JUNK_NAMES)
        junk = marked[0][-1] if marked else usual[0][-1] if usual else None
        # Where all mails are (\All) a search finds what lies in any other folder, too.
        others = sorted((b"\\ALL" not in flags, name) for name, flags, _ in names)
        self._others = tuple(name for _, name in others if name != junk and name.upper() != "INBOX")[:MAX_OTHERS]
        return junk

    def look_into(self, name: str) -> Folder:
        """See mailtide.warmup.reading.ports.MailboxView."""
        return self._opened(name, readonly=True)

    def uids(self, first: int, last: int, since: date) -> list[int]:
        """See mailtide.warmup.reading.ports.MailboxView."""
        with self._asking():
            found = self._client.search([b"UID", f"{first}:{last}".encode(), b"SINCE", since])
            return sorted({uid for uid in found if first <= uid <= last})

    def headers(self, uids: Sequence[int]) -> list[Header]:
        """See mailtide.warmup.reading.ports.MailboxView."""
        with self._asking():
            try:
                answers = self._client.fetch(list(uids), ["FLAGS", _PEEK_FIELDS])
            except ProtocolError:
                # The library knows no label with a lone bracket, which IMAP allows: without flags, ours are set once more.
                self._bounds.begin()
                answers = self._client.fetch(list(uids), [_PEEK_FIELDS])
            found = [_header(uid, answer) for uid, answer in answers.items()]
        return sorted(found, key=lambda header: header.uid)

    def peek(self, uid: int, size_bytes: int) -> bytes:
        """See mailtide.warmup.reading.ports.MailboxView."""
        with self._asking():
            answer = self._client.fetch([uid], [f"BODY.PEEK[]<0.{size_bytes}>"]).get(uid, {})
            return _section(answer, b"BODY[]")

    def is_elsewhere(self, message_id: str, since: date) -> bool:
        """See mailtide.warmup.reading.ports.MailboxView."""
        return any(self._holds(name, message_id, since) for name in self._others)

    def _holds(self, name: str, message_id: str, since: date) -> bool:
        with self._permitted() as found:
            self._opened(name, readonly=True)
            found.extend(self._client.search([b"SINCE", since, b"HEADER", b"Message-ID", message_id.encode()]))
        return bool(found)

    def mark(self, folder: Folder, marks: Mapping[int, frozenset[str]]) -> int:
        """See mailtide.warmup.reading.ports.MailboxView."""
        by_flags: dict[frozenset[str], list[int]] = defaultdict(list)
        for uid, flags in marks.items():
            by_flags[flags].append(uid)
        marked = 0
        with self._writing(folder) as may_write:
            for flags, uids in by_flags.items() if may_write else ():
                marked += len(uids) * self._store(uids, flags)
        return marked

    def move(self, folder: Folder, uids: Sequence[int], to: str, *, again: bool = False) -> int:
        """See mailtide.warmup.reading.ports.MailboxView."""
        can_move, can_expunge = self._can("MOVE"), self._can("UIDPLUS")
        if not uids or not (can_move or (can_expunge and not again)):
            return 0
        moved = 0
        with self._writing(folder) as may_write:
            for uid in uids if may_write else ():
                moved += self._moved(uid, to) if can_move else self._copied_and_removed(uid, to)
        return moved

    def _moved(self, uid: int, to: str) -> bool:
        with self._permitted() as done:
            self._client.move([uid], to)
            done.append(True)
        return bool(done)

    def _copied_and_removed(self, uid: int, to: str) -> bool:
        """UID EXPUNGE names the mail (RFC 4315); a plain EXPUNGE would remove what others have marked."""
        with self._permitted() as done:
            self._client.copy([uid], to)
            done.append(True)
        if not done or not self._store([uid], frozenset({"\\Deleted"})):
            return False
        with self._permitted() as removed:
            self._client.uid_expunge([uid])
            removed.append(True)
        return bool(removed)

    def close(self) -> None:
        """See mailtide.warmup.reading.ports.MailboxView."""
        # LOGOUT without CLOSE: a CLOSE would expunge.
        self._bounds.hurry(LOGOUT_S)
        with suppress(Exception):
            self._client.logout()
        with suppress(Exception):
            self._client.shutdown()

    def _store(self, uids: list[int], flags: frozenset[str]) -> bool:
        with self._permitted() as done:
            self._client.add_flags(uids, [flag.encode() for flag in sorted(flags)], silent=True)
            done.append(True)
        return bool(done)

    @contextmanager
    def _writing(self, folder: Folder) -> Iterator[bool]:
        """The folder is open for writing meanwhile, if it still is the same and may be written to; afterwards for reading."""
        with self._permitted() as opened:
            opened.append(self._opened(folder.name, readonly=False))
        yield bool(opened) and opened[0].uidvalidity == folder.uidvalidity
        self._opened(folder.name, readonly=True)

    def _opened(self, name: str, *, readonly: bool) -> Folder:
        with self._asking():
            try:
                answer = self._client.select_folder(name, readonly=readonly)
            except imaplib.IMAP4.error as error:
                if isinstance(error, imaplib.IMAP4.abort) and not isinstance(error, imaplib.IMAP4.readonly):
                    raise
                raise VisitFailedError("unreachable" if _NOT_NOW.search(str(error)) else "folder") from None
            uidvalidity, exists = int(answer[b"UIDVALIDITY"]), int(answer[b"EXISTS"])
            next_uid = int(answer[b"UIDNEXT"]) if b"UIDNEXT" in answer else self._next_uid(exists)
            return Folder(name, uidvalidity, next_uid)

    def _next_uid(self, exists: int) -> int:
        """For servers that do not say: one above the last mail's."""
        found = self._client.search([b"UID", b"*"]) if exists else []
        return max(found, default=0) + 1

    def _can(self, capability: str) -> bool:
        with self._asking():
            return bool(self._client.has_capability(capability))

    @contextmanager
    def _asking(self) -> Iterator[None]:
        self._bounds.begin()
        with translated(self._client):
            yield

    @contextmanager
    def _permitted(self) -> Iterator[list[Any]]:
        """What is appended is the result: nothing when the server says no for good, which is no failure of the visit."""
        done: list[Any] = []
        with self._asking():
            try:
                yield done
            except imaplib.IMAP4.abort as error:
                if not isinstance(error, imaplib.IMAP4.readonly):
                    raise
            except imaplib.IMAP4.error as error:
                if _NOT_NOW.search(str(error)):
                    # The next visit does it: what is passed over now is never looked at again.
                    raise VisitFailedError("unreachable") from None
            except VisitFailedError as failed:
                if failed.failure != "folder":
                    raise


def _folder(listed: tuple[Any, ...]) -> tuple[str, set[bytes], str]:
    """Name, attributes and the last part of its path in small letters; no name for what cannot be opened or is named oddly."""
    flags, delimiter, name = listed
    attributes = {flag.upper() for flag in flags if isinstance(flag, bytes)}
    if not isinstance(name, str) or len(name) > MAX_NAME or attributes & _CLOSED:
        return "", attributes, ""
    separator = delimiter.decode("ascii", "replace") if isinstance(delimiter, bytes) and delimiter else "/"
    return name, attributes, name.rpartition(separator)[2].casefold()


def _header(uid: int, answer: Mapping[bytes, Any]) -> Header:
    said = answer.get(b"FLAGS")
    flags = said if isinstance(said, tuple) else ()
    names = frozenset(flag.decode("ascii", "replace") for flag in flags if isinstance(flag, bytes))
    return Header(uid, names, _section(answer, b"BODY[HEADER.FIELDS"))


def _section(answer: Mapping[bytes, Any], beginning: bytes) -> bytes:
    for name, value in answer.items():
        if name.startswith(beginning) and isinstance(value, bytes):
            return value
    return b""
