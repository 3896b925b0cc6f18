"""Tables and numbers: what fits, what is left out, and what an encoding has no signs for."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.cli import output, tables
from mxm_dataio.cli.demo_scraper import Demonstrated
from mxm_dataio.cli.pages import Page
from mxm_dataio.cli.tables import PIPE, Column, one_line, print_table
from mxm_dataio.cli.units import bytes_of, codes, cropped, cropped_url, day, short, size, span
from tests.unit.cli.running import ESCAPE

Row = tuple[str, str, int]
COLUMNS: list[Column[Row]] = [
    Column("name", lambda row: row[0]),
    Column("text", lambda row: row[1], lambda row: (row[1], "red"), least=10),
    Column("count", lambda row: row[2], lambda row: f"{row[2]:,}", right=True, rank=1),
    Column("never", lambda row: None, lambda row: "", sparse=True),
    Column("piped", lambda row: "p", where=PIPE),
]


def shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, *rows: Row
) -> list[str]:
    monkeypatch.setattr(output, "width", lambda: width)
    assert print_table(COLUMNS, iter(rows)) == len(rows)
    return ESCAPE.sub("", capsys.readouterr().out).splitlines()


def test_columns_are_as_wide_as_they_need(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ("a", "short", 1), ("bcd", "longer text", 12345)
    assert shown(monkeypatch, capsys, 40, *rows) == [
        "name  text          count",
        "─────────────────────────",
        "a     short             1",
        "bcd   longer text  12,345",
    ]


def test_what_does_not_fit_loses_its_middle_and_then_a_column(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = ("a", "https://example.com/page=1", 1)
    assert shown(monkeypatch, capsys, 30, row)[2] == "a     https://…m/page=1      1"
    assert shown(monkeypatch, capsys, 20, row)[0].split() == ["name", "text"]
    assert shown(monkeypatch, capsys, 16, row)[2] == "a     https…ge=1"
    assert len(shown(monkeypatch, capsys, 5, row)[2]) == 14


@given(
    st.lists(st.tuples(st.text(max_size=9), st.text(max_size=60), st.integers(0, 10**6))),
    st.integers(30, 120),
)
def test_no_line_is_wider_than_the_terminal(rows: list[Row], width: int) -> None:
    from rich.cells import cell_len

    out, old = io.StringIO(), sys.stdout
    measured, output.width = output.width, lambda: width
    sys.stdout = out
    try:
        # Names that hold what a terminal takes for a command are longer than they look.
        print_table(COLUMNS, ((row[0][:4], row[1], row[2]) for row in rows))
    finally:
        sys.stdout, output.width = old, measured
    lines = out.getvalue().split("\n")
    assert max(map(cell_len, lines)) <= max(width, 60)
    assert not set("".join(lines)) & set("\x1b\x07\r\t")


def test_a_host_that_all_rows_share_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    columns: list[Column[str]] = [Column("url", lambda row: row, least=10, urls=True)]

    def printed(*urls: str, width: int | None = 40) -> list[str]:
        monkeypatch.setattr(output, "width", lambda: width)
        print_table(columns, urls)
        return ESCAPE.sub("", capsys.readouterr().out).splitlines()

    urls = "https://h:8443/a?b=1", "https://h:8443", "https://h:8443?c"
    assert printed(*urls) == ["at https://h:8443", "url", "──────", "/a?b=1", "/", "?c"]
    assert printed(*urls, width=None) == list(urls)
    assert printed("https://h/a", "http://h/a")[2:] == ["https://h/a", "http://h/a"]
    assert printed("https://h/a", "https://hh/a")[0] == "url"
    assert printed("https://h/a")[0] == "url"
    assert printed("name", "name")[0] == "url"
    # What comes later and is elsewhere is named in full.
    more = printed(*["https://h/a"] * 300, "https://other/a", "https://h/b")
    assert (more[0], more[-2:]) == ("at https://h", ["https://other/a", "/b"])


def test_wide_characters_count_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.cells import cell_len

    lines = shown(monkeypatch, capsys, 24, ("日本", "日本語日本語日本語日本語", 1))
    assert max(map(cell_len, lines)) <= 24


def test_rows_come_as_they_are_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed_before: list[int] = []

    def rows() -> Iterator[Row]:
        for number in range(1000):
            if number == 999:
                printed_before.append(capsys.readouterr().out.count("\n"))
            yield ("x" * (number // 100), "y", number)

    for width in (None, 80):
        monkeypatch.setattr(output, "width", lambda width=width: width)
        assert print_table(COLUMNS, rows()) == 1000
    assert min(printed_before) >= 800


def test_into_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_table(COLUMNS, [("a\tb", "c\nd\x1b", 1), ("", "é", 2)]) == 2
    assert capsys.readouterr().out == "a\\tb\tc\\nd\\x1b\t1\t-\tp\n-\té\t2\t-\tp\n"


def test_an_encoding_without_the_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    for width in (None, 60):
        monkeypatch.setattr(output, "width", lambda width=width: width)
        print_table(COLUMNS, [("503→200", "日…", 1)])
    out.flush()
    shown = out.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert shown.startswith("503>200\t\\u65e5~\t1\t-\tp\n")
    assert "----" in shown


def test_a_line_of_one() -> None:
    assert [one_line(one) for one in (None, "", 0, "a\nb", 1.5)] == ["-", "-", "0", "a\\nb", "1.5"]


def test_a_real_terminal(demonstrated: tuple[Path, Demonstrated]) -> None:
    root, _ = demonstrated
    master, slave = pty.openpty()
    try:
        environ = {**os.environ, "COLUMNS": "100", "TERM": "xterm-256color"}
        environ.pop("NO_COLOR", None)
        done = subprocess.run(
            [sys.executable, "-m", "mxm_dataio.cli", "sessions", "--root", root],
            stdin=slave, stdout=slave, stderr=slave, timeout=60, check=False, env=environ,
        )  # fmt: skip
        shown = os.read(master, 65536).decode()
    finally:
        os.close(master)
        os.close(slave)
    assert done.returncode == 0
    assert "\x1b[1mid\x1b[0m" in shown
    assert "─" * 40 in shown


def test_a_dumb_terminal_is_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "77")
    monkeypatch.setenv("TERM", "xterm")
    assert output.width() == 77
    monkeypatch.setenv("TERM", "dumb")
    assert output.width() is None
    assert tables.output is output


# -- numbers ---------------------------------------------------------------------------------------


def test_sizes() -> None:
    for count, text in [
        (None, "-"), (0, "0"), (999, "999"), (1000, "1.0 kB"), (1849, "1.8 kB"), (9_949, "9.9 kB"),
        (9_951, "10 kB"), (999_499, "999 kB"), (999_500, "1.0 MB"), (5 << 30, "5.4 GB"),
        (10**16, "10,000 TB"),
    ]:  # fmt: skip
        assert size(count) == text
    assert [bytes_of(count) for count in (1, 999, 1500)] == ["1 byte", "999 bytes", "1.5 kB"]


def test_spans() -> None:
    for seconds, text in [
        (None, "-"), (0, "0.0 ms"), (0.00094, "0.9 ms"), (0.012, "12 ms"), (0.9994, "999 ms"),
        (0.9996, "1.0 s"), (59.94, "59.9 s"), (59.96, "1:00"), (200, "3:20"), (3723, "1:02:03"),
    ]:  # fmt: skip
        assert span(seconds) == text


@given(st.text(max_size=50), st.integers(0, 60))
def test_cropped(text: str, width: int) -> None:
    found = cropped(text, width)
    assert len(found) <= width or found == text
    assert found == text or (len(text) > width and len(found) == width)
    head, _, tail = found.partition("…")
    assert found == text or "…" in text or (text.startswith(head) and text.endswith(tail))


def test_of_a_url_the_middle_of_its_path_is_left_out() -> None:
    url = "https://api.example.com/v2/a/collection/of/things/item-7/history?page=12"
    assert cropped_url(url, 80) == url
    assert cropped_url(url, 60) == "https://api.example.com/v2/a/col…ings/item-7/history?page=12"
    assert cropped_url(url, 40) == "https://api.example.com/v2/…tory?page=12"
    assert cropped_url("/v2/a/collection/item-7/history", 24) == "/v2/a…ion/item-7/history"
    assert cropped_url(url, 20) == cropped(url, 20)


@given(st.text(max_size=50), st.integers(0, 60))
def test_cropped_urls_fit(text: str, width: int) -> None:
    for url in (text, f"https://h/{text}"):
        found = cropped_url(url, width)
        assert len(found) == min(len(url), width)


def test_lines_break_between_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "width", lambda: 30)
    page = Page()
    page.line("  ", ("a warning of several words that is long", "yellow"))
    page.pairs([("name", [("one two", "red"), " three four five"])])
    page.line("x" * 40, " y")
    page.line(" " * 40)
    assert ESCAPE.sub("", capsys.readouterr().out).splitlines() == [
        "  a warning of several words", "    that is long",
        "  name        one two three", "              four five", f"{'x' * 40} y", " " * 40,
    ]  # fmt: skip
    assert output.wrapped("one two three four five six seven", "  ") == (
        "one two three four five six\n  seven"
    )
    monkeypatch.setattr(output, "width", lambda: None)
    assert output.wrapped("one two " * 20) == "one two " * 20


def test_the_rest() -> None:
    assert codes(["503", "503", "503", "200"]) == "503×3→200"
    assert codes([]) == ""
    assert day("2025-10-07T14:30:15.123456Z") == "2025-10-07 14:30"
    assert short("01a212f0-6a97-7897-92a7-585be3756226") == "e3756226"
