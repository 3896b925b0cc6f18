"""What the adapters offer to a session, which knows none of them.

Filled by the package's ``__init__``, the one place that knows both; it is run before any module
of the package is, so a session never finds these empty.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see the package's __init__
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from .fetcher import HTTPFetcher

    class Interceptor(Protocol):
        """What sees the calls of the whole process while a session is active."""

        def install(self) -> None:
            """Start; counted, so that sessions may overlap."""

        def uninstall(self) -> None:
            """Stop, and leave no trace after the last."""


# Each is called when a session opens; it returns None where there is nothing for it to see.
interceptors: list[Callable[[], Interceptor | None]] = []
# The module that the last of these sees, which only sessions with the setting ``stdlib`` ask for.
STDLIB = "http.client"
# The module whose calls each of them sees; where sessions start by themselves, they wait for it.
modules: dict[Callable[[], Interceptor | None], str] = {}
# Each makes the fetcher whose calls the session given captures.
http_fetchers: list[Callable[[Any], HTTPFetcher]] = []
# Each returns the run of tests that is on (a :class:`mxm_dataio.formats.cassette.runs.Run`), which
# keeps account of cassettes; the last one counts.
runs: list[Callable[[], Any]] = []
