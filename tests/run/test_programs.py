"""Under ``run`` a program is what it is without: streams, exit status and files, byte for byte."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from tests.support.effort import some

# Where an object lies is another each time.
_ADDRESS = re.compile(rb"0x[0-9a-f]{6,}")
RUN = ("-m", "mxm_dataio.run", "--quiet")


class Ended(NamedTuple):
    """How a program ended, and what it left."""

    status: int
    out: bytes
    err: bytes
    files: list[str]


class Program(NamedTuple):
    """One program of the table.

    Attributes:
        text: what ``prog.py`` holds.
        arguments: of the interpreter, the script among them.
        flags: the interpreter's options.
        files: more files, by their paths.
        feed: its standard input; ``None``: closed.
        environment: more of it.
        merged: standard error goes where standard output goes.
    """

    text: str = ""
    arguments: Sequence[str] = ("prog.py", "one", "--root", "two words", "-q")
    flags: Sequence[str] = ()
    files: Mapping[str, str] = MappingProxyType({})
    feed: bytes | None = b""
    environment: Mapping[str, str] = MappingProxyType({})
    merged: bool = False


def ended(program: Program, folder: Path, before: Sequence[str]) -> Ended:
    folder.mkdir(exist_ok=True)
    for name, text in {"prog.py": program.text, **program.files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MXM_", "PYTHON"))}
    # No time of day in the way: what is compiled stands beside its source, or not at all.
    done = subprocess.run(
        [sys.executable, *program.flags, *before, *program.arguments],
        cwd=folder,
        input=program.feed,
        stdin=subprocess.DEVNULL if program.feed is None else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if program.merged else subprocess.PIPE,
        timeout=60,
        check=False,
        env={**environment, **program.environment},
    )
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    out, err = (_ADDRESS.sub(b"0x", stream or b"") for stream in (done.stdout, done.stderr))
    return Ended(done.returncode, out, err, files)


def same(program: Program, tmp_path: Path) -> Ended:
    """Run a program plainly and under capture; return how it ended, both times."""
    plain = ended(program, tmp_path / "work", ())
    before = (*RUN, "--root", str(tmp_path / "root"))
    assert ended(program, tmp_path / "work", before) == plain
    return plain


FACTS = """
    import os, signal, sys
    main = sys.modules["__main__"]
    print(sys.argv, sys.orig_argv, sys.path, sys.executable, sys.prefix, sys.flags, sys.warnoptions)
    print({name: value for name, value in vars(main).items() if name.startswith("__")
           and name not in ("__builtins__", "__loader__")})
    print(type(main.__loader__), list(vars(main)), main.__dict__ is globals())
    print(os.getcwd(), sorted(n for n in os.environ if not n.startswith("MXM_DATAIO_")))
    print([(n, signal.getsignal(n)) for n in sorted(signal.valid_signals())])
    print(signal.pthread_sigmask(signal.SIG_BLOCK, []), os.umask(0o22), os.nice(0))
    print(os.getpgrp() == os.getpgid(os.getppid()), os.getsid(0) == os.getsid(os.getppid()))
    print([os.isatty(n) for n in range(3)], sorted(os.listdir("/proc/self/fd")))
    print(sys.stdin.encoding, sys.stdout.line_buffering, sys.stderr.errors, sys.stdout.newlines)
    print(sys.getrecursionlimit(), sys.gettrace(), sys.getprofile(), sys.excepthook)
    print(sys._getframe().f_back, sys.getswitchinterval(), sys.displayhook, sys.path_hooks)
    import inspect, threading
    print(len(inspect.stack()), [thread.name for thread in threading.enumerate()])
    print(threading.get_native_id() == os.getpid())
"""

DEPTH = """
    import sys
    def down(n):
        try:
            return down(n + 1)
        except RecursionError:
            return n
    print(down(0))
    sys.setrecursionlimit(150)
    def for_ever():
        for_ever()
    for_ever()
"""

ENDINGS = """
    import atexit, sys, threading, time, weakref
    class Late:
        def __del__(self):
            print("deleted")
    late = Late()
    weakref.finalize(sys, print, "finalized")
    atexit.register(print, "first registered")
    @atexit.register
    def fails():
        raise ValueError("at exit")
    atexit.register(print, "last registered")
    def work():
        time.sleep(0.2)
        print("thread", threading.main_thread().is_alive())
    threading.Thread(target=work).start()
    def daemon():
        while True:
            time.sleep(0.01)
    threading.Thread(target=daemon, daemon=True).start()
    print("main is done", file=sys.stderr)
    sys.exit(4)
"""

SPAWN = """
    import multiprocessing, os, pickle, sys
    class Thing:
        def __init__(self, n):
            self.n = n
    def double(thing):
        return Thing(thing.n * 2), __name__, sys.argv, sys.modules["__main__"].__name__
    def main():
        for method in ("spawn", "forkserver", "fork"):
            context = multiprocessing.get_context(method)
            with context.Pool(2) as pool:
                for thing, *rest in pool.map(double, [Thing(1), Thing(2)]):
                    print(method, thing.n, type(thing), rest)
            queue = context.Queue()
            child = context.Process(target=queue.put, args=("put",))
            child.start()
            print(queue.get(), child.join(), child.exitcode)
            child = context.Process(target=sys.exit, args=(3,))
            child.start()
            child.join()
            print(child.exitcode)
    if __name__ == "__main__":
        print(pickle.loads(pickle.dumps(Thing(5))).n, Thing.__module__)
        main()
"""

SHADOW = "VALUE = 'its own'\n"
SHADOWED = ("json", "sqlite3", "hashlib", "contextlib", "dataclasses", "typing", "datetime")

PROGRAMS: dict[str, Program] = {
    "facts": Program(FACTS),
    "facts-under-flags": Program(FACTS, flags=["-O", "-B", "-u", "-X", "dev", "-Wdefault", "-s"]),
    "facts-isolated": Program(FACTS, flags=["-I"]),
    "facts-without-environment": Program(
        FACTS, flags=["-E", "-W", "ignore"], environment={"PYTHONDONTWRITEBYTECODE": "1"}
    ),
    "facts-of-a-module": Program(FACTS, ["-m", "prog", "-m", "x"]),
    "facts-of-code": Program("", ["-c", textwrap.dedent(FACTS), "-c", "x"]),
    "facts-from-standard-input": Program("", ["-", "x"], feed=textwrap.dedent(FACTS).encode()),
    "variables": Program(
        FACTS,
        environment={"PYTHONUNBUFFERED": "1", "PYTHONOPTIMIZE": "1", "PYTHONPATH": "more:/else",
                     "PYTHONHASHSEED": "7", "PYTHONIOENCODING": "latin-1"},
    ),
    "safe-path": Program(FACTS, flags=["-P"]),
    "module-with-flags-joined": Program("print(__debug__)", ["-m", "prog"], flags=["-OO"]),
    "package": Program(
        arguments=["-m", "pack", "x"],
        files={"pack/__init__.py": "print('init', __name__)", "pack/__main__.py": FACTS},
    ),
    "module-of-a-package": Program(
        arguments=["-m", "pack.tool"],
        files={"pack/__init__.py": "", "pack/tool.py": "from . import x\nprint(__package__, x)",
               "pack/x.py": ""},
    ),
    "module-joined": Program("print('joined', __name__)", ["-mprog"]),
    "no-such-module": Program(arguments=["-m", "nosuch.module"]),
    "package-that-can-not-run": Program(
        arguments=["-m", "pack"], files={"pack/__init__.py": "print('init')"}
    ),
    "directory": Program(
        arguments=["folder", "x"],
        files={"folder/__main__.py": "import other, sys\nprint(sys.path[0], sys.argv, __file__)",
               "folder/other.py": "print('other')"},
    ),
    "script-elsewhere": Program(
        arguments=["sub/../sub/inner.py"],
        files={"sub/inner.py": "import near, sys\nprint(__file__, sys.path[0], near.__file__)",
               "sub/near.py": ""},
    ),
    "no-such-script": Program(arguments=["nosuch.py", "x"]),
    "empty-script": Program(""),
    "no-utf-8": Program("print('ü')", environment={"PYTHONUTF8": "0", "LC_ALL": "C"}),
    "exit-none": Program("import sys; print('x'); sys.exit()"),
    "exit-0": Program("import sys; sys.exit(0)"),
    "exit-3": Program("import sys; sys.exit(3)"),
    "exit-text": Program("import sys; sys.exit('told on standard error: \\u00fc')"),
    "exit-object": Program("import sys; sys.exit([1, {'two': 3}])"),
    "exit-large": Program("raise SystemExit(256 + 7)"),
    "exit-negative": Program("import sys; sys.exit(-1)"),
    "exit-at-once": Program("import os; print('lost'); os._exit(9)"),
    "exit-true": Program("import sys; sys.exit(True)"),
    "error": Program("def f(x):\n    return 1 / x\n\nprint('before')\nf(0)\n"),
    "error-chain": Program(
        """
        try:
            {}["key"]
        except KeyError as exc:
            error = ValueError("told of")
            error.add_note("a note")
            raise error from exc
        """
    ),
    "error-group": Program("raise ExceptionGroup('some', [ValueError(1), OSError(2, 'two')])"),
    "error-in-module": Program("import other", files={"other.py": "x = 1\nraise TypeError(x)"}),
    "error-in-syntax": Program("print('never')\nif True\n    pass\n"),
    "error-in-indent": Program("def f():\n  x = 1\n    y = 2\n"),
    "error-of-thread": Program(
        """
        import threading
        def work():
            raise ValueError("in a thread")
        thread = threading.Thread(target=work, name="worker")
        thread.start(); thread.join()
        print("goes on")
        """
    ),
    "error-hook": Program(
        """
        import sys
        def hook(kind, value, trace):
            print("hook", kind, value, trace.tb_lineno, trace.tb_next, file=sys.stderr)
        sys.excepthook = hook
        raise ValueError("x")
        """
    ),
    "error-hook-fails": Program(
        "import sys\ndef hook(*args):\n    raise TypeError('hook')\nsys.excepthook = hook\n1/0"
    ),
    "error-unraisable": Program(
        "class A:\n    def __del__(self):\n        raise ValueError('del')\na = A()\ndel a\nb = A()"
    ),
    "error-under-dev": Program("import socket\nopen('prog.py')\n1/0", flags=["-X", "dev"]),
    "error-under-minimal-tracebacks": Program(
        "def f():\n    1/0\nf()", flags=["-X", "no_debug_ranges"]
    ),
    "interrupt": Program("print('x'); raise KeyboardInterrupt"),
    "interrupt-by-signal": Program(
        "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\nfinally:\n    print('f')"
    ),
    "interrupt-caught": Program(
        """
        import os, signal, sys
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            sys.exit(130)
        """
    ),
    "terminated": Program("import os\nprint('lost')\nos.kill(os.getpid(), 15)"),
    "killed": Program("import os\nprint('out', flush=True)\nos.kill(os.getpid(), 9)"),
    "aborted": Program("import os\nos.abort()"),
    "segfault": Program("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"),
    "broken-pipe": Program("import os\nprint(os.kill(os.getpid(), 13))"),
    "terminated-in-order": Program(
        """
        import os, signal, sys
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        os.kill(os.getpid(), signal.SIGTERM)
        """
    ),
    "depth": Program(DEPTH),
    "endings": Program(ENDINGS),
    "endings-merged": Program(ENDINGS, merged=True),
    "streams": Program(
        """
        import sys
        print(sys.stdin.readline(), end="")
        sys.stderr.write("err without end")
        sys.stdout.buffer.write(b"\\xff\\x00bytes")
        print(repr(sys.stdin.buffer.read()))
        """,
        feed=b"line\nand \xff bytes",
    ),
    "streams-merged": Program(
        "import sys\nfor n in range(5):\n    print(n)\n    print(-n, file=sys.stderr)", merged=True
    ),
    "streams-unbuffered": Program(
        "import sys\nfor n in range(5):\n    print(n)\n    print(-n, file=sys.stderr)",
        flags=["-u"], merged=True,
    ),
    "stream-closed": Program("import sys, os\nos.close(2)\nprint('x')\nsys.exit('unheard')"),
    "output-closed": Program("import sys\nsys.stdout.close()\nprint('x', file=sys.stderr)\n1/0"),
    "no-input": Program("print(input())", feed=None),
    "warnings": Program(
        "import warnings\nwarnings.warn('here')\nwarnings.warn('above', stacklevel=2)\n"
        "warnings.warn('x', DeprecationWarning)"
    ),
    "warnings-are-errors": Program("import warnings\nwarnings.warn('here')", flags=["-Werror"]),
    "spawn": Program(SPAWN),
    "spawn-of-a-module": Program(SPAWN, ["-m", "prog"]),
    "subprocess": Program(
        """
        import subprocess, sys
        for code in ("print(1)", "1/0", "import os; os.kill(os.getpid(), 9)"):
            done = subprocess.run([sys.executable, "-c", code], capture_output=True)
            print(done)
        print(subprocess.run(["sh", "-c", "echo $PPID >/dev/null; kill -9 $$"]).returncode)
        """
    ),
    "exec": Program(
        """
        import os, sys
        if len(sys.argv) < 8:
            sys.stdout.flush()
            print(len(sys.argv), flush=True)
            os.execv(sys.executable, [sys.executable, "prog.py", *sys.argv[1:], "again"])
        print(sys.argv, os.execvp.__name__)
        """
    ),
    "exec-fails": Program(
        "import os\ntry:\n    os.execvp('nosuch', ['x'])\nexcept OSError as e:\n    print(e)"
    ),
    "fork": Program(
        """
        import os, sys
        child = os.fork()
        if not child:
            print("child")
            sys.exit(5)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    ),
    "fork-with-warnings": Program(
        "import os\npid = os.fork()\nif pid: os.wait()\nprint(bool(pid))", flags=["-X", "dev"]
    ),
    "asyncio": Program(
        """
        import asyncio
        async def main():
            process = await asyncio.create_subprocess_exec("echo", "hi", stdout=-1)
            print(await process.stdout.read())
            await asyncio.gather(asyncio.sleep(0.01), asyncio.to_thread(print, "thread"))
        asyncio.run(main())
        """
    ),
    "runpy": Program(
        "import runpy\nrunpy.run_path('other.py', run_name='__main__')",
        files={"other.py": "import sys\nprint(__name__, sys.argv, __file__)\n1/0"},
    ),
    "imports": Program(
        """
        import sys
        import http.client, urllib3, requests
        for module in (http.client, urllib3, requests):
            spec = module.__spec__
            print(module.__name__, type(module.__loader__), spec.loader is module.__loader__,
                  spec.origin == module.__file__, spec.cached == module.__cached__)
        import importlib.util, importlib.resources, inspect
        print(importlib.util.find_spec("requests") is requests.__spec__)
        print((importlib.resources.files("requests") / "api.py").is_file())
        print(inspect.getsource(requests.get)[:20])
        importlib.reload(requests.api)
        """
    ),
    "import-fails": Program(
        """
        import sys
        try:
            import requests
        except ValueError as exc:
            print(exc, exc.__traceback__.tb_lineno)
        print("requests" in sys.modules)
        """,
        files={"requests.py": "raise ValueError('mine')"},
    ),
    "shadows": Program(
        arguments=["sub/prog.py"],
        files={
            "sub/prog.py": "".join(f"import {n}\nprint({n}.VALUE)\n" for n in SHADOWED),
            **{f"sub/{name}.py": SHADOW for name in SHADOWED},
        },
    ),
    "shadows-where-it-is-called": Program(
        "import json, sqlite3, hashlib\nprint(json.VALUE, sqlite3.VALUE, hashlib.VALUE)",
        files={f"{name}.py": SHADOW for name in ("json", "sqlite3", "hashlib", "signal")},
    ),
    "tracing": Program(
        """
        import sys
        seen = []
        sys.settrace(lambda frame, event, arg: seen.append(frame.f_code.co_name))
        def f(): pass
        f()
        sys.settrace(None)
        print(seen)
        """
    ),
    "compiled-beside": Program("import other", files={"other.py": "print(__cached__)"}),
    "many-arguments": Program(
        "import sys\nprint(sys.argv[1:])", ["prog.py", "--", "-m", "--source", "x", "-", "", "-c"]
    ),
}  # fmt: skip


# Those that tell most, one of each kind.
QUICK = frozenset(
    {
        "facts", "facts-under-flags", "facts-of-a-module", "directory", "exit-text",
        "exit-at-once", "error-chain", "interrupt", "killed", "depth", "endings", "streams",
        "exec", "imports", "shadows",
    }
)  # fmt: skip


@pytest.mark.parametrize(
    "name",
    some(PROGRAMS, QUICK),
)
def test_a_program_is_the_same(name: str, tmp_path: Path) -> None:
    same(PROGRAMS[name], tmp_path)


def test_the_table_tells_programs_apart(tmp_path: Path) -> None:
    """What the comparison rests on is not the same for all."""
    assert ended(PROGRAMS["exit-3"], tmp_path / "work", ()).status == 3
    assert ended(PROGRAMS["killed"], tmp_path / "work", ()) == Ended(-9, b"out\n", b"", ["prog.py"])
    assert b"ZeroDivisionError" in ended(PROGRAMS["error"], tmp_path / "work", ()).err
    assert ended(PROGRAMS["interrupt"], tmp_path / "work", ()).status == -2
    assert "__pycache__" in ended(PROGRAMS["compiled-beside"], tmp_path / "work", ()).files


@pytest.mark.parametrize("make", some(["zip", "link", "folder"], ["zip"]))
def test_a_script_that_is_no_plain_file(make: str, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    text = textwrap.dedent(FACTS)
    (there / "__main__.py").write_text(text)
    (there / "script.py").write_text(text)
    with zipfile.ZipFile(there / "app.pyz", "w") as archive:
        archive.writestr("__main__.py", text)
    (tmp_path / "link.py").symlink_to(there / "script.py")
    (tmp_path / "folder").symlink_to(there)
    script = {"zip": "../there/app.pyz", "link": "../link.py", "folder": "../folder"}[make]
    same(Program(arguments=[script, "x"]), tmp_path)


def test_only_what_starts_it_is_loaded_before_the_program(tmp_path: Path) -> None:
    program = Program("import sys\nprint(*sorted(sys.modules))")
    plain = ended(program, tmp_path / "work", ()).out.split()
    under = ended(program, tmp_path / "work", (*RUN, "--root", str(tmp_path / "r"))).out.split()
    came = {name.decode() for name in set(under) - set(plain)}
    own = {
        "coverage",
        "coverage.loading",
        "coverage.natives",
        "interception",
        "process",
        "run",
        "run.startup",
        "concurrency",
        "concurrency.undisturbed",
    }
    assert came - {"__future__", "_json", "atexit"} == {
        "mxm_dataio", *(f"mxm_dataio.{name}" for name in own)
    }  # fmt: skip
