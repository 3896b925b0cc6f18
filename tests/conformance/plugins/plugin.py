"""A pytest plugin: logs how each test ends, and records one session round every test.

Loaded with ``-p plugin`` into the suite of another project. ``CONFORMANCE_MODE`` is ``plain``
(only log), ``hook`` (the process-wide hook), ``stdlib`` (that and the one on ``http.client``) or
``mount`` (each ``requests.Session`` mounted).
Old pytest runs it too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

MODE = os.environ["CONFORMANCE_MODE"]
LOG = Path(os.environ["CONFORMANCE_LOG"])
ROOT = Path(os.environ["CONFORMANCE_ROOT"])
# A file that lists the tests to run, for running some again; all if empty.
ONLY = os.environ["CONFORMANCE_ONLY"]


def note(**line: Any) -> None:
    """Append a line to the log, at once: a suite may not come to its end."""
    with LOG.open("a") as log:
        log.write(json.dumps(line) + "\n")


def words(report: Any) -> str:
    """Return the line that says why a test failed or was skipped."""
    if isinstance(report.longrepr, tuple):
        text = str(report.longrepr[2])
    else:
        crash = getattr(report.longrepr, "reprcrash", None)
        text = crash.message if crash is not None else str(report.longrepr or "")
    return next(iter(text.strip().splitlines()), "")


class Log:
    """Writes each phase's outcome, and how many tests were left out."""

    def pytest_runtest_logreport(self, report: Any) -> None:
        outcome = report.outcome
        if getattr(report, "wasxfail", None) is not None:
            outcome = "xpassed" if report.passed else "xfailed"
        error = "" if report.passed else words(report)
        note(id=report.nodeid, when=report.when, outcome=outcome, error=error)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            note(id=report.nodeid, when="collect", outcome="failed", error=words(report))

    def pytest_deselected(self, items: list[Any]) -> None:
        for item in items:
            note(id=item.nodeid, when="collect", outcome="left out", error="")

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        if ONLY:
            wanted = set(json.loads(Path(ONLY).read_text()))
            items[:] = [item for item in items if item.nodeid in wanted]


class Capture:
    """One session round set-up, call and teardown of each test."""

    def __init__(self) -> None:
        import mxm_dataio

        self.dataio = mxm_dataio
        self.ingest: Any = None
        if MODE == "mount":
            self._mount_all()

    def _mount_all(self) -> None:
        import requests

        original = requests.Session.__init__
        mount, plugin = self.dataio.mount, self

        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            if plugin.ingest is not None:
                mount(self, plugin.ingest)

        requests.Session.__init__ = init  # type: ignore[method-assign]

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
        self.ingest = self.dataio.IngestSession(
            source="suite",
            root=ROOT,
            mode="record",
            kind=item.nodeid,
            hook=MODE != "mount",
            stdlib=MODE == "stdlib",
        )
        self.ingest.open()
        yield
        try:
            self.ingest.close()
            said = self.ingest.session.warnings
            trouble = "; ".join(one for one in said if not one.startswith("coverage: loaded"))
        except Exception as exc:  # of ours, not of the test
            trouble = repr(exc)
        if trouble:
            note(id=item.nodeid, when="capture", outcome="problem", error=trouble)
        self.ingest = None


def pytest_configure(config: Any) -> None:
    """Log, and capture if it is to be captured."""
    config.pluginmanager.register(Log(), "conformance-log")
    if MODE != "plain":
        config.pluginmanager.register(Capture(), "conformance-capture")
