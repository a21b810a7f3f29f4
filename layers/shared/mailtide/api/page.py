"""The page and its parts: plain files of the package. They hold no data, so anybody may read them."""

import hashlib
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path

from mailtide.api.problems import ProblemError
from mailtide.api.resolver import ApiRouter

KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Nothing but our own files; no inline script or style, and no text that a browser would take for markup."""
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
"""A part's address holds the digest of all parts, so it never changes."""
_INDEX = "index.html"

router = ApiRouter()


@cache
def parts() -> dict[str, str]:
    """File name -> text."""
    folder = resources.files("mailtide.api") / "web"
    wanted = (*KINDS, ".html")
    return {part.name: part.read_text(encoding="utf-8") for part in folder.iterdir() if part.name.endswith(wanted)}


@cache
def version() -> str:
    """A digest of all parts."""
    whole = "\0".join(f"{name}\0{text}" for name, text in sorted(parts().items()))
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


@router.get("/", include_in_schema=False)
def index() -> Response[str]:
    """The page. Addresses in it are relative: it may lie below a path."""
    text = parts()[_INDEX].replace("{version}", version())
    return Response(
        status_code=int(HTTPStatus.OK), content_type="text/html; charset=utf-8", body=text, headers=dict(PAGE_HEADERS)
    )


@router.get("/assets/<of>/<name>", include_in_schema=False)
def part(of: Annotated[str, Path()], name: Annotated[str, Path()]) -> Response[str]:
    """A part of the page; of another version, which a page that was open meanwhile may ask for, the present one, unkept."""
    kind = next((kind for suffix, kind in KINDS.items() if name.endswith(suffix)), None)
    if kind is None or name not in parts():
        raise ProblemError(HTTPStatus.NOT_FOUND, "The page has no such part.")
    headers = PAGE_HEADERS | (FOR_EVER if of == version() else {})
    return Response(status_code=int(HTTPStatus.OK), content_type=kind, body=parts()[name], headers=headers)
