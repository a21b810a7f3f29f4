"""Import: lines of mailboxes into the table, a few hundred at a time; refused lines are listed, the good ones go in."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import batched

from mailtide.warmup.contracts import MAX_SEALED, Mailbox
from mailtide.warmup.mail_ports import Secrets
from mailtide.warmup.mailbox_csv import Line, Refusal
from mailtide.warmup.ports import MailboxStore
from mailtide.warmup.providers import mails_a_day, provider_by_id

CHUNK = 500

type LookUp = Callable[[Mapping[str, frozenset[str]]], Mapping[str, str]]
"""Domains with their users -> the provider of each domain of which it is known. Never raises."""


@dataclass(slots=True)
class ImportReport:
    """What became of a file."""

    imported: int = 0
    refused: list[Refusal] = field(default_factory=list)
    passwords: Counter[str] = field(default_factory=Counter)
    """Mailboxes that log in with a password at a provider that retires them, by provider."""
    above_limit: Counter[str] = field(default_factory=Counter)
    """Mailboxes whose ramp goes beyond their provider's mails a day, by provider."""


def import_mailboxes(
    lines: Iterable[Line | Refusal],
    store: MailboxStore,
    secrets: Secrets,
    progress: Callable[[int], None] | None = None,
    look_up: LookUp | None = None,
) -> ImportReport:
    """Put mailboxes into the table. Fine to repeat: a mailbox that exists keeps its status and the earlier first
    day; without a secret in its line also its secret. `progress` gets the number of lines so far. look_up: finds out who the
    providers are; without it each mailbox keeps the one that it has."""
    report = ImportReport()
    beside: dict[str, str] = {}
    done = 0
    for chunk in batched(lines, CHUNK, strict=False):
        good = [line for line in chunk if isinstance(line, Line)]
        report.refused += [line for line in chunk if isinstance(line, Refusal)]
        known = store.get_many(line.mailbox.mailbox_id for line in good)
        mailboxes = list(_merge(good, known, secrets, beside, report))
        if look_up is not None:
            mailboxes = _provided(mailboxes, look_up)
            # Name servers may have taken minutes, in which a fold, a sender or a person has changed mailboxes.
            now = store.get_many(mailbox.mailbox_id for mailbox in mailboxes)
            mailboxes = [one.model_copy(update=_lasting(now.get(one.mailbox_id))) for one in mailboxes]
        _note_providers(mailboxes, report)
        store.put_many(mailboxes)
        report.imported += len(mailboxes)
        done += len(chunk)
        if progress:
            progress(done)
    report.refused.sort(key=lambda refusal: refusal.number)
    return report


def _merge(
    lines: Iterable[Line], known: dict[str, Mailbox], secrets: Secrets, beside: dict[str, str], report: ImportReport
) -> Iterator[Mailbox]:
    for line in lines:
        mailbox, old = line.mailbox, known.get(line.mailbox.mailbox_id)
        if old is not None and old.user_id != mailbox.user_id:
            report.refused.append(Refusal(line.number, f"mailbox {mailbox.mailbox_id} belongs to another user"))
            continue
        if line.credentials is not None:
            sealed = secrets.seal(
                mailbox.user_id, mailbox.mailbox_id, line.credentials, beside=beside.get(mailbox.user_id)
            )
            beside[mailbox.user_id] = sealed
        elif old is not None and old.auth.kind == mailbox.auth.kind:
            sealed = old.auth.sealed
        else:
            report.refused.append(Refusal(line.number, "it holds no password or refresh_token, and the mailbox is new"))
            continue
        if len(sealed) > MAX_SEALED:
            report.refused.append(Refusal(line.number, "its secrets are too long together"))
            continue
        changes: dict[str, object] = {"auth": mailbox.auth.model_copy(update={"sealed": sealed})}
        if old is not None:
            changes |= _lasting(old) | {
                "provider": old.provider,
                "first_day": min(old.first_day, mailbox.first_day),
            }
        yield mailbox.model_copy(update=changes)


def _lasting(old: Mailbox | None) -> dict[str, object]:
    """What an import leaves as it is."""
    if old is None:
        return {}
    return {
        "status": old.status,
        "status_reason": old.status_reason,
        "not_before_ms": old.not_before_ms,
        "pace": old.pace,
        "graduated_on": old.graduated_on,
        "held_back": old.held_back,
        "health": old.health,
    }


def _provided(mailboxes: list[Mailbox], look_up: LookUp) -> list[Mailbox]:
    users: dict[str, set[str]] = defaultdict(set)
    for mailbox in mailboxes:
        users[mailbox.domain].add(mailbox.user_id)
    providers = look_up({domain: frozenset(found) for domain, found in users.items()})
    return [
        one.model_copy(update={"provider": providers[one.domain]}) if one.domain in providers else one
        for one in mailboxes
    ]


def _note_providers(mailboxes: Iterable[Mailbox], report: ImportReport) -> None:
    for mailbox in mailboxes:
        provider = provider_by_id(mailbox.provider)
        if provider is None:
            continue
        if provider.password_warning is not None and mailbox.auth.kind == "password":
            report.passwords[provider.id] += 1
        if mailbox.ramp.max_daily > (mails_a_day(provider.id) or mailbox.ramp.max_daily):
            report.above_limit[provider.id] += 1
