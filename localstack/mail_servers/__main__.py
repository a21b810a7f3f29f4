"""`make mail-servers`: Postfix and Dovecot with a thousand invented mailboxes, until Ctrl-C."""

import argparse
import sys
import threading
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from localstack.__main__ import stop_on_sigterm
from localstack.cloud import ROOT, STATE
from localstack.mail_servers.junk import SHARE, SUBJECT_MARK
from localstack.mail_servers.pool import PASSWORD, Box, make_pool, write_csv
from localstack.mail_servers.ports import Ports
from localstack.mail_servers.servers import MailServers
from localstack.processes import LocalCloudError, require_free

HOME = STATE / "mail-servers"
PORTS = Ports(submission=2587, smtps=2465, plain=2525, imap=2143, imaps=2993)


def main(arguments: list[str] | None = None) -> int:
    """Start, say where everything is, wait for Ctrl-C or SIGTERM, stop. 1 with one line when they cannot start."""
    parser = argparse.ArgumentParser(prog="python -m localstack.mail_servers", description=__doc__)
    parser.add_argument("--mailboxes", type=int, default=1_000, help="how many, 1 to 5,000 (default: %(default)s)")
    parser.add_argument("--free-ports", action="store_true", help="free ports instead of the usual ones")
    parser.add_argument(
        "--home", type=Path, default=HOME, help="folder for everything, made anew (default: %(default)s)"
    )
    given = parser.parse_args(arguments)
    if not 1 <= given.mailboxes <= 5_000:
        parser.error("--mailboxes takes 1 to 5,000")
    stop_on_sigterm()
    pool = make_pool(given.mailboxes)
    ports = Ports() if given.free_ports else PORTS
    passwords = {box.address: PASSWORD for box in pool}
    try:
        for port in filter(None, astuple(ports)):
            require_free(port)
        with MailServers(given.home, passwords, junk_tenth=True, ports=ports) as servers:
            write_csv(given.home / "mailboxes.csv", pool, servers.ports)
            print(explain(servers.ports, pool, given.home), flush=True)
            threading.Event().wait()
    except LocalCloudError as error:
        print(f"mailtide: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("mailtide: stopped; nothing is left running", file=sys.stderr)
        return 130
    return 0


def explain(ports: Ports, pool: Sequence[Box], home: Path) -> str:
    """What somebody needs to know who wants to use them."""
    domains = len({box.user_id for box in pool})
    shown = home.relative_to(ROOT) if home.is_relative_to(ROOT) else home
    authority = f"$PWD/{shown}" if home.is_relative_to(ROOT) else home
    return f"""Postfix and Dovecot are up on 127.0.0.1 until Ctrl-C.

  SMTP with STARTTLS   {ports.submission}    TLS {ports.smtps}, without {ports.plain}
  IMAP with STARTTLS   {ports.imap}    TLS {ports.imaps}
  mailboxes            {len(pool):,} in {domains} domains, for mailtide mailboxes import: {shown}/mailboxes.csv
  one of them          {pool[0].address}, password: {PASSWORD}
  their authority      export SSL_CERT_FILE={authority}/tls/authority.pem
  junk                 subjects with {SUBJECT_MARK}, and about one warm-up mail in {SHARE}
  logs                 {shown}/postfix.log, {shown}/dovecot.log"""


if __name__ == "__main__":
    sys.exit(main())
