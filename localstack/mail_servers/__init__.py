"""Postfix and Dovecot on 127.0.0.1, unpacked from Debian's packages: `make mail-servers`, and the tests."""
