"""Libraries that connect without Python's sockets: told of in a recording, refused in replay."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from mxm_dataio import IngestSession, ReplayMissError
from mxm_dataio.models import Unseen
from tests.support.effort import MANY, some
from tests.support.running import Programs
from tests.support.servers import RawServer, answer, responder

# One that is known by what it connects by, another that is not, as far as a program can tell.
CURL = """
    import sys
    class Curl:
        def perform(self):
            print("live", flush=True)
    class CurlMulti: ...
    """
UNKNOWN = """
    def fetch():
        print("live", flush=True)
    """


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    with RawServer(responder({"/": answer(200, b"hello")})) as running:
        yield running


@pytest.fixture(scope="module")
def recorded(server: RawServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root, so that there is something to replay."""
    root = tmp_path_factory.mktemp("recorded") / "root"
    with IngestSession("s", root):
        requests.get(server.url)
    return root


@pytest.fixture
def programs(tmp_path: Path, recorded: Path) -> Programs:
    made = Programs(tmp_path)
    made.write("pycurl.py", CURL)
    made.write("pyreqwest.py", UNKNOWN)
    shutil.copytree(recorded, made.root)
    return made


def names(summary: dict[str, list[dict[str, str]]]) -> list[str]:
    return [one["name"] for one in summary["coverage"]]


USES = {
    "made": "import pycurl\npycurl.Curl().perform()",
    "from": "from pycurl import Curl\nCurl().perform()",
    "derived": "import pycurl\nclass Mine(pycurl.Curl): pass\nMine().perform()",
    "unknown": "import pyreqwest\npyreqwest.fetch()",
    "thread": "import threading\nfrom pycurl import Curl\n"
    "t = threading.Thread(target=lambda: Curl().perform()); t.start(); t.join()",
    "module": "import importlib\nimportlib.import_module('pycurl').Curl().perform()",
    "child": "import subprocess, sys\n"
    "subprocess.run([sys.executable, '-c', 'import pycurl; pycurl.Curl().perform()'])",
    "forked": "import multiprocessing, pycurl\n"
    "p = multiprocessing.get_context('fork').Process(target=lambda: pycurl.Curl().perform())\n"
    "p.start(); p.join()",
}


@pytest.mark.parametrize("use", some(USES, ("made", "unknown", "child")))
def test_a_program_that_uses_nothing_else(use: str, programs: Programs) -> None:
    programs.write("prog.py", USES[use])
    library = "pyreqwest" if use == "unknown" else "pycurl"
    done = programs.run("prog.py", options="--source s")
    assert (done.status, done.out) == (0, "live\n")
    assert names(done.summary) == [library]
    assert done.summary["calls"] == 0
    if use == "made" or MANY:
        full = programs.run("prog.py", options="--source s --require-full-coverage")
        assert (full.status, full.out) == (1, "live\n")
    replayed = programs.run("prog.py", options="--source s --mode replay")
    assert (replayed.status, replayed.out) == (1, "")
    assert replayed.summary["missed"] == 1
    (miss,) = replayed.summary["misses"]
    assert f"the use of {library}" in miss
    assert f"--allow-host {library}" in miss
    assert names(replayed.summary) == [library]


@pytest.mark.parametrize("use", some(["made", "from", "derived", "unknown"], ("made", "unknown")))
def test_a_refusal_that_is_swallowed_fails_the_run(use: str, programs: Programs) -> None:
    lines = "\n    ".join(USES[use].splitlines())
    text = f"try:\n    {lines}\nexcept Exception:\n    print('offline')\n"
    (programs.folder / "prog.py").write_text(text)
    replayed = programs.run("prog.py", options="--source s --mode replay")
    assert (replayed.status, replayed.out) == (1, "offline\n")
    assert "was refused" in replayed.summary["misses"][0]


def test_one_that_is_imported_alone_hinders_no_replay(
    programs: Programs, server: RawServer
) -> None:
    """A dependency may have it, for what this program does not do."""
    programs.write(
        "prog.py",
        """
        import sys, requests
        from pycurl import Curl
        print(requests.get(sys.argv[1]).text, issubclass(Curl, Curl))
        """,
    )
    hits = server.hits
    done = programs.run("prog.py", server.url, options="--source s --mode replay")
    assert (done.status, done.out) == (0, "hello True\n")
    assert names(done.summary) == ["pycurl"]
    assert server.hits == hits


@pytest.mark.parametrize("use", ["made", "unknown"])
def test_what_is_allowed_passes(use: str, programs: Programs) -> None:
    programs.write("prog.py", USES[use])
    library = "pyreqwest" if use == "unknown" else "pycurl"
    options = f"--source s --mode replay --allow-host {library}"
    done = programs.run("prog.py", options=options)
    assert (done.status, done.out) == (0, "live\n")


def test_without_a_run(programs: Programs) -> None:
    programs.write("prog.py", USES["made"])
    root = str(programs.root)
    settings = {"MXM_DATAIO_AUTO": "1", "MXM_DATAIO_ROOT": root, "MXM_DATAIO_SOURCE": "s"}
    done = programs.plainly("prog.py", **settings)
    assert (done.returncode, done.stdout) == (0, "live\n")
    session = programs.sessions()[-1]
    assert session.coverage == (Unseen("library", "pycurl", 1, ""),)
    replayed = programs.plainly("prog.py", **settings, MXM_DATAIO_MODE="replay")
    assert (replayed.returncode, replayed.stdout) == (1, "")
    assert "the use of pycurl" in replayed.stderr


def test_nobody_watches(programs: Programs) -> None:
    programs.write("prog.py", USES["made"])
    for mode in ("record", "replay"):
        done = programs.run(
            "prog.py", options=f"--source s --mode {mode}", MXM_DATAIO_WATCH="false"
        )
        assert (done.status, done.out) == (0, "live\n")


class TestInASessionOfTheProgramsOwn:
    @pytest.fixture(autouse=True)
    def path(self, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.syspath_prepend(str(programs.folder))
        for name in ("pycurl", "pyreqwest"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        yield
        for name in ("pycurl", "pyreqwest"):
            sys.modules.pop(name, None)

    @pytest.mark.parametrize("when", ["before", "within"])
    def test_uses_are_refused(self, when: str, programs: Programs) -> None:
        path = list(sys.meta_path)
        if when == "before":
            was = importlib.import_module("pycurl").Curl
        session = IngestSession("s", programs.root, "replay", watch=True).open()
        module = importlib.import_module("pycurl")
        assert module.__loader__ is module.__spec__.loader
        if when == "within":
            (was,) = module.Curl.__mro__[1:-1]
        assert issubclass(module.Curl, was)
        with pytest.raises(ReplayMissError):
            module.Curl()
        with pytest.raises(ReplayMissError, match="pycurl"):
            session.close()
        assert module.Curl is was
        assert sys.meta_path == path
        module.Curl().perform()

    def test_a_refused_import_may_be_tried_later(self, programs: Programs) -> None:
        session = IngestSession("s", programs.root, "replay", watch=True).open()
        for _ in range(2):
            with pytest.raises(ReplayMissError):
                importlib.import_module("pyreqwest")
        with pytest.raises(ReplayMissError, match="pyreqwest"):
            session.close()
        assert importlib.import_module("pyreqwest").fetch

    def test_what_a_program_puts_over_it_stays(self, programs: Programs) -> None:
        module = importlib.import_module("pycurl")
        mine = object()
        with IngestSession("s", programs.root, "replay", watch=True):
            module.Curl = mine
        assert module.Curl is mine

    def test_a_recording_is_not_hindered(self, programs: Programs) -> None:
        for mode in ("record", "auto"):
            with IngestSession("s", programs.root, mode, watch=True):
                importlib.import_module("pycurl").Curl().perform()


# -- the libraries themselves, where they are installed -----------------------------------------

REAL = {
    "curl_cffi": "from curl_cffi import requests\n"
    "print(requests.get(sys.argv[1], proxies={}).text)",
    "curl_cffi-session": "from curl_cffi import requests\n"
    "with requests.Session() as s: print(s.get(sys.argv[1], proxies={}).text)",
    "curl_cffi-async": "import asyncio\nfrom curl_cffi.requests import AsyncSession\n"
    "async def main():\n    async with AsyncSession() as s:\n"
    "        print((await s.get(sys.argv[1], proxies={})).text)\nasyncio.run(main())",
    "pycurl": "import io, pycurl\nout = io.BytesIO(); c = pycurl.Curl()\n"
    "c.setopt(c.URL, sys.argv[1]); c.setopt(c.WRITEDATA, out); c.perform()\n"
    "print(out.getvalue().decode())",
    "primp": "import primp\nprint(primp.Client().get(sys.argv[1]).text)",
    "primp-function": "import primp\nprint(primp.get(sys.argv[1]).text)",
    "grpc": "import grpc\ngrpc.insecure_channel('127.0.0.1:1')\nprint('hello')",
    "psycopg2": "import psycopg2\ntry:\n"
    "    psycopg2.connect('host=127.0.0.1 port=1 connect_timeout=2')\n"
    "except psycopg2.OperationalError:\n    print('hello')",
    "uvloop": "import asyncio, uvloop\nfrom urllib.parse import urlsplit\n"
    "async def main():\n    parts = urlsplit(sys.argv[1])\n"
    "    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)\n"
    "    writer.write(b'GET / HTTP/1.0\\r\\nHost: a\\r\\n\\r\\n')\n"
    "    print((await reader.read()).partition(b'\\r\\n\\r\\n')[2].decode())\nuvloop.run(main())",
}  # fmt: skip


@pytest.mark.parametrize("client", some(REAL, [name for name in REAL if "-" not in name]))
def test_real(client: str, server: RawServer, tmp_path: Path) -> None:
    name = client.partition("-")[0]
    # Not loaded here, where other tests look at what is.
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    programs = Programs(tmp_path)
    (tmp_path / "prog.py").write_text(f"import sys\n{REAL[client]}\n")
    done = programs.run("prog.py", server.url, options="--source s")
    assert (done.status, done.out) == (0, "hello\n"), done.said
    assert names(done.summary) == [name]
    hits = server.hits
    replayed = programs.run("prog.py", server.url, options="--source s --mode replay")
    assert (replayed.status, replayed.out, replayed.summary["missed"]) == (1, "", 1)
    assert server.hits == hits
