"""Source → fetcher: by :func:`register`, or by the entry-point group ``mxm_dataio.fetchers``."""

from __future__ import annotations

from .errors import ConfigError
from .fetcher import Fetcher

GROUP = "mxm_dataio.fetchers"

_fetchers: dict[str, Fetcher] = {}


def register(source: str, fetcher: Fetcher) -> None:
    """Have ``IngestSession(source=…).request`` fetch through ``fetcher``.

    A later registration replaces an earlier one, and goes before entry points.

    Raises:
        ConfigError: the object has no ``fetch`` method.
    """
    if not callable(getattr(fetcher, "fetch", None)):
        raise ConfigError(
            f"the fetcher registered for {source!r} has no method fetch(request): "
            f"{type(fetcher).__name__} does not follow the Fetcher protocol"
        )
    _fetchers[source] = fetcher


def unregister(source: str) -> None:
    """Forget the fetcher registered for a source, if there is one."""
    _fetchers.pop(source, None)


def fetcher_for(source: str) -> Fetcher | None:
    """Return the source's fetcher, or ``None`` where the HTTP fetcher serves.

    Raises:
        ConfigError: the entry point can't be loaded or is no fetcher.
    """
    registered = _fetchers.get(source)
    if registered is not None:
        return registered
    from importlib.metadata import entry_points  # slow to import, for those who look for one

    for entry in entry_points(group=GROUP, name=source):
        try:
            found = entry.load()
            fetcher = found() if isinstance(found, type) else found
        except Exception as exc:
            raise ConfigError(
                f"the fetcher for {source!r} ({GROUP}: {entry.value}) can't be loaded: {exc}"
            ) from exc
        register(source, fetcher)
        return fetcher_for(source)
    return None
