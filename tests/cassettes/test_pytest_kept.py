"""No recording that a test needs is ever gone, whatever is run, chosen, skipped and failed.

Small projects are made at random, recorded, run in random ways that record anew and prune, and
replayed: every test passes. Then all is pruned, and what no test makes is gone.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.effort import some
from tests.support.pytests import bare, start
from tests.support.servers import Connection, RawServer, answer

pytest_plugins = ["pytester"]

HEAD = '''
import os, pathlib, pytest, requests

HERE = pathlib.Path(__file__).parent

def does(test, *paths):
    """Make a test's calls, and end as the environment has it end."""
    end = dict(word.split("=") for word in os.environ["DOES"].split()).get(test, "")
    if end == "skip-first":
        pytest.skip("now")
    assert end != "fail-first"
    for path in (*paths, *(["/extra-" + test] if os.environ["EXTRA"] else [])):
        assert requests.get(os.environ["URL"] + path, timeout=5).json() == path
    if end == "skip":
        pytest.skip("now")
    if end == "xfail":
        pytest.xfail("now")
    assert end != "fail"
'''

CONFTEST = """
import os, random, pytest

@pytest.fixture(scope="session")
def dataio_config():
    return {"exhausted": "%s"}

def pytest_collection_modifyitems(items):
    if os.environ["ORDER"]:
        random.Random(int(os.environ["ORDER"])).shuffle(items)
"""

# Kinds of tests; NAME is the test's, CALLS are paths, of which others may make some, too.
ALONE = """
MARK
def NAME(): does("NAME", "/of-NAME", CALLS)
"""
PARAMETRISED = """
MARK
@pytest.mark.parametrize("i", range(3))
def NAME(i): does("NAME", f"/of-NAME-{i}", CALLS)
"""
NESTED = """
class TestOneNAME:
    class TestInner:
        MARK
        def NAME(self): does("NAME", "/one", CALLS)
class TestTwoNAME:
    class TestInner:
        MARK
        def NAME(self): does("NAME", "/two", CALLS)
"""
CLASS = """
@pytest.mark.dataio(scope="class")
class TestNAME:
    def NAME_a(self): does("NAME_a", "/of-NAME_a", CALLS)
    def NAME_b(self): does("NAME_b", "/of-NAME_b", CALLS)
    def NAME_c(self): does("NAME_c", "/of-NAME_c", CALLS)
"""
ONE_NAME = """
class TestNAME:
    @pytest.fixture
    def dataio_cassette_name(self): return "named-NAME"
    @pytest.mark.dataio
    def NAME_a(self): does("NAME_a", "/of-NAME_a", CALLS)
    @pytest.mark.dataio
    def NAME_b(self): does("NAME_b", "/of-NAME_b", CALLS)
"""
FIXTURE = """
@pytest.fixture(scope="module")
def made_NAME(dataio_module): does("", "/of-NAME")
def NAME_a(made_NAME): pass
def NAME_b(made_NAME): does("NAME_b", "/of-NAME_b", CALLS)
"""
CODE = """
from mxm_dataio import use_cassette
def NAME_a():
    with use_cassette(FILE, mode=os.environ["USE"]): does("NAME_a", "/of-NAME_a", CALLS)
@use_cassette(FILE, mode=os.environ["USE"])
def NAME_b(): does("NAME_b", "/of-NAME_b", CALLS)
"""
# OTHER is a test of the kind ALONE.
SHARES = """
@pytest.mark.dataio("../PLACE/OTHER.json")
def NAME(): does("NAME", "/of-OTHER", "/of-NAME")
"""
WITHOUT = """
def NAME(): pass
"""
KINDS = (ALONE, ALONE, PARAMETRISED, NESTED, CLASS, ONE_NAME, FIXTURE, CODE, SHARES, WITHOUT)
ENDS = ("skip-first", "fail-first", "skip", "xfail", "fail")


class Project:
    """A project of one to three files of tests.

    Attributes:
        files: name → text.
        names: what stands for the tests in ``-k`` and in the environment.
    """

    def __init__(self, draw: random.Random) -> None:
        self.names: list[str] = []
        self.files = {
            "pytest.ini": "[pytest]\n",
            "conftest.py": CONFTEST % draw.choice(("repeat", "error")),
        }
        for number in range(draw.randint(1, 3)):
            self._add(draw, f"{draw.choice(('', '', 'part/'))}test_file{number}.py")

    def _add(self, draw: random.Random, file: str) -> None:
        place = Path(file).stem
        alone: list[str] = []
        whole = draw.random() < 0.3
        text = HEAD + ("pytestmark = pytest.mark.dataio(scope='module')\n" if whole else "")
        for _ in range(draw.randint(1, 4)):
            name = f"test_t{len(self.names):02}"
            kind = draw.choice((ALONE, PARAMETRISED, NESTED, WITHOUT) if whole else KINDS)
            if kind is SHARES and not alone:
                kind = ALONE
            if kind is SHARES:
                kind = kind.replace("OTHER", draw.choice(alone)).replace("PLACE", place)
            elif kind is ALONE and not whole:
                alone.append(name)
            kind = kind.replace("MARK", "" if whole else "@pytest.mark.dataio")
            kind = kind.replace("FILE", draw.choice(CODE_FILES).replace("PLACE", place))
            while "CALLS" in kind:
                kind = kind.replace("CALLS", self._calls(draw), 1)
            text += kind.replace("NAME", name)
            self.names += [f"{name}{end}" for end in ("_a", "_b", "_c") if f"{name}{end}(" in kind]
            self.names.append(name)
        self.files[file] = text

    def _calls(self, draw: random.Random) -> str:
        return ", ".join(f"'/p{draw.randrange(4)}'" for _ in range(draw.randint(1, 3)))

    def write(self, folder: Path) -> None:
        """Write the files."""
        for name, text in self.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)


CODE_FILES = (
    "HERE / 'cassettes' / 'PLACE' / 'code-NAME.json'", "HERE / 'cassettes' / 'code-NAME.json'",
    "str(HERE / 'data' / 'code-NAME')",
)  # fmt: skip


class Trial:
    """A project that is run again and again.

    Attributes:
        told: what was done, for whom it fails.
    """

    def __init__(
        self, pytester: pytest.Pytester, patch: pytest.MonkeyPatch, seed: int, workers: bool
    ) -> None:
        self._pytester = pytester
        self._patch = patch
        self.draw = random.Random(seed)
        self._workers = workers
        self.project = Project(self.draw)
        self.project.write(pytester.path)
        self.told: list[str] = [f"seed {seed}"]

    def run(
        self, *options: str, use: str, does: str = "", extra: str = "", order: str = ""
    ) -> pytest.RunResult:
        """Run it."""
        settings = {"USE": use, "DOES": does, "EXTRA": extra, "ORDER": order}
        for name, value in settings.items():
            self._patch.setenv(name, value)
        self.told.append(f"{settings} pytest {' '.join(options)}")
        return start(self._pytester, "-q", *options)

    def passes(self, *options: str, **settings: str) -> None:
        """Run it; all tests pass."""
        result = self.run(*options, **settings)
        assert result.parseoutcomes().keys() == {"passed"}, self.explained(str(result.stdout))

    def explained(self, printed: str) -> str:
        """Return all there is to know of a failure."""
        held = {
            str(path.relative_to(self._pytester.path)): self.recorded(path)
            for path in sorted(self._pytester.path.rglob("*.json"))
        }
        texts = [f"--- {name}\n{text}" for name, text in self.project.files.items()]
        return "\n".join([*texts, *self.told, printed, json.dumps(held, indent=1)])

    def recorded(self, path: Path) -> list[str]:
        """Return the paths of a cassette's calls."""
        calls = json.loads(path.read_text())["calls"]
        return ["/" + call["request"]["url"].split("/", 3)[3] for call in calls]

    def phase(self) -> None:
        """Run some of it in some way."""
        draw, names = self.draw, self.project.names
        mode = draw.choice(("rewrite", "rewrite", "rewrite", "all", "new_episodes", "none", "none"))
        options = [f"--dataio-mode={mode}"]
        if mode == "none" or draw.random() < 0.5:
            options.append("--dataio-prune")
        chosen = draw.random()
        if chosen < 0.25:
            options += ["-k", " or ".join(draw.sample(names, min(2, len(names))))]
        elif chosen < 0.5:
            options += draw.sample(self._ids(), min(draw.randint(1, 3), len(self._ids())))
        elif chosen < 0.6:
            options.append(draw.choice([name for name in self.project.files if "test_" in name]))
        elif chosen < 0.7:
            options += ["--deselect", draw.choice(self._ids())]
        elif chosen < 0.8:
            options.append(draw.choice(("-x", "--maxfail=2", "--lf", "--sw")))
        if self._workers and draw.random() < 0.6:
            options += [
                "-n",
                "2",
                "--dist",
                draw.choice(("load", "each", "loadscope", "worksteal")),
            ]
        does = " ".join(
            f"{name}={draw.choice(ENDS)}" for name in names if draw.random() < draw.choice((0, 0.3))
        )
        order = str(draw.randrange(1, 99)) if draw.random() < 0.4 and "-n" not in options else ""
        use = draw.choice(("none", "rewrite", "rewrite", "all", "new_episodes", "once"))
        self.run(*options, use=use, does=does, order=order)

    def _ids(self) -> list[str]:
        if not hasattr(self, "_known"):
            printed = self.run("--collect-only", use="none").outlines
            self._known = [line for line in printed if "::" in line]
        return self._known


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    bare(monkeypatch)

    def echo(connection: Connection) -> None:
        while (request := connection.read_request()) is not None:
            body = json.dumps(request.target).encode()
            connection.send(answer(200, body, headers=[("Content-Type", "application/json")]))

    with RawServer(echo) as made:
        monkeypatch.setenv("URL", made.url)
        yield made


def trial(
    pytester: pytest.Pytester,
    patch: pytest.MonkeyPatch,
    server: RawServer,
    seed: int,
    *,
    workers: bool,
) -> None:
    made = Trial(pytester, patch, seed, workers)
    made.passes("--dataio-mode=once", use="new_episodes", extra="yes")
    for _ in range(made.draw.randint(1, 3)):
        made.phase()
    hits = server.hits
    made.passes("--dataio-mode=none", use="none")
    made.passes("--dataio-mode=none", "--dataio-prune", use="none")
    made.passes("--dataio-mode=none", use="none")
    assert server.hits == hits, made.explained("")
    for path in pytester.path.rglob("*.json"):
        extra = [one for one in made.recorded(path) if one.startswith("/extra")]
        assert extra == [], made.explained("")


@pytest.mark.parametrize("seed", some(range(6), (3,)))
def test_no_recording_that_a_test_needs_is_gone(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, server: RawServer, seed: int
) -> None:
    trial(pytester, monkeypatch, server, seed, workers=False)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6, 206))
def test_no_recording_is_gone_in_many_projects(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, server: RawServer, seed: int
) -> None:
    trial(pytester, monkeypatch, server, seed, workers=seed % 4 == 0)
