"""How ``IngestSession.request`` gets its bytes: the Fetcher protocol, and the one for HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from .models import FetchResult, Request


@runtime_checkable
class Fetcher(Protocol):
    """Fetches from one source, over any protocol."""

    def fetch(self, request: Request) -> bytes | FetchResult:
        """Return what the source answers; raise what you like when it does not."""


class HTTPFetcher:
    """Serves every source that has no fetcher of its own, through ``requests``.

    Args:
        mount: has a ``requests.Session`` captured; the calls made here are recorded and
            replayed exactly as the program's own.
    """

    def __init__(self, mount: Callable[[Any], object]) -> None:
        # Here, not at the top: the core can be imported and used without requests.
        import requests

        self._session = requests.Session()
        mount(self._session)

    def fetch(
        self,
        request: Request,
        *,
        data: Any = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | tuple[float, float] | None = None,
    ) -> FetchResult:
        """Make the call and read its answer to the end, still under its content coding.

        Raises:
            requests.RequestException: as requests does.
        """
        response = self._session.request(
            request.method,
            request.endpoint,
            params=dict(request.params) or None,
            data=data,
            json=json,
            headers=dict(headers) if headers else None,
            timeout=timeout,
            stream=True,
        )
        with response:
            content = b"".join(response.raw.stream(65536, decode_content=False))
        return FetchResult(
            content,
            status_code=response.status_code,
            headers=tuple(response.headers.items()),
            reason=response.reason,
        )

    def close(self) -> None:
        """Close the connections held open."""
        self._session.close()
