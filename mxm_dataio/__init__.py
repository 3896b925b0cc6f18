"""Record every call a program makes to the outside world, and replay it offline.

>>> with IngestSession(source="yahoo", root="data", mode="record") as ingest:
...     requests.get("https://…")
"""

from __future__ import annotations

from . import interception as _interception

# Not typing's: each Python process whose environment switches capture on imports this package as
# it starts, and is to load nothing for it that it would not have loaded itself.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .adapters.requests import CaptureAdapter, mount
    from .api import IngestSession
    from .cassettes import CassetteOptions, CassetteSession, MarkerOptions, use_cassette
    from .errors import (
        BlockedError,
        BusyError,
        ConfigError,
        DataIOError,
        DataIOWarning,
        FetchError,
        IntegrityError,
        LeftOutError,
        NearMiss,
        ReplayMissError,
        RuleError,
        StoreError,
        ViewError,
    )
    from .fetcher import Fetcher, HTTPFetcher
    from .identity.view import Call
    from .models import Exchange, FetchResult, Mode, Request, Response, Session, Status
    from .redaction import Redaction
    from .registry import register, unregister
    from .store import Store

    __version__: str

__all__ = [
    "BlockedError",
    "BusyError",
    "Call",
    "CaptureAdapter",
    "CassetteOptions",
    "CassetteSession",
    "ConfigError",
    "DataIOError",
    "DataIOWarning",
    "Exchange",
    "FetchError",
    "FetchResult",
    "Fetcher",
    "IngestSession",
    "IntegrityError",
    "LeftOutError",
    "MarkerOptions",
    "Mode",
    "NearMiss",
    "Redaction",
    "ReplayMissError",
    "Request",
    "Response",
    "RuleError",
    "Session",
    "Status",
    "Store",
    "StoreError",
    "ViewError",
    "mount",
    "register",
    "unregister",
    "use_cassette",
]

# Module → the names handed on from it. Each is loaded when asked for: a program that imports this
# package may never open a session, and one that does may never need requests.
_NAMES = {
    "adapters.requests": ("CaptureAdapter", "mount"),
    "api": ("IngestSession",),
    "cassettes": ("CassetteOptions", "CassetteSession", "MarkerOptions", "use_cassette"),
    "errors": (
        "BlockedError",
        "BusyError",
        "ConfigError",
        "DataIOError",
        "DataIOWarning",
        "FetchError",
        "IntegrityError",
        "LeftOutError",
        "NearMiss",
        "ReplayMissError",
        "RuleError",
        "StoreError",
        "ViewError",
    ),
    "fetcher": ("Fetcher", "HTTPFetcher"),
    "identity.view": ("Call",),
    "models": ("Exchange", "FetchResult", "Mode", "Request", "Response", "Session", "Status"),
    "redaction": ("Redaction",),
    "registry": ("register", "unregister"),
    "store": ("Store",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}


def _handed_on(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    if name in _NAMES:
        return import_module(f".{name}", __name__)
    if name == "__version__":
        return _own_version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# Type checkers have the names above; with this they would take a misspelt one for Any.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        value = globals()[name] = _handed_on(name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})


def _own_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mxm-dataio")
    except PackageNotFoundError:  # a checkout on sys.path
        return "0"


# -- what the adapters offer to a session ----------------------------------------------------


def _hook() -> _interception.Interceptor:
    from .adapters.support import require_urllib3

    require_urllib3()
    from .adapters.urllib3.hook import HOOK

    return HOOK


def _chunked_hook() -> _interception.Interceptor | None:
    from .adapters import support

    version = support.requests_version()
    if version is None:
        return None
    support.require_requests(version)
    if not support.sends_chunks(version):
        return None
    support.require_urllib3()
    from .adapters.requests.chunked import CHUNKED_HOOK

    return CHUNKED_HOOK


def _stdlib_hook() -> _interception.Interceptor:
    from .adapters.http_client import hook

    hook.require()
    return hook.HOOK


def _http_fetcher(ingest: Any) -> HTTPFetcher:
    from .adapters.requests import mount as mount_on
    from .fetcher import HTTPFetcher

    return HTTPFetcher(lambda session: mount_on(session, ingest))


_interception.interceptors += [_hook, _chunked_hook, _stdlib_hook]
_interception.modules |= {
    _hook: "urllib3",
    _chunked_hook: "requests",
    _stdlib_hook: _interception.STDLIB,
}
_interception.http_fetchers.append(_http_fetcher)
