"""``python -m mxm_dataio.run script.py ARGS``: a program under capture, unchanged.

The program runs as it does without: ``run`` starts the same interpreter on it, with an environment
by which it and the Python processes that it starts have themselves captured (see
:mod:`.startup`), and waits. So ``sys.argv``, ``__main__``, ``sys.path``, tracebacks, flags,
threads, ``atexit``, what pickle and multiprocessing make of ``__main__`` and how signals end it are
not imitated: there is no frame or module of ours around it.

The other two ways were weighed. Running the program within this interpreter, as coverage.py does,
saves a process, and differs in whatever looks at the stack, at ``sys.orig_argv`` or at the modules
loaded before it. Becoming the program (``os.execv``) keeps the process id, but then nobody sees the
exit status, nor is there anyone to end the session of a program that was killed, or to fail a
replay whose misses the program survived.

What it costs is one process more: the program's parent is ``run``. Both are of one process group,
so that the terminal's signals reach both, and ``run`` passes on those that were sent to it alone.
It can't tell those from ones that somebody sent to each process of the group, which the program
then gets twice. If ``run`` is killed by ``SIGKILL``, the kernel kills the program too (on Linux).

Little is loaded before the program starts; :mod:`.attendant` has the session, and is loaded beside
it.
"""

from __future__ import annotations

import os
import signal
import site
import sys
import threading
import time

from ..process import AUTO, CONFIG, RUN, VERSION, link_text, new_id, say
from . import startup
from .arguments import MISUSED, Options, Program, parse
from .plan import RunPlan, plan_of
from .presence import is_found

TYPE_CHECKING = False  # see the package's __init__
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn

    from .attendant import Attendant

PTH = "mxm_dataio.pth"
_SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")
# Never passed on: of this process's own children, and faults of its own.
_OWN_SIGNALS = frozenset(
    {
        signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP, signal.SIGTTIN, signal.SIGTTOU,
        signal.SIGPIPE, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL,
        signal.SIGTRAP, signal.SIGABRT, signal.SIGSYS, signal.SIGXFSZ, signal.SIGXCPU,
    }
)  # fmt: skip
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG, prctl(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a program under capture, and return its exit status.

    If a signal ended it, so it does this process.

    Args:
        arguments: those of the command line, if not given.
    """
    startup.disarm()
    options, program = parse(sys.argv[1:] if arguments is None else arguments)
    plan = plan_of(options, program)
    blind = _blind(program)
    if blind and plan.mode != "off":
        if plan.mode == "replay":
            say(f"error: {blind}; the program would reach the network, and is to replay")
            return MISUSED
        say(f"warning: {blind}: nothing is captured")
    if blind or plan.mode == "off":
        _become(program)
    try:
        run = Run(plan, program)
    except OSError as exc:
        what = f"no folder for the run can be made ({exc.strerror})"
        if plan.mode == "replay":
            say(f"error: {what}")
            return MISUSED
        say(f"warning: {what}: nothing is captured")
        _become(program)
    return run.whole(options)


def _blind(program: Program) -> str:
    """Return why nothing of a program can be captured; empty if it can."""
    if not program.python:
        return ""
    if sys.flags.no_site:
        return "the interpreter's option -S leaves out what captures"
    if not _is_installed() and sys.flags.ignore_environment:
        return f"{PTH} is not installed beside the package, and -E or -I leave out PYTHONPATH"
    return ""


def _is_installed() -> bool:
    """Say whether this interpreter's processes have themselves captured by what is installed."""
    folders = [*site.getsitepackages()]
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    return any(os.path.exists(os.path.join(folder, PTH)) for folder in folders)


def _become(program: Program) -> NoReturn:
    """Go on as the program, uncaptured."""
    for name in (AUTO, RUN):
        os.environ.pop(name, None)
    _execute(program, os.environ)


def _execute(program: Program, environ: Mapping[str, str]) -> NoReturn:
    # As subprocess does: Python ignores these, and what it starts would as well.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        if program.python:
            os.execve(program.path, program.arguments, environ)
        os.execvpe(program.path, program.arguments, environ)
    except OSError as exc:
        say(f"error: {program.path}: {exc.strerror}")
        os._exit(126 if isinstance(exc, PermissionError) else 127)


class Run:
    """One run of a program.

    Attributes:
        id: the session that is recorded.
        folder: what the run's processes share.
        dated: the as-of of what is recorded.
        pid: the program's process.

    Raises:
        OSError: the folder can't be made.
    """

    def __init__(self, plan: RunPlan, program: Program) -> None:
        self.plan = plan
        self.program = program
        self.id = new_id()
        self.folder = _made_folder(self.id)
        # Once for all: at midnight the parts of a session would have two.
        self.dated = plan.as_of or time.strftime("%Y-%m-%d", time.gmtime())
        self.pid = 0
        self._attendant: Attendant | None = None
        self._beginning = threading.Thread(target=self._begin)

    def whole(self, options: Options) -> int:
        """Run the program, and tell of it; return its exit status, or end as it did."""
        # What is not there fails as it does without, and of that there is nothing to record.
        there = is_found(self.program)
        self._start()
        if there:
            self._beginning.start()
        status = self._wait()
        if not there and (not status or self._has_reports()):
            self._beginning.start()
            there = True
        if there:
            self._beginning.join()
        found, at_once = status, False
        try:
            if self._attendant is not None:
                outcome = self._attendant.end(status)
                outcome.tell(options)
                found, at_once = outcome.status(options), outcome.broken_off
        except Exception as exc:
            say(f"warning: the session did not end well: {exc!r}")
        self._clean()
        if found < 0:
            _die(-found)
        if at_once:
            os._exit(found)
        return found

    def _begin(self) -> None:
        """Begin the session, beside the program."""
        try:
            from pathlib import Path

            from .attendant import Attendant

            self._attendant = Attendant(
                self.plan, self.id, dated=self.dated, label=self.program.label,
                python=self.program.python, pid=self.pid, folder=Path(self.folder),
            )  # fmt: skip
            self._attendant.begin()
        except Exception as exc:
            say(f"warning: the session could not begin: {exc!r}")

    # -- starting ----------------------------------------------------------------------------

    def _start(self) -> None:
        ignored = signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        prctl = _prctl()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _taken())
        parent = os.getpid()
        self.pid = os.fork()
        if not self.pid:
            try:
                if prctl is not None:
                    prctl(_PARENT_DEATH, int(signal.SIGKILL), 0, 0, 0)
                if os.getppid() != parent:
                    os._exit(128 + signal.SIGKILL)
                if ignored:
                    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
                environ = self._environ(os.getpid())
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                _execute(self.program, environ)
            finally:
                os._exit(127)
        # Whoever reads what the program writes is to see its end when it closes it.
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1):
            os.dup2(null, stream)
        if null > 1:
            os.close(null)

    def _environ(self, pid: int) -> dict[str, str]:
        """Return the environment of the program, whose process has this number."""
        plan = self.plan
        link = {
            "version": VERSION, "parent_id": self.id, "root_id": self.id, "pid": pid,
            "source": plan.source, "dated": self.dated, "joins": True, "attended": True,
            "as_of": plan.as_of, "session": plan.session, "program": self.program.label,
            "settings": {**plan.settings, "mode": plan.mode},
        }  # fmt: skip
        environ = {**os.environ, AUTO: link_text(link), RUN: self.folder}
        if environ.get(CONFIG):
            environ[CONFIG] = os.path.abspath(environ[CONFIG])
        if not _is_installed():
            paths = [_SITE, *filter(None, [environ.get("PYTHONPATH")])]
            environ["PYTHONPATH"] = os.pathsep.join(paths)
        return environ

    # -- waiting -----------------------------------------------------------------------------

    def _wait(self) -> int:
        """Pass on signals until the program ends; return its exit status as Python has it."""
        taken = _taken()
        while True:
            found, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if found and os.WIFSTOPPED(status):
                os.kill(os.getpid(), signal.SIGSTOP)
            elif found:
                return os.waitstatus_to_exitcode(status)
            number, alone = _signal(taken)
            if number != signal.SIGCHLD and alone:
                try:
                    os.kill(self.pid, number)
                except ProcessLookupError:
                    continue

    def _has_reports(self) -> bool:
        return any(name.endswith(".json") for name in os.listdir(self.folder))

    def _clean(self) -> None:
        try:
            for name in os.listdir(self.folder):
                os.unlink(os.path.join(self.folder, name))
            os.rmdir(self.folder)
        except OSError:
            return


def _made_folder(name: str) -> str:
    problem: OSError = FileNotFoundError(2, os.strerror(2))
    places = [os.environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP")]
    for place in [*filter(None, places), "/tmp", "/var/tmp"]:
        folder = os.path.join(os.path.abspath(place), f"mxm-dataio-{name}")
        try:
            os.mkdir(folder, 0o700)
            return folder
        except OSError as exc:
            problem = exc
    raise problem


# -- the operating system --------------------------------------------------------------------------


def _taken() -> set[signal.Signals]:
    """Return the signals that this process waits for."""
    every = {number for number in signal.valid_signals() if isinstance(number, signal.Signals)}
    return (every - _OWN_SIGNALS) | {signal.SIGCHLD}


def _signal(taken: set[signal.Signals]) -> tuple[int, bool]:
    """Wait for a signal; return its number, and whether the program has not got it already."""
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(taken)
        # The terminal's come from the kernel, and to the whole group.
        return info.si_signo, info.si_pid != 0
    number = signal.sigwait(taken)
    terminal = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGHUP, signal.SIGWINCH)
    return number, number not in terminal or not _in_foreground()


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(2) == os.getpgrp()
    except OSError:
        return False


def _prctl() -> Any:
    """Return prctl(2), where there is one."""
    if sys.platform != "linux":
        return None
    try:
        import ctypes

        return ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return None


def _die(number: int) -> NoReturn:
    """End as the program did: by a signal, without another core file."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        signal.signal(number, signal.SIG_DFL)
    except (ImportError, OSError, ValueError):
        # Of SIGKILL and SIGSTOP there is no other action.
        pass
    os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os._exit(128 + number)
