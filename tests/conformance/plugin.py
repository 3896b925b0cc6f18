"""A pytest plugin: logs each test's outcome, and records one session round every test.

Loaded with ``-p plugin`` into the suite of another project. ``CONFORMANCE_MODE`` is ``plain``
(only log), ``hook`` (the process-wide hook) or ``mount`` (each ``requests.Session`` mounted).
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


def note(**line: Any) -> None:
    """Append a line to the log; workers of xdist share it."""
    with LOG.open("a") as log:
        log.write(json.dumps(line) + "\n")


def error_line(report: pytest.TestReport) -> str:
    """Return the line that names a failure's exception."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr or "")
    return next(iter(text.strip().splitlines()), "")


class Log:
    """Writes outcomes; only where the test did not run elsewhere."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome = "xfail" if getattr(report, "wasxfail", None) is not None else report.outcome
        error = error_line(report) if report.failed else ""
        note(id=report.nodeid, when=report.when, outcome=outcome, error=error)


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

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.ingest = self.dataio.IngestSession(
            source="suite", root=ROOT, mode="record", kind=item.nodeid, hook=MODE == "hook"
        )
        self.ingest.open()
        try:
            return (yield)
        finally:
            try:
                self.ingest.close()
                ended = self.ingest.session
                trouble = "; ".join(ended.warnings)
            except Exception as exc:  # of ours, not of the test
                trouble = repr(exc)
            if trouble:
                note(id=item.nodeid, when="capture", outcome="problem", error=trouble)
            self.ingest = None


def pytest_configure(config: pytest.Config) -> None:
    """Log in the controlling process, capture where tests run."""
    is_worker = hasattr(config, "workerinput")
    if not is_worker:
        config.pluginmanager.register(Log(), "conformance-log")
    if MODE != "plain" and (is_worker or not config.getoption("numprocesses", None)):
        config.pluginmanager.register(Capture(), "conformance-capture")
