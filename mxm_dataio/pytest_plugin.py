"""The pytest plugin: tests record their calls in cassettes, and replay them for ever after.

Loaded by every pytest run of an environment that has this package, so it imports nothing of it
before a test is marked.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .api import IngestSession
    from .pytest_session import Opened
    from .pytest_usage import Usage

MODES = ("none", "once", "new_episodes", "all", "rewrite", "off")
_OPENED: pytest.StashKey[list[Opened]] = pytest.StashKey()
_USAGE: pytest.StashKey[Usage] = pytest.StashKey()
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
    return cassette_name(request.node.name, request.cls.__name__ if request.cls else "")


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
    yield from _session(request, marks, request.getfixturevalue("dataio_cassette_name"))


@pytest.fixture(scope="class")
def dataio_class(request: pytest.FixtureRequest) -> Iterator[IngestSession]:
    """Yield a session for the whole of a class, for fixtures that make calls for all its tests."""
    from .pytest_names import cassette_name

    name = request.cls.__name__ if request.cls else request.node.name
    yield from _session(request, _marks(request.node), cassette_name(name))


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


def _session(
    request: pytest.FixtureRequest, marks: list[pytest.Mark], name: str
) -> Iterator[IngestSession]:
    from .pytest_session import Opened, again

    folder = Path(request.getfixturevalue("dataio_cassette_dir"))
    options = _options(request, marks)
    shared = [Path(os.path.normpath(folder / path)) for mark in marks for path in _shared(mark)]
    options["allowed_hosts"] = _allowed_hosts(request.config, options)
    here = _from_here(request.config, request.node.nodeid)
    opened = Opened(folder / f"{name}.json", shared, options, request.node.nodeid, again(here))
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
            if _USAGE in request.config.stash:
                request.config.stash[_USAGE].used.append(opened.used())


# -- what becomes of a test --------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that met a miss and went on without it."""
    result = yield
    for opened in item.config.stash[_OPENED]:
        opened.raise_misses()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the sessions whose test failed, and the reader how to record it again."""
    report = yield
    if not report.passed:
        for opened in item.config.stash[_OPENED]:
            opened.failed = True
            if call.excinfo is not None and opened.concerns(call.excinfo.value):
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note which tests have cassettes, before any is deselected."""
    if not _reports(config):
        return
    from .pytest_usage import Module, Usage

    chosen = {arg.partition("::")[0] for arg in config.args if "::" in arg}
    usage = Usage(whole=config.args_source is not pytest.Config.ArgsSource.ARGS)
    config.stash[_USAGE] = usage
    marked: dict[Path, list[str]] = {}
    for item in items:
        tests = marked.setdefault(item.path, [])
        if _marks(item):
            tests.append(item.nodeid)
    for path, tests in marked.items():
        whole = not any(path.samefile(config.invocation_params.dir / one) for one in chosen)
        usage.modules[str(path)] = Module(str(path), tuple(tests), whole)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker of pytest-xdist has gathered."""
    gathered = getattr(node, "workeroutput", {}).get("dataio")
    if gathered is not None:
        from .pytest_usage import Usage

        stash = node.config.stash
        if _USAGE not in stash:
            whole = node.config.args_source is not pytest.Config.ArgsSource.ARGS
            stash[_USAGE] = Usage(whole=whole)
        stash[_USAGE].load(gathered)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what was gathered to the process that reports, where that is another."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None and _USAGE in session.config.stash:
        output["dataio"] = session.config.stash[_USAGE].dump()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the report, and do what was asked for about it."""
    if not _reports(config) or _USAGE not in config.stash:
        return
    from .pytest_usage import lines, prune

    usage = config.stash[_USAGE]
    found = list(lines(usage, config.invocation_params.dir))
    terminalreporter.write_sep("=", "cassettes")
    if not found:
        terminalreporter.write_line(
            "every recorded call of the tests that passed was replayed, and every cassette is used"
        )
    for line in found:
        terminalreporter.write_line(line)
    if config.getoption("--dataio-prune"):
        for line in prune(usage, config.invocation_params.dir):
            terminalreporter.write_line(line)
