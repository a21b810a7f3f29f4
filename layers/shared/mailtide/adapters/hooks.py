"""POST to addresses that organisations name: https only, nothing but public addresses, no redirect, one deadline.

The name is resolved once, every address is judged, and the connection goes to the very address that was judged, so that a
name that changes its mind in between leads nowhere else (DNS rebinding). Texts of errors hold no address.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping

import httpx

from mailtide.adapters.secrets import read_secret
from mailtide.errors import InputError, SettingsError, TransientError

DEADLINE_S = 15.0
MIN_KEY_LENGTH = 32
type Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class WebHooks:
    """Implements mailtide.ports.Hooks."""

    def __init__(
        self,
        key_secret: str,
        *,
        loopback: bool = False,
        tls: ssl.SSLContext | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """loopback: whether addresses of this machine may be asked, also by plain http (the local cloud)."""
        self._deadline_s = deadline_s
        self._key_secret = key_secret
        self._loopback = loopback
        self._tls = tls

    def signing_key(self) -> bytes:
        """See mailtide.ports.Hooks."""
        key = read_secret(self._key_secret).get_secret_value()
        if len(key) < MIN_KEY_LENGTH:
            raise SettingsError(f"The secret {self._key_secret!r} is shorter than {MIN_KEY_LENGTH} characters.")
        return key.encode()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """See mailtide.ports.Hooks."""
        parsed = self.checked(url)
        try:
            return asyncio.run(self._post(parsed, body, headers))
        except TimeoutError:
            raise TransientError(f"it did not answer within {self._deadline_s:g} seconds") from None
        except httpx.TransportError as error:
            raise TransientError(f"it could not be reached ({type(error).__name__})") from None

    def checked(self, url: str) -> httpx.URL:
        """The address, when it may be asked as far as its text tells. InputError."""
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            raise InputError("The webhook's URL is no web address.") from None
        if parsed.scheme not in ({"https", "http"} if self._loopback else {"https"}) or not parsed.host:
            raise InputError("The webhook's URL must begin with https://.")
        if parsed.port is not None and not 0 < parsed.port < 65_536:
            raise InputError("The webhook's URL names a port that there is not.")
        if parsed.userinfo or parsed.fragment:
            raise InputError("The webhook's URL must hold no user name, password or fragment.")
        return parsed

    async def _post(self, url: httpx.URL, body: bytes, headers: Mapping[str, str]) -> int:
        async with asyncio.timeout(self._deadline_s):
            address = await self._resolve(url)
            # The body of the answer is nobody's business, and not read.
            async with (
                httpx.AsyncClient(trust_env=False, follow_redirects=False, verify=self._tls or True) as client,
                client.stream(
                    "POST",
                    url.copy_with(host=str(address)),
                    content=body,
                    headers={**headers, "Host": url.netloc.decode("ascii")},
                    extensions={"sni_hostname": url.raw_host.decode("ascii")},
                ) as answer,
            ):
                return answer.status_code

    async def _resolve(self, url: httpx.URL) -> Address:
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise TransientError("its name could not be resolved") from None
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        if not addresses or not all(self._may_be_asked(address, url.scheme) for address in addresses):
            raise InputError("The webhook's name does not lead to a public address.")
        return addresses[0]

    def _may_be_asked(self, address: Address, scheme: str) -> bool:
        if self._loopback and address.is_loopback:
            return True
        return scheme == "https" and is_public(address)


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, and so is what it wraps."""
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    wrapped = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    return all(inner is None or is_public(inner) for inner in wrapped)
