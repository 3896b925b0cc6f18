"""The package's front: every name is there, and nothing is loaded before it is asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import mxm_dataio
from mxm_dataio.adapters import support

# Slow to load, and needed by some programs only, or only when something went wrong.
SELDOM = {"backports.zstd", "difflib", "importlib.metadata", "omegaconf", "tomllib", "uuid", "yaml"}
TRANSPORTS = {"requests", "ssl", "urllib3"}
# For a session alone.
SESSION = {"dataclasses", "inspect", "mxm_dataio.api", "mxm_dataio.models", "sqlite3"}

OPEN = """
with mxm_dataio.IngestSession("test", {root!r}, hook={hook}):
    pass
"""


def loaded_by(program: str, *, after: str = "") -> set[str]:
    """Return the modules that a program loads in a fresh process, beyond those of ``after``."""
    script = f"import sys\n{after}\nbefore = set(sys.modules)\n{program}\n"
    script += "print(*(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def refuse(came: set[str], unwanted: set[str]) -> None:
    assert not came & unwanted, f"loaded without need: {', '.join(sorted(came & unwanted))}"


def test_beside_requests_the_import_loads_nothing_but_the_front() -> None:
    came = loaded_by("import mxm_dataio", after="import requests")
    assert "mxm_dataio" in came
    refuse(came, came - {"mxm_dataio", "mxm_dataio.interception"})


def test_the_import_alone_loads_neither_transports_nor_what_a_session_needs() -> None:
    refuse(loaded_by("import mxm_dataio"), SELDOM | TRANSPORTS | SESSION)


def test_the_session_loads_neither_transports_nor_what_is_seldom_needed() -> None:
    came = loaded_by("from mxm_dataio import *", after="import requests")
    assert "mxm_dataio.adapters.requests.adapter" in came
    refuse(came, SELDOM)
    refuse(loaded_by("from mxm_dataio import IngestSession, Store"), SELDOM | TRANSPORTS)


def test_a_session_opens_without_what_is_seldom_needed(tmp_path: Path) -> None:
    program = "import mxm_dataio\n" + OPEN.format(root=str(tmp_path), hook=True)
    came = loaded_by(program, after="import requests")
    assert "mxm_dataio.adapters.urllib3.hook" in came
    refuse(came, SELDOM)
    without_hook = "import mxm_dataio\n" + OPEN.format(root=str(tmp_path), hook=False)
    refuse(loaded_by(without_hook), SELDOM | TRANSPORTS)


@pytest.mark.parametrize("name", [*mxm_dataio.__all__, "HTTPFetcher", "__version__"])
def test_a_name_is_handed_on(name: str) -> None:
    assert name in dir(mxm_dataio) or name == "HTTPFetcher"
    value = getattr(mxm_dataio, name)
    assert getattr(mxm_dataio, name) is value
    if name != "__version__":
        assert value is getattr(import_module(value.__module__), name)


@pytest.mark.parametrize("module", ["api", "errors", "models", "registry", "store"])
def test_a_module_with_public_names_is_an_attribute(module: str) -> None:
    assert "True" in loaded_by(
        f"import mxm_dataio\nprint(mxm_dataio.{module}.__name__ == 'mxm_dataio.{module}')"
    )


def test_type_checkers_see_the_names_where_they_are() -> None:
    tree = ast.parse(Path(str(mxm_dataio.__file__)).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    assert seen == mxm_dataio._HOMES
    assert set(mxm_dataio.__all__) <= set(seen)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'mxm_dataio' has no attribute 'Sesion'"):
        _ = mxm_dataio.Sesion


def test_a_module_imported_directly_finds_its_adapters(tmp_path: Path) -> None:
    program = f"""
from mxm_dataio.api import IngestSession
with IngestSession("test", {str(tmp_path)!r}) as ingest:
    print(*("hook:" + type(each).__name__ for each in ingest._life.installed))
    print(type(ingest._capture.http_fetcher()).__name__)
"""
    assert {"hook:Hook", "HTTPFetcher"} <= loaded_by(program)


class TestRequestsVersion:
    """Which decides whether a session needs the hook for requests before 2.29."""

    def test_of_the_loaded_module(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("requests.__version__", "2.28.7")
        assert support.requests_version() == "2.28.7"

    def test_before_it_is_loaded(self) -> None:
        program = """
from mxm_dataio.adapters.support import requests_version
found = requests_version()
print("requests" in sys.modules)
import requests
print(f"same:{found == requests.__version__}")
"""
        said = loaded_by(program)
        assert "False" in said
        assert "same:True" in said

    def test_without_its_metadata(self) -> None:
        program = """
import importlib.metadata
def version(name): raise importlib.metadata.PackageNotFoundError(name)
importlib.metadata.version = version
from mxm_dataio.adapters.support import requests_version
found = requests_version()
import requests
print(f"same:{found == requests.__version__}")
"""
        assert "same:True" in loaded_by(program)

    def test_where_there_is_none(self) -> None:
        program = """
import importlib.metadata
def version(name): raise importlib.metadata.PackageNotFoundError(name)
importlib.metadata.version = version
sys.modules["requests"] = None
from mxm_dataio.adapters.support import requests_version
print(f"found:{requests_version()}")
"""
        assert "found:None" in loaded_by(program)


@pytest.mark.parametrize(
    ("version", "hooks"),
    [("2.28.9", True), ("2.29.0", False), ("2.29", False), ("2.100.1", False)],
)
def test_only_old_requests_has_its_chunks_seen(
    version: str, hooks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("requests.__version__", version)
    assert (mxm_dataio._chunked_hook() is not None) is hooks


@pytest.mark.parametrize("version", ["3.0.0", "2.27.1", "2.x", "unknown"])
def test_an_unknown_requests_is_refused_as_such(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("requests.__version__", version)
    with pytest.raises(mxm_dataio.ConfigError, match=f"calls through requests {version} can't"):
        mxm_dataio._chunked_hook()
