"""A pytest within this one, as the plugin's users run it."""

from __future__ import annotations

import pytest

from mxm_dataio.adapters.requests import adapter as _requests  # noqa: F401

# Loaded here, since each pytest within this one drops what it has loaded itself.
from mxm_dataio.pytest_plugin import session, usage, wide_fixtures  # noqa: F401

_AUTOLOAD = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"
# Of others, which only those that are about them run with.
_OTHERS = ("asyncio", "recording", "rerunfailures")


def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing of this pytest reach one within it."""
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", _AUTOLOAD):
        monkeypatch.delenv(name, raising=False)


def start(
    pytester: pytest.Pytester,
    *options: str,
    beside: str = "",
    apart: bool = False,
    installed: bool = False,
) -> pytest.RunResult:
    """Run a pytest within this one.

    Args:
        beside: which of the others' plugins it runs with.
        apart: in a process of its own, which takes ten times as long.
        installed: with every plugin that is installed, as its user would; one apart always is.
    """
    if not list(pytester.path.glob("*.ini")):
        # Whatever folder it lies in has no say.
        pytester.makeini("[pytest]\n")
    if apart or installed:
        plugins = [f"no:{name}" for name in _OTHERS if name != beside]
        make = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
        return make(*_loading(plugins), *options)
    plugins = ["dataio", "xdist", *([beside] if beside else [])]
    with pytest.MonkeyPatch.context() as patch:
        # Finding and loading a dozen of them, in each worker too, takes most of the time.
        patch.setenv(_AUTOLOAD, "1")
        return pytester.runpytest_inprocess(*_loading(plugins), *options)


def _loading(plugins: list[str]) -> list[str]:
    return [word for name in plugins for word in ("-p", name)]


def run(
    pytester: pytest.Pytester,
    *options: str,
    beside: str = "",
    apart: bool = False,
    installed: bool = False,
    **outcomes: int,
) -> pytest.RunResult:
    """Run a pytest as `start` does, warnings being errors; check how many tests ended how."""
    # urllib3 1.26's own, on Pythons newer than it; and pytest's, of what others have loaded early.
    theirs = ("ImportWarning", "pytest.PytestAssertRewriteWarning", "DeprecationWarning:urllib3")
    ignored = [word for name in theirs for word in ("-W", f"ignore::{name}")]
    plain = ("-p", "no:cacheprovider", "-W", "error", *ignored)
    result = start(pytester, *plain, *options, beside=beside, apart=apart, installed=installed)
    assert result.parseoutcomes() == outcomes, str(result.stdout)
    return result


def cassettes(pytester: pytest.Pytester) -> list[str]:
    """Return the paths of all cassettes below the project's folder."""
    root = pytester.path
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("cassettes/**/*.json"))
