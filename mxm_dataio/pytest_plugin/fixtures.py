"""The plugin's fixtures, and the sessions that they open."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest

from ..config.choices import Scope
from .account import ACCOUNT, class_name, from_here, old_name
from .guarding import judge_import, lifted
from .options import (
    SCOPES,
    allowed_hosts,
    blocks_network,
    marks_of,
    options_of,
    shared_of,
    their_mark,
)

if TYPE_CHECKING:
    from ..api import IngestSession
    from .session import TestSession

OPENED: pytest.StashKey[list[TestSession]] = pytest.StashKey()
WIDE: pytest.StashKey[dict[str, TestSession]] = pytest.StashKey()


@pytest.fixture(scope="session")
def dataio_config() -> dict[str, Any]:
    """Return options for cassettes, as the marker takes them; to be overridden where it is due."""
    return {}


@pytest.fixture(scope="module")
def dataio_cassette_dir(request: pytest.FixtureRequest) -> Path:
    """Return the folder of a module's cassettes: ``cassettes/<module>`` beside it."""
    from .usage import default_folder

    return default_folder(request.path)


@pytest.fixture
def dataio_cassette_name(request: pytest.FixtureRequest) -> str:
    """Return the name of a test's cassette, without ``.json``."""
    from ..formats.cassette.names import cassette_name

    named = their_mark(request.node, "default_cassette")
    if named is not None and named.args:
        return Path(named.args[0]).stem
    return cassette_name(request.node.name, class_name(request.node))


@pytest.fixture
def dataio(request: pytest.FixtureRequest) -> Iterator[IngestSession]:
    """Yield the test's ``IngestSession``, which has its calls in the test's cassette."""
    marks = marks_of(request.node)
    scope = options_of(request, marks).get("scope", "function")
    if scope != "function":
        if scope not in SCOPES:
            raise pytest.UsageError(
                f"dataio(scope={scope!r}): there are {', '.join(get_args(Scope))}"
            )
        ingest = request.getfixturevalue(f"dataio_{scope}")
        resume(request.config, [f"dataio_{scope}"])
        yield ingest
        return
    from ..formats.cassette.names import cassette_name

    name = request.getfixturevalue("dataio_cassette_name")
    if name != cassette_name(request.node.name, class_name(request.node)):
        yield from _session(request, marks, name)
    else:
        yield from _session(request, marks, name, old_name(request.node), only=True)


@pytest.fixture(scope="class")
def dataio_class(request: pytest.FixtureRequest) -> Iterator[IngestSession]:
    """Yield a session for the whole of a class, for fixtures that make calls for all its tests."""
    from ..formats.cassette.names import cassette_name

    name = cassette_name(class_name(request.node) or request.node.name)
    old = cassette_name(request.cls.__name__) if request.cls else ""
    yield from _session(request, marks_of(request.node), name, old)


@pytest.fixture(scope="module")
def dataio_module(request: pytest.FixtureRequest) -> Iterator[IngestSession]:
    """Yield a session for the whole of a module, for fixtures that make calls for all its tests."""
    yield from _session(request, marks_of(request.node), "module")


@pytest.fixture(scope="session")
def dataio_session(
    request: pytest.FixtureRequest, dataio_session_dir: Path
) -> Iterator[IngestSession]:
    """Yield a session for the whole run, for fixtures that make calls for all its tests."""
    yield from _session(request, marks_of(request.node), "session", folder=dataio_session_dir)


@pytest.fixture(scope="session")
def dataio_session_dir(request: pytest.FixtureRequest) -> Path:
    """Return the folder of the cassette of ``dataio_session``: ``cassettes`` in the root folder."""
    return request.config.rootpath / "cassettes"


@pytest.fixture(autouse=True)
def _dataio_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Open the session of a marked test, and block the network where it is to be blocked."""
    node = request.node
    marks = marks_of(node)
    config = node.config
    blocks = blocks_network(config, config.option) or their_mark(node, "block_network") is not None
    if not marks and not blocks and not config.stash[WIDE]:
        yield
        return
    options = options_of(request, marks)
    blocks = options.get("block_network", blocks)
    with contextlib.ExitStack() as stack:
        suspend(config, request.fixturenames)
        resume(config, request.fixturenames)
        stack.enter_context(lifted(config))
        if marks:
            judge_import(config, node.path, options["mode"])
        if marks and options["mode"] != "off":
            # In replay it blocks by itself.
            records = _records(request.getfixturevalue("dataio"))
            config.stash[ACCOUNT].replays = not records
            blocks = not records and blocks
        if blocks:
            from .session import blocked

            stack.enter_context(blocked(node.nodeid, allowed_hosts(config, options)))
        yield


def _records(ingest: IngestSession) -> bool:
    return ingest.mode.value in ("record", "auto")


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
    from .usage import default_folder

    # A test before this one may have gone to another folder.
    start = request.config.invocation_params.dir
    folder = start / (folder or request.getfixturevalue("dataio_cassette_dir"))
    options = options_of(request, marks)
    if options["mode"] != "rewrite" and not _is_there(folder, name) and _is_there(folder, old):
        name, only = old, False
    # Files of tests that have one folder may have tests of one name.
    only = only and folder == default_folder(request.path)
    opened = _opened(request, marks, folder / f"{name}.json", options, request.node.nodeid, only)
    stash = request.config.stash
    wide = request.fixturename if request.scope != "function" else None
    with contextlib.ExitStack() as stack:
        stack.enter_context(opened)
        stash[OPENED].append(opened)
        if wide is not None:
            stash[WIDE][wide] = opened
        try:
            if opened.warning:
                warnings.warn(pytest.PytestWarning(opened.warning), stacklevel=1)
            yield opened.ingest
        finally:
            if opened in stash[OPENED]:
                stash[OPENED].remove(opened)
            if wide is not None:
                del stash[WIDE][wide]
    if opened.warning:
        warnings.warn(pytest.PytestWarning(opened.warning), stacklevel=1)


def _opened(
    request: pytest.FixtureRequest,
    marks: list[pytest.Mark],
    path: Path,
    options: Mapping[str, Any],
    what: str,
    only: bool = False,
) -> TestSession:
    """Return the session of a cassette, not opened yet.

    Args:
        what: it is for, in words.
    """
    from .session import TestSession, again

    config = request.config
    shared = [
        Path(os.path.normpath(path.parent / one)) for mark in marks for one in shared_of(mark)
    ]
    account = config.stash[ACCOUNT]
    here = from_here(config, account.ran[-1])
    return TestSession(
        path, shared, {**options, "allowed_hosts": allowed_hosts(config, options)}, what,
        again(here), account.run(), lambda: lifted(config), only=only,
    )  # fmt: skip


def _is_there(folder: Path, name: str) -> bool:
    return name != "" and os.path.lexists(folder / f"{name}.json")


def resume(config: pytest.Config, names: Iterable[str]) -> None:
    """Have the calls of a test, or of a fixture, in the wider sessions that it asks for."""
    stash = config.stash
    for name, opened in stash[WIDE].items():
        if name in names and opened not in stash[OPENED]:
            opened.resume()
            stash[OPENED].append(opened)


def suspend(config: pytest.Config, names: Iterable[str]) -> None:
    """Leave the calls of a test alone that does not ask for a wider session."""
    stash = config.stash
    for name, opened in stash[WIDE].items():
        if name not in names and opened in stash[OPENED]:
            stash[OPENED].remove(opened)
            opened.suspend()


def within_asked(
    fixturedef: pytest.FixtureDef[Any], config: pytest.Config, asked: set[str]
) -> Generator[None, object, object]:
    """Set a fixture up, and tear it down, in the sessions that it asks for."""
    fixturedef.addfinalizer(lambda: suspend(config, ()))
    resume(config, asked)
    result = yield
    fixturedef.addfinalizer(lambda: resume(config, asked))
    return result


def within_own(
    fixturedef: pytest.FixtureDef[Any], request: Any, item: Any
) -> Generator[None, object, object]:
    """Set a fixture up, and tear it down, in cassettes of its own."""
    from .wide_fixtures import may_call, places, recorded

    # What narrower scopes have overridden counts for the test that is first.
    top = getattr(item, "_request", request)
    marks = marks_of(request.node)
    options = options_of(top, marks)
    if options["mode"] == "off" or not may_call(fixturedef):
        return (yield)
    config = request.config
    cls = (class_name(item) or item.name) if fixturedef.scope == "class" else ""
    start = config.invocation_params.dir
    set_up, end = places(
        fixturedef, request, lambda: start / top.getfixturevalue("dataio_cassette_dir"), cls
    )
    run = config.stash[ACCOUNT].run()
    warned: list[str] = []

    def within(path: Path, done: str) -> contextlib.AbstractContextManager[None]:
        what = f"the fixture {fixturedef.argname!r} ({fixturedef.scope} scope), {done}"

        def opened(path: Path, mode: str) -> TestSession:
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
