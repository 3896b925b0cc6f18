"""Exceptions as data, and back: a recorded failure raises the same class with the same words.

Only the exceptions of these modules are made again from a store, by name and without running
their constructors on foreign data; anything else comes back as its nearest base among them.
What they came from, ``__cause__`` and ``__context__``, is kept too, down to what the program itself
was handling when it made the call. Of long texts and bytes (what came of a body that broke off)
only a beginning is kept: the body is a payload already.

A store may be a stranger's. What it has for a failure makes no object but exceptions of these
modules with texts, numbers and lists in them, imports no other module, and is refused where it
could not have been recorded.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NoReturn

from ..errors import MALFORMED, IntegrityError
from ..models import Failure
from ..redaction.secrets import Secrets
from ..utils import dotted

_BUILT_IN = frozenset({"builtins", "socket", "ssl", "zlib"})
# requests is only loaded if the program does so, PySocks if urllib3 does.
_MODULES = _BUILT_IN | {
    "_queue",
    "http.client",
    "requests.exceptions",
    "socks",
    "urllib3.connection",
    "urllib3.exceptions",
}
_WRAPPING = frozenset({"requests", "urllib3"})
_DEPTH = 8
# Of a text or bytes within an exception, and of exceptions within one: as much is kept.
_LONGEST = 1 << 16
_MOST = 64
_LARGEST = 1 << 64


def dump(
    exc: BaseException,
    secrets: Secrets,
    outside: BaseException | None = None,
    clean: Callable[[str], str] | None = None,
) -> Failure:
    """Return an exception as data, without secrets.

    Args:
        outside: what the program was handling already; neither it nor what it came from is kept.
        clean: takes what is secret from a text; by itself, what a text shows to be so.
    """
    clean = clean or secrets.text
    message = clean(_said(str, exc))
    return Failure(dotted(type(exc)), message, _Dump(secrets, outside, clean).value(exc, 0))


def load(failure: Failure, pool: object = None) -> Exception:
    """Return an exception like the one recorded, with ``pool`` where it named its pool.

    Raises:
        IntegrityError: it is none that was recorded.
    """
    try:
        exc = _Load(pool).value(failure.data, 0)
        if not isinstance(exc, BaseException):
            return OSError(failure.message)
        if not isinstance(exc, Exception):
            raise TypeError(f"{dotted(type(exc))} ends a program")
        # Whoever is handed one looks at it.
        str(exc), repr(exc)
    except MALFORMED as exc:
        raise IntegrityError(
            f"the recorded failure {failure.error_class[:100]!r} is damaged ({exc}): record the "
            "call again"
        ) from None
    return exc


def raise_again(
    failure: Failure,
    pool: object = None,
    *,
    wrapped: bool = False,
    bare: bool = False,
    note: str = "",
) -> NoReturn:
    """Raise a recorded exception, with what it came from.

    Args:
        wrapped: as ``requests`` wrapped it; else what urllib3 raised beneath.
        bare: what Python raised beneath either.
        note: that it is replayed.

    Raises:
        BaseException: as recorded.
    """
    exc: BaseException = load(failure, pool)
    exc = innermost(exc) if bare else exc if wrapped else beneath(exc)
    if note:
        exc.add_note(note)
    first = exc
    context = exc.__context__
    met = {id(first)}
    while first.__context__ is not None and id(first.__context__) not in met:
        first = first.__context__
        met.add(id(first))
    outside = sys.exception()
    try:
        raise exc
    finally:
        # In a handler of the program's, raising puts what is handled in the place of the context.
        if context is not None:
            first.__context__, exc.__context__ = outside, context
        del exc, first, context, outside


def beneath(exc: BaseException) -> BaseException:
    """Return what urllib3 raised, if ``requests`` only wrapped it."""
    met: set[int] = set()
    while (
        id(exc) not in met
        and _of_requests(exc)
        and exc.args
        and exc.args[0] is exc.__context__
        and isinstance(exc.__context__, BaseException)
    ):
        met.add(id(exc))
        exc = exc.__context__
    return exc


def innermost(exc: BaseException) -> BaseException:
    """Return what Python raised, if ``requests`` and urllib3 only wrapped it."""
    found: BaseException | None = exc
    met: set[int] = set()
    while found is not None and type(found).__module__.partition(".")[0] in _WRAPPING:
        if id(found) in met:
            return exc
        met.add(id(found))
        reason = getattr(found, "reason", None)
        found = reason if isinstance(reason, BaseException) else found.__context__
    return exc if found is None else found


def _known(cls: type[BaseException]) -> tuple[str, str]:
    for base in cls.__mro__:
        module = "socket" if base in (socket.gaierror, socket.herror) else base.__module__
        if module not in _MODULES and base is _hostname_error():
            module = "urllib3.connection"
        if module in _MODULES and _class(module, base.__name__) is base:
            return module, base.__name__
    return "builtins", "Exception"


def _hostname_error() -> Any:
    """Return a class of urllib3's that has another home in other versions of it."""
    return getattr(sys.modules.get("urllib3.connection"), "CertificateError", None)


def _class(module: str, name: str) -> Any:
    """Return a class of one of the modules whose exceptions are made again."""
    if not isinstance(module, str) or module not in _MODULES or not isinstance(name, str):
        return None
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


def _of_requests(exc: BaseException) -> bool:
    module = sys.modules.get("requests.exceptions")
    return module is not None and isinstance(exc, module.RequestException)


def _said(say: Callable[[Any], str], value: Any) -> str:
    """Return what an object says of itself; one that can't is not to break the program's call."""
    try:
        return say(value)[:_LONGEST]
    except Exception:
        return "…"


def _at_fault(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments of a codec's error with no more of its text than it complains of.

    All of it is a header's value or a body, of which the error itself tells the position.
    """
    match args:
        case (codec, str(text), int(start), int(end), reason):
            return codec, "?" * start + text[start:end], start, end, reason
        case (codec, bytes(data), int(start), int(end), reason):
            return codec, b"?" * start + data[start:end], start, end, reason
    return args


class _Beginning(bytes):
    """The beginning of longer bytes, which by its own account is as long as they were.

    What an exception says of bytes is how many there were.
    """

    size = 0

    def __len__(self) -> int:
        return self.size

    def __bool__(self) -> bool:
        return True

    @classmethod
    def of(cls, data: bytes, size: int) -> bytes:
        """Return bytes, or the beginning of longer ones."""
        if size <= len(data):
            return data
        made = cls(data)
        made.size = size
        return made


class _Dump:
    """Makes data of one exception. One met again is named by its number, in order of meeting."""

    def __init__(
        self, secrets: Secrets, outside: BaseException | None, clean: Callable[[str], str]
    ) -> None:
        self._secrets = secrets
        self._clean = clean
        self._outside = outside
        self._met: list[BaseException] = []

    def value(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, (bool, float)):
            return value
        if isinstance(value, int):
            # Longer ones have no text (``sys.set_int_max_str_digits``).
            return value if -_LARGEST < value < _LARGEST else {"repr": "…"}
        if isinstance(value, str):
            return self._clean(value[:_LONGEST])
        if isinstance(value, (bytes, bytearray)):
            kept = bytes(value[:_LONGEST])
            data: dict[str, Any] = {"bytes": self._secrets.mask(kept).decode("latin-1")}
            if len(kept) < len(value):
                data["size"] = len(value)
            return data
        if isinstance(value, BaseException) and depth < _DEPTH and len(self._met) < _MOST:
            return self._exception(value, depth + 1)
        if hasattr(value, "urlopen"):
            return {"is": "pool"}
        return {"repr": self._clean(_said(repr, value))[:500]}

    def _exception(self, exc: BaseException, depth: int) -> Any:
        for number, met in enumerate(self._met):
            if met is exc:
                return {"met": number}
        module, name = _known(type(exc))
        data: dict[str, Any] = {"exception": [module, name]}
        args = exc.args
        if isinstance(exc, UnicodeError) and self._secrets.rules.redacts:
            args = _at_fault(args)
        data["args"] = [self.value(arg, depth) for arg in args]
        self._met.append(exc)
        data["state"] = {
            key: self.value(item, depth)
            for key, item in vars(exc).items()
            if not key.startswith("__")
        }
        for key, origin in (("cause", exc.__cause__), ("context", exc.__context__)):
            if origin is not None and origin is not self._outside:
                data[key] = self.value(origin, depth)
        if exc.__suppress_context__:
            data["suppress"] = True
        return data


class _Absent:
    """What stands in an exception for an object that is not there: it looks like it in texts."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class _Load:
    """Makes an exception of the data of one."""

    def __init__(self, pool: object) -> None:
        self._pool = pool
        self._met: list[BaseException] = []

    def value(self, data: Any, depth: int) -> Any:
        if not isinstance(data, Mapping):
            return data
        if "bytes" in data:
            size = data.get("size", 0)
            if type(size) is not int or not 0 <= size < 1 << 63:
                raise ValueError("no size of bytes")
            return _Beginning.of(data["bytes"].encode("latin-1"), size)
        if "met" in data:
            return self._met[data["met"]]
        if "exception" in data:
            if depth > _DEPTH or len(self._met) >= _MOST:
                raise ValueError("more exceptions than are recorded")
            return self._exception(data, depth + 1)
        return self._pool if data.get("is") == "pool" else _Absent(str(data.get("repr", "…")))

    def _exception(self, data: Mapping[str, Any], depth: int) -> BaseException:
        module, name = data["exception"]
        cls = _class(module, name)
        if not (isinstance(cls, type) and issubclass(cls, BaseException)):
            cls = Exception
        exc = _made(cls, module, [self.value(arg, depth) for arg in data["args"]])
        self._met.append(exc)
        for key, item in data["state"].items():
            if key.startswith("__"):
                raise ValueError(f"{key!r} is no state of an exception")
            with contextlib.suppress(AttributeError):
                setattr(exc, key, self.value(item, depth))
        if _of_requests(exc):
            # Objects that are no text: the one who raises it again has the request.
            vars(exc)["response"] = None
        exc.__cause__ = self._origin(data.get("cause"), depth)
        exc.__context__ = self._origin(data.get("context"), depth)
        exc.__suppress_context__ = data.get("suppress", False)
        return exc

    def _origin(self, data: Any, depth: int) -> BaseException | None:
        origin = self.value(data, depth)
        return origin if isinstance(origin, BaseException) else None


def _made(cls: type[BaseException], module: str, args: list[Any]) -> BaseException:
    if module in _BUILT_IN:
        # Some take their arguments apart in C (errno and strerror, a codec's position).
        with contextlib.suppress(TypeError, ValueError):
            return cls(*args)
    exc = cls.__new__(cls)
    exc.args = tuple(args)
    return exc
