"""What is said where nobody takes a warning."""

from __future__ import annotations

import os

import pytest

from mxm_dataio.messages import put, say


def test_it_goes_past_what_stands_for_standard_error(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", None)
    say("zwölf \udce4")
    put("as it is")
    assert capfd.readouterr().err == "mxm-dataio: zwölf \\udce4\nas it is\n"


def test_where_there_is_none_it_is_not_said() -> None:
    kept = os.dup(2)
    try:
        os.close(2)
        say("x")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
