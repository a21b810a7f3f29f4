"""DNS by dnspython: the system's resolver or a named one, TCP after a truncated answer, every failure told apart."""

import ipaddress
import re

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT

from mailtide.deliverability.dns_answers import Exchanges, Status, Texts
from mailtide.errors import InputError

QUERY_TIMEOUT_S = 2.0
"""For one server's answer; the next server, or the same again, is asked after it."""
PAYLOAD_BYTES = 1_232
"""Of an answer by UDP: what passes everywhere in one piece. Larger ones come by TCP."""
MAX_TEXT_CHARS = 4_096
"""Of one TXT record: what is longer is cut, and judged as it is then."""
MAX_RECORDS = 50


def parse_resolver(text: str) -> tuple[str, int]:
    """Address and port of 192.0.2.1, 192.0.2.1:53, 2001:db8::1 or [2001:db8::1]:53. InputError."""
    found = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?|([0-9.]+)(?::([0-9]{1,5}))?|([0-9A-Fa-f:.]+)", text)
    host = next((one for one in found.group(1, 3, 5) if one), "") if found else ""
    port = int((found[2] or found[4] or 53) if found else 0)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise InputError(f"{text!r} is no resolver like 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53.") from None
    if not 0 < port <= 65_535:
        raise InputError(f"{text!r} names no port from 1 to 65,535.")
    return str(address), port


class DnsResolver:
    """Implements mailtide.deliverability.dns_answers.Dns; safe in several threads."""

    def __init__(self, address: tuple[str, int] | None = None, *, lifetime_s: float = 5.0) -> None:
        """address: IP and port; the system's resolvers if left out. lifetime_s: of a question with all tries. InputError."""
        try:
            self._resolver = dns.resolver.Resolver(configure=address is None)
        except dns.resolver.NoResolverConfiguration:
            raise InputError("This machine names no DNS resolver: name one with --resolver.") from None
        if address is not None:
            self._resolver.nameservers = [address[0]]
            self._resolver.port = address[1]
        self._resolver.use_edns(0, 0, PAYLOAD_BYTES)
        self._resolver.timeout = min(QUERY_TIMEOUT_S, lifetime_s)
        self._resolver.lifetime = lifetime_s

    def texts(self, name: str) -> Texts:
        """See mailtide.deliverability.dns_answers.Dns."""
        status, answer = self._ask(name, dns.rdatatype.TXT)
        records = sorted(b"".join(one.strings) for one in answer if isinstance(one, TXT))
        clean = tuple(one.decode("ascii", "backslashreplace")[:MAX_TEXT_CHARS] for one in records[:MAX_RECORDS])
        return Texts(status, clean)

    def exchanges(self, name: str) -> Exchanges:
        """See mailtide.deliverability.dns_answers.Dns."""
        status, answer = self._ask(name, dns.rdatatype.MX)
        records = ((one.preference, _text(one.exchange)) for one in answer if isinstance(one, MX))
        return Exchanges(status, tuple(sorted(records)[:MAX_RECORDS]))

    def address_status(self, name: str) -> Status:
        """See mailtide.deliverability.dns_answers.Dns."""
        first, _ = self._ask(name, dns.rdatatype.A)
        if first == "no_record":
            return self._ask(name, dns.rdatatype.AAAA)[0]
        return first

    def _ask(self, name: str, kind: dns.rdatatype.RdataType) -> "tuple[Status, list[object]]":
        try:
            # Absolute: the domains that this machine would try behind a name are not the mailbox's.
            answer = self._resolver.resolve(dns.name.from_text(name), kind, search=False)
            return "found", list(answer)
        except dns.resolver.NXDOMAIN:
            return "no_domain", []
        except dns.resolver.NoAnswer:
            return "no_record", []
        except dns.resolver.NoNameservers as error:
            return _why(error), []
        except dns.exception.Timeout:
            return "unanswered", []
        except (dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel, dns.name.BadEscape):
            # No zone can hold such a name.
            return "no_domain", []
        except (dns.exception.DNSException, ValueError):
            return "failed", []
        except OSError:
            return "unanswered", []


def _why(error: dns.resolver.NoNameservers) -> Status:
    """Servers that could not be reached at all are another thing than servers that answer with an error."""
    errors = error.kwargs.get("errors") or []
    if errors and all(isinstance(one[3], OSError | dns.exception.Timeout) for one in errors):
        return "unanswered"
    return "failed"


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower() if name != dns.name.root else ""
