"""Parameters of a call: mappings in which a list stands for repeats."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def plain(params: Mapping[str, Any] | Iterable[tuple[str, Any]] | None) -> dict[str, Any]:
    """Return parameters as a mapping, repeats as lists, ``None`` left out (as requests does)."""
    if params is None:
        return {}
    items = params.items() if isinstance(params, Mapping) else params
    out: dict[str, Any] = {}
    for name, value in items:
        if value is None:
            continue
        if name in out:
            held = out[name]
            out[name] = [*(held if isinstance(held, list) else [held]), value]
        else:
            out[name] = list(value) if isinstance(value, (list, tuple)) else value
    return out


def texts(value: Any) -> list[str]:
    """Return a parameter's values as texts, a list for each of its members."""
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in texts(item)]
    if isinstance(value, bytes):
        return [value.decode("utf-8", "surrogateescape")]
    if isinstance(value, Mapping):
        return [json.dumps(value, sort_keys=True, default=str)]
    return [str(value)]


def mapping(pairs: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """Return pairs as a mapping, repeats as lists."""
    out: dict[str, Any] = {}
    for name, value in pairs:
        key = name if isinstance(name, str) else json.dumps(name)
        out.setdefault(key, []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in out.items()}
