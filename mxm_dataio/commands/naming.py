"""What an id names that is given on the command line: a session, or a call."""

from __future__ import annotations

from ..errors import StoreError
from ..models import Exchange, Session
from ..store import Store


def named(store: Store, name: str) -> Session | Exchange:
    """Return the session or the call that a text names.

    Raises:
        StoreError: neither, or several.
    """
    ids = store.catalog.ids(name)
    calls = store.catalog.ids(name, calls=True)
    if name.startswith("latest") or (ids and not calls):
        session = store.session(store.session_id(name))
        assert session is not None
        return session
    if ids:
        raise StoreError(
            f"sessions and calls begin or end with {name}: {', '.join(ids + calls)}: give more of "
            "the id",
            path=store.root,
        )
    if not calls:
        raise StoreError(f"no session and no call {name} is recorded in {store.root}")
    exchange = store.exchange(store.request_id(name))
    assert exchange is not None
    return exchange
