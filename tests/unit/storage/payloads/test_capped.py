"""The beginning of a body, and how much more of it there was."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.storage.payloads.capped import Capped
from mxm_dataio.storage.payloads.spool import Nowhere, Spool


@given(st.lists(st.binary(max_size=20), max_size=10), st.integers(0, 100))
def test_the_beginning_is_kept_and_the_rest_counted(parts: list[bytes], limit: int) -> None:
    whole, called = b"".join(parts), []
    spool = Spool(None, 1 << 20)
    capped = Capped(spool, limit)
    capped.full = lambda: called.append(spool.content())
    for part in parts:
        capped.write(memoryview(part))
    assert spool.content() == whole[:limit]
    assert capped.beyond == max(0, len(whole) - limit)
    # Once, and not before the beginning is whole.
    assert called == ([whole[:limit]] if capped.beyond else [])


def test_nothing_is_kept_of_a_buffer_that_is_used_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 4)
    capped = Capped(spool, 6)
    buffer = bytearray(b"abcd")
    for content in (b"abcd", b"efgh", b"ijkl"):
        buffer[:] = content
        capped.write(memoryview(buffer))
    assert spool.content() == b"abcdef"
    assert capped.beyond == 6
    spool.discard()


def test_a_refused_write_is_told_of_and_leaves_no_gap() -> None:
    class Full(Spool):
        broken = False

        def write(self, data: bytes | memoryview) -> None:
            if self.broken:
                raise OSError(28, "No space left on device")
            super().write(data)

    spool = Full(None, 1 << 20)
    capped = Capped(spool, 10)
    capped.write(b"abc")
    spool.broken = True
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            capped.write(b"defghijklm")
    assert spool.content() == b"abc"
    assert capped.beyond == 0


def test_nowhere_keeps_nothing() -> None:
    spool = Nowhere()
    spool.write(b"abc" * 1000)
    assert (spool.size, spool.content(), spool.file) == (0, b"", None)
    spool.discard()
