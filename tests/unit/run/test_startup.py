"""What runs as a process starts: it waits for the program's first use of what is captured."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mxm_dataio.run import startup

PACKAGE = Path(startup.__file__).parent
# In a wheel it is beside the package.
PTH = next(
    path.read_text()
    for path in (PACKAGE / "site" / "mxm_dataio.pth", PACKAGE.parents[1] / "mxm_dataio.pth")
    if path.exists()
)


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in an interpreter of its own, with capture switched on."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={"MXM_DATAIO_AUTO": "1", "PATH": "/usr/bin:/bin", **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def begun(first: str, root: Path, **environment: str) -> bool:
    """Say whether the session has begun once a program has done something first."""
    script = f"""
        import sys
        assert "mxm_dataio.run.startup" in sys.modules
        assert "mxm_dataio.run.session" not in sys.modules
        try:
            {first}
        except OSError:
            pass
        print("mxm_dataio.run.session" in sys.modules)
        """
    done = run(script, MXM_DATAIO_ROOT=str(root), **environment)
    assert done.stderr == ""
    return done.stdout == "True\n"


@pytest.mark.parametrize(
    "first",
    [
        "import http.client; http.client.HTTPConnection('host')",
        "import urllib3; urllib3.connection_from_url('http://host/')",
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import os; os.spawnlp(os.P_WAIT, 'true', 'true')",
        *(
            pytest.param(first, marks=pytest.mark.long)
            for first in (
                "import requests; requests.Session()",
                "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')",
                "import socket; socket.getaddrinfo('localhost', 80)",
                "import socket; socket.socket(socket.AF_UNIX).connect('/nosuch')",
                "import subprocess; subprocess.run(['true'])",
                "import os; os.system('true')",
                "import os; os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)",
                "import os; os.execv('/nosuch', ['x'])",
            )
        ),
    ],
)
def test_the_session_begins(first: str, tmp_path: Path) -> None:
    assert begun(first, tmp_path)


@pytest.mark.parametrize(
    "first",
    [
        "import http.client, urllib.request, requests",
        "import urllib3; urllib3.PoolManager()",
        "import json, sqlite3, asyncio, socket, ssl, subprocess, threading, multiprocessing",
        "import os; child = os.fork(); os._exit(0) if not child else os.waitpid(child, 0)",
        "import socket; a, b = socket.socketpair(); a.sendmsg([b'x']); a.send(b'y')",
        "import importlib.util; importlib.util.find_spec('requests')",
        "import multiprocessing as m; p = m.get_context('spawn').Process(target=print); p.start(); "
        "p.join()",
    ],
)
def test_the_session_does_not_begin(first: str, tmp_path: Path) -> None:
    assert not begun(first, tmp_path)
    assert not any(tmp_path.iterdir())


def test_without_a_watch_only_modules_count(tmp_path: Path) -> None:
    from mxm_dataio.run.handoff import Link

    link = Link("p", "p", 1, "s", "2025-10-07", settings={"root": str(tmp_path), "watch": False})
    first = "import os, socket; os.system('true'); socket.getaddrinfo('localhost', 80)"
    assert not begun(first, tmp_path, MXM_DATAIO_AUTO=link.text())
    first = "import urllib3; urllib3.connection_from_url('http://host/')"
    assert begun(first, tmp_path, MXM_DATAIO_AUTO=link.text())


def test_the_line_in_site_packages_is_one_and_calls_it() -> None:
    assert PTH.count("\n") == 1
    assert PTH.startswith("import ")
    assert "MXM_DATAIO_AUTO" in PTH
    assert "mxm_dataio.run.startup" in PTH


def test_the_line_is_where_the_interpreter_reads_it() -> None:
    done = run("import sys; print('mxm_dataio.run.startup' in sys.modules)")
    assert (done.stdout, done.stderr) == ("True\n", "")
    done = run("import sys; print('mxm_dataio' in sys.modules)", MXM_DATAIO_AUTO="")
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_started_twice_it_is_started_once() -> None:
    done = run("import sys; from mxm_dataio.run import startup; a = len(sys.meta_path); "
               "startup.start(); print(len(sys.meta_path) - a)")  # fmt: skip
    assert done.stdout == "0\n"


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    script = f"""
        import os, subprocess, sys
        os.mkdir({str(tmp_path / "gone")!r})
        os.chdir({str(tmp_path / "gone")!r})
        os.rmdir({str(tmp_path / "gone")!r})
        for auto in ("", "1"):
            os.environ["MXM_DATAIO_AUTO"] = auto
            # Not every Python starts there.
            print(subprocess.run([sys.executable, "-Pc", "print(1)"], capture_output=True))
        """
    done = run(script, MXM_DATAIO_ROOT=str(tmp_path / "root"))
    plain, captured = done.stdout.splitlines()
    assert captured == plain


def test_modules_that_are_waited_for_are_as_they_are_otherwise(tmp_path: Path) -> None:
    script = """
        import sys
        import urllib3, requests
        for module in (urllib3, requests):
            assert type(module.__loader__).__module__ == "_frozen_importlib_external"
            assert module.__spec__.loader is module.__loader__
        import inspect
        made = urllib3.connectionpool.HTTPConnectionPool
        print(inspect.signature(made), made.__init__.__qualname__, made.__init__.__module__)
        was = made.__init__
        requests.Session()
        assert made.__init__ is not was
        assert made.__init__.__qualname__ == "HTTPConnectionPool.__init__"
        assert not hasattr(made.__init__, "__wrapped__")
        import importlib
        importlib.reload(requests)
        del sys.modules["requests"]
        import requests
        print(requests.get.__name__)
        """
    done = run(script, MXM_DATAIO_ROOT=str(tmp_path / "root"))
    assert (done.returncode, done.stderr) == (0, "")
    signature, get = done.stdout.splitlines()
    assert signature.startswith("(host")
    assert signature.endswith(" HTTPConnectionPool.__init__ urllib3.connectionpool")
    assert get == "get"


def test_one_that_fails_to_load_fails_as_otherwise(tmp_path: Path) -> None:
    (tmp_path / "urllib3.py").write_text("import sys\nraise RuntimeError('mine')")
    script = "try:\n    import urllib3\nexcept RuntimeError as exc:\n    print(exc)"
    done = run(script, PYTHONPATH=str(tmp_path), MXM_DATAIO_ROOT=str(tmp_path / "root"))
    assert (done.stdout, done.stderr) == ("mine\n", "")
    assert not (tmp_path / "root").exists()


def test_the_shield_gives_and_takes_what_is_shadowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "colorsys.py").write_text("mine = True")
    (tmp_path / "wave.py").write_text("mine = True")
    # A folder of data is no module.
    (tmp_path / "mailbox").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("colorsys", "wave", "mailbox"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import wave

    with startup._Shield():
        import colorsys
        import mailbox

        # What the program has loaded is as it is.
        assert sys.modules["wave"] is wave
    assert hasattr(colorsys, "rgb_to_hsv")
    assert "colorsys" not in sys.modules
    assert sys.modules["mailbox"] is mailbox
    assert sys.path[0] == str(tmp_path)
    import colorsys as again

    assert again.mine
    for name in ("colorsys", "wave"):
        sys.modules.pop(name, None)


def test_nothing_is_left_of_what_waited(tmp_path: Path) -> None:
    """Neither while the session captures nor once it does no more."""
    script = """
        import http.client, sys
        from mxm_dataio.run import startup
        cls = http.client.HTTPConnection
        first = cls.__init__
        assert first.__wrapped__.__code__.co_filename == http.client.__file__
        cls("host")
        def chain(function):
            while function is not None:
                assert function is not first
                function = getattr(function, "__wrapped__", None)
        chain(cls.__init__)
        startup._process.session._life.close(None)
        chain(cls.__init__)
        print(cls.__init__.__code__.co_filename == http.client.__file__)
        """
    done = run(script, MXM_DATAIO_ROOT=str(tmp_path / "root"))
    assert (done.stdout, done.stderr) == ("True\n", "")
