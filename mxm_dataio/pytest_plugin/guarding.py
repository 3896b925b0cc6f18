"""Who looks after what a run connects to past its cassettes, in tests and around them."""

from __future__ import annotations

import contextlib
import functools
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .account import ACCOUNT
from .options import allowed_hosts, blocks_network, marks_of, mode_of, split_hosts

if TYPE_CHECKING:
    from .network import Guard

GUARD: pytest.StashKey[Guard] = pytest.StashKey()
IMPORTS: pytest.StashKey[dict[Path, str]] = pytest.StashKey()


def start_guard(config: pytest.Config, given: Any) -> None:
    """Block the network for the run, where that is asked for and not done yet."""
    if GUARD not in config.stash and blocks_network(config, given):
        from .network import Guard

        hosts = split_hosts(given.dataio_allowed_hosts or config.getini("dataio_allowed_hosts"))
        config.stash[GUARD] = guard = Guard(hosts, config.rootpath)
        config.add_cleanup(guard.stop)


def lifted(config: pytest.Config) -> contextlib.AbstractContextManager[Any]:
    """Lift what blocks the network for the whole run, for who has a rule of its own."""
    guard = config.stash.get(GUARD, None)
    return contextlib.nullcontext() if guard is None else guard.lifted()


def judge_import(config: pytest.Config, path: Path, mode: str) -> None:
    """Fail, or warn, if a test's module connected somewhere while it was imported."""
    found = config.stash[IMPORTS].get(path)
    if found is None:
        return
    refused = is_replayed(path, mode)
    if not refused:
        config.stash[IMPORTS].pop(path)
    _tell(found, refused=refused)


def _tell(found: str, *, refused: bool) -> None:
    """Fail, or warn, for what was connected to."""
    if refused:
        from ..errors import BlockedError

        raise BlockedError(found)
    warnings.warn(pytest.PytestWarning(f"{found}; replay will refuse it"), stacklevel=1)


def is_replayed(path: Path, mode: str) -> bool:
    """Say whether the tests of a module replay, as far as the mode and its cassettes tell."""
    from .usage import default_folder

    return mode == "none" or (mode == "once" and any(default_folder(path).glob("*.json")))


def conftests(config: pytest.Config) -> list[Path]:
    """Return the conftests that are loaded."""
    files = (getattr(plugin, "__file__", None) for plugin in config.pluginmanager.get_plugins())
    return [Path(file) for file in files if file and Path(file).name == "conftest.py"]


@functools.lru_cache(maxsize=4096)
def mentions(path: Path, names: tuple[str, ...]) -> bool:
    """Say whether a file of Python names a marker of ours, or a fixture."""
    try:
        text = path.read_bytes()
    except OSError:
        return False
    found = "|".join(map(re.escape, names)).encode()
    return re.search(rb"\b(?:" + found + rb")(?:_\w+)?\b", text) is not None


@contextlib.contextmanager
def none_outside(item: pytest.Item) -> Iterator[None]:
    """Look after what is called for a marked test where it has no session."""
    config, marks = item.config, marks_of(item)
    account = config.stash[ACCOUNT]
    given = next((mark.kwargs["mode"] for mark in marks if "mode" in mark.kwargs), None)
    mode = mode_of(config, given)
    if not marks or mode == "off" or GUARD in config.stash:
        yield
        return
    from .network import Outside

    hosts = next((m.kwargs["allowed_hosts"] for m in marks if "allowed_hosts" in m.kwargs), ())
    outside = Outside(
        item.nodeid, allowed_hosts(config, {"allowed_hosts": hosts} if hosts else {}),
        lambda: is_replayed(item.path, mode) if account.replays is None else account.replays,
        lambda: account.running != item.nodeid,
    )  # fmt: skip
    with outside.watching():
        yield
    if outside.found:
        _tell(outside.found, refused=outside.refused)
