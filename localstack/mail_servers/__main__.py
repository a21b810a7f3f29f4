"""`make mail-servers`: Postfix and Dovecot with a thousand invented mailboxes, until Ctrl-C."""

import argparse
import sys
import threading

from localstack.__main__ import stop_on_sigterm
from localstack.cloud import ROOT, STATE
from localstack.mail_servers.junk import SHARE, SUBJECT_MARK
from localstack.mail_servers.pool import PASSWORD, make_pool, write_csv
from localstack.mail_servers.ports import Ports
from localstack.mail_servers.servers import MailServers
from localstack.processes import LocalCloudError, require_free

HOME = STATE / "mail-servers"
PORTS = Ports(submission=2587, smtps=2465, plain=2525, imap=2143, imaps=2993)


def main(arguments: list[str] | None = None) -> int:
    """Start, say where everything is, wait for Ctrl-C or SIGTERM, stop. 1 with one line when they cannot start."""
    parser = argparse.ArgumentParser(prog="python -m localstack.mail_servers", description=__doc__)
    parser.add_argument("--mailboxes", type=int, default=1_000, help="how many, 1 to 5,000 (default: %(default)s)")
    given = parser.parse_args(arguments)
    if not 1 <= given.mailboxes <= 5_000:
        parser.error("--mailboxes takes 1 to 5,000")
    stop_on_sigterm()
    pool = make_pool(given.mailboxes)
    try:
        for port in (PORTS.submission, PORTS.smtps, PORTS.plain, PORTS.imap, PORTS.imaps):
            require_free(port)
        with MailServers(HOME, {box.address: PASSWORD for box in pool}, junk_tenth=True, ports=PORTS) as servers:
            write_csv(HOME / "mailboxes.csv", pool, servers.ports)
            print(_explain(servers, pool[0].address, len(pool), len({box.user_id for box in pool})), flush=True)
            threading.Event().wait()
    except LocalCloudError as error:
        print(f"mailtide: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("mailtide: stopped; nothing is left running", file=sys.stderr)
        return 130
    return 0


def _explain(servers: MailServers, address: str, mailboxes: int, domains: int) -> str:
    ports, home = servers.ports, HOME.relative_to(ROOT)
    return f"""Postfix and Dovecot are up on 127.0.0.1 until Ctrl-C.

  SMTP with STARTTLS   {ports.submission}    TLS {ports.smtps}, without {ports.plain}
  IMAP with STARTTLS   {ports.imap}    TLS {ports.imaps}
  mailboxes            {mailboxes:,} in {domains} domains, for mailtide mailboxes import: {home}/mailboxes.csv
  one of them          {address}, password: {PASSWORD}
  their authority      export SSL_CERT_FILE=$PWD/{home}/tls/authority.pem
  junk                 subjects with {SUBJECT_MARK}, and about one warm-up mail in {SHARE}
  logs                 {home}/postfix.log, {home}/dovecot.log"""


if __name__ == "__main__":
    sys.exit(main())
