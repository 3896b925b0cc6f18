"""What a session can't capture: libraries that go past urllib3, and what was seen to go past."""

from __future__ import annotations

import sys

from ..errors import DataIOWarning
from ..models import Unseen
from ..storage.unseen import LIBRARY, PROCESS

# Top-level modules of HTTP clients that bring a transport of their own.
_BYPASSING = (
    "aiohttp",
    "curl_cffi",
    "geventhttpclient",
    "grpc",
    "httplib2",
    "httpx",
    "niquests",
    "primp",
    "pycurl",
    "tls_client",
    "tornado.httpclient",
    "treq",
    "urllib3_future",
    "websockets",
)
# Those of them with no more than http.client beneath.
_OVER_STDLIB = frozenset({"httplib2"})
_POOL_MODULE = "urllib3.connectionpool"


def bypassing(*, stdlib: bool = False) -> list[str]:
    """Return the loaded libraries whose calls are not captured, vendored urllib3s among them.

    Args:
        stdlib: calls through ``http.client`` are captured, and so are all over it.
    """
    found = [name for name in _BYPASSING if name in sys.modules]
    if stdlib:
        return sorted(set(found) - _OVER_STDLIB)
    found += _vendored()
    return sorted(found)


# Names of the loaded modules when it was last looked, and the vendored urllib3s among them: a
# session asks twice, and a suite of tests opens thousands.
_looked: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


def _vendored() -> tuple[str, ...]:
    global _looked
    names = tuple(sys.modules)
    if names != _looked[0]:
        own = sys.modules.get(_POOL_MODULE)
        found = [
            name.removesuffix(".connectionpool")
            for name in names
            # requests.packages.urllib3 is another name for urllib3 itself.
            if name.endswith(f".{_POOL_MODULE}") and sys.modules.get(name) is not own
        ]
        _looked = names, tuple(found)
    return _looked[1]


def warning(*, stdlib: bool = False) -> str:
    """Return the warning that names what is loaded and not captured; empty if nothing is."""
    found = bypassing(stdlib=stdlib)
    if not found:
        return ""
    return (
        f"coverage: loaded, and not captured if used: {', '.join(found)} (only calls through "
        f"urllib3{' and http.client' if stdlib else ''} are captured; in replay these reach the "
        "network)"
    )


# -- what was seen to go past a session --------------------------------------------------------

_NAMED = 3


def unseen_warning(found: tuple[Unseen, ...]) -> str:
    """Return the warning that says what went past a session; empty if nothing did."""
    if not found:
        return ""
    named = ", ".join(said(one) for one in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"coverage: not captured: {named}{more}; mxm-dataio coverage tells of each"


def replay_warning(found: tuple[Unseen, ...]) -> DataIOWarning | None:
    """Return the warning of an offline run that started what need not be offline."""
    names = list(dict.fromkeys(one.name for one in found if one.kind == PROCESS))
    if not names:
        return None
    return DataIOWarning(
        f"coverage: replay started {', '.join(names)}: what a child process fetches can't be "
        "refused here, nor is it replayed"
    )


def said(one: Unseen) -> str:
    """Return what was seen, in a few words."""
    by = f" by {one.caller}" if one.caller and one.kind != LIBRARY else ""
    often = f" (×{one.times})" if one.times > 1 else ""
    return f"{one.kind} {one.name}{by}{often}"


# -- on disk while a session is under way ------------------------------------------------------
