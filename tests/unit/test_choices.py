"""What an option may be is said once: types, messages and command lines have the same words."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_type_hints

import pytest

from mxm_dataio import CassetteOptions, ConfigError, IngestSession, MarkerOptions, Mode
from mxm_dataio.api import options_of
from mxm_dataio.cassettes import CassetteSession, use_cassette
from mxm_dataio.cassettes.options import SessionOptions
from mxm_dataio.cassettes.place import _MODES
from mxm_dataio.config.choices import (
    CassetteMode,
    Compression,
    Durability,
    Exhausted,
    ModeName,
    RunMode,
)
from mxm_dataio.config.settings import ALIASES, ONCE, converted, mode_of
from mxm_dataio.pytest_plugin import options as markers
from mxm_dataio.pytest_plugin.session import _NOT_THE_MARKERS, _OWN
from mxm_dataio.run import arguments


def test_each_mode_has_its_name() -> None:
    assert get_args(ModeName) == (*Mode, *ALIASES, ONCE)
    for word in get_args(ModeName):
        assert converted("mode", word) == word
        assert mode_of(word) in Mode


def test_each_mode_of_a_cassette_is_known() -> None:
    assert get_args(CassetteMode) == tuple(_MODES)
    assert set(get_args(RunMode)) < set(_MODES)
    assert get_args(RunMode) == markers.MODES


@pytest.mark.parametrize(
    ("name", "choice"),
    [("exhausted", Exhausted), ("durability", Durability), ("compression", Compression)],
)
def test_a_word_that_is_none_is_told_all_that_there_are(name: str, choice: Any) -> None:
    for word in get_args(choice):
        assert converted(name, word.upper()) == word
    wrong = get_args(choice)[0] + "x"
    with pytest.raises(ConfigError) as caught:
        IngestSession("market", **{name: wrong})
    words = ", ".join(get_args(choice))
    assert str(caught.value).endswith(f"(there are {words}); did you mean {wrong[:-1]!r}?")


def test_the_help_of_run_names_the_choices() -> None:
    for word in (*Mode, ONCE):
        assert word in arguments._OPTIONS["--mode"][1]
    for word in get_args(Durability):
        assert word in arguments._OPTIONS["--durability"][1]


# -- keywords --------------------------------------------------------------------------------------


def test_the_keywords_of_a_cassette_are_those_of_a_session_with_their_types() -> None:
    sessions = get_type_hints(IngestSession.__init__)
    for name, kind in get_type_hints(SessionOptions).items():
        assert sessions[name] == kind, name
    own = get_type_hints(CassetteSession.__init__)
    for name in get_type_hints(CassetteOptions).keys() - get_type_hints(SessionOptions).keys():
        assert own[name] == get_type_hints(CassetteOptions)[name], name


def test_each_keyword_that_a_cassette_takes_is_typed() -> None:
    refused = {"root", "session", "durability", "compression"}
    typed = set(get_type_hints(CassetteOptions))
    assert typed == options_of(use_cassette) - refused - {"path", "mode"}


def test_each_keyword_that_the_marker_takes_is_typed_and_told_of() -> None:
    typed = set(get_type_hints(MarkerOptions))
    refused = {"durability", "compression"}
    assert typed == (options_of(CassetteSession) - refused - _NOT_THE_MARKERS) | _OWN
    assert [name for name in _OWN if name not in markers.MARK_HELP] == []


@pytest.mark.parametrize("made", [IngestSession, CassetteSession, use_cassette])
def test_a_signature_tells_no_secret_names(made: type) -> None:
    signature = str(inspect.signature(made))
    assert "cookie" not in signature.lower()
    assert len(signature) < 3_000
    hints = get_type_hints(made.__init__)  # type: ignore[misc]
    assert "mode" in hints
