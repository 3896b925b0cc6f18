"""The pytest plugin: tests record their calls in cassettes, and replay them for ever after.

Loaded by every pytest run of an environment that has this package, so it imports nothing of it
before a test is marked.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .interception import runs

if TYPE_CHECKING:
    from .api import IngestSession
    from .pytest_network import Guard
    from .pytest_session import Opened
    from .pytest_usage import Collected, Usage
    from .runs import Run

MODES = ("none", "once", "new_episodes", "all", "rewrite", "off")
_OPENED: pytest.StashKey[list[Opened]] = pytest.StashKey()
_WIDE: pytest.StashKey[dict[str, Opened]] = pytest.StashKey()
_ACCOUNT: pytest.StashKey[Account] = pytest.StashKey()
_GUARD: pytest.StashKey[Guard] = pytest.StashKey()
_IMPORTS: pytest.StashKey[dict[Path, str]] = pytest.StashKey()
# Not packages: pytest has a plugin's fixtures of that scope live as long as the run.
_SCOPES = ("class", "module", "session")
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


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config,
) -> Generator[None, object, object]:
    """Block the network from the first conftest on, where it is to be blocked."""
    _guard(early_config, early_config.known_args_namespace)
    return (yield)


def _guard(config: pytest.Config, given: Any) -> None:
    if _GUARD not in config.stash and _blocks(config, given):
        from .pytest_network import Guard

        hosts = _hosts(given.dataio_allowed_hosts or config.getini("dataio_allowed_hosts"))
        config.stash[_GUARD] = guard = Guard(hosts, config.rootpath)
        config.add_cleanup(guard.stop)


def _blocks(config: pytest.Config, given: Any) -> bool:
    if given.dataio_block_network is not None:
        return bool(given.dataio_block_network)
    return bool(config.getini("dataio_block_network"))


def _lifted(config: pytest.Config) -> contextlib.AbstractContextManager[Any]:
    """Lift what blocks the network for the whole run, for who has a rule of its own."""
    guard = config.stash.get(_GUARD, None)
    return contextlib.nullcontext() if guard is None else guard.lifted()


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
    config.stash[_WIDE] = {}
    config.stash[_IMPORTS] = {}
    config.stash[_ACCOUNT] = account = Account(config)
    # Where this plugin came too late for the first conftests.
    _guard(config, config.option)
    if _GUARD in config.stash:
        config.stash[_GUARD].running = lambda: account.running
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
    options["mode"] = _mode(config, options.get("mode"))
    return options


def _mode(config: pytest.Config, given: str | None = None) -> str:
    mode = config.getoption("--dataio-mode") or given or config.getini("dataio_mode")
    return mode or ("none" if os.environ.get("CI") else "once")


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
    return _hosts(given if given is not None else config.getini("dataio_allowed_hosts"))


def _hosts(given: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(given.split(",")) if isinstance(given, str) else tuple(given)


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
        if scope not in _SCOPES:
            raise pytest.UsageError(
                f"dataio(scope={scope!r}): there are function, {', '.join(_SCOPES)}"
            )
        ingest = request.getfixturevalue(f"dataio_{scope}")
        _resume(request.config, [f"dataio_{scope}"])
        yield ingest
        return
    from .pytest_names import cassette_name

    name = request.getfixturevalue("dataio_cassette_name")
    if name != cassette_name(request.node.name, _class_name(request.node)):
        yield from _session(request, marks, name)
    else:
        yield from _session(request, marks, name, _old_name(request.node), only=True)


@pytest.fixture(scope="class")
def dataio_class(request: pytest.FixtureRequest) -> Iterator[IngestSession]:
    """Yield a session for the whole of a class, for fixtures that make calls for all its tests."""
    from .pytest_names import cassette_name

    name = cassette_name(_class_name(request.node) or request.node.name)
    old = cassette_name(request.cls.__name__) if request.cls else ""
    yield from _session(request, _marks(request.node), name, old)


@pytest.fixture(scope="module")
def dataio_module(request: pytest.FixtureRequest) -> Iterator[IngestSession]:
    """Yield a session for the whole of a module, for fixtures that make calls for all its tests."""
    yield from _session(request, _marks(request.node), "module")


@pytest.fixture(scope="session")
def dataio_session(
    request: pytest.FixtureRequest, dataio_session_dir: Path
) -> Iterator[IngestSession]:
    """Yield a session for the whole run, for fixtures that make calls for all its tests."""
    yield from _session(request, _marks(request.node), "session", folder=dataio_session_dir)


@pytest.fixture(scope="session")
def dataio_session_dir(request: pytest.FixtureRequest) -> Path:
    """Return the folder of the cassette of ``dataio_session``: ``cassettes`` in the root folder."""
    return request.config.rootpath / "cassettes"


@pytest.fixture(autouse=True)
def _dataio_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Open the session of a marked test, and block the network where it is to be blocked."""
    node = request.node
    marks = _marks(node)
    config = node.config
    blocks = _blocks(config, config.option) or _theirs(node, "block_network") is not None
    if not marks and not blocks and not config.stash[_WIDE]:
        yield
        return
    options = _options(request, marks)
    blocks = options.get("block_network", blocks)
    with contextlib.ExitStack() as stack:
        _suspend(config, request.fixturenames)
        _resume(config, request.fixturenames)
        stack.enter_context(_lifted(config))
        if marks:
            _judge_import(config, node.path, options["mode"])
        if marks and options["mode"] != "off":
            # In replay it blocks by itself.
            records = _records(request.getfixturevalue("dataio"))
            config.stash[_ACCOUNT].replays = not records
            blocks = not records and blocks
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
    folder: Path | None = None,
) -> Iterator[IngestSession]:
    """Open the session of a test, a class or a module.

    Args:
        name: of its cassette.
        old: what the name was in earlier releases.
        only: no other test has a cassette of this name.
        folder: where that lies, if not with the module's.
    """
    from .pytest_usage import default_folder

    # A test before this one may have gone to another folder.
    start = request.config.invocation_params.dir
    folder = start / (folder or request.getfixturevalue("dataio_cassette_dir"))
    options = _options(request, marks)
    if options["mode"] != "rewrite" and not _is_there(folder, name) and _is_there(folder, old):
        name, only = old, False
    # Files of tests that have one folder may have tests of one name.
    only = only and folder == default_folder(request.path)
    opened = _opened(request, marks, folder / f"{name}.json", options, request.node.nodeid, only)
    stash = request.config.stash
    wide = request.fixturename if request.scope != "function" else None
    with contextlib.ExitStack() as stack:
        stack.enter_context(opened)
        stash[_OPENED].append(opened)
        if wide is not None:
            stash[_WIDE][wide] = opened
        try:
            if opened.warning:
                warnings.warn(pytest.PytestWarning(opened.warning), stacklevel=1)
            yield opened.ingest
        finally:
            if opened in stash[_OPENED]:
                stash[_OPENED].remove(opened)
            if wide is not None:
                del stash[_WIDE][wide]
    if opened.warning:
        warnings.warn(pytest.PytestWarning(opened.warning), stacklevel=1)


def _opened(
    request: pytest.FixtureRequest,
    marks: list[pytest.Mark],
    path: Path,
    options: Mapping[str, Any],
    what: str,
    only: bool = False,
) -> Opened:
    """Return the session of a cassette, not opened yet.

    Args:
        what: it is for, in words.
    """
    from .pytest_session import Opened, again

    config = request.config
    shared = [Path(os.path.normpath(path.parent / one)) for mark in marks for one in _shared(mark)]
    account = config.stash[_ACCOUNT]
    here = _from_here(config, account.ran[-1])
    return Opened(
        path, shared, {**options, "allowed_hosts": _allowed_hosts(config, options)}, what,
        again(here), account.run(), lambda: _lifted(config), only=only,
    )  # fmt: skip


def _is_there(folder: Path, name: str) -> bool:
    return name != "" and os.path.lexists(folder / f"{name}.json")


# -- wider fixtures ----------------------------------------------------------------------------


def _resume(config: pytest.Config, names: Iterable[str]) -> None:
    """Have the calls of a test, or of a fixture, in the wider sessions that it asks for."""
    stash = config.stash
    for name, opened in stash[_WIDE].items():
        if name in names and opened not in stash[_OPENED]:
            opened.resume()
            stash[_OPENED].append(opened)


def _suspend(config: pytest.Config, names: Iterable[str]) -> None:
    """Leave the calls of a test alone that does not ask for a wider session."""
    stash = config.stash
    for name, opened in stash[_WIDE].items():
        if name not in names and opened in stash[_OPENED]:
            stash[_OPENED].remove(opened)
            opened.suspend()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: Any
) -> Generator[None, object, object]:
    """Have the calls of fixtures wider than a test in cassettes of their own."""
    account = request.config.stash[_ACCOUNT]
    name, item = fixturedef.argname, account.item
    if fixturedef.scope == "function" or item is None:
        return (yield)
    # They may ask for a session themselves.
    asked = {name} if name.removeprefix("dataio_") in _SCOPES else set[str]()
    asked = asked.union(*(account.asked.get(one, ()) for one in fixturedef.argnames))
    account.asked[name] = asked
    if name.startswith("dataio_"):
        return (yield)

    def tell(what: str) -> None:
        account.running = what

    fixturedef.addfinalizer(lambda: tell(account.ran[-1]))
    tell(f"the fixture {name!r}, set up for {item.nodeid},")
    try:
        if asked:
            return (yield from _within_asked(fixturedef, request.config, asked))
        if not account.is_needed(fixturedef):
            result = yield
            fixturedef.addfinalizer(lambda: _suspend(request.config, ()))
            return result
        return (yield from _within_own(fixturedef, request, item))
    finally:
        tell(item.nodeid)
        fixturedef.addfinalizer(lambda: tell(f"the fixture {name!r}, torn down,"))


def _within_asked(
    fixturedef: pytest.FixtureDef[Any], config: pytest.Config, asked: set[str]
) -> Generator[None, object, object]:
    """Set a fixture up, and tear it down, in the sessions that it asks for."""
    fixturedef.addfinalizer(lambda: _suspend(config, ()))
    _resume(config, asked)
    result = yield
    fixturedef.addfinalizer(lambda: _resume(config, asked))
    return result


def _within_own(
    fixturedef: pytest.FixtureDef[Any], request: Any, item: Any
) -> Generator[None, object, object]:
    """Set a fixture up, and tear it down, in cassettes of its own."""
    from .pytest_fixtures import may_call, places, recorded

    # What narrower scopes have overridden counts for the test that is first.
    top = getattr(item, "_request", request)
    marks = _marks(request.node)
    options = _options(top, marks)
    if options["mode"] == "off" or not may_call(fixturedef):
        return (yield)
    config = request.config
    cls = (_class_name(item) or item.name) if fixturedef.scope == "class" else ""
    start = config.invocation_params.dir
    set_up, end = places(
        fixturedef, request, lambda: start / top.getfixturevalue("dataio_cassette_dir"), cls
    )
    run = config.stash[_ACCOUNT].run()
    warned: list[str] = []

    def within(path: Path, done: str) -> contextlib.AbstractContextManager[None]:
        what = f"the fixture {fixturedef.argname!r} ({fixturedef.scope} scope), {done}"

        def opened(path: Path, mode: str) -> Opened:
            return _opened(request, marks, path, {**options, "mode": mode}, what)

        return recorded(path, options["mode"], run, opened, warned.append)

    def warn() -> None:
        while warned:
            warnings.warn(pytest.PytestWarning(warned.pop()), stacklevel=1)

    ending = contextlib.ExitStack()
    fixturedef.addfinalizer(warn)
    fixturedef.addfinalizer(ending.close)
    with within(set_up, f"set up for {item.nodeid},"):
        result = yield
    fixturedef.addfinalizer(lambda: ending.enter_context(within(end, "torn down,")))
    warn()
    return result


# -- while modules are imported ----------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Look after what a module with marked tests connects to while it is collected."""
    config, path = collector.config, collector.path
    if not isinstance(collector, (pytest.Module, pytest.Class)) or _GUARD in config.stash:
        return (yield)
    mode, names = _mode(config), (_MARK, *config.getini("dataio_markers"))
    own = _mentions(path, names)
    if mode == "off" or not (own or any(_mentions(one, names) for one in _conftests(config))):
        return (yield)
    from .pytest_network import Importing

    hosts = _allowed_hosts(config, {})
    shown = os.path.relpath(path, config.invocation_params.dir)
    importing = Importing(shown, hosts, refuse=own and _is_replayed(path, mode))
    try:
        with importing.watching():
            return (yield)
    finally:
        if importing.found:
            config.stash[_IMPORTS].setdefault(path, importing.found)


def _judge_import(config: pytest.Config, path: Path, mode: str) -> None:
    """Fail, or warn, if a test's module connected somewhere while it was imported."""
    found = config.stash[_IMPORTS].get(path)
    if found is None:
        return
    if _is_replayed(path, mode):
        from .errors import BlockedError

        raise BlockedError(found)
    config.stash[_IMPORTS].pop(path)
    warnings.warn(pytest.PytestWarning(f"{found}; replay will refuse it"), stacklevel=1)


def _is_replayed(path: Path, mode: str) -> bool:
    from .pytest_usage import default_folder

    return mode == "none" or (mode == "once" and any(default_folder(path).glob("*.json")))


def _conftests(config: pytest.Config) -> list[Path]:
    files = (getattr(plugin, "__file__", None) for plugin in config.pluginmanager.get_plugins())
    return [Path(file) for file in files if file and Path(file).name == "conftest.py"]


@functools.lru_cache(maxsize=4096)
def _mentions(path: Path, names: tuple[str, ...]) -> bool:
    """Say whether a file of Python names a marker of ours, or a fixture."""
    try:
        text = path.read_bytes()
    except OSError:
        return False
    found = "|".join(map(re.escape, names)).encode()
    return re.search(rb"\b(?:" + found + rb")(?:_\w+)?\b", text) is not None


# -- what becomes of a test --------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Note that a test begins."""
    item.config.stash[_ACCOUNT].begun(item)
    _suspend(item.config, ())
    with _none_outside(item):
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
        with _none_outside(item):
            result = yield
    finally:
        account.phase = ""
    _raise_misses(item)
    return result


@contextlib.contextmanager
def _none_outside(item: pytest.Item) -> Iterator[None]:
    """Look after what is called for a marked test where it has no session."""
    config, marks = item.config, _marks(item)
    account = config.stash[_ACCOUNT]
    given = next((mark.kwargs["mode"] for mark in marks if "mode" in mark.kwargs), None)
    mode = _mode(config, given)
    if not marks or mode == "off" or _GUARD in config.stash:
        yield
        return
    from .pytest_network import Outside

    hosts = next((m.kwargs["allowed_hosts"] for m in marks if "allowed_hosts" in m.kwargs), ())
    outside = Outside(
        item.nodeid, _allowed_hosts(config, {"allowed_hosts": hosts} if hosts else {}),
        lambda: _is_replayed(item.path, mode) if account.replays is None else account.replays,
        lambda: account.running != item.nodeid,
    )  # fmt: skip
    with outside.watching():
        yield
    if outside.found:
        if outside.refused:
            from .errors import BlockedError

            raise BlockedError(outside.found)
        warnings.warn(pytest.PytestWarning(f"{outside.found}; replay will refuse it"), stacklevel=1)


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
        item: the last of them.
        running: what runs, in words, where the network is blocked; empty during collection.
        replays: the last of them does, or records; ``None`` until its session is open.
        asked: fixture → names of the wider sessions that it asks for.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.ran: list[str] = []
        self.phase = ""
        self.item: pytest.Item | None = None
        self.running = ""
        self.replays: bool | None = None
        self.asked: dict[str, set[str]] = {}
        self._config = config
        self._run: Run | None = None
        self._items: list[pytest.Item] = []
        self._chosen: list[pytest.Item] = []
        self._with_cassettes: list[pytest.Item] | None = None
        self._files: set[str] = set()
        self._broken: set[str] = set()
        self._outcomes: dict[str, str] = {}
        # Of pytest-xdist: what the processes share, who has not told yet, and what was told.
        self._folder = getattr(config, "workerinput", {}).get("dataio")
        self._made = ""
        self._workers: set[str] = set()
        self._gathered: list[dict[str, Any]] = []
        self._done: list[str] = []

    def begun(self, item: pytest.Item) -> None:
        """Note that a test begins."""
        self.ran.append(item.nodeid)
        self.item, self.running, self.replays = item, item.nodeid, None
        self.phase = "setup"

    def is_needed(self, fixturedef: pytest.FixtureDef[Any]) -> bool:
        """Say whether a test with a cassette asks for a fixture, whoever is the first to do so."""
        if self.item is not None and _is_ours(self.item):
            return True
        for item in self._ours():
            known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
            if fixturedef in known.get(fixturedef.argname, ()):
                return True
        return False

    def _ours(self) -> list[pytest.Item]:
        if self._with_cassettes is None:
            self._with_cassettes = [item for item in self._chosen if _is_ours(item)]
        return self._with_cassettes

    def run(self) -> Run:
        """Return what keeps account of cassettes."""
        if self._run is None:
            from .runs import Run

            folder = Path(self._folder) if self._folder else None
            root = self._config.rootpath
            self._run = Run(
                self, root, folder, details=_reports(self._config),
                offline=_mode(self._config) == "none",
            )  # fmt: skip
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
            if output["dataio"]:
                self._gathered.append(json.loads(output["dataio"]))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note which files were collected as a whole."""
        # With --lf, pytest passes over files as if they had no tests.
        partial = self._config.getoption("lf", False)
        file, _, within = report.nodeid.partition("::")
        if report.passed and not within and not partial:
            self._files.add(file)
        elif not report.passed:
            self._broken.add(file)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note which tests there are, before any is deselected."""
        self._items = list(items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which tests are to run."""
        self._chosen = session.items

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what became of a test, in the process that reports."""
        was = self._outcomes.get(report.nodeid)
        outcome = str(report.outcome)
        if outcome == "rerun":
            self._outcomes.pop(report.nodeid, None)
        elif outcome != "passed" and was != "failed":
            expected = outcome == "skipped" and hasattr(report, "wasxfail")
            told = "failed as expected" if expected else _TOLD.get(outcome, outcome)
            self._outcomes[report.nodeid] = told
        elif report.when == "call" and was is None:
            self._outcomes[report.nodeid] = "passed"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Hand on what was gathered, or drop what was not made again where that was asked for."""
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            gathered = self._run or _reports(self._config)
            output["dataio"] = json.dumps(self._usage().dump()) if gathered else ""
        elif self._run or self._gathered:
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
        here = config.invocation_params.dir
        chosen = [here / arg.partition("::")[0] for arg in config.args if "::" in arg]
        # Of a module that was given by its dotted name, the file is not known.
        whole = self._files - self._broken if all(path.exists() for path in chosen) else set()
        files = {os.path.realpath(config.rootpath / file) for file in whole}
        files -= {os.path.realpath(path) for path in chosen}
        usage.files = {file for file in files if Path(file).is_file()}
        usage.tests = {item.nodeid: _test(item) for item in self._items}
        usage.used = list(self._run.used) if self._run else []
        for gathered in self._gathered:
            usage.load(gathered)
        usage.outcomes = dict(self._outcomes)
        if self._workers:
            usage.broken = "not all workers have told what they did"
        return usage


def _is_ours(item: pytest.Item) -> bool:
    """Say whether a test has a cassette."""
    names = getattr(item, "fixturenames", ())
    return bool(_marks(item)) or "dataio" in names or any(f"dataio_{s}" in names for s in _SCOPES)


_TOLD = {"failed": "has failed", "skipped": "was skipped"}


def _test(item: pytest.Item) -> Collected:
    """Return a test, and which cassettes may be its by their names."""
    from .pytest_names import cassette_name
    from .pytest_usage import Collected

    marks = _marks(item)
    names = []
    fixtures = {name for name in getattr(item, "fixturenames", ()) if name.startswith("dataio")}
    if marks or fixtures - {"dataio_config", "dataio_cassette_dir", "dataio_cassette_name"}:
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
