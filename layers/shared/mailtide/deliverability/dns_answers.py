"""What a DNS server says, as far as the checks need it, and who asks it."""

from dataclasses import dataclass
from typing import Literal, Protocol

from mailtide.doctor.finding import Finding, broken

type Status = Literal["found", "no_record", "no_domain", "failed", "unanswered"]
"""no_record: the name is there without records of this kind; no_domain: NXDOMAIN; failed: SERVFAIL, REFUSED or an answer
that is none; unanswered: nobody spoke in time."""


@dataclass(frozen=True, slots=True)
class Texts:
    """TXT records of a name, each with its strings joined; bytes beyond ASCII as backslashes and hexadecimal digits."""

    status: Status
    records: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchanges:
    """MX records of a name: (preference, host in lower case without the last dot), the most preferred first."""

    status: Status
    records: tuple[tuple[int, str], ...] = ()


class Dns(Protocol):
    """A resolver. No method raises for what a server answers, or leaves unanswered."""

    def texts(self, name: str) -> Texts:
        """TXT records, aliases followed."""

    def exchanges(self, name: str) -> Exchanges:
        """MX records, aliases followed."""

    def address_status(self, name: str) -> Status:
        """Whether the name has an address, IPv4 or IPv6."""


def not_answered(check: str, name: str, status: Status) -> Finding:
    """What to say of a look-up that gave no answer to judge; `status` is failed or unanswered."""
    if status == "failed":
        what = f"The name servers of {name} answer with an error (SERVFAIL, REFUSED or something that is no answer)."
        return broken(
            check, name, what, "look at the zone and its DNSSEC keys at whoever hosts the DNS, then check again"
        )
    what = f"No name server answered in time about {name}."
    return broken(
        check, name, what, "check again; if it stays so, ask another resolver (--resolver) to see whose fault it is"
    )
