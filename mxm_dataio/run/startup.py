"""What runs as a Python process starts that has ``MXM_DATAIO_AUTO`` in its environment.

``mxm_dataio.pth`` in site-packages calls :func:`start` (or ``site/sitecustomize.py``, where the
package is on ``PYTHONPATH`` alone), before the program. That is too early for a session: where the
program's own modules lie is not known yet, and whatever is imported now would be found in their
place; gevent has not patched what it patches; and most processes never make a call. So nothing is
loaded here. The session begins when the program makes the first connection or pool of a module
whose calls are captured, or with ``watch`` as soon as it connects otherwise, looks up a name,
starts a process or has loaded a library that connects unseen. (Not as a module of the first kind is
loaded: others may wait for that, and for each other.)

It must not break the program. If the session can't begin, that is said on standard error, and the
program goes on uncaptured; but not in replay, where its calls would reach the network: there the
process ends with status 2.
"""

from __future__ import annotations

import _thread
import atexit
import os
import sys

from .. import interception
from ..concurrency.undisturbed import Undisturbed
from ..coverage.loading import Finder
from ..coverage.natives import NATIVE
from ..process import AUTO, RUN, after_fork, is_link, is_off, link_says, say

TYPE_CHECKING = False  # see the package's __init__
if TYPE_CHECKING:
    from typing import Any

    from .session import AutoSession

MISUSED = 2
# What goes past those, and is noted where connections are watched.
_EVENTS = frozenset(
    {
        "os.exec",
        "os.fork",
        "os.kill",
        "os.killpg",
        "os.posix_spawn",
        "os.system",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyaddr",
        "socket.gethostbyname",
        "socket.sendmsg",
        "socket.sendto",
        "subprocess.Popen",
    }
)
_TO_ADDRESS = frozenset({"socket.connect", "socket.sendmsg", "socket.sendto"})
_KILLS = frozenset({"os.kill", "os.killpg"})
# SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGKILL, SIGTERM: sent to end a process.
_ENDING = frozenset({1, 2, 3, 6, 9, 15})


# Module → what a program makes before it makes a call: a class, by its module and name.
_FIRST = {
    "http.client": ("http.client", "HTTPConnection"),
    "requests": ("requests.adapters", "HTTPAdapter"),
    "urllib3": ("urllib3.connectionpool", "HTTPConnectionPool"),
}


class _Process:
    """What is known of this process.

    Attributes:
        session: once it has begun; it may be over.
        failed: it could not begin, and is not tried again.
        folder: in which the process started.
    """

    def __init__(self) -> None:
        self.session: AutoSession | None = None
        self.failed = False
        self.folder = ""
        # Those that were loaded and are not captured yet, and what waits for their first use.
        self._loaded: list[str] = []
        self._triggers: dict[str, _Trigger] = {}
        self._lock = _thread.allocate_lock()
        self._owner = 0

    def renew_lock(self) -> None:
        """Make a fresh lock, in a forked child."""
        self._lock = _thread.allocate_lock()
        self._owner = 0

    def loaded(self, name: str) -> None:
        """Note that a module was loaded; capture its calls from the first on."""
        if name in NATIVE:
            # It connects unseen: that it is there is all that is to be known of it.
            self.capture()
            if self.session is not None:
                self.session.loaded(name)
            return
        self._loaded.append(name)
        home, cls = _FIRST[name]
        found = getattr(sys.modules.get(home), cls, None)
        if isinstance(found, type):
            self._triggers[name] = _Trigger(found)
        else:
            # It is another that has the name. What there is to say of it is said at once.
            self.capture()

    def capture(self) -> None:
        """Begin the session, if it has not, and have it capture what is loaded."""
        if self._owner == _thread.get_ident() or self.failed:
            return
        if self.session is not None and not self._loaded:
            return
        # A call that a signal's handler makes meanwhile could not wait, and would go past.
        with Undisturbed(), self._lock:
            self._owner = _thread.get_ident()
            try:
                with _Shield():
                    self._capture()
            except Exception as exc:
                self.failed = True
                _fail(exc)
            finally:
                self._owner = 0

    def _capture(self) -> None:
        if self.session is None:
            from .session import begin

            self.session = begin(self.folder)
        while self._loaded:
            name = self._loaded[0]
            # Until all that it takes is loaded, threads that are about to make a call wait.
            trigger = self._triggers.pop(name, None)
            self.session.see(name, trigger.remove if trigger is not None else _nothing)
            self._loaded.remove(name)


def _nothing() -> None:
    """Do nothing."""


class _Trigger:
    """Has the calls of a module captured as soon as the first object of a class is made."""

    def __init__(self, cls: Any) -> None:
        self._cls = cls
        self._was = was = cls.__init__

        def first(made: Any, *args: Any, **kwargs: Any) -> None:
            _process.capture()
            was(made, *args, **kwargs)

        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(first, name, getattr(was, name, None))
        first.__wrapped__ = was  # type: ignore[attr-defined]
        self._ours = cls.__init__ = first

    def remove(self) -> None:
        """Leave no trace, unless something has come over it."""
        if self._cls.__dict__.get("__init__") is self._ours:
            self._cls.__init__ = self._was


_process = _Process()
_armed = False


def start() -> None:
    """Have this process captured, if its environment says so. Never raises."""
    global _armed
    word = os.environ.get(AUTO, "")
    if _armed or is_off(word):
        return
    _armed = True
    try:
        is_link(word)
        _process.folder = _folder()
        _mark("started")
        # The first to be registered is the last to be called: the program's own may make calls.
        atexit.register(_finish)
        after_fork(_process.renew_lock)
        modules = set(interception.modules.values())
        if link_says("stdlib", False):
            modules.discard(interception.STDLIB)
        for name in modules & sys.modules.keys():
            _process.loaded(name)
        if not link_says("watch", False):
            modules |= NATIVE.keys()
        sys.meta_path.insert(0, Finder(modules, _loaded))
        sys.addaudithook(_audit)
    except Exception as exc:
        _process.failed = True
        _fail(exc)


def _loaded(name: str) -> None:
    if not _process.failed:
        _process.loaded(name)


def disarm() -> None:
    """Have this process not captured after all: it is one of ours."""
    _process.failed = True


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        # It was deleted.
        return ""


def _mark(what: str, text: str = "", pid: int = 0) -> None:
    """Leave word of a process, if not of this one, in the run's folder, if there is one."""
    folder = os.environ.get(RUN)
    if not folder:
        return
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        file = os.open(f"{folder}/{pid or os.getpid()}.{what}", flags, 0o600)
        os.write(file, text.encode("utf-8", "backslashreplace"))
        os.close(file)
    except OSError:
        # The run is over, or its folder another machine's.
        return


def _fail(exc: Exception) -> None:
    """Say why nothing is captured here; in replay, end the process."""
    text = f"{exc}" if type(exc).__module__.startswith("mxm_dataio") else f"{exc!r}"
    _mark("failed", text)
    if _replays():
        refuse(text)
    say(f"warning: this process is not captured: {text}")


def refuse(text: str) -> None:
    """End the process: its calls would reach the network, and it is to replay."""
    say(f"error: {text}; this process is to replay, and ends before it reaches the network")
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            continue
    os._exit(MISUSED)


def _replays() -> bool:
    """Say whether the process is to replay, of whatever could be read of its settings."""
    if link_says("mode", "replay"):
        return True
    return os.environ.get("MXM_DATAIO_MODE", "").lower() in ("replay", "none")


def _finish() -> None:
    session = _process.session
    if session is not None:
        try:
            session.finish()
        except Exception as exc:
            say(f"warning: the session did not end well: {exc!r}")


# -- what begins the session -------------------------------------------------------------------


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event not in _EVENTS or _process.failed:
        return
    if event in _KILLS:
        _kills(event, *args)
        return
    if _process.session is None and _counts(event, args):
        _process.capture()
    if event == "os.exec" and _process.session is not None:
        _process.session.leave(args[0])


def _kills(event: str, target: int, number: int) -> None:
    """Leave word of the processes that this one is about to end; nobody else will know who did."""
    if number not in _ENDING:
        return
    # kill(2): 0 is the group of this process, -n the group n.
    group = (target or os.getpgrp()) if event == "os.killpg" or not target else -target
    for pid in [target] if group < 0 else _members(group):
        if pid not in (os.getpid(), os.getppid()):
            _mark("stopped", str(number), pid)


def _members(group: int) -> list[int]:
    """Return the processes of the run that are of a group."""
    try:
        names = os.listdir(os.environ[RUN])
    except (OSError, LookupError):
        return []
    # A process's mark, or its session's report.
    pids = {name.partition(".")[0].rpartition("-")[2] for name in names}
    return [int(pid) for pid in pids if pid.isdecimal() and _is_of(int(pid), group)]


def _is_of(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group
    except OSError:
        # It is gone.
        return False


def _counts(event: str, args: tuple[Any, ...]) -> bool:
    """Say whether an event is one that a watching session notes."""
    if link_says("watch", False):
        return False
    frame = sys._getframe(2)
    if event == "os.fork":
        # A forked child is this program still; os.spawn… forks for another.
        return frame.f_code.co_name == "_spawnvef"
    if event in _TO_ADDRESS and not isinstance(args[1], tuple):
        # multiprocessing's own processes talk to each other by unix sockets.
        name = frame.f_globals.get("__name__", "")
        return args[1] is not None and not name.startswith("multiprocessing.")
    return True


class _Shield:
    """Keeps modules of the program's own from being taken for the standard library's, for us.

    A file beside a script goes before the standard library. What is loaded here must not be the
    program's ``json``, nor must the program, when it asks for its own, get ours.
    """

    def __enter__(self) -> None:
        self._path = sys.path[:]
        self._own: set[str] = set()
        folder = self._path[0] if self._path else ""
        if not _installed(folder):
            # What the program has loaded already is as it is.
            names = sys.stdlib_module_names - sys.modules.keys()
            self._own = {name for name in names if _is_module(os.path.join(folder, name))}
        if self._own:
            sys.path[:1] = []

    def __exit__(self, *exc_info: object) -> None:
        if not self._own:
            return
        sys.path[:] = self._path
        for name in list(sys.modules):
            if name.partition(".")[0] in self._own:
                del sys.modules[name]


def _is_module(path: str) -> bool:
    return os.path.isfile(f"{path}.py") or os.path.isfile(os.path.join(path, "__init__.py"))


def _installed(folder: str) -> bool:
    return folder.rstrip("/").endswith(("site-packages", "dist-packages")) or folder == _STANDARD


_STANDARD = os.path.dirname(os.__file__)
