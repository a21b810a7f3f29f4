"""Who may not write to whom: users joined by a shared company domain are one party."""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files


@cache
def free_mail_domains() -> frozenset[str]:
    """Domains that join nobody (packaged as data/free_mail.txt)."""
    text = files("mailtide.warmup.data").joinpath("free_mail.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def parties(user_domains: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The party of each user: the least user id of all that are joined, directly or over others.

    user_domains: (user, domain in lower case) of each mailbox. Domains are compared whole: mail.example.com is not example.com.
    """
    parent: dict[str, str] = {}
    first_of: dict[str, str] = {}
    free = free_mail_domains()
    for user, domain in user_domains:
        parent.setdefault(user, user)
        if domain in free:
            continue
        other = first_of.setdefault(domain, user)
        if other != user:
            _join(parent, user, other)
    return {user: _root(parent, user) for user in parent}


def _root(parent: dict[str, str], user: str) -> str:
    while parent[user] != user:
        parent[user] = parent[parent[user]]
        user = parent[user]
    return user


def _join(parent: dict[str, str], one: str, other: str) -> None:
    low, high = sorted((_root(parent, one), _root(parent, other)))
    parent[high] = low
