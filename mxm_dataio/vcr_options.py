"""vcrpy's options as ours, for markers and fixtures that were written for its pytest plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from .errors import ConfigError
from .redaction.rules import DEFAULT

# What cassettes of ours do anyway, or have no use for.
_NOT_NEEDED = frozenset(
    """
    cassette_library_dir custom_patches decode_compressed_response drop_unused_requests
    filter_nested_post_data_parameters func_path_generator inject_cassette path_transformer
    persister serializer skip_patchers with_current_defaults
    """.split()  # noqa: SIM905 - a table reads better than a list
)
_MATCHED = frozenset("method scheme host port path query uri url body raw_body headers".split())  # noqa: SIM905
_RULE = "a rule does it: redaction=DEFAULT.adding(rule), see mxm_dataio.redaction"
# What there is to do about those that have no equal.
_INSTEAD = {
    "additional_matchers": "ignore_params=[…] names what does not count",
    "after_load_interaction": _RULE,
    "before_record": _RULE,
    "before_record_request": _RULE,
    "before_record_response": _RULE,
    "before_save_interaction": _RULE,
    "filter_sensitive_data": _RULE,
    "ignore_hosts": "calls to such hosts are recorded as well: leave it out",
    "ignore_localhost": "calls to this machine are recorded as well: leave it out",
}


def from_vcr(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of ``vcr.use_cassette``, and of its pytest plugins, as those of ours.

    What vcrpy replaces by a text of its caller's is redacted: it is stored as ``REDACTED``.

    Args:
        options: the keywords of ``@pytest.mark.vcr``, or what a ``vcr_config`` fixture returns.

    Raises:
        ConfigError: one has no equal here; the message says what there is instead.
    """
    out: dict[str, Any] = {}
    headers: list[str] = []
    names: list[str] = []
    for name, value in options.items():
        if name in ("record_mode", "record"):
            out["mode"] = _mode(value)
        elif name == "filter_headers":
            headers += _names(value)
        elif name in ("filter_query_parameters", "filter_post_data_parameters"):
            names += _names(value)
        elif name == "match_on":
            _match(value)
        elif name in _RENAMED:
            ours, made = _RENAMED[name]
            out[ours] = made(value)
        elif name not in _NOT_NEEDED and not _is_off(name, value):
            instead = _INSTEAD.get(name, "leave it out")
            raise ConfigError(f"vcrpy's option {name!r} has no equal here; {instead}")
    if headers or names:
        # Its filters are of requests.
        rules = DEFAULT.adding(headers=headers, names=names)
        out["redaction"] = replace(rules, answer_names=DEFAULT.answer_names)
    return out


def _hosts(value: Any) -> list[str]:
    return value.split(",") if isinstance(value, str) else list(value)


# Option → ours, and how its value becomes ours.
_RENAMED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "allow_playback_repeats": ("exhausted", lambda on: "repeat" if on else "error"),
    "record_on_exception": ("keep_failed", bool),
    "allowed_hosts": ("allowed_hosts", _hosts),
}


def _mode(value: Any) -> str:
    word = str(getattr(value, "value", value))
    if word == "any":
        raise ConfigError("vcrpy's record mode 'any' has no equal here; use 'new_episodes'")
    return word


def _names(value: Iterable[Any]) -> list[str]:
    """Return the names of filters, which are names, or pairs of a name and what replaces it."""
    return [str(one[0]) if isinstance(one, (tuple, list)) else str(one) for one in value]


def _match(value: Iterable[str]) -> None:
    given = set(value)
    unknown = sorted(given - _MATCHED)
    if unknown:
        raise ConfigError(
            f"the matcher {unknown[0]!r} has no equal here; ignore_params=[…] names what does not "
            "count"
        )
    if not given & {"query", "uri", "url"}:
        raise ConfigError(
            "match_on without the query has no equal here: it counts always; ignore_params=[…] "
            "names the parameters that do not"
        )


def _is_off(name: str, value: Any) -> bool:
    return name in _INSTEAD and not value
