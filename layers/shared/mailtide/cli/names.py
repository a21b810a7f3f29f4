"""Names that a shell completes: asked of the bucket with one or two requests, and none when it cannot be asked."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mailtide.ports import Bucket

_MOST = 1_000


def org_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Organisations."""
    del ctx, param
    return _beginning(incomplete, _orgs)


def run_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Runs of the organisation that stands before."""
    del param
    org = str(ctx.params.get("org") or "")
    return _beginning(incomplete, lambda bucket: _runs_of(bucket, org)) if org else []


def orgs_or_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Organisations and open runs; after an organisation its runs."""
    del param
    given = ctx.params.get("names") or ()
    if given:
        return _beginning(incomplete, lambda bucket: _runs_of(bucket, given[0]))
    return _beginning(incomplete, lambda bucket: (*_orgs(bucket), *_open_runs(bucket)))


def _beginning(incomplete: str, look: Callable[["Bucket"], Iterable[str]]) -> list[str]:
    try:
        from mailtide.bootstrap import bucket

        return [name for name in islice(look(bucket()), _MOST) if name.startswith(incomplete)]
    except Exception:  # noqa: BLE001 - a shell that completes must not be told of it
        return []


def _orgs(bucket: "Bucket") -> Iterable[str]:
    from mailtide.runs import store

    return store.organisations(bucket)


def _runs_of(bucket: "Bucket", org: str) -> Iterable[str]:
    from mailtide.runs import keys

    return bucket.list_folders(f"{keys.RUNS}{org}/")


def _open_runs(bucket: "Bucket") -> Iterable[str]:
    from mailtide.runs import keys

    return (named[1] for info in bucket.list(keys.OPEN) if (named := keys.parse_marker(info.key)))
