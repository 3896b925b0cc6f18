"""What is known of a run of tests: which there are, what became of them, and of their cassettes."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .options import (
    SCOPES,
    by_ci,
    marks_of,
    mode_of,
    shared_of,
    their_mark,
    wants_report,
)

if TYPE_CHECKING:
    from ..formats.cassette.runs import Run
    from .usage import Collected, Usage

ACCOUNT: pytest.StashKey[Account] = pytest.StashKey()
_TOLD = {"failed": "has failed", "skipped": "was skipped"}


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
            from ..formats.cassette.runs import Run

            folder = Path(self._folder) if self._folder else None
            root = self._config.rootpath
            self._run = Run(
                self, root, folder, details=wants_report(self._config),
                offline=mode_of(self._config) == "none", reason=by_ci(self._config),
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
            gathered = self._run or wants_report(self._config)
            output["dataio"] = json.dumps(self._usage().dump()) if gathered else ""
        elif self._run or self._gathered:
            from .usage import prune, written

            usage, here = self._usage(), self._config.invocation_params.dir
            brief = self._config.getoption("verbose") < 0
            self._done = [*prune(usage, here, rewritten=True), *written(usage, here, brief=brief)]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the report, and do what was asked for about it."""
        if not wants_report(self._config):
            if self._done:
                terminalreporter.write_sep("=", "cassettes")
            for line in self._done:
                terminalreporter.write_line(line)
            return
        from .usage import lines, prune

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
        from .project import Project
        from .usage import Usage

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
    return bool(marks_of(item)) or "dataio" in names or any(f"dataio_{s}" in names for s in SCOPES)


def _test(item: pytest.Item) -> Collected:
    """Return a test, and which cassettes may be its by their names."""
    from ..formats.cassette.names import cassette_name
    from .usage import Collected

    marks = marks_of(item)
    names = []
    fixtures = {name for name in getattr(item, "fixturenames", ()) if name.startswith("dataio")}
    if marks or fixtures - {"dataio_config", "dataio_cassette_dir", "dataio_cassette_name"}:
        outer = class_name(item).split(".")
        classes = [".".join(outer[: count + 1]) for count in range(len(outer))]
        own = [cassette_name(item.name, classes[-1]), old_name(item)]
        cls = getattr(item, "cls", None)
        old = [cls.__name__] if cls else []
        names = [*own, *(cassette_name(name) for name in (*classes, *old) if name), "module"]
        names += ["package", "session"]
    named = their_mark(item, "default_cassette")
    if named is not None and named.args:
        names.append(Path(named.args[0]).stem)
    shared = [path.with_suffix(".json").name for mark in marks for path in shared_of(mark)]
    return Collected(item.nodeid, os.path.realpath(item.path), tuple(names), tuple(shared))


def class_name(node: pytest.Item | pytest.Collector) -> str:
    """Return the name of a test's class, after those of the classes that it is within."""
    return ".".join(one.name for one in node.listchain() if isinstance(one, pytest.Class))


def old_name(node: pytest.Item) -> str:
    """Return the name of a test's cassette as it was without the classes around its own."""
    from ..formats.cassette.names import cassette_name

    cls = getattr(node, "cls", None)
    return cassette_name(node.name, cls.__name__ if cls else "")


def from_here(config: pytest.Config, nodeid: str) -> str:
    """Return a node id as it has to be given where pytest was started."""
    path, colons, rest = nodeid.partition("::")
    here = os.path.relpath(config.rootpath / path, config.invocation_params.dir)
    return f"{here}{colons}{rest}"
