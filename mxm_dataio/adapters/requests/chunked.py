"""Uploads that requests sends in chunks by itself (before 2.29)."""

from __future__ import annotations

import functools
from typing import Any

from requests.adapters import HTTPAdapter

from ...ingest.active import active
from ..patches import Patches
from ..taps import under_way
from .adapter import capture
from .replay import _in_chunks


class ChunkedHook(Patches):
    """Sees what requests 2.28 sends in chunks past ``urlopen``, on a pool's bare connection.

    (psf/requests#6226 gave these calls to urllib3.)
    """

    def replace_all(self) -> None:
        self.replace(HTTPAdapter, "send", _chunked_send)


def _chunked_send(original: Any) -> Any:
    @functools.wraps(original)
    def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        if under_way() is not None or args or not _in_chunks(request):
            return original(self, request, *args, **kwargs)
        ingest = active()
        if ingest is None:
            return original(self, request, *args, **kwargs)
        # Not through self.send, which may be a subclass's that has led here.
        return capture(self, ingest, request, kwargs, functools.partial(original, self))

    return send


CHUNKED_HOOK = ChunkedHook()
