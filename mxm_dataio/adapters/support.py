"""Whether the ``urllib3`` and ``requests`` of this process are ones that can be captured."""

from __future__ import annotations

import functools
import sys
from importlib import import_module

from ..errors import ConfigError

# Known major versions, each with the oldest minor that is tested.
_URLLIB3 = {1: 26, 2: 0}
_REQUESTS = {2: 28}


def require_urllib3() -> None:
    """Make sure that urllib3's connections are of the kind that the taps know.

    Raises:
        ConfigError: the version is not supported, or a fork with connections of its own stands
            in urllib3's place, as urllib3-future does.
    """
    version = str(getattr(import_module("urllib3"), "__version__", "?"))
    _require("urllib3", version, _URLLIB3)
    cls = getattr(import_module("urllib3.connection"), "HTTPConnection", object)
    # By name, since a program (vcrpy) may have put other classes in the place of either.
    if not any(base.__module__ == "http.client" for base in cls.__mro__):
        raise _refusal(f"{_in_its_place()} {version}, which stands in urllib3's place,")


def require_requests(version: str) -> None:
    """Make sure that a version of requests is supported.

    Raises:
        ConfigError: it is not.
    """
    _require("requests", version, _REQUESTS)


def requests_version() -> str | None:
    """Return the version of requests, if possible without importing it; ``None``: there is none.

    It may be imported later in the session, and its calls are to be seen then too.
    """
    loaded = getattr(sys.modules.get("requests"), "__version__", None)
    if loaded is not None:
        return str(loaded)
    try:
        return _installed("requests")
    except ModuleNotFoundError:  # a program frozen into one file has the modules alone
        try:
            return str(import_module("requests").__version__)
        except ImportError:
            return None


@functools.cache
def _installed(name: str) -> str:
    """Return the version of a package, read once; raises ``PackageNotFoundError``."""
    from importlib.metadata import version  # slow to import

    return version(name)


def sends_chunks(version: str) -> bool:
    """Say whether this version of requests sends a body in chunks past urllib3's ``urlopen``."""
    return _release(version) < (2, 29)


def _require(name: str, version: str, known: dict[int, int]) -> None:
    major, minor = _release(version)
    if minor < known.get(major, minor + 1):
        raise _refusal(f"{name} {version}")


def _release(version: str) -> tuple[int, int]:
    major, minor, *_ = [int(part) if part.isdecimal() else -1 for part in [*version.split("."), ""]]
    return major, minor


def _refusal(what: str) -> ConfigError:
    return ConfigError(
        f"coverage: calls through {what} can't be captured: install urllib3 1.26 or 2.x, and "
        "requests 2.28 or a later 2.x"
    )


def _in_its_place() -> str:
    """Return the name of the distribution that brought urllib3, other than urllib3."""
    from importlib.metadata import packages_distributions  # for an error alone

    named = set(packages_distributions().get("urllib3", ())) - {"urllib3"}
    return " or ".join(sorted(named)) or "a fork"
