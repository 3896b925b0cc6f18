"""Programs in processes that are forked from one that has loaded requests, pytest and us.

That takes ten times as long as Python's own start, and is nothing that most programs are run for.
In the long form each has a Python of its own, as in the short one those that are about the start.
"""

from __future__ import annotations

import array
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_OPTIONS = ("-c", "-m")
# What a start is told by.
_VARIABLES = ("PYTHON", "MXM_DATAIO_AUTO")


def run(
    words: Sequence[object],
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    timeout: int = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a program as ``python WORDS`` does, and return what it printed."""
    command = [str(word) for word in words]
    env = dict(os.environ) if env is None else env
    if os.environ.get("MXM_TEST_ROUNDS") or _told_at_the_start(command, env):
        return subprocess.run(
            [sys.executable, *command],
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    request = {"words": command, "cwd": os.fspath(cwd or Path.cwd()), "env": env}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        status = _prepared().run(request, [out.fileno(), err.fileno()], timeout)
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess([sys.executable, *command], status, *said)


def _told_at_the_start(words: list[str], env: dict[str, str]) -> bool:
    if words[0].startswith("-") and words[0] not in _OPTIONS:
        return True
    if words[0] == "-m" and words[1].startswith("mxm_dataio"):
        return True
    return any(
        value and name.startswith(_VARIABLES) and value != os.environ.get(name)
        for name, value in env.items()
    )


class _Prepared:
    """The process that has the libraries loaded, of this process."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._socket, other = socket.socketpair()
        environ = {k: v for k, v in os.environ.items() if not k.startswith("MXM_")}
        with other:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(other.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                env=environ,
            )

        atexit.register(self._end)

    def _end(self) -> None:
        if self.is_ours:
            self._socket.close()
            self._process.wait()

    @property
    def is_ours(self) -> bool:
        return self._pid == os.getpid()

    def run(self, request: dict[str, Any], files: list[int], timeout: int) -> int:
        """Have a program run; return its status."""
        content = json.dumps(request).encode()
        with self._lock:
            socket.send_fds(self._socket, [len(content).to_bytes(4, "big")], files)
            self._socket.sendall(content)
            pid = self._number()
            self._socket.settimeout(timeout)
            try:
                return self._number()
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                self._socket.settimeout(None)
                self._number()
                raise subprocess.TimeoutExpired(request["words"], timeout) from None
            finally:
                self._socket.settimeout(None)

    def _number(self) -> int:
        received = array.array("i", _read(self._socket, 4))
        return received[0]


_running: _Prepared | None = None


def _prepared() -> _Prepared:
    global _running
    if _running is None or not _running.is_ours:
        _running = _Prepared()
    return _running


def _read(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = source.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


# -- the process itself ----------------------------------------------------------------------------


def _serve(channel: socket.socket) -> dict[str, Any] | None:
    """Fork for each request; return it in the child, and nothing at the end."""
    while True:
        size, files, _, _ = socket.recv_fds(channel, 4, 2)
        if not size:
            return None
        size += _read(channel, 4 - len(size))
        request: dict[str, Any] = json.loads(_read(channel, int.from_bytes(size, "big")))
        pid = os.fork()
        if not pid:
            os.dup2(files[0], 1)
            os.dup2(files[1], 2)
            return request
        for number in files:
            os.close(number)
        channel.sendall(array.array("i", [pid]).tobytes())
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        channel.sendall(array.array("i", [status]).tobytes())


def _become(words: list[str], cwd: str, env: dict[str, str]) -> None:
    """Run a program as Python does that is started with these words."""
    import builtins
    import runpy
    import types

    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.orig_argv[:] = [sys.executable, *words]
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins, __annotations__={})
    sys.modules["__main__"] = main
    if words[0] == "-m":
        sys.argv[:] = ["-m", *words[2:]]
        sys.path[0] = cwd
        runpy._run_module_as_main(words[1])  # type: ignore[attr-defined]
        return
    if words[0] == "-c":
        sys.argv[:] = ["-c", *words[2:]]
        sys.path[0] = ""
        code = compile(words[1], "<string>", "exec", dont_inherit=True)
    else:
        path = Path(words[0]).absolute()
        sys.argv[:] = words
        sys.path[0] = str(path.parent)
        main.__file__ = str(path)
        code = compile(path.read_bytes(), path, "exec", dont_inherit=True)
    exec(code, main.__dict__)


def _main() -> None:
    import gc

    import pytest
    import requests

    import mxm_dataio.api

    del pytest, requests, mxm_dataio
    gc.collect()
    gc.freeze()
    channel = socket.socket(fileno=int(sys.argv[1]))
    with channel:
        request = _serve(channel)
    if request is None:
        return
    os.closerange(3, 256)
    try:
        _become(**request)
    except Exception as exc:
        # Those of this module are none of the program's.
        at = exc.__traceback__
        while at is not None and at.tb_frame.f_code.co_filename == __file__:
            at = at.tb_next
        sys.excepthook(type(exc), exc.with_traceback(at), at)
        sys.exit(1)


if __name__ == "__main__":
    _main()
