"""Which recorded call follows: look-ups of replay in SQL."""

from __future__ import annotations

from typing import NamedTuple

from . import rows

_NUMBER = "(SELECT number FROM sessions WHERE id = ?)"


_OF_ROOT = (
    "q.params_hash = ? AND q.source = ? AND q.as_of = (SELECT as_of FROM sessions WHERE id = ?) "
    f"AND q.root = {_NUMBER}"
)


def _serves(alias: str) -> str:
    """Return what is true of a call that may answer: it has an outcome, and none forgot it.

    One that was answered from the store is forgotten with the call that answered it.
    """
    return (
        f"{alias}.status <> 'interrupted' AND NOT EXISTS (SELECT 1 FROM forgotten f "
        f"WHERE f.request IN ({alias}.id, {alias}.served_from))"
    )


SERVES = _serves("q")

# A program that ended with an error may have recorded half of what it asks for.
_FAILED = "(s.status IN ('failed', 'interrupted') OR coalesce(s.exit_status, 0) <> 0)"

# The newest session that holds a call, of those whose number is below one, and whether it failed.
NEWEST = f"""
    SELECT q.as_of, s.id, q.root, {_FAILED}
    FROM requests q JOIN sessions s ON s.number = q.root
    WHERE q.params_hash = ? AND q.source = ? AND q.as_of <= ? AND q.root < ?
        AND {SERVES} AND s.id <> ?
    ORDER BY q.as_of DESC, q.root DESC LIMIT 1
"""

# Calls that came after one, and what tells whether a look-up for one would find just it.
_FOLLOWING = f"""
    SELECT {rows.REQUEST},
        (SELECT max(p.id) FROM requests p WHERE p.params_hash = q.params_hash
            AND p.source = q.source AND p.as_of = q.as_of AND p.root = q.root AND p.id < q.id
            AND {_serves("p")}),
        q.root = (SELECT n.root FROM requests n WHERE n.params_hash = q.params_hash
            AND n.source = q.source AND n.as_of <= :bound AND {_serves("n")}
            ORDER BY n.as_of DESC, n.root DESC LIMIT 1)
            AND NOT (SELECT {_FAILED} FROM sessions s WHERE s.number = q.root),
        q.base_hash IS NOT NULL AND EXISTS (SELECT 1 FROM requests b
            WHERE b.params_hash = q.base_hash AND b.source = q.source),
        (SELECT group_concat(v.vary, ' ') FROM variants v
            WHERE v.base_hash = coalesce(q.base_hash, q.params_hash) AND v.source = q.source)
    FROM {rows.REQUESTS}
    WHERE q.session = (SELECT session FROM requests WHERE id = :after) AND q.id > :after
        AND q.source = :source AND q.as_of = r.as_of AND {SERVES}
    ORDER BY q.id LIMIT :limit
"""


class Following(NamedTuple):
    """A call that came after another, not yet decoded.

    Attributes:
        params_hash, base_hash, as_of, root_id: the request's.
        after: id of the call with the same hash before it in its root session, or empty.
        newest: no newer session holds the hash, and its own has not failed.
        plainly: calls are held whose hash is this one's ``base_hash``.
        vary: what answers of this base hash vary on, one name list a text.
        request, responses: the rows.
    """

    params_hash: str
    base_hash: str
    as_of: str
    root_id: str
    after: str
    newest: bool
    plainly: bool
    vary: tuple[str, ...]
    request: rows.Row
    responses: list[rows.Row]


def _following(row: rows.Row, responses: list[rows.Row]) -> Following:
    *request, after, newest, plainly, vary = row
    return Following(
        params_hash=row[11],
        base_hash=row[12] or row[11],
        as_of=row[5],
        root_id=row[3],
        after=after or "",
        newest=bool(newest),
        plainly=bool(plainly),
        vary=tuple(vary.split(" ")) if vary else (),
        request=tuple(request),
        responses=responses,
    )
