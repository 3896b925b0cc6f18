"""Sees connections, look-ups of names and child processes of this process, and may refuse them.

CPython tells audit hooks of them (PEP 578). One hook is added when it is first needed, since none
can be taken off again; who watches comes and goes. What a native library does without Python's own
``socket`` module raises no such event and can't be seen: pycurl, grpc, uvloop, libpq.
"""

from __future__ import annotations

import _socket
import contextlib
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from ..concurrency import mutex
from ..concurrency.reentry import is_interrupt, within
from ..errors import ConfigError
from ..http.hosts import Target, is_address
from ..process import monotonic
from ..utils import after_fork
from . import callers
from .callers import Stack
from .captured import is_captured
from .events import Child, Question, Watcher


def install(watcher: Watcher, modules: Iterable[str] = ()) -> None:
    """Tell a watcher of all that happens from now on.

    Args:
        modules: those whose import it is to be told of.

    Raises:
        ConfigError: another audit hook of the process admits none.
    """
    prepare()
    with mutex.lock:
        _members.append(_Watching(watcher, frozenset(modules)))
        _renew()


def prepare() -> None:
    """Add the hook, if it is not there.

    Raises:
        ConfigError: another audit hook of the process admits none.
    """
    with mutex.lock:
        _add_hook()


def remove(watcher: Watcher) -> None:
    """Tell a watcher no more; it need not have been installed."""
    with mutex.lock:
        for one in [*_members]:
            if one.watcher is watcher:
                _members.remove(one)
        _renew()


# -- the hook ----------------------------------------------------------------------------------


class _Watching:
    """A watcher, and the sockets it was told of.

    Attributes:
        told: socket → where it goes: a connection that is made step by step is asked for several
            times, and datagrams go where others went.
    """

    def __init__(self, watcher: Watcher, modules: frozenset[str]) -> None:
        self.watcher = watcher
        self.modules = modules
        self._told: weakref.WeakKeyDictionary[Any, set[Any]] = weakref.WeakKeyDictionary()

    def knows(self, sock: Any, address: Any) -> bool:
        try:
            return address in self._told.get(sock, ())
        except TypeError:
            # A socket that can't be held weakly, or an address of an odd kind.
            return False

    def keep(self, sock: Any, address: Any) -> None:
        with contextlib.suppress(TypeError):
            told = self._told.setdefault(sock, set())
            if len(told) < _TARGETS:
                told.add(address)


_TARGETS = 1024
_HELLO = "mxm_dataio.coverage.audit"
_Handler = Callable[[tuple[Any, ...], FrameType], Exception | None]
# Those that watch; what the hook tells, anew each time that these change.
_members: list[_Watching] = []
_watching: list[_Watching] = []
_modules: frozenset[str] = frozenset()
_heard = _adding = False
_here = threading.local()


def _audit(event: str, args: tuple[Any, ...]) -> None:
    handler = _handlers.get(event)
    if handler is not None:
        refusal = _handled(handler, args)
        if refusal is not None:
            raise refusal


def _handled(handler: _Handler, args: tuple[Any, ...]) -> Exception | None:
    if handler is _on_address and args[1] is None:
        # A socket's sendmsg, mostly.
        return None
    frame = sys._getframe(2)
    busy = getattr(_here, "busy", False)
    if busy and within(_handled.__code__, frame):
        # What the hook does itself is nobody's business.
        return None
    _here.busy = True
    try:
        return handler(args, frame)
    except Exception as exc:
        if is_interrupt(exc):
            raise
        return None
    finally:
        _here.busy = busy


def _add_hook() -> None:
    global _adding
    if _heard or _adding:
        return
    try:
        _adding = True
        sys.addaudithook(_audit)
        sys.audit(_HELLO)
    finally:
        _adding = False
    if not _heard:
        raise ConfigError(
            "this process has an audit hook that admits no other: connections can't be watched "
            "here; leave out watch"
        )


def _on_hello(args: tuple[Any, ...], frame: FrameType) -> None:
    global _heard
    _heard = True


def _renew() -> None:
    global _watching, _modules, _handlers
    # What interrupts this may have others watch, or not watch any more.
    while _watching != _members:
        watching = [*_members]
        _modules = frozenset[str]().union(*(one.modules for one in watching))
        _handlers = _EVENTS if watching else _UNWATCHED
        _watching = watching


def _first(refusals: Iterable[Exception | None]) -> Exception | None:
    """Return the first refusal, after all have been asked."""
    return next((one for one in [*refusals] if one is not None), None)


# -- connections -------------------------------------------------------------------------------


def _on_address(args: tuple[Any, ...], frame: FrameType) -> Exception | None:
    """Take ``socket.connect``, ``sendto`` and ``sendmsg``: a socket and an address."""
    sock, address = args
    unknown = [one for one in _watching if not one.knows(sock, address)]
    if not unknown or is_captured():
        return None
    stack = callers.stack(frame)
    target = _target(sock, address, stack)
    if target is None:
        return None
    refusal = None
    for one in unknown:
        refused = one.watcher.connecting(target, stack)
        if refused is None:
            one.keep(sock, address)
        refusal = refusal or refused
    if refusal is not None and frame.f_code.co_name == "create_connection":
        # socket's and urllib3's close what they made only if an OSError ends it.
        sock.close()
    return refusal


def _target(sock: Any, address: Any, stack: Stack) -> Target | None:
    """Return where an address leads; ``None`` if not out of this program."""
    family = sock.family
    if family == _socket.AF_UNIX:
        if stack.inner.startswith("multiprocessing."):
            # Its own processes among each other.
            return None
        path = os.fsdecode(address)
        return Target(f"@{path[1:]}" if path.startswith("\0") else path)
    if family in (_socket.AF_INET, _socket.AF_INET6):
        host, port = _host(address[0]), address[1]
        return Target(_name(host, port, stack), port, host)
    if family in (getattr(_socket, "AF_NETLINK", None), getattr(_socket, "AF_ALG", None)):
        # The kernel itself.
        return None
    return Target(f"{getattr(family, 'name', family)} {address!r}")


# -- names -------------------------------------------------------------------------------------

# For how long a look-up tells of connections that follow it: in one thread until the next; where
# an event loop connects, whose look-ups other threads make, less, and only if there was no other.
_SAME_THREAD, _OTHER_THREADS = 120.0, 30.0
# When, in which thread, and what was asked for.
_asked: deque[tuple[float, int, str, int | None]] = deque(maxlen=64)


def _on_lookup(args: tuple[Any, ...], frame: FrameType) -> Exception | None:
    """Take ``socket.getaddrinfo`` and ``socket.gethostbyname``: a host, perhaps a port."""
    host, port = _host(args[0]), _port(args[1]) if len(args) > 1 else None
    now = monotonic()
    _here.asked = (now, host, port)
    _asked.append((now, threading.get_ident(), host, port))
    return _tell(Question(host, port), frame)


def _on_reverse(args: tuple[Any, ...], frame: FrameType) -> Exception | None:
    """Take ``socket.gethostbyaddr``."""
    host = _host(args[0])
    return _tell(Question(host, reverse=is_address(host)), frame)


def _tell(question: Question, frame: FrameType) -> Exception | None:
    if not question.host or is_captured():
        return None
    stack = callers.stack(frame)
    return _first([one.watcher.resolving(question, stack) for one in _watching])


def _name(host: str, port: int, stack: Stack) -> str:
    """Return the name that was asked for to get this address, as far as that can be told."""
    if not is_address(host):
        return host
    if stack.asked:
        return stack.asked
    now = monotonic()
    if not stack.loops:
        when, name, asked_port = getattr(_here, "asked", (0.0, "", None))
        fits = name and now - when < _SAME_THREAD and asked_port in (None, port)
        return name if fits and not is_address(name) else host
    names = {
        name
        for when, _, name, asked_port in list(_asked)
        if name and now - when < _OTHER_THREADS and asked_port in (None, port)
    }
    (name,) = names if len(names) == 1 else (host,)
    return name


def _host(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    return "" if value is None else str(value)


def _port(value: Any) -> int | None:
    if isinstance(value, int):
        return value or None
    text = _host(value)
    return int(text) if text.isdecimal() and text != "0" else None


# -- processes ---------------------------------------------------------------------------------


def _on_popen(args: tuple[Any, ...], frame: FrameType) -> Exception | None:
    """Take ``subprocess.Popen``: executable, arguments, folder, environment."""
    executable, arguments, _, environment = args
    return _started(Child(_text(executable), _texts(arguments), environment), frame)


def _on_posix_spawn(args: tuple[Any, ...], frame: FrameType) -> Exception | None:
    """Take ``os.posix_spawn``, unless subprocess uses it, which has told of it."""
    if frame.f_globals.get("__name__") == "subprocess":
        return None
    path, arguments, environment = args
    return _started(Child(_text(path), _texts(arguments), environment), frame)


def _on_system(args: tuple[Any, ...], frame: FrameType) -> Exception | None:
    """Take ``os.system``: a command for the shell."""
    return _started(Child("/bin/sh", ("sh", "-c", _text(args[0]))), frame)


def _on_fork(args: tuple[Any, ...], frame: FrameType) -> Exception | None:
    """Take ``os.fork`` where ``os.spawn…`` does it, which raises no event of its own on POSIX."""
    if not _in_spawn(frame):
        return None
    known = frame.f_locals
    child = Child(_text(known["file"]), _texts(known["args"]), known.get("env"))
    return _started(child, frame)


def _on_exec(args: tuple[Any, ...], frame: FrameType) -> Exception | None:
    """Take ``os.exec…``: path, arguments, environment. Paths are tried one after another."""
    path, arguments, environment = _text(args[0]), _texts(args[1]), args[2]
    if _in_spawn(frame) or not (Path(path).is_file() and os.access(path, os.X_OK)):
        return None
    child = Child(path, arguments, environment, replaces=True)
    return _started(child, frame)


def _in_spawn(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_globals.get("__name__") == "os":
        if frame.f_code.co_name == "_spawnvef":
            return True
        frame = frame.f_back
    return False


def _started(child: Child, frame: FrameType) -> Exception | None:
    stack = callers.stack(frame)
    return _first([one.watcher.spawning(child, stack) for one in _watching])


def _text(value: Any) -> str:
    return os.fsdecode(value)


def _texts(values: Any) -> tuple[str, ...]:
    if isinstance(values, (str, bytes, os.PathLike)):
        values = (values,)
    return tuple(_text(value) for value in values)


# -- imports -----------------------------------------------------------------------------------


def _on_import(args: tuple[Any, ...], frame: FrameType) -> None:
    name = args[0]
    if name not in _modules:
        return
    stack = callers.stack(frame)
    for one in _watching:
        if name in one.modules:
            one.watcher.importing(name, stack)


_EVENTS: dict[str, _Handler] = {
    "socket.connect": _on_address,
    "socket.sendto": _on_address,
    "socket.sendmsg": _on_address,
    "socket.getaddrinfo": _on_lookup,
    "socket.gethostbyname": _on_lookup,
    "socket.gethostbyaddr": _on_reverse,
    "subprocess.Popen": _on_popen,
    "os.posix_spawn": _on_posix_spawn,
    "os.system": _on_system,
    "os.fork": _on_fork,
    "os.exec": _on_exec,
    "import": _on_import,
    _HELLO: _on_hello,
}
_UNWATCHED: dict[str, _Handler] = {_HELLO: _on_hello}
# What is done at an event.
_handlers = _UNWATCHED


def _after_fork() -> None:
    _here.busy = False


after_fork(_after_fork)
