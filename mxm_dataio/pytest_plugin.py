"""The pytest plugin: tests record their calls in cassettes, and replay them for ever after.

Loaded by every pytest run of an environment that has this package, so it imports nothing of it
before a test is marked.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .interception import runs

if TYPE_CHECKING:
    from .api import IngestSession
    from .pytest_session import Opened
    from .pytest_usage import Collected, Usage
    from .runs import Run

MODES = ("none", "once", "new_episodes", "all", "rewrite", "off")
_OPENED: pytest.StashKey[list[Opened]] = pytest.StashKey()
_ACCOUNT: pytest.StashKey[Account] = pytest.StashKey()
_MARK, _VCR = "dataio", "vcr"

_MARK_HELP = (
    "dataio(*shared, **options): record the test's HTTP calls in a cassette, and replay them. "
    "shared are cassettes that are replayed besides. options: mode, keep_failed, expires, "
    "on_expired, freeze, scope, block_network, allowed_hosts, and what use_cassette takes."
)


# -- options -----------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and the settings of the same names."""
    group = parser.getgroup("dataio", "record and replay HTTP calls (mxm-dataio)")
    group.addoption(
        "--dataio-mode",
        choices=MODES,
        help="what tests marked with dataio do with their cassettes; default: none (replay, and "
        "fail for what is not recorded) where CI is set, else once (replay if there is a cassette, "
        "else record)",
    )
    group.addoption(
        "--dataio-block-network",
        action="store_true",
        default=None,
        help="let no test connect to another machine but to record a cassette",
    )
    group.addoption(
        "--dataio-allowed-hosts",
        metavar="HOSTS",
        help="hosts, separated by commas, to which blocked tests may connect all the same; "
        "loopback stands for this machine",
    )
    group.addoption(
        "--dataio-report",
        action="store_true",
        help="list recorded calls that no test replays, and cassettes of tests that are gone",
    )
    group.addoption("--dataio-prune", action="store_true", help="delete what --dataio-report lists")
    parser.addini("dataio_mode", "default of --dataio-mode")
    parser.addini("dataio_block_network", "default of --dataio-block-network", "bool")
    parser.addini("dataio_allowed_hosts", "default of --dataio-allowed-hosts", "args")
    parser.addini("dataio_expires", "age from which a cassette is too old: 90d, 12h")
    parser.addini("dataio_on_expired", "what happens then: warn (default) or fail")
    parser.addini("dataio_markers", "names of more markers that mean dataio, such as vcr", "args")


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    config.addinivalue_line("markers", _MARK_HELP)
    for name in config.getini("dataio_markers"):
        config.addinivalue_line("markers", f"{name}: the same as dataio")
        if name == _VCR:
            config.addinivalue_line("markers", "default_cassette(name): the cassette's name")
            config.addinivalue_line("markers", "block_network: as dataio(block_network=True)")
    mode = config.getini("dataio_mode")
    if mode and mode not in MODES:
        raise pytest.UsageError(f"dataio_mode={mode}: there are {', '.join(MODES)}")
    config.stash[_OPENED] = []
    config.stash[_ACCOUNT] = account = Account(config)
    config.pluginmanager.register(account, "dataio-account")
    runs.append(account.run)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Keep account no longer."""
    account = config.stash.get(_ACCOUNT, None)
    if account is not None:
        runs.remove(account.run)
        account.close()


def _marks(node: pytest.Item) -> list[pytest.Mark]:
    """Return a test's marks that mean dataio, the closest first."""
    names = (_MARK, *node.config.getini("dataio_markers"))
    return [mark for mark in node.iter_markers() if mark.name in names]


def _options(request: pytest.FixtureRequest, marks: list[pytest.Mark]) -> dict[str, Any]:
    """Return what a test's session is opened with: the closest word counts."""
    config = request.config
    options = dict(request.getfixturevalue("dataio_config"))
    for mark in reversed(marks):
        options.update(mark.kwargs if mark.name == _MARK else _from_vcr(mark))
    for name in ("expires", "on_expired"):
        if config.getini(f"dataio_{name}"):
            options.setdefault(name, config.getini(f"dataio_{name}"))
    mode = config.getoption("--dataio-mode") or options.get("mode") or config.getini("dataio_mode")
    options["mode"] = mode or ("none" if os.environ.get("CI") else "once")
    return options


def _theirs(node: pytest.Item, name: str) -> pytest.Mark | None:
    """Return a test's mark of pytest-recording's, where its marks are to mean ours."""
    return node.get_closest_marker(name) if _VCR in node.config.getini("dataio_markers") else None


def _from_vcr(mark: pytest.Mark) -> dict[str, Any]:
    from .vcr_options import from_vcr

    return from_vcr(mark.kwargs)


def _shared(mark: pytest.Mark) -> list[Path]:
    """Return the cassettes that a mark names; those of vcrpy's plugins were imported as .json."""
    paths = [Path(path) for path in mark.args]
    return paths if mark.name == _MARK else [path.with_suffix(".json") for path in paths]


def _allowed_hosts(config: pytest.Config, options: Mapping[str, Any]) -> tuple[str, ...]:
    given = config.getoption("--dataio-allowed-hosts") or options.get("allowed_hosts")
    found = given if given is not None else config.getini("dataio_allowed_hosts")
    return tuple(found.split(",")) if isinstance(found, str) else tuple(found)


# -- fixtures ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def dataio_config() -> dict[str, Any]:
    """Return options for cassettes, as the marker takes them; to be overridden where it is due."""
    return {}


@pytest.fixture(scope="module")
def dataio_cassette_dir(request: pytest.FixtureRequest) -> Path:
    """Return the folder of a module's cassettes: ``cassettes/<module>`` beside it."""
    from .pytest_usage import default_folder

    return default_folder(request.path)


@pytest.fixture
def dataio_cassette_name(request: pytest.FixtureRequest) -> str:
    """Return the name of a test's cassette, without ``.json``."""
    from .pytest_names import cassette_name

    named = _theirs(request.node, "default_cassette")
    if named is not None and named.args:
        return Path(named.args[0]).stem
    return cassette_name(request.node.name, _class_name(request.node))


@pytest.fixture
def dataio(request: pytest.FixtureRequest) -> Iterator[IngestSession]:
    """Yield the test's ``IngestSession``, which has its calls in the test's cassette."""
    marks = _marks(request.node)
    scope = _options(request, marks).get("scope", "function")
    if scope != "function":
        if scope not in ("class", "module"):
            raise pytest.UsageError(f"dataio(scope={scope!r}): there are function, class, module")
        yield request.getfixturevalue(f"dataio_{scope}")
        return
    from .pytest_names import cassette_name

    name = request.getfixturevalue("dataio_cassette_name")
    only = name == cassette_name(request.node.name, _class_name(request.node))
    yield from _session(request, marks, name, _old_name(request.node), only=only)


@pytest.fixture(scope="class")
def dataio_class(request: pytest.FixtureRequest) -> Iterator[IngestSession]:
    """Yield a session for the whole of a class, for fixtures that make calls for all its tests."""
    from .pytest_names import cassette_name

    name = cassette_name(_class_name(request.node) or request.node.name)
    old = cassette_name(request.cls.__name__) if request.cls else name
    yield from _session(request, _marks(request.node), name, old)


@pytest.fixture(scope="module")
def dataio_module(request: pytest.FixtureRequest) -> Iterator[IngestSession]:
    """Yield a session for the whole of a module, for fixtures that make calls for all its tests."""
    yield from _session(request, _marks(request.node), "module")


@pytest.fixture(autouse=True)
def _dataio_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Open the session of a marked test, and block the network where it is to be blocked."""
    node = request.node
    marks = _marks(node)
    config = node.config
    blocks = config.getoption("--dataio-block-network")
    if blocks is None:
        blocks = config.getini("dataio_block_network")
    blocks = blocks or _theirs(node, "block_network") is not None
    if not marks and not blocks:
        yield
        return
    options = _options(request, marks)
    blocks = options.get("block_network", blocks)
    with contextlib.ExitStack() as stack:
        if marks and options["mode"] != "off":
            # In replay it blocks by itself.
            blocks = not _records(request.getfixturevalue("dataio")) and blocks
        if blocks:
            from .pytest_session import blocked

            stack.enter_context(blocked(node.nodeid, _allowed_hosts(config, options)))
        yield


def _records(ingest: IngestSession) -> bool:
    return ingest.mode.value in ("record", "auto")


def _class_name(node: pytest.Item | pytest.Collector) -> str:
    """Return the name of a test's class, after those of the classes that it is within."""
    return ".".join(one.name for one in node.listchain() if isinstance(one, pytest.Class))


def _old_name(node: pytest.Item) -> str:
    """Return the name of a test's cassette as it was without the classes around its own."""
    from .pytest_names import cassette_name

    cls = getattr(node, "cls", None)
    return cassette_name(node.name, cls.__name__ if cls else "")


def _session(
    request: pytest.FixtureRequest,
    marks: list[pytest.Mark],
    name: str,
    old: str = "",
    *,
    only: bool = False,
) -> Iterator[IngestSession]:
    """Open the session of a test, a class or a module.

    Args:
        name: of its cassette.
        old: what the name was in earlier releases.
        only: no other test has a cassette of this name.
    """
    from .pytest_session import Opened, again

    # A test before this one may have gone to another folder.
    folder = request.config.invocation_params.dir / request.getfixturevalue("dataio_cassette_dir")
    options = _options(request, marks)
    if only and name != old and options["mode"] != "rewrite" and not _is_there(folder, name):
        name, only = (old, False) if _is_there(folder, old) else (name, only)
    shared = [Path(os.path.normpath(folder / path)) for mark in marks for path in _shared(mark)]
    options["allowed_hosts"] = _allowed_hosts(request.config, options)
    here = _from_here(request.config, request.node.nodeid)
    opened = Opened(
        folder / f"{name}.json", shared, options, request.node.nodeid, again(here),
        request.config.stash[_ACCOUNT].run(), only=only,
    )  # fmt: skip
    stash = request.config.stash[_OPENED]
    with contextlib.ExitStack() as stack:
        stack.enter_context(opened)
        stash.append(opened)
        try:
            if opened.warning:
                warnings.warn(pytest.PytestWarning(opened.warning), stacklevel=1)
            yield opened.ingest
        finally:
            stash.remove(opened)


def _is_there(folder: Path, name: str) -> bool:
    return os.path.lexists(folder / f"{name}.json")


# -- what becomes of a test --------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Note that a test begins."""
    item.config.stash[_ACCOUNT].begun(item.nodeid)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that met a miss and went on without it."""
    item.config.stash[_ACCOUNT].phase = "call"
    result = yield
    _raise_misses(item)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Do so for the misses of what the test has torn down, which are not the next one's."""
    account = item.config.stash[_ACCOUNT]
    account.phase = "teardown"
    try:
        result = yield
    finally:
        account.phase = ""
    _raise_misses(item)
    return result


def _raise_misses(item: pytest.Item) -> None:
    for opened in item.config.stash[_OPENED]:
        opened.raise_misses()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the sessions what became of their test, and the reader how to record it again."""
    report = yield
    for opened in item.config.stash[_OPENED]:
        missed = opened.ended(item.nodeid, call.when, report)
        if call.excinfo is not None and (missed or opened.concerns(call.excinfo.value)):
            from .pytest_session import again

            command = again(_from_here(item.config, item.nodeid))
            text = f"cassette: {opened.path}\nrecord it again: {command}"
            report.sections.append(("dataio", text))
    return report


def _from_here(config: pytest.Config, nodeid: str) -> str:
    """Return a node id as it has to be given where pytest was started."""
    path, colons, rest = nodeid.partition("::")
    here = os.path.relpath(config.rootpath / path, config.invocation_params.dir)
    return f"{here}{colons}{rest}"


# -- the report --------------------------------------------------------------------------------


def _reports(config: pytest.Config) -> bool:
    return bool(config.getoption("--dataio-report") or config.getoption("--dataio-prune"))


class Account:
    """What is known of a run in one of its processes: its tests, and what became of them.

    It loads nothing of ours before there is a cassette.

    Attributes:
        ran: node ids of the tests that have begun in this process.
        phase: of the last of them; empty between tests.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.ran: list[str] = []
        self.phase = ""
        self._config = config
        self._run: Run | None = None
        self._items: list[pytest.Item] = []
        self._files: set[str] = set()
        self._outcomes: dict[str, str] = {}
        # Of pytest-xdist: what the processes share, who has not told yet, and what was told.
        self._folder = getattr(config, "workerinput", {}).get("dataio")
        self._made = ""
        self._workers: set[str] = set()
        self._gathered: list[dict[str, Any]] = []
        self._done: list[str] = []

    def begun(self, nodeid: str) -> None:
        """Note that a test begins."""
        self.ran.append(nodeid)
        self.phase = "setup"

    def run(self) -> Run:
        """Return what keeps account of cassettes."""
        if self._run is None:
            from .runs import Run

            folder = Path(self._folder) if self._folder else None
            root = self._config.rootpath
            self._run = Run(self, root, folder, details=_reports(self._config))
        return self._run

    def close(self) -> None:
        """Remove what the run's processes shared."""
        if self._made:
            shutil.rmtree(self._made, ignore_errors=True)

    # -- hooks ---------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give a worker of pytest-xdist the folder that all share."""
        self._made = self._made or tempfile.mkdtemp(prefix="dataio-")
        node.workerinput["dataio"] = self._made
        self._workers.add(node.gateway.id)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker of pytest-xdist has gathered."""
        output = getattr(node, "workeroutput", None) or {}
        if "dataio" in output:
            self._workers.discard(node.gateway.id)
            self._gathered.append(output["dataio"])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note which files were collected as a whole."""
        # With --lf, pytest passes over files as if they had no tests.
        partial = self._config.getoption("lf", False)
        if report.passed and "::" not in report.nodeid and not partial:
            self._files.add(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note which tests there are, before any is deselected."""
        self._items = list(items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what became of a test, in the process that reports."""
        was = self._outcomes.get(report.nodeid)
        outcome = str(report.outcome)
        if outcome == "rerun":
            self._outcomes.pop(report.nodeid, None)
        elif outcome != "passed" and was != "failed":
            expected = outcome == "skipped" and hasattr(report, "wasxfail")
            self._outcomes[report.nodeid] = "failed as expected" if expected else _TOLD[outcome]
        elif report.when == "call" and was is None:
            self._outcomes[report.nodeid] = "passed"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Hand on what was gathered, or drop what was not made again where that was asked for."""
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output["dataio"] = self._usage().dump() if self._run or _reports(self._config) else {}
        elif self._run or any(self._gathered):
            from .pytest_usage import prune

            usage, here = self._usage(), self._config.invocation_params.dir
            self._done = list(prune(usage, here, rewritten=True))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the report, and do what was asked for about it."""
        if not _reports(self._config):
            if self._done:
                terminalreporter.write_sep("=", "cassettes")
            for line in self._done:
                terminalreporter.write_line(line)
            return
        from .pytest_usage import lines, prune

        usage, here = self._usage(), self._config.invocation_params.dir
        found = [*self._done, *lines(usage, here)]
        terminalreporter.write_sep("=", "cassettes")
        if not found:
            terminalreporter.write_line(
                "every recorded call of the tests that passed was replayed, and every cassette is "
                "used"
            )
        for line in found:
            terminalreporter.write_line(line)
        if self._config.getoption("--dataio-prune"):
            for line in prune(usage, here):
                terminalreporter.write_line(line)

    # -- what was gathered ---------------------------------------------------------------------

    def _usage(self) -> Usage:
        from .pytest_project import Project
        from .pytest_usage import Usage

        config = self._config
        root = Path(os.path.realpath(config.rootpath))
        project = Project(root, config.getini("python_files"), config.getini("norecursedirs"))
        usage = Usage(project)
        chosen = {
            os.path.realpath(config.invocation_params.dir / arg.partition("::")[0])
            for arg in config.args
            if "::" in arg
        }
        files = {os.path.realpath(config.rootpath / file) for file in self._files}
        usage.files = {file for file in files - chosen if Path(file).is_file()}
        usage.tests = {item.nodeid: _test(item) for item in self._items}
        usage.used = list(self._run.used) if self._run else []
        for gathered in self._gathered:
            if gathered:
                usage.load(gathered)
        usage.outcomes = dict(self._outcomes)
        if self._workers:
            usage.broken = "not all workers have told what they did"
        return usage


_TOLD = {"failed": "has failed", "skipped": "was skipped"}


def _test(item: pytest.Item) -> Collected:
    """Return a test, and which cassettes may be its by their names."""
    from .pytest_names import cassette_name
    from .pytest_usage import Collected

    marks = _marks(item)
    names = []
    if marks or any(name.startswith("dataio") for name in getattr(item, "fixturenames", ())):
        outer = _class_name(item).split(".")
        classes = [".".join(outer[: count + 1]) for count in range(len(outer))]
        own = [cassette_name(item.name, classes[-1]), _old_name(item)]
        cls = getattr(item, "cls", None)
        old = [cls.__name__] if cls else []
        names = [*own, *(cassette_name(name) for name in (*classes, *old) if name), "module"]
        names += ["package", "session"]
    named = _theirs(item, "default_cassette")
    if named is not None and named.args:
        names.append(Path(named.args[0]).stem)
    shared = [path.with_suffix(".json").name for mark in marks for path in _shared(mark)]
    return Collected(item.nodeid, os.path.realpath(item.path), tuple(names), tuple(shared))
