"""The pytest plugin: tests record their calls in cassettes, and replay them for ever after.

Loaded by every pytest run of an environment that has this package, so it imports nothing of it
before a test is marked but the modules of the plugin that its hooks and fixtures are in.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import Any

import pytest

from ..interception import runs
from .account import ACCOUNT, Account, from_here
from .fixtures import OPENED, WIDE, suspend, within_asked, within_own
from .guarding import GUARD, IMPORTS, conftests, is_replayed, mentions, none_outside, start_guard
from .options import (
    MARK,
    SCOPES,
    add_markers,
    add_options,
    allowed_hosts,
    mode_of,
    note_near_options,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and the settings of the same names."""
    add_options(parser)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, object, object]:
    """Block the network from the first conftest on, where it is to be blocked."""
    note_near_options(parser, args)
    start_guard(early_config, early_config.known_args_namespace)
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    add_markers(config)
    config.stash[OPENED] = []
    config.stash[WIDE] = {}
    config.stash[IMPORTS] = {}
    config.stash[ACCOUNT] = account = Account(config)
    # Where this plugin came too late for the first conftests.
    start_guard(config, config.option)
    if GUARD in config.stash:
        config.stash[GUARD].running = lambda: account.running
    config.pluginmanager.register(account, "dataio-account")
    runs.append(account.run)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Keep account no longer."""
    account = config.stash.get(ACCOUNT, None)
    if account is not None:
        runs.remove(account.run)
        account.close()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: Any
) -> Generator[None, object, object]:
    """Have the calls of fixtures wider than a test in cassettes of their own."""
    account = request.config.stash[ACCOUNT]
    name, item = fixturedef.argname, account.item
    if fixturedef.scope == "function" or item is None:
        return (yield)
    # They may ask for a session themselves.
    asked = {name} if name.removeprefix("dataio_") in SCOPES else set[str]()
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
            return (yield from within_asked(fixturedef, request.config, asked))
        if not account.is_needed(fixturedef):
            result = yield
            fixturedef.addfinalizer(lambda: suspend(request.config, ()))
            return result
        return (yield from within_own(fixturedef, request, item))
    finally:
        tell(item.nodeid)
        fixturedef.addfinalizer(lambda: tell(f"the fixture {name!r}, torn down,"))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Look after what a module with marked tests connects to while it is collected."""
    config, path = collector.config, collector.path
    if not isinstance(collector, (pytest.Module, pytest.Class)) or GUARD in config.stash:
        return (yield)
    mode, names = mode_of(config), (MARK, *config.getini("dataio_markers"))
    own = mentions(path, names)
    if mode == "off" or not (own or any(mentions(one, names) for one in conftests(config))):
        return (yield)
    from .network import Importing

    hosts = allowed_hosts(config, {})
    shown = os.path.relpath(path, config.invocation_params.dir)
    importing = Importing(shown, hosts, refuse=own and is_replayed(path, mode))
    try:
        with importing.watching():
            return (yield)
    finally:
        if importing.found:
            config.stash[IMPORTS].setdefault(path, importing.found)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Note that a test begins."""
    item.config.stash[ACCOUNT].begun(item)
    suspend(item.config, ())
    with none_outside(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that met a miss and went on without it."""
    item.config.stash[ACCOUNT].phase = "call"
    result = yield
    _raise_misses(item)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Do so for the misses of what the test has torn down, which are not the next one's."""
    account = item.config.stash[ACCOUNT]
    account.phase = "teardown"
    try:
        with none_outside(item):
            result = yield
    finally:
        account.phase = ""
    _raise_misses(item)
    return result


def _raise_misses(item: pytest.Item) -> None:
    for opened in item.config.stash[OPENED]:
        opened.raise_misses()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the sessions what became of their test, and the reader how to record it again."""
    if call.excinfo is not None and "mxm_dataio.errors" in sys.modules:
        from .frames import cut_frames

        cut_frames(call.excinfo, item.config)
    report = yield
    for opened in item.config.stash[OPENED]:
        missed = opened.ended(item.nodeid, call.when, report)
        if call.excinfo is not None and (missed or opened.concerns(call.excinfo.value)):
            from .session import again

            command = again(from_here(item.config, item.nodeid))
            text = f"cassette: {opened.path}\nrecord it again: {command}"
            report.sections.append(("dataio", text))
    return report
