"""``match_on``: what of a request counts, as a view."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from ..errors import ConfigError
from ..http.urls import DEFAULT_PORTS
from ..identity.view import ANY_HOST, Call, View
from .request import name_of, request_of

# What of a request a matcher of one's own compares; see :func:`key_of`.
Key = Callable[[Any], Any]
_URL = frozenset({"scheme", "host", "port", "path", "query"})
_BODY = frozenset({"body", "raw_body"})
_PAIRWISE = (
    "in vcrpy it compares two requests, and here each is known by what it is by itself: "
    "from_vcr(options, matchers={{{name!r}: function}}) takes a function of one request that "
    "returns what counts of it, lambda request: request.path.lower() for r1.path.lower() == "
    "r2.path.lower(); what can't be said so (r1 is later than r2) has no equal"
)


def options_of(names: Collection[Any], matchers: Mapping[str, Key]) -> dict[str, Any]:
    """Return what ``match_on`` is in options of ours; ``view`` is one of them.

    Args:
        names: of matchers, or functions as ``matchers`` has them.
        matchers: what one's own are.

    Raises:
        ConfigError: one has no equal.
    """
    own = {name_of(one): one for one in names if callable(one)}
    given = [name_of(one) if callable(one) else str(one) for one in names]
    keys = {name: key_of(name, {**matchers, **own}) for name in given if name not in _KNOWN}
    if "headers" in given:
        raise ConfigError(
            "match_on='headers' has no equal here, where User-Agent and credentials never count: "
            "leave it out, and name those that do: match_headers=['X-Tenant']; Accept, Range, "
            "conditions and what an answer's Vary names count anyway"
        )
    counting = set(given) - keys.keys()
    if counting & {"uri", "url"}:
        counting |= _URL
    options: dict[str, Any] = {}
    if not counting & _BODY:
        options["ignore_body_of"] = ["*"]
    left = _URL - counting | ({"method"} - counting)
    if left == {"host", "port"}:
        options["match_host"] = False
        left = frozenset()
    raw = "raw_body" in counting
    if left or raw or keys:
        options["view"] = _view(left, keys, raw=raw)
    return options


_KNOWN = _URL | _BODY | {"method", "uri", "url", "headers"}


def key_of(name: str, matchers: Mapping[str, Key]) -> Key:
    """Return what stands for a matcher: what counts of one request.

    Raises:
        ConfigError: nothing does, or what compares two requests.
    """
    key = matchers.get(name)
    if key is None or _takes_two(key):
        raise ConfigError(f"the matcher {name!r} has no equal here; {_PAIRWISE.format(name=name)}")
    return key


def _takes_two(function: Any) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except (TypeError, ValueError):
        return False
    return True


def _view(left: Iterable[str], keys: Mapping[str, Key], *, raw: bool) -> View:
    """Return a view without some of a request's parts, and with what matchers say of it."""
    without = frozenset(left)

    def match_on(call: Call) -> Call:
        said = [(f"({name})", _written(key(request_of(call)))) for name, key in keys.items()]
        if raw and call.content is not None:
            call = call.replace(text=call.content.decode("latin-1"))
        if "method" in without:
            call = call.replace(method=ANY_HOST)
        if without & _URL and call.scheme:
            port = call.port or DEFAULT_PORTS.get(call.scheme)
            scheme = "any" if "scheme" in without else call.scheme
            host = ANY_HOST if "host" in without else call.host
            end = f":{port}" if port and "port" not in without else ""
            path = "/" if "path" in without else call.path
            call = call.replace(url=f"{scheme}://{host}{end}{path}")
        params = () if "query" in without else call.params
        return call.replace(params=[*params, *said]) if said or params != call.params else call

    return match_on


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
