"""Mounting a requests.Session on an IngestSession."""

from __future__ import annotations

import requests

from ...api import IngestSession
from ...ingest.capture import Capture
from .adapter import CaptureAdapter


class Mount:
    """A ``requests.Session`` under capture; :meth:`unmount`, or leaving the ``with``, undoes it."""

    def __init__(self, session: requests.Session, ingest: IngestSession | Capture | None) -> None:
        self.session = session
        self._mine: dict[str, CaptureAdapter] = {}
        for prefix, inner in list(session.adapters.items()):
            adapter = CaptureAdapter(inner=inner, ingest=ingest)
            self._mine[prefix] = adapter
            session.adapters[prefix] = adapter

    def __enter__(self) -> requests.Session:
        return self.session

    def __exit__(self, *exc_info: object) -> None:
        self.unmount()

    def unmount(self) -> None:
        """Put the session's own adapters back, where ours still stand; in any order of mounts."""
        for prefix, adapter in self._mine.items():
            adapter.untap()
            above = self.session.adapters.get(prefix)
            if above is adapter:
                self.session.adapters[prefix] = adapter.inner
            while isinstance(above, CaptureAdapter):
                # A later mount wraps ours: ours is taken out from below it.
                if above.inner is adapter:
                    above._inner = adapter.inner
                above = above.inner
        self._mine.clear()


def mount(session: requests.Session, ingest: IngestSession | Capture | None = None) -> Mount:
    """Capture a ``requests.Session``, wrapping whatever adapters it carries.

    Args:
        session: keeps its adapters' retries, TLS set-up and pools.
        ingest: the session to record to; the active one at each call if not given.

    Returns:
        A handle to undo it, usable as a context manager.
    """
    return Mount(session, ingest)
