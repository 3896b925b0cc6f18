"""vcrpy's options, one by one, and what they are here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ..errors import ConfigError
from ..identity.view import Call, View
from ..redaction import DEFAULT, Redaction
from .hooks import Hooks, Playback
from .matching import Key, options_of
from .request import Edit, edited, name_of

# What cassettes of ours do anyway, or have no use for.
_NOT_NEEDED = frozenset(
    """
    cassette_library_dir custom_patches drop_unused_requests
    filter_nested_post_data_parameters func_path_generator inject_cassette path_transformer
    persister serializer skip_patchers with_current_defaults
    """.split()  # noqa: SIM905 - a table reads better than a list
)
# As vcrpy has them for ``ignore_localhost``.
_LOCAL = ("localhost", "0.0.0.0", "127.0.0.1", "::1")
_FIELDS = frozenset({"form", "part", "json", "xml"})


class Translated(dict[str, Any]):
    """Options of ours, which know of what they were made: a marker may give more of these.

    Attributes:
        given: vcrpy's.
        matchers: what stands for matchers of one's own.
    """

    given: Mapping[str, Any]
    matchers: Mapping[str, Key]

    def also(self, options: Mapping[str, Any]) -> Translated:
        """Return what these are with more of vcrpy's options, which go before the others."""
        return from_vcr({**self.given, **options}, matchers=self.matchers)


def from_vcr(
    options: Mapping[str, Any], *, matchers: Mapping[str, Key] | None = None
) -> Translated:
    """Return options of ``vcr.use_cassette``, and of its pytest plugins, as those of ours.

    ``match_on`` is taken at its word: what it does not name does not count. Hosts that are ignored
    are reached in replay too, as there. What ``before_record_request`` edits does not count, and is
    stored as edited; by ``None`` it leaves a call out. Functions of filters are given no request.

    Args:
        options: the keywords of ``@pytest.mark.vcr``, or what a ``vcr_config`` fixture returns.
        matchers: name of a matcher that ``register_matcher`` made → what of one request counts by
            it, a function of the request.

    Raises:
        ConfigError: one has no equal here; the message says what there is instead.
    """
    made = _Options(matchers or {})
    for name, value in options.items():
        take = _TAKEN.get(name)
        if take is not None:
            if value is not None:
                take(made, value)
        elif name not in _NOT_NEEDED:
            raise ConfigError(f"vcrpy's option {name!r} has no equal here; leave it out")
    found = Translated(made.ours())
    found.given, found.matchers = dict(options), dict(matchers or {})
    return found


class _Options:
    """What was taken of vcrpy's options so far."""

    def __init__(self, matchers: Mapping[str, Key]) -> None:
        self.matchers = matchers
        self.out: dict[str, Any] = {}
        self.headers: list[str] = []
        self.names: list[str] = []
        self.redaction: Redaction = DEFAULT
        self.hosts: list[str] = []
        self.host_patterns: list[re.Pattern[str]] = []
        self.edits: list[Edit] = []
        self.answers: list[Edit] = []
        self.interactions: list[Callable[..., Any]] = []
        self.decode = False
        self.restored: list[tuple[str, str]] = []
        self.loaded: list[Callable[..., Any]] = []
        self.match_on: list[Any] | None = None
        self.more_matchers: list[Any] = []

    def ours(self) -> dict[str, Any]:
        """Return our options."""
        out = self.out
        hooks = Hooks(
            tuple(self.edits), tuple(self.answers), tuple(self.interactions), decode=self.decode
        )
        edits = [hooks] if hooks else []
        rules = self.redaction.adding(headers=self.headers, names=self.names, edits=edits)
        if rules != DEFAULT:
            # Its filters are of requests.
            out["redaction"] = replace(rules, answer_names=DEFAULT.answer_names)
        playback = Playback(tuple(self.restored), tuple(self.loaded))
        if playback:
            out["answer"] = playback
        if self.hosts:
            out["ignore_hosts"] = self.hosts
        views: list[View] = []
        if self.host_patterns:
            views.append(partial(_unless_ignored, self.host_patterns))
        if self.edits:
            views.append(partial(edited, edits=self.edits))
        if self.match_on is not None or self.more_matchers:
            names = [*(self.match_on or _MATCH_ON), *self.more_matchers]
            found = options_of(names, self.matchers)
            views += [view for view in [found.pop("view", None)] if view]
            out.update(found)
        if views:
            out["view"] = _in_turn(views, [name_of(edit) for edit in self.edits])
        return out

    def filter_headers(self, value: Iterable[Any]) -> None:
        self.headers += self._filtered(value, frozenset({"header"}))

    def filter_query(self, value: Iterable[Any]) -> None:
        self.names += self._filtered(value, frozenset({"query"}))

    def filter_fields(self, value: Iterable[Any]) -> None:
        self.names += self._filtered(value, _FIELDS)

    def _filtered(self, value: Iterable[Any], places: frozenset[str]) -> list[str]:
        """Return the names of filters, which are names, or pairs of a name and what replaces it."""
        pairs = [one if isinstance(one, (tuple, list)) else (one, None) for one in value]
        instead = {str(name).lower(): by for name, by in pairs if by is not None}
        if instead:
            rule = partial(_replaced, instead)
            self.redaction = self.redaction.adding(rule, places=places)
        return [str(name) for name, _ in pairs]

    def ignore_hosts(self, value: Iterable[Any]) -> None:
        for host in [value] if isinstance(value, (str, re.Pattern)) else value:
            if isinstance(host, re.Pattern):
                self.host_patterns.append(host)
            else:
                self.hosts.append(host)
                self._allow(host)

    def ignore_localhost(self, value: Any) -> None:
        if value:
            self.hosts += _LOCAL
            self._allow("loopback")

    def allow_hosts(self, value: Any) -> None:
        for host in value.split(",") if isinstance(value, str) else value:
            self._allow(host)

    def _allow(self, host: str) -> None:
        self.out.setdefault("allowed_hosts", []).append(host)

    def before_record_request(self, value: Any) -> None:
        self.edits += _functions(value)

    def before_record_response(self, value: Any) -> None:
        self.answers += _functions(value)

    def before_save_interaction(self, value: Any) -> None:
        self.interactions += _functions(value)

    def after_load_interaction(self, value: Any) -> None:
        self.loaded += _functions(value)

    def decode_answers(self, value: Any) -> None:
        self.decode = bool(value)

    def hide(self, value: Any) -> None:
        pairs = [(str(p), v) for p, v in (value.items() if isinstance(value, Mapping) else value)]
        for placeholder, hidden in pairs:
            if callable(hidden):
                raise ConfigError(
                    f"filter_sensitive_data gets {placeholder!r} by a function of an interaction: "
                    "give the value itself, or name where it stands: "
                    "redaction=DEFAULT.adding(names=[…], headers=[…])"
                )
        self.restored += [(p, str(v)) for p, v in pairs if p and v not in (None, "")]
        rule = partial(_hidden, tuple(self.restored))
        self.redaction = self.redaction.adding(rule)

    def take_match_on(self, value: Iterable[Any]) -> None:
        self.match_on = list(value)

    def add_matchers(self, value: Iterable[Any]) -> None:
        self.more_matchers += value

    def mode(self, value: Any) -> None:
        word = str(getattr(value, "value", value))
        # vcrpy itself does not say what it does, and does this.
        self.out["mode"] = "new_episodes" if word == "any" else word

    def repeats(self, value: Any) -> None:
        self.out["exhausted"] = "repeat" if value else "error"

    def keep_failed(self, value: Any) -> None:
        self.out["keep_failed"] = bool(value)


# vcrpy's own, which is not taken at its word: bodies count where nobody has said that they do not.
_MATCH_ON = ("method", "uri", "body")
_TAKEN: dict[str, Callable[[_Options, Any], None]] = {
    "after_load_interaction": _Options.after_load_interaction,
    "additional_matchers": _Options.add_matchers,
    "allow_playback_repeats": _Options.repeats,
    "allowed_hosts": _Options.allow_hosts,
    "before_record": _Options.before_record_request,
    "before_record_response": _Options.before_record_response,
    "before_save_interaction": _Options.before_save_interaction,
    "decode_compressed_response": _Options.decode_answers,
    "filter_sensitive_data": _Options.hide,
    "before_record_request": _Options.before_record_request,
    "filter_headers": _Options.filter_headers,
    "filter_post_data_parameters": _Options.filter_fields,
    "filter_query_parameters": _Options.filter_query,
    "ignore_hosts": _Options.ignore_hosts,
    "ignore_localhost": _Options.ignore_localhost,
    "match_on": _Options.take_match_on,
    "record": _Options.mode,
    "record_mode": _Options.mode,
    "record_on_exception": _Options.keep_failed,
}


def _replaced(instead: Mapping[str, Any], _place: str, name: str, value: str) -> str | None:
    """Return what a filter has in the place of a value."""
    by = instead.get(name)
    if callable(by):
        by = by(key=name, value=value, request=None)
    return None if by is None else str(by)


def _hidden(pairs: Iterable[tuple[str, str]], _place: str, _name: str, value: str) -> str | None:
    """Return a value with placeholders for what is to be hidden in it."""
    after = value
    for placeholder, hidden in pairs:
        after = after.replace(hidden, placeholder)
    return after if after != value else None


def _functions(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Iterable) else [value]


def _unless_ignored(patterns: Iterable[re.Pattern[str]], call: Call) -> Call | None:
    """Leave out a call to a host that matches a pattern as a whole."""
    return None if any(pattern.fullmatch(call.host) for pattern in patterns) else call


def _in_turn(views: Iterable[View], names: Iterable[str]) -> View:
    """Return a view that is several, one after the other."""
    steps = tuple(views)

    def view(call: Call) -> Call | None:
        seen: Call | None = call
        for step in steps:
            if seen is None:
                break
            seen = step(seen)
        return seen

    view.__qualname__ = ", ".join(names) or "match_on"
    return view
