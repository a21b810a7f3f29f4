"""Domains of the pool: checked when they are new and every so many days, by DNS on loopback."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from mailtide.adapters.dns import DnsResolver
from mailtide.deliverability.dns_answers import Exchanges
from mailtide.deliverability.domain_book import GIVE_UP, DomainBook
from mailtide.deliverability.domain_report import DomainReport, domain_report
from mailtide.deliverability.due_domains import DomainsChecked, DomainServices, check_due_domains
from mailtide.errors import TransientError
from mailtide.ports import StoredObject
from mailtide.warmup import keys
from mailtide.warmup.contracts import DAY_MS, DomainTick, MailboxProfile, WarmupTick
from mailtide.warmup.days import RosterStore
from mailtide.warmup.domains import DomainRow, DueDomains, read_index
from mailtide.warmup.memory import MemoryMailboxes, MemoryObjects, VirtualClock
from mailtide.warmup.plan import plan_warmup
from mailtide.warmup.ports import Objects
from mailtide.warmup.store import read
from tests.support.dns_server import DnsServer
from tests.support.warmup_bench import TICK_MS, Bench
from tests.support.warmup_pools import DAY, START, profile


class ProvidedMailboxes(MemoryMailboxes[MailboxProfile]):
    """Which remember their providers."""

    def __init__(self, profiles: Sequence[MailboxProfile]) -> None:
        super().__init__(profiles)
        self.updates: list[tuple[str, str]] = []

    def replace(self, profiles: Iterable[MailboxProfile]) -> None:
        """The pool from now on."""
        super().__init__(profiles)

    def set_provider(self, mailbox_id: str, provider: str) -> bool:
        self.updates.append((mailbox_id, provider))
        self._profiles[mailbox_id] = self._profiles[mailbox_id].model_copy(update={"provider": provider})
        return True


class Pool:
    """A bench whose domains are checked."""

    def __init__(self, profiles: Sequence[MailboxProfile], dns: DnsResolver) -> None:
        self.bench = Bench(profiles)
        self.mailboxes = ProvidedMailboxes(profiles)
        self.bench.services = replace(self.bench.services, mailboxes=self.mailboxes, checks_domains=True)
        self.bucket = self.bench.bucket
        self.services = DomainServices(
            bucket=self.bucket, mailboxes=self.mailboxes, dns=dns, clock=self.bench.clock, every_days=7
        )

    def plan(self, number: int) -> list[DomainTick]:
        """A tick of the time since START; the messages about domains that it queued."""
        self.bench.clock.at_ms = START + number * TICK_MS
        self.bench.queue.domains.clear()
        plan_warmup(self.bench.services, WarmupTick())
        return list(self.bench.queue.domains)

    def check(self, tick: DomainTick) -> DomainsChecked:
        return check_due_domains(self.services, tick)


def sound(server: DnsServer, domain: str, mx: str = "aspmx.l.google.com") -> None:
    server.put(domain, "MX", f"10 {mx}.")
    server.put(mx, "A", "192.0.2.1")
    server.text(domain, "v=spf1 ip4:192.0.2.0/24 -all")
    server.text(f"_dmarc.{domain}", "v=DMARC1; p=none; rua=mailto:a@b.internal")


def boxes(count: int, domain: str, user: str = "") -> list[MailboxProfile]:
    user = user or domain.partition(".")[0]
    return [profile(f"{user}-{number}", user, domain=domain) for number in range(count)]


def row(bucket: Objects, domain: str) -> DomainRow:
    return read_index(bucket)[domain]


def test_the_pool_is_checked_by_domain(server: DnsServer, resolver: DnsResolver) -> None:
    sound(server, "alpha.internal")
    sound(server, "beta.internal", "beta-internal.mail.protection.outlook.com")
    server.put("gamma.internal", "MX", "10 mx.gamma.internal.")
    server.put("mx.gamma.internal", "A", "192.0.2.2")
    profiles = [*boxes(30, "alpha.internal"), *boxes(5, "beta.internal"), *boxes(2, "gamma.internal")]
    pool = Pool([*profiles, *boxes(9, "nowhere.example")], resolver)
    (tick,) = pool.plan(0)
    assert (tick.day, tick.start_ms, tick.end_ms) == (DAY, START, START + TICK_MS)
    assert pool.check(tick) == DomainsChecked(checked=3, broken=1, providers_set=35)
    assert {one.mailbox_id: one.provider for one in pool.mailboxes.profiles()} == {
        one.mailbox_id: {"alpha": "google", "beta": "microsoft"}.get(one.user_id, "")
        for one in pool.mailboxes.profiles()
    }
    assert server.asked["alpha.internal", "udp"] == 2, "MX and SPF, once for thirty mailboxes"
    assert not [name for name, _ in server.asked if name.endswith("example")]
    alpha, gamma = row(pool.bucket, "alpha.internal"), row(pool.bucket, "gamma.internal")
    assert (alpha.users, alpha.mailboxes, alpha.provider, alpha.checked_ms) == (("alpha",), 30, "google", START)
    assert (alpha.broken, alpha.warnings) == ((), ("DKIM",))
    assert [one.check for one in gamma.broken] == ["SPF"]
    assert "publish a TXT record" in gamma.broken[0].todo
    stored = read(pool.bucket, keys.domain("gamma.internal"), DomainReport)
    assert stored is not None
    assert [(one.check, one.verdict) for one in stored.findings] == [
        ("MX", "ok"),
        ("SPF", "broken"),
        ("DMARC", "warning"),
    ]
    # All is done: no further message, not even from the next day's roster.
    assert pool.plan(1) == pool.plan(144) == []


def test_a_domain_is_checked_again_after_a_week_and_forgotten_without_mailboxes(
    server: DnsServer, resolver: DnsResolver
) -> None:
    sound(server, "alpha.internal")
    sound(server, "beta.internal")
    pool = Pool([*boxes(2, "alpha.internal"), *boxes(1, "beta.internal")], resolver)
    pool.check(pool.plan(0)[0])
    pool.mailboxes.updates.clear()
    # It moves to another provider, which nobody notices before the week is over.
    sound(server, "alpha.internal", "mx.zoho.eu")
    pool.mailboxes.replace([one for one in pool.mailboxes.profiles() if one.user_id == "alpha"])
    assert [pool.plan(144 * day) for day in range(1, 7)] == [[]] * 6
    assert pool.bucket.get(keys.domain("beta.internal")) is None
    assert set(read_index(pool.bucket)) == {"alpha.internal"}
    (tick,) = pool.plan(144 * 7)
    assert pool.check(tick) == DomainsChecked(checked=1, providers_set=2)
    assert pool.mailboxes.updates == [("alpha-0", "zoho"), ("alpha-1", "zoho")]


def test_a_mailbox_without_its_domains_provider_gets_it_without_dns(server: DnsServer, resolver: DnsResolver) -> None:
    sound(server, "alpha.internal")
    pool = Pool(boxes(2, "alpha.internal"), resolver)
    pool.check(pool.plan(0)[0])
    late = profile("late", "alpha", domain="alpha.internal")
    pool.mailboxes.replace([*pool.mailboxes.profiles(), late])
    server.asked.clear()
    (tick,) = pool.plan(144)
    assert pool.check(tick) == DomainsChecked(providers_set=1)
    assert pool.mailboxes.updates[-1] == ("late", "google")
    assert not server.asked


class Keeping(MemoryObjects):
    """It has no time to delete what was found of domains."""

    def delete(self, key: str) -> None:
        if key.startswith(keys.DOMAINS):
            raise TransientError("delete: 503")
        super().delete(key)


def test_domains_that_cannot_be_forgotten_keep_no_others_from_being_checked(
    server: DnsServer, resolver: DnsResolver
) -> None:
    for domain in ("alpha.internal", "beta.internal"):
        sound(server, domain)
    pool = Pool(boxes(1, "alpha.internal"), resolver)
    keeping = Keeping()
    pool.bench.services = replace(pool.bench.services, bucket=keeping, rosters=RosterStore(keeping))
    pool.services = replace(pool.services, bucket=keeping)
    pool.check(pool.plan(0)[0])
    pool.mailboxes.replace(boxes(1, "beta.internal"))
    assert pool.plan(144) == []
    assert pool.check(pool.plan(145)[0]) == DomainsChecked(checked=1, providers_set=1)


class Hurrying(VirtualClock):
    """Each look at it takes five seconds."""

    def monotonic_ms(self) -> int:
        self.at_ms += 5_000
        return self.at_ms


def test_what_there_is_no_time_for_is_left_to_the_next_tick(resolver: DnsResolver) -> None:
    domains = [f"d{number:02}.internal" for number in range(40)]
    pool = Pool([one for domain in domains for one in boxes(1, domain)], resolver)
    (tick,) = pool.plan(0)
    pool.services = replace(pool.services, clock=Hurrying(START))
    assert pool.check(tick) == DomainsChecked(checked=16, broken=16, left=24)
    due = read(pool.bucket, keys.due_domains(DAY), DueDomains)
    assert due is not None
    assert [one.domain for one in due.domains] == domains[16:]
    (tick,) = pool.plan(1)
    pool.services = replace(pool.services, clock=pool.bench.clock)
    assert pool.check(tick) == DomainsChecked(checked=24, broken=24)
    assert pool.plan(2) == pool.plan(144) == []


def test_name_servers_that_fail_take_no_provider_away(server: DnsServer, resolver: DnsResolver) -> None:
    sound(server, "alpha.internal")
    pool = Pool(boxes(2, "alpha.internal"), resolver)
    pool.check(pool.plan(0)[0])
    server.fail("alpha.internal")
    (tick,) = pool.plan(144 * 7)
    pool.mailboxes.updates.clear()
    assert pool.check(tick) == DomainsChecked(checked=1, broken=1)
    assert pool.mailboxes.updates == []
    assert row(pool.bucket, "alpha.internal")[3:6] == ("google", START + 7 * DAY_MS, False)
    assert len(pool.plan(144 * 8)) == 1, "it is due again the next day"


class Refusing(MemoryObjects):
    """Out of order wherever domains are kept."""

    def get(self, key: str) -> StoredObject | None:
        if "domains" in key:
            raise TransientError("get: 503")
        return super().get(key)


def test_ticks_go_out_whatever_becomes_of_domains(resolver: DnsResolver) -> None:
    pool = Pool(boxes(3, "alpha.internal"), resolver)
    refusing = Refusing()
    pool.bench.services = replace(pool.bench.services, bucket=refusing, rosters=RosterStore(refusing))
    assert pool.plan(0) == []
    assert len(pool.bench.queue.take_ticks()) == 1
    pool.services = replace(pool.services, bucket=refusing)
    tick = DomainTick(day=DAY, start_ms=START, end_ms=START + TICK_MS)
    assert pool.check(tick) == DomainsChecked(why="unavailable")


def test_what_cannot_be_read_is_made_anew(server: DnsServer, resolver: DnsResolver) -> None:
    sound(server, "alpha.internal")
    pool = Pool(boxes(1, "alpha.internal"), resolver)
    pool.bucket.create(keys.DOMAIN_INDEX, b'{"rows": [["of", "a", "later", "version"]]}')
    (tick,) = pool.plan(0)
    assert pool.check(tick).checked == 1
    assert row(pool.bucket, "alpha.internal").provider == "google"
    pool.bucket.create(keys.due_domains(DAY), b"no JSON")
    assert pool.check(pool.plan(1)[0]) == DomainsChecked(why="unreadable")
    assert pool.plan(2) == []


def test_a_late_message_is_left_out(resolver: DnsResolver) -> None:
    pool = Pool(boxes(1, "alpha.internal"), resolver)
    (tick,) = pool.plan(0)
    pool.bench.clock.at_ms = tick.end_ms
    assert pool.check(tick) == DomainsChecked(why="stale")


def test_a_resolver_that_does_not_answer_says_nothing_of_domains(server: DnsServer) -> None:
    """They are not called broken, and the function does not wait for each of them."""
    domains = [f"d{number:02}.internal" for number in range(40)]
    for domain in domains:
        server.answer(domain, lambda _question, _is_tcp: None)
    pool = Pool([one for domain in domains for one in boxes(1, domain)], DnsResolver(server.address, lifetime_s=0.2))
    (tick,) = pool.plan(0)
    done = pool.check(tick)
    assert (done.why, done.left, done.broken) == ("resolver", 40, done.checked)
    assert done.checked <= 16
    assert {one.checked_ms for one in read_index(pool.bucket).values()} == {0}
    assert pool.bucket.get(keys.domain(domains[0])) is None
    assert len(pool.plan(1)) == 1


class SilentAbout(DnsResolver):
    """Whose question about one domain is never answered, without the wait."""

    def exchanges(self, name: str) -> Exchanges:
        return Exchanges("unanswered") if name == "silent.internal" else super().exchanges(name)


def test_a_resolver_that_fails_says_nothing_of_domains(server: DnsServer, resolver: DnsResolver) -> None:
    domains = [f"d{number:02}.internal" for number in range(20)]
    for domain in domains:
        server.fail(domain)
    pool = Pool([one for domain in domains for one in boxes(1, domain)], resolver)
    assert pool.check(pool.plan(0)[0]).why == "resolver"
    assert {one.checked_ms for one in read_index(pool.bucket).values()} == {0}


def test_dead_domains_in_a_row_are_broken_and_hold_up_no_others(server: DnsServer, resolver: DnsResolver) -> None:
    """Whoever lets a dozen look-alike domains lapse must not switch the checks of all others off."""
    dead = [f"d{number:02}.internal" for number in range(3 * GIVE_UP)]
    for domain in dead:
        server.fail(domain)
    for domain in ("alpha.internal", "zeta.internal"):
        sound(server, domain)
    domains = ["alpha.internal", *dead, "zeta.internal"]
    pool = Pool([one for domain in domains for one in boxes(1, domain)], resolver)
    assert pool.check(pool.plan(0)[0]) == DomainsChecked(checked=26, broken=24, providers_set=2)
    assert all(row(pool.bucket, domain).broken for domain in dead)


def test_dead_domains_at_the_head_of_the_first_list_hold_up_the_others_for_a_tick(
    server: DnsServer, resolver: DnsResolver
) -> None:
    dead = [f"d{number:02}.internal" for number in range(16)]
    for domain in dead:
        server.fail(domain)
    sound(server, "zeta.internal")
    pool = Pool([one for domain in [*dead, "zeta.internal"] for one in boxes(1, domain)], resolver)
    assert pool.check(pool.plan(0)[0]).why == "resolver"
    assert pool.check(pool.plan(1)[0]) == DomainsChecked(checked=17, broken=16, providers_set=1)


def test_a_silent_domain_among_others_is_broken(server: DnsServer) -> None:
    sound(server, "alpha.internal")
    bucket = MemoryObjects()
    clock = VirtualClock(START)
    book = DomainBook(
        bucket,
        SilentAbout(server.address),
        now_ms=clock.now_ms,
        monotonic_ms=clock.monotonic_ms,
        every_ms=7 * DAY_MS,
    )
    users = {"silent.internal": frozenset({"s"}), "alpha.internal": frozenset({"a"})}
    found = book.look(users)
    assert [(one.provider, one.is_answered) for one in found.values()] == [("", False), ("google", True)]
    assert read_index(bucket) == {}, "the index is written once, at the end"
    book.save()
    assert set(read_index(bucket)) == set(users)
    assert row(bucket, "alpha.internal").users == ("a",)
    assert not book.gave_up
    assert len(book.reports) == 2 < GIVE_UP


def test_what_is_known_is_not_asked_again(server: DnsServer, resolver: DnsResolver) -> None:
    sound(server, "alpha.internal")
    bucket, clock = MemoryObjects(), VirtualClock(START)

    def look(dns: DnsResolver | None) -> dict[str, DomainRow]:
        book = DomainBook(
            bucket, dns, now_ms=clock.now_ms, monotonic_ms=clock.monotonic_ms, every_ms=timedelta(days=7) // MS
        )
        found = book.look({"alpha.internal": frozenset()})
        book.save()
        return found

    assert look(None) == {}
    assert look(resolver)["alpha.internal"].provider == "google"
    server.asked.clear()
    assert look(resolver)["alpha.internal"].provider == look(None)["alpha.internal"].provider == "google"
    assert not server.asked
    clock.at_ms += 7 * DAY_MS
    look(resolver)
    assert server.asked


MS = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("domain", "checks"), [("gmail.com", ["MX"]), ("alpha.internal", ["MX", "SPF", "DKIM", "DMARC"])]
)
def test_nobody_is_told_to_mend_a_free_mail_domain(
    server: DnsServer, resolver: DnsResolver, domain: str, checks: list[str]
) -> None:
    server.put(domain, "MX", "5 gmail-smtp-in.l.google.com.")
    server.put("gmail-smtp-in.l.google.com", "A", "192.0.2.1")
    report = domain_report(domain, resolver, now_ms=START, monotonic_ms=lambda: 0)
    assert ([one.check for one in report.findings], report.provider) == (checks, "gmail")


def test_slow_name_servers_get_no_more_than_their_time(server: DnsServer, resolver: DnsResolver) -> None:
    sound(server, "alpha.internal")
    moments = iter([0, 0, 16_000, 16_000, 16_000, 16_000, 16_000, 16_000, 16_000])
    report = domain_report("alpha.internal", resolver, now_ms=START, monotonic_ms=lambda: next(moments))
    assert [(one.check, one.verdict) for one in report.findings][1:] == [
        ("SPF", "broken"),
        ("DKIM", "broken"),
        ("DMARC", "broken"),
    ]
    assert (report.provider, server.asked["alpha.internal", "udp"]) == ("google", 1)
