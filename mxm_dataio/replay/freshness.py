"""Which stored answers ``auto`` serves, and for how long they are fresh, by URL."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from ..http.url_patterns import forms_of, matches
from ..models import Exchange, Mode
from .policy import Decision, Reuse, decide

T = TypeVar("T")


class Freshness:
    """What a session's settings say of it.

    Args:
        ttl, reuse: for all calls, or by patterns of URLs, the first that matches; see
            :class:`mxm_dataio.config.Settings`. What none matches is fresh for ever, and what a
            cache may keep.
        stale_if_error: whether stale answers serve if the source fails, or for how many seconds.

    Raises:
        ValueError: what ``reuse`` says is neither a status nor a method.
    """

    def __init__(
        self,
        ttl: float | Mapping[str, float | None] | None = None,
        reuse: Iterable[str] | Mapping[str, Iterable[str]] = (),
        stale_if_error: float | bool = False,
    ) -> None:
        self._ttl: Callable[[str], float | None] = _by_url(ttl, None)
        if isinstance(reuse, Mapping):
            made = {pattern: Reuse(words) for pattern, words in reuse.items()}
            self._reuse = _by_url(made, Reuse())
        else:
            self._reuse = _by_url(Reuse(reuse), Reuse())
        self._spare = math.inf if stale_if_error is True else float(stale_if_error)

    def decide(
        self, mode: Mode, stored: Exchange | None, age: float, *, conditional: bool
    ) -> Decision:
        """Return what to do with a call; see :func:`mxm_dataio.replay.policy.decide`."""
        url = stored.request.url if stored is not None else ""
        return decide(
            mode, stored, age=age, ttl=self._ttl(url), conditional=conditional,
            reuse=self._reuse(url), stale_if_error=self._spare,
        )  # fmt: skip

    def is_fresh(self, stored: Exchange, age: float) -> bool:
        """Say whether a stored answer is fresh."""
        ttl = self._ttl(stored.request.url)
        return ttl is None or age < ttl

    def reuses(self, method: str, url: str) -> bool:
        """Say whether answers to a call may be served."""
        return self._reuse(url).takes(method)


def _by_url(value: T | Mapping[str, T], default: T) -> Callable[[str], T]:
    """Return what says which value a URL has."""
    if not isinstance(value, Mapping):
        return lambda _url: value
    found = dict(value)

    def of(url: str) -> T:
        forms = forms_of(url)
        return next((one for pattern, one in found.items() if matches(forms, pattern)), default)

    return of
