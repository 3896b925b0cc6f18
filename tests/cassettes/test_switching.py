"""The project in examples/switching, written for pytest-recording, after its switch.

Its cassettes are those that pytest-recording recorded (see its conftest.py). Here they are
imported, and its tests run as they are, offline, under our plugin.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mxm_dataio.cli import main
from tests.support import CHECKOUT

PROJECT = CHECKOUT / "examples" / "switching"
TESTS = 17

# What the switch changes: no test body, the configuration alone.
CONFTEST = """
from pathlib import Path

import pytest
from market_client import Market
from mxm_dataio.vcr_options import from_vcr


@pytest.fixture(scope="session")
def dataio_config():
    return from_vcr(
        {
            "filter_headers": [("authorization", "Bearer of-nobody"), "user-agent", "cookie"],
            "filter_post_data_parameters": ["password"],
            "decode_compressed_response": True,
        }
    )


@pytest.fixture
def dataio_cassette_name(request, dataio_cassette_name):
    marker = request.node.get_closest_marker("default_cassette")
    return Path(marker.args[0]).stem if marker else dataio_cassette_name


@pytest.fixture
def market():
    return Market(key="k-5c1f7b40a9")
"""
INI = """
[pytest]
dataio_markers = vcr
markers =
    block_network
    default_cassette
addopts = --dataio-mode=none --dataio-block-network --strict-markers -p no:cacheprovider
"""


def run(project: Path, *args: str) -> subprocess.CompletedProcess[str]:
    # An address at which nobody answers, where a call that escapes would go.
    environ = {**os.environ, "http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:recording",
        "-p",
        "no:asyncio",
        *args,
    ]
    return subprocess.run(
        command, cwd=project, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project after the switch."""
    project = Path(shutil.copytree(PROJECT, tmp_path_factory.mktemp("switching") / "project"))
    (project / "conftest.py").write_text(CONFTEST)
    (project / "pytest.ini").write_text(INI)
    (project / "tests.txt").write_text(run(project, "--collect-only").stdout)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        imported(project, "--tests", "tests.txt")
    for old in project.rglob("*.yaml"):
        old.unlink()
    return project


def imported(project: Path, *args: str) -> None:
    result = CliRunner().invoke(main, ["import", str(project), *args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert f"27 calls of {TESTS} files imported" in result.output


def test_its_tests_run_as_they_are(project: Path) -> None:
    done = run(project)
    assert f"{TESTS} passed" in done.stdout, done.stdout
    for test in PROJECT.glob("test_*.py"):
        assert (project / test.name).read_bytes() == test.read_bytes()


def test_a_change_of_a_test_is_a_miss(project: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(project, tmp_path / "changed"))
    test = changed / "test_bars.py"
    test.write_text(test.read_text().replace('quote("ALFA")', 'quote("GOLF")'))
    done = run(changed, "test_bars.py")
    assert "1 failed, 6 passed" in done.stdout, done.stdout
    assert "GET http://market.test/quote/GOLF is not recorded in the cassette" in done.stdout


def test_its_cassettes_hold_no_secret_and_say_when_they_were_recorded(project: Path) -> None:
    cassettes = list(project.rglob("cassettes/*/*.json"))
    assert len(cassettes) == TESTS
    for path in cassettes:
        text = path.read_text()
        assert json.loads(text)["recorded"] == "2026-11-25"
        for secret in ("k-5c1f7b40a9", "p-93be41c7", "1258918d974fcca2"):
            assert secret not in text


def test_only_with_the_list_of_tests_are_two_names_told(project: Path, tmp_path: Path) -> None:
    imported(PROJECT, "-o", str(tmp_path))
    names = {path.name for path in tmp_path.rglob("*.json")}
    known = {path.name for path in project.rglob("cassettes/*/*.json")}
    assert len(names & known) == TESTS - 2
    assert all(name.startswith("test_unknown_interval[") for name in known - names)
