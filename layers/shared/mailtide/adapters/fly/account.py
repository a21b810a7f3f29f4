"""What the doctor asks of Fly: whether a token opens an app, and whether the registry has an image."""

import base64

import httpx
from pydantic import SecretStr

from mailtide.adapters.fly.client import FlyClient
from mailtide.adapters.fly.retry import RetryPolicy
from mailtide.adapters.fly.wire import Timeouts

_LOOPBACK = ("127.0.0.1", "localhost")
_KINDS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_FLYS_REGISTRY = "registry.fly.io"


class FlyAccount:
    """Implements mailtide.doctor.facts.FlyApp. Asks once, without patience."""

    def __init__(self, app: str, token: SecretStr, *, base_url: str) -> None:
        self._client = FlyClient(
            app, token, base_url=base_url, timeouts=Timeouts(connect_s=3, read_s=8), retry=RetryPolicy(attempts=1)
        )
        self._token = token

    def machines(self) -> int:
        """See FlyApp."""
        return len(self._client.machines())

    def has_image(self, image: str) -> bool | None:
        """See FlyApp: by the registry's own protocol (OCI distribution). The token goes to Fly's registry alone."""
        host, _, rest = image.partition("/")
        name, mark, reference = rest.partition("@") if "@" in rest else rest.rpartition(":")
        if not mark or not ("." in host or ":" in host):
            return None
        headers = {"Accept": _KINDS}
        if host == _FLYS_REGISTRY:
            pair = f"x:{self._token.get_secret_value()}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        scheme = "http" if host.partition(":")[0] in _LOOPBACK else "https"
        try:
            answer = httpx.head(f"{scheme}://{host}/v2/{name}/manifests/{reference}", headers=headers, timeout=5)
        except httpx.HTTPError:
            return None
        return {200: True, 404: False}.get(answer.status_code)
