"""What a person gives for an id: a part of it, or a session's place among the newest."""

from __future__ import annotations

from ..errors import StoreError
from ..patterns import regex
from .catalog.catalog import SQLiteCatalog

_LATEST = regex(r"latest(?:~([0-9]{1,9}))?")


def session_id(catalog: SQLiteCatalog, text: str, source: str | None = None) -> str:
    """Return the id of the one session whose id begins or ends so.

    Ids of one moment begin alike, so that it is their ends that tell them apart. ``latest`` is
    the newest session, ``latest~1`` the one before it, and so on; those of child processes do
    not count.

    Args:
        source: whose sessions count for ``latest``; of all, if not given.

    Raises:
        StoreError: there is none, or more than one.
    """
    match = _LATEST.fullmatch(text)
    if match is None:
        return _one("session", catalog, catalog.ids(text), text)
    found = catalog.latest(int(match[1] or 0), source)
    return _one("session", catalog, [found] if found else [], text)


def request_id(catalog: SQLiteCatalog, text: str) -> str:
    """Return the id of the one call whose id begins or ends so.

    Raises:
        StoreError: there is none, or more than one.
    """
    return _one("call", catalog, catalog.ids(text, calls=True), text)


def _one(noun: str, catalog: SQLiteCatalog, found: list[str], text: str) -> str:
    if len(found) == 1:
        return found[0]
    root = catalog.database.path.parent
    if not found:
        raise StoreError(f"no {noun} {text} is recorded in {root}", path=root)
    raise StoreError(
        f"several {noun}s begin or end with {text}: {', '.join(found)}: give more of the id",
        path=root,
    )
