"""What went past a session: put together, said in a sentence, and kept line by line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.coverage import libraries
from mxm_dataio.models import Unseen
from mxm_dataio.storage import unseen

CURL = Unseen("process", "curl", 1, "shop")
SOCKET = Unseen("connection", "example.com:443", 3, "shop")
PYCURL = Unseen("library", "pycurl", 1, "shop")


def test_each_comes_once_with_its_count_and_libraries_without() -> None:
    found = [PYCURL, CURL, SOCKET, SOCKET, PYCURL]
    assert unseen.merged(found) == (SOCKET._replace(times=6), CURL, PYCURL)
    assert unseen.merged([]) == ()


def test_a_kind_of_a_later_release_comes_last() -> None:
    later = Unseen("telepathy", "spoon", 2, "uri")
    assert unseen.merged([later, PYCURL]) == (PYCURL, later)
    assert libraries.said(later) == "telepathy spoon by uri (×2)"


def test_the_warning_names_the_first() -> None:
    assert libraries.unseen_warning(()) == ""
    assert libraries.unseen_warning((SOCKET, CURL, PYCURL)) == (
        "coverage: not captured: connection example.com:443 by shop (×3), process curl by shop, "
        "library pycurl; mxm-dataio coverage tells of each"
    )
    assert " and 2 more;" in libraries.unseen_warning((SOCKET,) * 5)


def test_replay_warns_of_processes_alone() -> None:
    assert libraries.replay_warning((PYCURL,)) is None
    warning = libraries.replay_warning((CURL, CURL, PYCURL))
    assert warning is not None
    assert "replay started curl:" in str(warning)


@pytest.mark.parametrize("content", [b"", b"\n", b"{torn", b"[1,2]\n"])
def test_without_a_line_nobody_watched(content: bytes) -> None:
    assert unseen.read_lines(content) is None


def test_with_one_somebody_did() -> None:
    assert unseen.read_lines(unseen.line_of(Unseen("", ""), 7)) == ()


def test_counts_are_the_last_of_each_process() -> None:
    content = b"".join(
        unseen.line_of(one, pid)
        for one, pid in [
            (Unseen("", ""), 1),
            (SOCKET._replace(times=1), 1),
            (SOCKET._replace(times=2), 1),
            (SOCKET._replace(times=4), 2),
            (CURL, 2),
        ]
    )
    assert unseen.read_lines(content) == (SOCKET._replace(times=6), CURL)
    assert unseen.read_lines(content, but=2) == (SOCKET._replace(times=2),)
    # The process was killed within its last line.
    assert unseen.read_lines(content[:-3]) == (SOCKET._replace(times=6),)


@given(
    st.lists(
        st.builds(
            Unseen,
            st.sampled_from(["connection", "process", "library"]),
            st.text(st.characters(codec=None)),
            st.integers(1, 99),
            st.text(),
        ),
        unique_by=lambda one: (one.kind, one.name, one.caller),
    )
)
def test_lines_keep_every_name(found: list[Unseen]) -> None:
    content = b"".join(unseen.line_of(one, 1) for one in [Unseen("", ""), *found])
    assert unseen.read_lines(content) == unseen.merged(found)
