"""Why a recorded call is not the call that was asked for: readable differences, ranked."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..errors import MALFORMED, NearMiss
from ..http.multipart import parameter, part_name, without_filename
from ..identity.names import ANYTHING
from ..identity.view import parts_of
from ..models import Request

_SHOWN = 3
# Among what would make two calls the same: the setting by which hosts do not count.
HOST = "match_host"
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
    """Return the recorded calls that come closest, all as close as the first; at most three.

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
    ranked: dict[str, tuple[float, Request, list[tuple[str, str]]]] = {}
    for request in candidates:
        if request.method != document["method"] and request.endpoint != document["endpoint"]:
            continue
        try:
            differences = list(_differences(document, request, source, bound, every))
        except MALFORMED:
            # No identity of ours: of a damaged or foreign store, whose loss is not the question.
            continue
        if not differences and {request.id, request.served_from}.intersection(forgotten):
            undo = f"mxm-dataio forget --undo {request.id}"
            differences.append((f"forgotten: {undo} brings it back", ""))
        rank = len(differences) + _penalty(document["endpoint"], request.endpoint)
        known = ranked.get(request.identity + request.source)
        if known is None or rank < known[0]:
            ranked[request.identity + request.source] = (rank, request, differences)
    first = min((rank for rank, _, _ in ranked.values()), default=0)
    best = [_near(request, told) for rank, request, told in ranked.values() if rank == first]
    return tuple(best[:_SHOWN])


def _near(request: Request, differences: list[tuple[str, str]]) -> NearMiss:
    names = dict.fromkeys(name for _, name in differences)
    ignorable = () if "" in names else tuple(names)
    said = tuple(text for text, _ in differences)
    return NearMiss(request.id, request.method, request.url, said, ignorable)


def _penalty(asked: str, recorded: str) -> int:
    """Return what it counts that two endpoints differ."""
    return 0 if asked == recorded else 4 if _host(asked) == _host(recorded) else 8


def _host(endpoint: str) -> str:
    return endpoint.split("/", 3)[2] if endpoint.count("/") > 2 else endpoint


def _differences(
    asked: dict[str, Any],
    request: Request,
    source: str,
    bound: str | None,
    headers: Mapping[str, str],
) -> Iterable[tuple[str, str]]:
    """Yield each difference in words, and what would leave it out: a name, or :data:`HOST`."""
    stored = json.loads(request.identity)
    if request.source != source:
        yield f"source: asked {source!r}, recorded {request.source!r}", ""
    if bound is not None and request.as_of > bound:
        yield f"date: recorded as of {request.as_of}, after the asked {bound.rstrip('~')}", ""
    if asked["method"] != stored["method"]:
        yield f"method: asked {asked['method']}, recorded {stored['method']}", ""
    if asked["endpoint"] != stored["endpoint"]:
        said = f"endpoint: asked {asked['endpoint']}, recorded {stored['endpoint']}"
        yield said, _ignorable(asked["endpoint"], stored["endpoint"])
    yield from _pairs("param", asked["params"], stored["params"])
    counted = {name for name, _ in asked["headers"]}
    varied = [[n, headers.get(n, "")] for n, _ in stored["headers"] if n not in counted]
    if "accept" in dict(varied) and dict(varied)["accept"] == "*/*":
        varied = [pair for pair in varied if pair[0] != "accept"]
    headings = _pairs("header", asked["headers"] + varied, stored["headers"])
    yield from ((text, f"header:{name}") for text, name in headings)
    yield from _body(asked["body"], stored["body"])


def _ignorable(asked: str, recorded: str) -> str:
    """Return what would make two endpoints the same: ``match_host``, or a pattern of paths."""
    mine, theirs = (parts_of(endpoint) for endpoint in (asked, recorded))
    if not mine["scheme"] or mine["scheme"] != theirs["scheme"]:
        return ""
    if mine["path"] == theirs["path"]:
        return HOST
    left, right = (parts["path"].split("/") for parts in (mine, theirs))
    same = [one if one == other else ANYTHING for one, other in zip(left, right, strict=False)]
    alike = len(left) == len(right) and any(one not in ("", ANYTHING) for one in same)
    alike = alike and (mine["host"], mine["port"]) == (theirs["host"], theirs["port"])
    return f"path:{'/'.join(same)}" if alike else ""


def _pairs(word: str, asked: list[Any], stored: list[Any]) -> Iterable[tuple[str, str]]:
    mine, theirs = _grouped(asked), _grouped(stored)
    for name in sorted(mine.keys() | theirs.keys()):
        if name not in theirs:
            yield f"{word} {name}: asked {_show(mine[name])}, not in the recorded call", name
        elif name not in mine:
            yield f"{word} {name}: recorded {_show(theirs[name])}, not in this call", name
        elif mine[name] != theirs[name]:
            yield f"{word} {name}: asked {_show(mine[name])}, recorded {_show(theirs[name])}", name


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


def _body(asked: Any, stored: Any) -> Iterable[tuple[str, str]]:
    if json.dumps(asked, sort_keys=True) == json.dumps(stored, sort_keys=True):
        return
    if asked is None or stored is None:
        which = "this call" if asked is None else "the recorded call"
        yield f"body: {which} has none", ""
        return
    (kind, mine), (other, theirs) = next(iter(asked.items())), next(iter(stored.items()))
    if kind != other:
        yield f"body: asked as {kind}, recorded as {other}", ""
    elif kind == "form":
        yield from _pairs("form field", mine, theirs)
    elif kind == "json":
        for path, name, left, right in _json_differences("$", "", mine, theirs):
            yield f"body {path}: asked {left}, recorded {right}", name
    elif kind == "multipart":
        yield from _parts(mine, theirs)
    else:
        yield f"body: {kind} differs", ""


def _parts(mine: list[Any], theirs: list[Any]) -> Iterable[tuple[str, str]]:
    if len(mine) != len(theirs):
        yield f"body: asked {len(mine)} parts, recorded {len(theirs)}", ""
        return
    for place, (left, right) in enumerate(zip(mine, theirs, strict=True), 1):
        if left == right:
            continue
        heads = left.get("headers", ()), right.get("headers", ())
        name = part_name(heads[0])
        where = f"part {_short(name)}" if name else f"part {place}"
        yield from _part_headers(where, *map(_part_values, heads))
        inner = left.get("multipart"), right.get("multipart")
        if inner[0] is not None and inner[1] is not None:
            yield from ((f"{where}: {text}", ignored) for text, ignored in _parts(*inner))
        elif {**left, "headers": ()} != {**right, "headers": ()}:
            where = f"body part {place}" + (f" ({_short(name)})" if name else "")
            yield f"{where}: it has other content", ""


def _part_values(headers: list[Any]) -> dict[str, str]:
    """Return what of a part's headers is told apart: file name and name by themselves."""
    values = dict(headers)
    disposition = values.get("content-disposition", "")
    values["name"], values["filename"] = (parameter(disposition, p) for p in ("name", "filename"))
    if disposition:
        values["content-disposition"] = without_filename(disposition).partition(";")[0]
    return {name: value for name, value in values.items() if value}


def _part_headers(
    where: str, mine: dict[str, str], theirs: dict[str, str]
) -> Iterable[tuple[str, str]]:
    for name in sorted(mine.keys() | theirs.keys()):
        if mine.get(name) == theirs.get(name):
            continue
        asked, stored = (_short(one[name]) if name in one else "none" for one in (mine, theirs))
        what = name if name in ("name", "filename") else f"header {name}"
        ignored = name if name == "filename" else ""
        yield f"{where}: {what} asked {asked}, recorded {stored}", ignored


def _json_differences(
    path: str, name: str, mine: Any, theirs: Any
) -> Iterable[tuple[str, str, str, str]]:
    """Yield path, the last name in it, and the two values, of each place where two differ."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in sorted(mine.keys() | theirs.keys()):
            if key not in mine:
                yield f"{path}.{key}", key, "nothing", _short(theirs[key])
            elif key not in theirs:
                yield f"{path}.{key}", key, _short(mine[key]), "nothing"
            else:
                yield from _json_differences(f"{path}.{key}", key, mine[key], theirs[key])
    elif isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        for index, (left, right) in enumerate(zip(mine, theirs, strict=True)):
            yield from _json_differences(f"{path}[{index}]", name, left, right)
    elif json.dumps(mine) != json.dumps(theirs):
        # As JSON: to Python true equals 1.
        yield path, name, _short(mine), _short(theirs)
