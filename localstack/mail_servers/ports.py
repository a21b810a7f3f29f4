"""Where the servers listen."""

from dataclasses import dataclass, replace

from localstack.processes import free_port


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the servers listen on 127.0.0.1. 0: a free one, until they run.

    submission: STARTTLS. smtps, imaps: TLS from the first byte. plain: SMTP without TLS. imap: with STARTTLS or without.
    """

    submission: int = 0
    smtps: int = 0
    plain: int = 0
    imap: int = 0
    imaps: int = 0

    def chosen(self, *names: str) -> "Ports":
        """Those of these names that are 0 made free ones."""
        return replace(self, **{name: free_port() for name in names if not getattr(self, name)})
