"""requests-cache's options as those of a session in the mode ``auto``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ..errors import ConfigError

_NOT_NEEDED = frozenset(
    """autoclose backend cache_name db_path serializer use_cache_dir use_temp""".split()  # noqa: SIM905
)
# requests-cache's NEVER_EXPIRE.
_NEVER = -1
# What there is to do about those that have no equal.
_INSTEAD = {
    "cache_control": "ttl says by URL for how long an answer is fresh",
    "filter_fn": "redaction=DEFAULT.adding(edits=[function]) leaves out what is not to be stored",
    "key_fn": "view=function returns the call as it is compared",
    "stale_while_revalidate": "mode='auto' without ttl, and a run in mode='record' that renews",
}


def from_requests_cache(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of ``CachedSession`` as those of :class:`mxm_dataio.IngestSession`.

    Args:
        options: its keywords.

    Raises:
        ConfigError: one has no equal here; the message says what there is instead.
    """
    given = {name: value for name, value in options.items() if value or _is_number(value)}
    replays = given.pop("read_only", False) or given.pop("only_if_cached", False)
    made: dict[str, Any] = {"mode": "replay" if replays else "auto"}
    ttl = _time(given.pop("expire_after", None))
    if given.pop("always_revalidate", False):
        ttl = 0
    urls = given.pop("urls_expire_after", {})
    # There a pattern is that of the beginning of a URL.
    by_url = {_pattern(one): _time(value) for one, value in urls.items()}
    if by_url:
        made["ttl"] = {**by_url, "*": ttl}
    elif ttl is not None:
        made["ttl"] = ttl
    reuse = [*given.pop("allowable_codes", ()), *given.pop("allowable_methods", ())]
    if reuse:
        made["reuse"] = reuse
    for theirs, ours in (
        ("ignored_parameters", "ignore_params"),
        ("match_headers", "match_headers"),
        ("stale_if_error", "stale_if_error"),
    ):
        if theirs in given:
            made[ours] = given.pop(theirs)
    if made.get("match_headers") is True:
        raise ConfigError("match_headers=True has no equal here; name those that are to count")
    for name in given:
        if name not in _NOT_NEEDED:
            instead = _INSTEAD.get(name, "leave it out")
            raise ConfigError(f"requests-cache's option {name!r} has no equal here; {instead}")
    return made


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _time(value: Any) -> float | timedelta | None:
    if value is None or value == _NEVER:
        return None
    if not isinstance(value, (int, float, timedelta)):
        raise ConfigError(f"no time from now: {value!r}; give seconds, or a timedelta")
    return value


def _pattern(pattern: Any) -> str:
    if not isinstance(pattern, str):
        raise ConfigError(f"{pattern!r} is no pattern with * and ?, as those of ttl are")
    return f"{pattern.rpartition('://')[2].rstrip('*')}*"
