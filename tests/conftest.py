"""Settings of all tests: a fast hypothesis profile, and a clean environment."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite(
    "tests.support.harness", "tests.support.pytests", "tests.support.ways"
)

from mxm_dataio.coverage import libraries, natives  # noqa: E402
from mxm_dataio.ingest.active import sessions  # noqa: E402
from tests.support.effort import rounds  # noqa: E402

settings.register_profile(
    "fast",
    max_examples=rounds(20, 100),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # Others' changes are not to fail by what was drawn for the first time.
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("fast")


def pytest_collection_finish() -> None:
    """Have the thousands of tests themselves looked at by no later collection of garbage."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two for each core: many tests wait, for a server's time to run out or a process to start."""
    return 2 * len(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No proxy, bundle or setting of the machine reaches a test; no session is left open."""
    for name in (
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "SSL_CERT_FILE",
        "MXM_DATAIO_CONFIG",
        "CI",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("no_proxy", "")
    # Nor does what another test has loaded; those of coverage say themselves what is.
    monkeypatch.setattr(libraries, "_BYPASSING", ())
    natives.own.add("obstore")
    yield
    left = list(sessions)
    for ingest in left:
        ingest.end()
    assert not left, "a test left a session open"
