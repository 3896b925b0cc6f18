"""Exceptions as data, and back: a recorded failure raises the same class with the same words.

Only the exceptions of these modules are made again from a store, by name and without running
their constructors on foreign data; anything else comes back as its nearest base among them.
"""

from __future__ import annotations

import builtins
import http.client
import socket
import ssl
import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import requests.exceptions
import urllib3.exceptions

from ..models import Failure
from ..utils import dotted

_MODULES: dict[str, Any] = {
    "builtins": builtins,
    "socket": socket,
    "ssl": ssl,
    "zlib": zlib,
    "http.client": http.client,
    "requests.exceptions": requests.exceptions,
}
_DEPTH = 6


def dump(exc: BaseException, redact: Callable[[str], str]) -> Failure:
    """Return an exception as data; texts pass through ``redact``."""
    return Failure(dotted(type(exc)), redact(str(exc)), _dump(exc, redact, 0))


def load(failure: Failure, pool: object = None) -> BaseException:
    """Return an exception like the one recorded, with ``pool`` where it named its pool."""
    exc = _load(failure.data, pool)
    return exc if isinstance(exc, BaseException) else OSError(failure.message)


def beneath(exc: BaseException) -> BaseException:
    """Return what urllib3 raised, of an exception that requests made of it."""
    if isinstance(exc, requests.RequestException) and exc.args:
        cause = exc.args[0]
        if isinstance(cause, BaseException):
            return cause
    return exc


def _known(cls: type[BaseException]) -> tuple[str, str]:
    for base in cls.__mro__:
        module = "socket" if base in (socket.gaierror, socket.herror) else base.__module__
        if getattr(_module(module), base.__name__, None) is base:
            return module, base.__name__
    return "builtins", "Exception"


def _module(name: str) -> Any:
    """Return a module whose exceptions are made again: of urllib3's own, those that are loaded."""
    return sys.modules.get(name) if name.startswith("urllib3.") else _MODULES.get(name)


def _dump(value: Any, redact: Callable[[str], str], depth: int) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": bytes(value).decode("latin-1")}
    if isinstance(value, BaseException) and depth < _DEPTH:
        module, name = _known(type(value))
        return {
            "exception": [module, name],
            "args": [_dump(item, redact, depth + 1) for item in value.args],
            "state": {
                key: _dump(item, redact, depth + 1)
                for key, item in vars(value).items()
                if not key.startswith("__")
            },
        }
    if hasattr(value, "urlopen"):
        return {"is": "pool"}
    return {"repr": redact(repr(value)[:500])}


def _load(data: Any, pool: object) -> Any:
    if not isinstance(data, Mapping):
        return data
    if "bytes" in data:
        return data["bytes"].encode("latin-1")
    if "exception" in data:
        return _load_exception(data, pool)
    return pool if data.get("is") == "pool" else None


def _load_exception(data: Mapping[str, Any], pool: object) -> BaseException:
    module, name = data["exception"]
    cls = getattr(_module(module), name, Exception)
    if not (isinstance(cls, type) and issubclass(cls, BaseException)):
        cls = Exception
    args = [_load(item, pool) for item in data["args"]]
    state = {key: _load(item, pool) for key, item in data["state"].items()}
    own_words = issubclass(cls, (OSError, UnicodeError))
    if own_words and not issubclass(cls, urllib3.exceptions.HTTPError):
        # These two take their arguments apart in C, and make their words of the parts.
        exc: BaseException = cls(*args)
    else:
        exc = cls.__new__(cls)
        exc.args = tuple(args)
    for key, item in state.items():
        try:
            setattr(exc, key, item)
        except AttributeError:
            continue
    return exc
