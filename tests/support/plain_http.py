"""For requests to servers of the tests, which speak plain HTTP."""

import ssl

NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""httpx's `verify`: it trusts nobody, so that no client reads all of the world's authorities, which takes 30 ms of CPU."""
