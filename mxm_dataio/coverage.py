"""What a session can't see: libraries that make calls without the urllib3 that is captured."""

from __future__ import annotations

import sys

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
    for name, module in list(sys.modules.items()):
        # requests.packages.urllib3 is another name for urllib3 itself.
        if name.endswith(f".{_POOL_MODULE}") and module is not sys.modules.get(_POOL_MODULE):
            found.append(name.removesuffix(".connectionpool"))
    return sorted(found)


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
