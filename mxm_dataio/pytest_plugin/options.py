"""The plugin's options, settings and markers, and what they mean together for a test.

Loaded by every pytest run, as all that ``pytest_plugin.py`` imports: it imports pytest and the
standard library alone before a test is marked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from ..config.choices import OnExpired, RunMode, WideScope

MODES = get_args(RunMode)
# Not packages: pytest has a plugin's fixtures of that scope live as long as the run.
SCOPES = get_args(WideScope)
MARK, VCR = "dataio", "vcr"
# Among a test's options: why its mode is what it is, where nobody has said it.
REASON = "_reason"

BY_CI = (
    "nothing is recorded here: CI is set, so the mode is none; record it where CI is not set, and "
    "commit the cassette"
)
MARK_HELP = (
    "dataio(*shared, **options): record the test's HTTP calls in a cassette, and replay them. "
    "shared are cassettes that are replayed besides. options: mode, keep_failed, expires, "
    "on_expired, freeze, scope, block_network, allowed_hosts, and what use_cassette takes."
)


# Settings of what counts, for all tests: those that are words, and all.
_WORDS = {
    "ignore_params": "what does not count: names, places in JSON, header:…, xml:…, path:…",
    "ignore_hosts": "hosts whose calls are neither recorded nor missed",
    "ignore_body_of": "patterns of URLs of calls of which method and URL alone count",
    "match_headers": "headers that count besides Accept, Range and what answers vary on",
}
_COUNTING = (*_WORDS, "match_host", "view")
_OPTIONS = (
    "--dataio-mode", "--dataio-block-network", "--dataio-allowed-hosts", "--dataio-report",
    "--dataio-prune",
)  # fmt: skip


def add_options(parser: pytest.Parser) -> None:
    """Add the options and the settings of the same names."""
    group = parser.getgroup("dataio", "record and replay HTTP calls (mxm-dataio)")
    group.addoption(
        "--dataio-mode",
        choices=MODES,
        help="what tests marked with dataio do with their cassettes; default: none (replay, and "
        "fail for what is not recorded) where CI is set, else once (replay if there is a cassette, "
        "else record)",
    )
    group.addoption(
        "--dataio-block-network",
        action="store_true",
        default=None,
        help="let no test connect to another machine but to record a cassette",
    )
    group.addoption(
        "--dataio-allowed-hosts",
        metavar="HOSTS",
        help="hosts, separated by commas, to which blocked tests may connect all the same; "
        "loopback stands for this machine",
    )
    group.addoption(
        "--dataio-report",
        action="store_true",
        help="list recorded calls that no test replays, and cassettes of tests that are gone",
    )
    group.addoption("--dataio-prune", action="store_true", help="delete what --dataio-report lists")
    parser.addini("dataio_mode", "default of --dataio-mode")
    parser.addini("dataio_block_network", "default of --dataio-block-network", "bool")
    parser.addini("dataio_allowed_hosts", "default of --dataio-allowed-hosts", "args")
    parser.addini("dataio_expires", "age from which a cassette is too old: 90d, 12h")
    parser.addini(
        "dataio_on_expired", f"what happens then: {' or '.join(get_args(OnExpired))}; default: warn"
    )
    for name, help in _WORDS.items():
        parser.addini(f"dataio_{name}", help, "args", default=None)
    parser.addini("dataio_match_host", "false: host and port do not count", "bool", default=None)
    parser.addini("dataio_view", "module:function, what calls are compared by")
    parser.addini("dataio_markers", "names of more markers that mean dataio, such as vcr", "args")


def note_near_options(parser: pytest.Parser, args: Iterable[str]) -> None:
    """Have pytest name the nearest option of ours beside one that it does not know.

    It may be another plugin's, or a conftest's that is not loaded yet: pytest alone can tell.
    """
    for arg in args:
        name = arg.partition("=")[0]
        if name.startswith("--") and name not in _OPTIONS:
            import difflib  # for what may be an error alone

            for near in difflib.get_close_matches(name, _OPTIONS, n=1, cutoff=0.75):
                parser.extra_info[name] = f"did you mean {near}?"


def add_markers(config: pytest.Config) -> None:
    """Make the markers known.

    Raises:
        pytest.UsageError: the mode that is set is none.
    """
    config.addinivalue_line("markers", MARK_HELP)
    for name in config.getini("dataio_markers"):
        config.addinivalue_line("markers", f"{name}: the same as dataio")
        if name == VCR:
            config.addinivalue_line("markers", "default_cassette(name): the cassette's name")
            config.addinivalue_line("markers", "block_network: as dataio(block_network=True)")
    mode = config.getini("dataio_mode")
    if mode and mode not in MODES:
        raise pytest.UsageError(f"dataio_mode={mode}: there are {', '.join(MODES)}")


def marks_of(node: pytest.Item) -> list[pytest.Mark]:
    """Return a test's marks that mean dataio, the closest first."""
    names = (MARK, *node.config.getini("dataio_markers"))
    return [mark for mark in node.iter_markers() if mark.name in names]


def options_of(request: pytest.FixtureRequest, marks: list[pytest.Mark]) -> dict[str, Any]:
    """Return what a test's session is opened with: the closest word counts."""
    config = request.config
    made = request.getfixturevalue("dataio_config")
    options = {**_counting(config), **made}
    for mark in reversed(marks):
        if mark.name == MARK:
            options.update(mark.kwargs)
        else:
            made = options_from_vcr(mark, made)
            options.update(made)
    for name in ("expires", "on_expired"):
        if config.getini(f"dataio_{name}"):
            options.setdefault(name, config.getini(f"dataio_{name}"))
    given = options.get("mode")
    options["mode"] = mode_of(config, given)
    options[REASON] = "" if given else by_ci(config)
    return options


def _counting(config: pytest.Config) -> dict[str, Any]:
    """Return what pytest's file says of what counts.

    Raises:
        pytest.UsageError: it is not understood.
    """
    found: dict[str, Any] = {}
    for name in _COUNTING:
        value = config.getini(f"dataio_{name}")
        if isinstance(value, bool):
            found[name] = value
        elif value:
            # Few have them.
            from ..config.functions import of_program
            from ..config.settings import converted

            text = value if isinstance(value, str) else ",".join(value)
            try:
                with of_program(str(config.rootpath)):
                    found[name] = converted(name, text)
            except (TypeError, ValueError) as exc:
                raise pytest.UsageError(f"dataio_{name} = {text}: {exc}") from None
    return found


def mode_of(config: pytest.Config, given: str | None = None) -> str:
    """Return the mode that counts, where ``given`` is a test's own."""
    mode = config.getoption("--dataio-mode") or given or config.getini("dataio_mode")
    return mode or ("none" if os.environ.get("CI") else "once")


def by_ci(config: pytest.Config) -> str:
    """Return, in words, that the environment makes the mode ``none``; empty if it does not."""
    said = config.getoption("--dataio-mode") or config.getini("dataio_mode")
    return BY_CI if os.environ.get("CI") and not said else ""


def their_mark(node: pytest.Item, name: str) -> pytest.Mark | None:
    """Return a test's mark of pytest-recording's, where its marks are to mean ours."""
    return node.get_closest_marker(name) if VCR in node.config.getini("dataio_markers") else None


def options_from_vcr(mark: pytest.Mark, before: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options that a mark of vcrpy's plugins means.

    Args:
        before: options that it adds to, as theirs do, where they are vcrpy's too.
    """
    from ..vcr_options import Translated, from_vcr

    return before.also(mark.kwargs) if isinstance(before, Translated) else from_vcr(mark.kwargs)


def shared_of(mark: pytest.Mark) -> list[Path]:
    """Return the cassettes that a mark names; those of vcrpy's plugins were imported as .json."""
    paths = [Path(path) for path in mark.args]
    return paths if mark.name == MARK else [path.with_suffix(".json") for path in paths]


def blocks_network(config: pytest.Config, given: Any) -> bool:
    """Say whether the run has the network blocked, by its options ``given`` or its settings."""
    if given.dataio_block_network is not None:
        return bool(given.dataio_block_network)
    return bool(config.getini("dataio_block_network"))


def allowed_hosts(config: pytest.Config, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the hosts that a test with these options may connect to all the same."""
    given = config.getoption("--dataio-allowed-hosts") or options.get("allowed_hosts")
    return split_hosts(given if given is not None else config.getini("dataio_allowed_hosts"))


def split_hosts(given: str | Iterable[str]) -> tuple[str, ...]:
    """Return hosts that are given one by one, or separated by commas."""
    return tuple(given.split(",")) if isinstance(given, str) else tuple(given)


def wants_report(config: pytest.Config) -> bool:
    """Say whether the cassettes are to be reported on."""
    return bool(config.getoption("--dataio-report") or config.getoption("--dataio-prune"))
