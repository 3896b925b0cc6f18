"""Record every call a program makes to the outside world, and replay it offline.

>>> with IngestSession(source="yahoo", root="data", mode="record") as ingest:
...     requests.get("https://…")
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from . import api as _api
from .api import IngestSession
from .errors import (
    ConfigError,
    DataIOError,
    DataIOWarning,
    FetchError,
    IntegrityError,
    NearMiss,
    ReplayMissError,
    StoreError,
)
from .fetcher import Fetcher, HTTPFetcher
from .models import Exchange, FetchResult, Mode, Request, Response, Session, Status
from .redaction import Redaction
from .registry import register, unregister
from .store import Store

if TYPE_CHECKING:
    from .adapters.requests import CaptureAdapter, mount

try:
    __version__ = version("mxm-dataio")
except PackageNotFoundError:  # a checkout on sys.path
    __version__ = "0"

__all__ = [
    "CaptureAdapter",
    "ConfigError",
    "DataIOError",
    "DataIOWarning",
    "Exchange",
    "FetchError",
    "FetchResult",
    "Fetcher",
    "IngestSession",
    "IntegrityError",
    "Mode",
    "NearMiss",
    "Redaction",
    "ReplayMissError",
    "Request",
    "Response",
    "Session",
    "Status",
    "Store",
    "StoreError",
    "mount",
    "register",
    "unregister",
]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: they import requests, which a program may never need.
    if name in ("CaptureAdapter", "mount"):
        from .adapters import requests as adapter

        return getattr(adapter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _hook() -> _api.Interceptor:
    from .adapters.support import require_urllib3

    require_urllib3()
    from .adapters.urllib3 import HOOK

    return HOOK


def _chunked_hook() -> _api.Interceptor:
    from .adapters.support import require_requests, require_urllib3

    require_requests(_REQUESTS)
    require_urllib3()
    from .adapters.requests import CHUNKED_HOOK

    return CHUNKED_HOOK


def _http_fetcher(ingest: IngestSession) -> HTTPFetcher:
    from .adapters.requests import mount as mount_on

    return HTTPFetcher(lambda session: mount_on(session, ingest))


# The one place that knows both the sessions and the adapters.
_REQUESTS = version("requests")
_api.interceptors.append(_hook)
if not _REQUESTS.startswith("2.") or int(_REQUESTS.split(".")[1]) < 29:
    _api.interceptors.append(_chunked_hook)
_api.http_fetchers.append(_http_fetcher)
