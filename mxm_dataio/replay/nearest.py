"""Why a recorded call is not the call that was asked for: readable differences, ranked."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..errors import MALFORMED, NearMiss
from ..http.multipart import part_name
from ..models import Request

_SHOWN = 3
_TEXT = 60


def nearest(
    asked: str,
    candidates: Iterable[Request],
    *,
    source: str,
    bound: str | None,
    headers: Mapping[str, str] | None = None,
    forgotten: Collection[str] = (),
) -> tuple[NearMiss, ...]:
    """Return the recorded calls that come closest, best first, at most three.

    Args:
        asked: the identity document of the call.
        candidates: recorded calls.
        source: the replaying session's.
        bound: the replaying session's ``as_of``, if it has one.
        headers: every header of the call by lower-case name; a recorded call may count more of
            them than the document does, where its answer varied on them.
        forgotten: ids of calls that were forgotten.
    """
    document = json.loads(asked)
    every = headers or {}
    ranked: dict[str, tuple[float, Request, tuple[str, ...]]] = {}
    for request in candidates:
        if request.method != document["method"] and request.endpoint != document["endpoint"]:
            continue
        try:
            differences = tuple(_differences(document, request, source, bound, every))
        except MALFORMED:
            # No identity of ours: of a damaged or foreign store, whose loss is not the question.
            continue
        if not differences and {request.id, request.served_from}.intersection(forgotten):
            differences = (f"forgotten: mxm-dataio forget --undo {request.id} brings it back",)
        rank = _rank(document, request, differences)
        known = ranked.get(request.identity + request.source)
        if known is None or rank < known[0]:
            ranked[request.identity + request.source] = (rank, request, differences)
    best = sorted(ranked.values(), key=lambda item: item[0])[:_SHOWN]
    return tuple(
        NearMiss(request.id, request.method, request.url, differences)
        for _, request, differences in best
    )


def _rank(asked: dict[str, Any], request: Request, differences: tuple[str, ...]) -> float:
    penalty = 0.0
    if asked["endpoint"] != request.endpoint:
        penalty += 4 if _host(asked["endpoint"]) == _host(request.endpoint) else 8
    return len(differences) + penalty


def _host(endpoint: str) -> str:
    return endpoint.split("/", 3)[2] if endpoint.count("/") > 2 else endpoint


def _differences(
    asked: dict[str, Any],
    request: Request,
    source: str,
    bound: str | None,
    headers: Mapping[str, str],
) -> Iterable[str]:
    stored = json.loads(request.identity)
    if request.source != source:
        yield f"source: asked {source!r}, recorded {request.source!r}"
    if bound is not None and request.as_of > bound:
        yield f"date: recorded as of {request.as_of}, after the asked {bound.rstrip('~')}"
    if asked["method"] != stored["method"]:
        yield f"method: asked {asked['method']}, recorded {stored['method']}"
    if asked["endpoint"] != stored["endpoint"]:
        yield f"endpoint: asked {asked['endpoint']}, recorded {stored['endpoint']}"
    yield from _pairs("param", asked["params"], stored["params"])
    counted = {name for name, _ in asked["headers"]}
    varied = [[n, headers.get(n, "")] for n, _ in stored["headers"] if n not in counted]
    if "accept" in dict(varied) and dict(varied)["accept"] == "*/*":
        varied = [pair for pair in varied if pair[0] != "accept"]
    yield from _pairs("header", asked["headers"] + varied, stored["headers"])
    yield from _body(asked["body"], stored["body"])


def _pairs(word: str, asked: list[Any], stored: list[Any]) -> Iterable[str]:
    mine, theirs = _grouped(asked), _grouped(stored)
    for name in sorted(mine.keys() | theirs.keys()):
        if name not in theirs:
            yield f"{word} {name}: asked {_show(mine[name])}, not in the recorded call"
        elif name not in mine:
            yield f"{word} {name}: recorded {_show(theirs[name])}, not in this call"
        elif mine[name] != theirs[name]:
            yield f"{word} {name}: asked {_show(mine[name])}, recorded {_show(theirs[name])}"


def _grouped(pairs: list[Any]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = {}
    for name, value in pairs:
        grouped.setdefault(name if isinstance(name, str) else str(name), []).append(value)
    return grouped


def _show(values: list[Any]) -> str:
    return _short(values[0] if len(values) == 1 else values)


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"


def _body(asked: Any, stored: Any) -> Iterable[str]:
    if json.dumps(asked, sort_keys=True) == json.dumps(stored, sort_keys=True):
        return
    if asked is None or stored is None:
        yield "body: this call has none" if asked is None else "body: the recorded call has none"
        return
    (kind, mine), (other, theirs) = next(iter(asked.items())), next(iter(stored.items()))
    if kind != other:
        yield f"body: asked as {kind}, recorded as {other}"
    elif kind == "form":
        yield from _pairs("form field", mine, theirs)
    elif kind == "json":
        for path, left, right in _json_differences("$", mine, theirs):
            yield f"body {path}: asked {left}, recorded {right}"
    elif kind == "multipart":
        yield from _parts(mine, theirs)
    else:
        yield f"body: {kind} differs"


def _parts(mine: list[Any], theirs: list[Any]) -> Iterable[str]:
    if len(mine) != len(theirs):
        yield f"body: asked {len(mine)} parts, recorded {len(theirs)}"
        return
    for place, (left, right) in enumerate(zip(mine, theirs, strict=True), 1):
        if left != right:
            name = part_name(left.get("headers", ()))
            what = "content" if left.get("headers") == right.get("headers") else "headers"
            yield f"body part {place}{f' ({_short(name)})' if name else ''}: it has other {what}"


def _json_differences(path: str, mine: Any, theirs: Any) -> Iterable[tuple[str, str, str]]:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in sorted(mine.keys() | theirs.keys()):
            if key not in mine:
                yield f"{path}.{key}", "nothing", _short(theirs[key])
            elif key not in theirs:
                yield f"{path}.{key}", _short(mine[key]), "nothing"
            else:
                yield from _json_differences(f"{path}.{key}", mine[key], theirs[key])
    elif isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        for index, (left, right) in enumerate(zip(mine, theirs, strict=True)):
            yield from _json_differences(f"{path}[{index}]", left, right)
    elif json.dumps(mine) != json.dumps(theirs):
        # As JSON: to Python true equals 1.
        yield path, _short(mine), _short(theirs)
