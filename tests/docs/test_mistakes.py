"""Mistakes that a newcomer makes: each message names a remedy, and what it says works as typed."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from examples.market_server import MarketServer
from tests.support import prepared

ASK = """
import os, sys, requests
params = {"page": 1, "nonce": os.environ.get("NONCE", "1")}
print(requests.get(os.environ["URL"] + "/symbols", params, timeout=10).json()["symbols"][0])
"""
INGEST = """
import os, requests
from mxm_dataio import IngestSession, use_cassette
with {opened}:
    params = {{"page": 1, "nonce": os.environ.get("NONCE", "1")}}
    print(requests.get(os.environ["URL"] + "/symbols", params, timeout=10).json()["symbols"][0])
"""
TEST = """
import os, pytest, requests

@pytest.mark.dataio{options}
def test_symbols():
    params = {{"page": 1, "nonce": os.environ.get("NONCE", "1")}}
    assert requests.get(os.environ["URL"] + "/symbols", params, timeout=10).ok
"""
ANSWER = "ALFA\n"


class Told(NamedTuple):
    status: int
    out: str
    said: str


class Newcomer:
    """Somebody at a terminal, in a folder, with a server."""

    def __init__(self, folder: Path, server: MarketServer) -> None:
        self.folder = folder
        self.server = server
        self.url = server.url
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "ask.py").write_text(ASK)

    def types(self, line: str, **environ: str) -> Told:
        """Type a line: of the shell's, with variables in front of the command."""
        words = shlex.split(line)
        while re.match(r"\w+=", words[0]):
            name, _, value = words.pop(0).partition("=")
            environ[name] = value
        program = {
            "python": [],
            "pytest": ["-m", "pytest", "-p", "dataio", "-p", "no:cacheprovider"],
            "mxm-dataio": ["-m", "mxm_dataio"],
        }[words.pop(0)]
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MXM_", "PYTHON", "PYTEST")) and name != "CI"
        }
        environ = {**kept, "URL": self.url, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environ}
        done = prepared.run([*program, *words], self.folder, environ)
        return Told(done.returncode, done.stdout, done.stderr)

    def python(self, opened: str, **environ: str) -> Told:
        """Run a program that opens a session so."""
        (self.folder / "prog.py").write_text(INGEST.format(opened=opened))
        return self.types("python prog.py", **environ)

    def tests(self, options: str, line: str = "pytest", **environ: str) -> Told:
        """Run a test with such options of its marker."""
        (self.folder / "test_it.py").write_text(TEST.format(options=options))
        return self.types(line, **environ)


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    with MarketServer() as server:
        yield Newcomer(tmp_path, server)


def said(pattern: str, text: str) -> str:
    """Return the part of a message that is to be typed."""
    found = re.search(pattern, text)
    assert found, text
    return found[1]


# -- a wrong mode, and a typo in an option, in each face -------------------------------------------


def test_a_wrong_mode(newcomer: Newcomer) -> None:
    opened = "IngestSession('market', 'data', mode={!r})"
    told = newcomer.python(opened.format("recrod"))
    assert "mode='recrod': unknown mode 'recrod'" in told.said
    mode = said(r"did you mean '(\w+)'", told.said)
    assert newcomer.python(opened.format(mode)) == (0, ANSWER, "")

    told = newcomer.types("mxm-dataio run --mode replya ask.py")
    assert told[:2] == (2, "")
    assert "error: --mode replya: unknown mode 'replya'" in told.said
    mode = said(r"did you mean '(\w+)'", told.said)
    assert mode == "replay"

    line = "MXM_DATAIO_AUTO=1 MXM_DATAIO_ROOT=auto MXM_DATAIO_MODE={} python ask.py"
    told = newcomer.types(line.format("recor"))
    assert "MXM_DATAIO_MODE=recor: unknown mode 'recor'" in told.said
    mode = said(r"did you mean '(\w+)'", told.said)
    assert newcomer.types(line.format(mode)) == (0, ANSWER, "")

    told = newcomer.tests("(mode='al')")
    assert "All traceback entries are hidden" in told.out
    mode = said(r"did you mean '(\w+)'", told.out)
    assert newcomer.tests(f"(mode={mode!r})").status == 0


def test_a_typo_in_an_option(newcomer: Newcomer) -> None:
    opened = "IngestSession('market', 'data', {}=['nonce'])"
    told = newcomer.python(opened.format("ignore_param"))
    assert "ConfigError: IngestSession has no option 'ignore_param'" in told.said
    name = said(r"did you mean '(\w+)'", told.said)
    assert newcomer.python(opened.format(name)) == (0, ANSWER, "")

    opened = "use_cassette('tape.json', {}=['nonce'])"
    told = newcomer.python(opened.format("ignored_params"))
    assert "ConfigError: use_cassette has no option 'ignored_params'" in told.said
    name = said(r"did you mean '(\w+)'", told.said)
    assert newcomer.python(opened.format(name)) == (0, ANSWER, "")

    told = newcomer.python("IngestSession(sorce='market', root='data')")
    assert said(r"did you mean '(\w+)'", told.said) == "source"

    line = "mxm-dataio run --root data {} nonce ask.py"
    told = newcomer.types(line.format("--ignore-parm"))
    assert (told.status, told.out) == (2, "")
    option = said(r"did you mean (--[\w-]+)", told.said)
    assert newcomer.types(line.format(option))[:2] == (0, ANSWER)

    line = "MXM_DATAIO_AUTO=1 MXM_DATAIO_ROOT=data {}=nonce python ask.py"
    told = newcomer.types(line.format("MXM_DATAIO_IGNORE_PARAM"))
    variable = said(r"did you mean 'ignore_params'\? \((\w+)\)", told.said)
    assert newcomer.types(line.format(variable)) == (0, ANSWER, "")

    told = newcomer.tests("(ignore_param=['nonce'])")
    assert "dataio has no option 'ignore_param'" in told.out
    name = said(r"did you mean '(\w+)'", told.out)
    assert newcomer.tests(f"({name}=['nonce'])").status == 0

    told = newcomer.types("pytest --dataio-mdoe=all")
    option = said(r"--dataio-mdoe: did you mean (--[\w-]+)\?", told.said)
    assert newcomer.types(f"pytest {option}=all").status == 0


def test_a_list_as_json_and_a_time_in_words(newcomer: Newcomer) -> None:
    names = "MXM_DATAIO_IGNORE_PARAMS='[\"nonce\"]'"
    line = f"MXM_DATAIO_AUTO=1 MXM_DATAIO_ROOT=data {names} MXM_DATAIO_MODE=%s python ask.py"
    assert newcomer.types(line % "record") == (0, ANSWER, "")
    newcomer.server.stop()
    assert newcomer.types(line % "replay", NONCE="2") == (0, ANSWER, "")
    told = newcomer.types((line % "record").replace("]'", "'"))
    assert "MXM_DATAIO_IGNORE_PARAMS='[\"nonce\"': it begins as JSON, and is none" in told.said
    told = newcomer.types("mxm-dataio run --root data --mode auto --ttl soon ask.py")
    assert "--ttl soon: no time: 90s, 15m, 12h, 30d" in told.said
    line = "mxm-dataio run --root data --mode auto --ttl 30d --ignore-param nonce ask.py"
    assert newcomer.types(line, NONCE="3")[:2] == (0, ANSWER)


# -- what is not there -----------------------------------------------------------------------------


def test_a_missing_root(newcomer: Newcomer) -> None:
    opened = "IngestSession('market', 'data', {})"
    told = newcomer.python(opened.format("mode='replay'"))
    assert "nothing is recorded under" in told.said
    remedy = said(r"record first, with (\S+),", told.said)
    assert newcomer.python(opened.format(remedy)) == (0, ANSWER, "")

    line = "mxm-dataio run --root other {} ask.py"
    told = newcomer.types(line.format("--mode replay"))
    assert (told.status, told.out) == (2, "")
    remedy = said(r"record first, with (--mode \w+),", told.said)
    assert "the root of the recording, --root DIR" in told.said
    assert newcomer.types(line.format(remedy))[:2] == (0, ANSWER)
    newcomer.server.stop()
    assert newcomer.types(line.format("--mode replay"))[:2] == (0, ANSWER)


def test_a_file_for_a_root(newcomer: Newcomer) -> None:
    newcomer.python("IngestSession('market', 'data')")
    for root in ("ask.py", "data/dataio.sqlite"):
        told = newcomer.python(f"IngestSession('market', {root!r}, 'replay')")
        assert f"{root} is a file; give the folder" in told.said
    folder = said(r"give the folder: (\S+)", told.said)
    assert newcomer.python(f"IngestSession('market', {folder!r}, 'replay')") == (0, ANSWER, "")


def test_no_cassette_in_ci(newcomer: Newcomer) -> None:
    told = newcomer.tests("", CI="true")
    assert told.status == 1
    assert "CI is set, so the mode is none" in told.out
    assert "mxm_dataio/" not in told.out
    option = said(r"to record it: (--dataio-mode=\w+)", told.out)
    assert newcomer.types(f"pytest {option}", CI="true").status == 0
    newcomer.server.stop()
    assert newcomer.types("pytest", CI="true").status == 0

    told = newcomer.tests("(mode='none')", CI="true", NONCE="2")
    # It is not CI by which this one has the mode.
    assert "CI is set" not in told.out


def test_the_server_is_down(newcomer: Newcomer) -> None:
    line = "mxm-dataio run --root data {} ask.py"
    assert newcomer.types(line.format(""))[:2] == (0, ANSWER)
    newcomer.server.stop()
    assert newcomer.types(line.format(""))[:2] == (1, "")
    told = newcomer.types(line.format("--session latest"))
    assert "replayed, not live" in told.said
    remedy = said(r"has recorded the call too: (--session \S+)", told.said)
    assert newcomer.types(line.format(remedy))[:2] == (0, ANSWER)
    assert newcomer.types(line.format("--session latest~1"))[:2] == (0, ANSWER)

    told = newcomer.python("IngestSession('ask', 'data', session='latest', mode='replay')")
    remedy = said(r"has recorded the call too: (session=\S+)", told.said)
    for one in (remedy, "session='latest~1'"):
        opened = f"IngestSession('ask', 'data', {one}, mode='replay')"
        assert newcomer.python(opened) == (0, ANSWER, "")


# -- what has changed ------------------------------------------------------------------------------


def test_a_changed_parameter(newcomer: Newcomer) -> None:
    line = "mxm-dataio run --root data {} ask.py"
    newcomer.types(line.format(""))
    told = newcomer.types(line.format("--mode replay"), NONCE="2")
    assert told.status == 1
    # What was recorded replays by the option alone, and goes on to.
    option = said(r"if nonce changes .* replay with (--ignore-param \w+)", told.said)
    assert newcomer.types(line.format(f"--mode replay {option}"), NONCE="3")[:2] == (0, ANSWER)

    opened = "IngestSession('market', 'data', {})"
    newcomer.python(opened.format("'record'"))
    told = newcomer.python(opened.format("'replay'"), NONCE="2")
    option = said(r"if nonce changes .* replay with (ignore_params=\S+)", told.said)
    replay = opened.format(f"'replay', {option}")
    assert newcomer.python(replay, NONCE="3") == (0, ANSWER, "")

    opened = "use_cassette('tape.json', {})"
    newcomer.python(opened.format("'once'"))
    told = newcomer.python(opened.format("'once'"), NONCE="2")
    option = said(r"if nonce changes .* replay with (ignore_params=\S+)", told.said)
    assert newcomer.python(opened.format(f"'none', {option}"), NONCE="3") == (0, ANSWER, "")

    assert "wrote cassettes/test_it/test_symbols.json" in newcomer.tests("").out
    told = newcomer.tests("", NONCE="2")
    marker = said(r"if nonce changes .* with @pytest\.mark\.dataio(\(.*\))", told.out)
    command = said(r"record it again: (pytest .*)", told.out)
    told = newcomer.tests("", f"{command} -q", NONCE="4")
    assert (told.status, "wrote 1 cassette" in told.out) == (0, True)
    newcomer.server.stop()
    told = newcomer.tests(marker, NONCE="3")
    assert (told.status, "wrote" in told.out) == (0, False)

    # In the words of a process that captures itself.
    line = "MXM_DATAIO_AUTO=1 MXM_DATAIO_ROOT=data MXM_DATAIO_SOURCE=market {} python ask.py"
    told = newcomer.types(line.format("MXM_DATAIO_MODE=replay"), NONCE="4")
    assert "to record it: MXM_DATAIO_MODE=record, or MXM_DATAIO_MODE=auto" in told.said
    option = said(r"if nonce changes .* with (MXM_\S+)", told.said)
    told = newcomer.types(line.format(f"MXM_DATAIO_MODE=replay {option}"), NONCE="4")
    assert told == (0, ANSWER, "")


# -- what is forgotten -----------------------------------------------------------------------------


def test_a_session_that_is_not_opened(newcomer: Newcomer) -> None:
    (newcomer.folder / "prog.py").write_text(
        "import os, requests\n"
        "from mxm_dataio import IngestSession\n"
        "ingest = IngestSession('market', 'data')\n"
        "print(requests.get(os.environ['URL'] + '/symbols', timeout=10).status_code)\n"
    )
    told = newcomer.types("python prog.py")
    assert told[:2] == (0, "200\n")
    assert "was never opened, and saw no call" in told.said
    remedy = said(r"write (with IngestSession\(…\) as ingest: …)", told.said)
    assert newcomer.python(remedy[5:].replace("…)", "'market', 'data')").removesuffix(": …")) == (
        0, ANSWER, "",
    )  # fmt: skip


def test_options_behind_the_script(newcomer: Newcomer) -> None:
    assert newcomer.types("mxm-dataio run --root data ask.py")[:2] == (0, ANSWER)
    told = newcomer.types("mxm-dataio run --root data ask.py x --mode replay '--as-of=2100-01-01'")
    assert told[:2] == (0, ANSWER)
    assert told.said.count("stands behind it") == 1
    command = said(r"if it is for mxm-dataio run: (.*)", told.said)
    newcomer.server.stop()
    told = newcomer.types(command)
    assert told[:2] == (0, ANSWER)
    assert "stands behind it" not in told.said


def test_a_connection_that_is_not_captured(newcomer: Newcomer) -> None:
    (newcomer.folder / "plain.py").write_text(
        "import os, socket\n"
        "host, port = os.environ['URL'].removeprefix('http://').split(':')\n"
        "socket.create_connection((host, int(port))).close()\n"
        "print('connected')\n"
    )
    line = "mxm-dataio run --root data {} plain.py"
    newcomer.types(line.format(""))
    told = newcomer.types(line.format("--mode replay"))
    assert told[:2] == (1, "")
    assert "stdlib" not in told.said
    option = said(r"let it pass with (--allow-host \S+)", told.said)
    assert newcomer.types(line.format(f"--mode replay {option}"))[:2] == (0, "connected\n")
