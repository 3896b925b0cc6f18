"""The variables by which processes have themselves captured."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.process import AUTO, default_root, is_link, is_off, link_says, link_text

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(st.dictionaries(st.text(), values))
def test_a_link_is_json_in_ascii(link: dict[str, Any]) -> None:
    text = link_text(link)
    assert json.loads(text) == link
    assert text.isascii()
    assert text == json.dumps(link)


def test_a_link_holds_nothing_else() -> None:
    with pytest.raises(TypeError, match="set"):
        link_text({"x": {1}})


def test_words() -> None:
    assert all(map(is_off, ("", "0", "No", "OFF", "false")))
    assert not any(map(is_off, ("1", "yes", "{}")))
    assert is_link("{}")
    assert not any(map(is_link, ("1", "On", "yes", "TRUE")))
    with pytest.raises(ValueError, match="MXM_DATAIO_AUTO='maybe': set it to 1"):
        is_link("maybe")


def test_what_a_link_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(AUTO, link_text({"settings": {"mode": "replay", "watch": False}}))
    assert link_says("mode", "replay")
    assert link_says("watch", False)
    assert not link_says("mode", "record")
    assert not link_says("stdlib", False)
    monkeypatch.setenv(AUTO, "1")
    assert not link_says("mode", "replay")


def test_where_data_are_kept() -> None:
    assert default_root({"MXM_DATA_ROOT": "/data"}) == "/data/dataio"
    assert default_root({"MXM_DATA_ROOT": ""}).endswith("/.mxm/dataio")


@pytest.mark.parametrize("module", ["environment", "messages", "startup"])
def test_nothing_is_loaded_that_an_interpreter_has_not_loaded(module: str) -> None:
    script = (
        f"import sys\nbefore = set(sys.modules)\nimport mxm_dataio.{module}\n"
        "print(*(n for n in set(sys.modules) - before if not n.startswith('mxm_dataio')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert set(done.stdout.split()) <= {"__future__", "_json", "atexit"}
