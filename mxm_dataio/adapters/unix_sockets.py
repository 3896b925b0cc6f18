"""Which unix socket a call goes to: the daemons behind two are not one, though both are localhost.

Neither urllib3 nor ``http.client`` knows unix sockets. Programs derive a connection whose
``connect`` makes a socket of ``AF_UNIX``, and keep its path where they like: on the connection, on
the pool, in the class or in the code. It is looked for there, without connecting, since replay does
not connect; so the same is found while recording.
"""

from __future__ import annotations

import inspect
import os
import re
import weakref
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any
from urllib.parse import quote, unquote

from ..patterns import regex

SCHEME = "http+unix"

# Whose classes connect by TCP, or as what they are derived from.
_PLAIN = frozenset({"builtins", "http", "urllib3", "requests", "mxm_dataio"})
# What an attribute that holds the path is called, where several hold paths.
_AUTHORITY = regex(r"[^:/]*://([^/?#:]*)(:\d*)?(.*)", re.DOTALL)
_NAMES = regex("sock|uds|unix|path", re.IGNORECASE)
# By class: the classes that make sockets of AF_UNIX in it, the class itself first.
_makers: weakref.WeakKeyDictionary[type, tuple[type, ...]] = weakref.WeakKeyDictionary()


def url_of(owner: Any, url: str) -> str:
    """Return the URL of a call, with the socket's path in the place of a host that stands for it.

    Args:
        owner: the adapter, pool or connection that makes the call.
        url: absolute; it may name the socket itself, ``http+unix://%2Frun%2Fsocket/path``.
    """
    makers = _makers_of(type(owner)) or _makers_of(getattr(owner, "ConnectionCls", None))
    if not makers and url.startswith(("http://", "https://")):
        return url
    found = _AUTHORITY.match(url)
    if found is None:
        return url
    authority, _, target = found.groups()
    path = _path_of(owner, makers) if makers else None
    if path is None and "%2f" in authority.lower():
        path = unquote(authority)
    if path is None:
        if not makers:
            return url
        # Where it is made up on the way, the class at least tells it from other daemons.
        path = f"{makers[0].__module__}.{makers[0].__qualname__}"
    return f"{SCHEME}://{quote(path, safe='')}{target}"


def _path_of(owner: Any, makers: tuple[type, ...]) -> str | None:
    """Return the path of the socket that the calls of an adapter, pool or connection go to."""
    held = [item for one in (owner, *makers) for item in _attributes(one)]
    held.sort(key=lambda item: _NAMES.search(str(item[0])) is None)
    values = [value for _, value in held]
    values += [value for maker in makers for value in _constants(maker)]
    return next((path for path in map(_path, values) if path is not None), None)


def _attributes(one: object) -> Iterator[tuple[str, object]]:
    for name, value in getattr(one, "__dict__", {}).items():
        # What a pool gives to its connections, an adapter to its pools.
        yield from value.items() if type(value) is dict else ((name, value),)


def _path(value: object) -> str | None:
    """Return the path that a value is, or names as a URL."""
    if not isinstance(value, (str, bytes, os.PathLike)):
        return None
    text = os.fsdecode(value)
    # An abstract one begins with a zero byte.
    if text.startswith(("/", "\0")):
        return text
    scheme, _, rest = text.partition("://")
    if not scheme.endswith("unix") or not rest:
        return None
    return rest if rest.startswith("/") else unquote(rest.partition("/")[0])


def _is_plain(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in _PLAIN


def _makers_of(cls: Any) -> tuple[type, ...]:
    """Return the classes that connect by AF_UNIX for a class of pools or connections."""
    if not isinstance(cls, type):
        return ()
    found = _makers.get(cls)
    if found is None:
        # Of one that names itself nothing more is found by asking once more.
        _makers[cls] = ()
        found = _makers[cls] = tuple(_find_makers(cls))
    return found


def _find_makers(cls: type) -> Iterator[type]:
    own = [base for base in cls.__mro__ if not _is_plain(base)]
    functions = [function for base in own for function in _functions(base)]
    if any("AF_UNIX" in code.co_names for one in functions for code in _codes(one.__code__)):
        yield from own
        return
    # A pool that makes its connections itself.
    for function in functions:
        for value in _named_in(function):
            if isinstance(value, type) and value is not cls and _makers_of(value):
                yield from (cls, *_makers_of(value))
                return


def _functions(cls: type) -> Iterator[FunctionType]:
    """Yield a class's own functions, from below what has wrapped them, ours too."""
    for value in vars(cls).values():
        if inspect.isfunction(value):
            yield inspect.unwrap(value)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _codes(value)


def _named_in(function: FunctionType) -> Iterator[object]:
    """Yield what a function's names stand for: globals, and variables around it."""
    for code in _codes(function.__code__):
        yield from (function.__globals__.get(name) for name in code.co_names)
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            # Not there yet.
            continue


def _constants(cls: type) -> Iterator[object]:
    for function in _functions(cls):
        for code in _codes(function.__code__):
            yield from code.co_consts
        yield from _named_in(function)
