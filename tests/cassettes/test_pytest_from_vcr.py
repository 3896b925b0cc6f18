"""Markers and fixtures of vcrpy's plugins, whose options come together as they do there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from examples.market_server import MarketServer
from tests.support.pytests import bare, run

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    bare(monkeypatch)


@pytest.fixture
def server() -> Iterator[MarketServer]:
    with MarketServer() as server:
        yield server


def test_a_marker_adds_to_the_fixture(pytester: pytest.Pytester, server: MarketServer) -> None:
    pytester.makeini("[pytest]\ndataio_markers = vcr")
    pytester.makeconftest(
        """
        import pytest
        from mxm_dataio.vcr_options import from_vcr

        def without_name(request):
            request.headers["X-Mine"] = "nobody"
            return None if request.path == "/telemetry" else request

        @pytest.fixture(scope="session")
        def dataio_config():
            return from_vcr(
                {"before_record_request": without_name, "filter_headers": ["x-yours"]},
                matchers={"low": lambda request: request.path.lower()},
            )
        """
    )
    pytester.makepyfile(
        f"""
        import os
        import pytest, requests

        @pytest.mark.vcr(match_on=["method", "low"], filter_query_parameters=[("page", "0")])
        def test_it():
            run = os.environ["RUN"]
            path = ["/symbols", "/SYMBOLS"][int(run) - 1]
            headers = {{"X-Mine": "anna", "X-Yours": "anna"}}
            asked = requests.get(f"{server.url}{{path}}?page={{run}}", headers=headers, timeout=5)
            assert asked.status_code == 200
            if run == "1":
                requests.get("{server.url}/telemetry", timeout=5)
        """
    )
    for number in ("1", "2"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RUN", number)
            run(pytester, passed=1)
    (cassette,) = pytester.path.rglob("*.json")
    text = cassette.read_text()
    assert "anna" not in text
    assert "nobody" in text
    assert "telemetry" not in text
    assert "page=0" in text


@pytest.mark.parametrize("setting", ["dataio_match_headers = X-Tenant", ""])
def test_a_header_counts_by_the_ini_file(
    setting: str, pytester: pytest.Pytester, server: MarketServer
) -> None:
    pytester.makeini(f"[pytest]\n{setting}")
    pytester.makepyfile(
        f"""
        import os
        import pytest, requests

        @pytest.mark.dataio
        def test_it():
            headers = {{"X-Tenant": os.environ["RUN"]}}
            requests.get("{server.url}/symbols", headers=headers, timeout=5)
        """
    )
    for number in ("1", "2"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RUN", number)
            fails = bool(setting) and number == "2"
            run(pytester, **({"failed": 1} if fails else {"passed": 1}))
