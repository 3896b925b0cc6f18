"""Every block of the documentation does what its page says, typed in order in an empty folder."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from examples.market_server import MarketServer

from .pages import DOCS, FOLDER, Block, Page, Reader, erased, free_port, matches, pages

LONGEST = 25
# Pages that type a dozen commands and more, which take seconds; CI runs them too.
LONG = {
    "docs/how-to/read-a-recording.md",
    "docs/how-to/refresh-cassettes.md",
    "docs/how-to/retain.md",
    "docs/reference/run.md",
}
PAGES = [page for page in pages() if page.path.is_relative_to(DOCS) and page.blocks]


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.long] * (page.name in LONG)) for page in PAGES],
    ids=lambda page: page.name,
)
def test_the_blocks_of_a_page_do_what_it_says(tmp_path: Path, page: Page) -> None:
    if "-m http.server" in page.text:  # its own
        Reader(tmp_path, free_port()).follows(page.blocks)
    else:
        with MarketServer() as server:
            Reader(tmp_path, server.url.rpartition(":")[2]).follows(page.blocks)


def test_a_block_that_is_pasted_is_short() -> None:
    assert {page.name for page in PAGES} >= LONG
    blocks = [(page.name, block) for page in PAGES for block in page.blocks if not block.why_not]
    assert [(name, b.heading) for name, b in blocks if b.code.count("\n") > LONGEST] == []


# -- what runs them notices what is not so ---------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [
        Block("", "console", "$ echo 70.25\n70.5 and more\n"),
        Block("", "console", "$ false\n"),
        Block("", "console", "$ true     # status 1\n"),
        Block("", "python", "import sys; print('odd', file=sys.stderr)\n"),
        Block("", "python", "assert False\n"),
        Block("", "python", "def test_it():\n    assert False\n"),
        Block("", "go", "package main\n"),
    ],
    ids=lambda block: block.code.partition("\n")[0],
)
def test_a_block_that_is_not_so_is_found(tmp_path: Path, block: Block) -> None:
    with pytest.raises(AssertionError):
        Reader(tmp_path).follows([block])


def test_what_stands_under_a_program_is_what_it_printed(tmp_path: Path) -> None:
    program = Block("", "python", "print('ALFA', 1)\n")
    Reader(tmp_path / "a").follows([program, Block("", "text", "ALFA 1\n")])
    with pytest.raises(AssertionError, match="is not what is shown"):
        Reader(tmp_path / "b").follows([program, Block("", "text", "BETA 1\n")])


def test_what_a_page_does_not_show_is_typed_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(
        "# A\n\n<!-- run: echo needle > found -->\n<!-- e3756226: cat found -->\n\n"
        "```console\n$ echo e3756226 $PWD\nneedle " + FOLDER + "\n```\n\n"
        "<!-- not run: nobody has it -->\n\n```sh\nnosuch\n```\n"
    )
    page = Page(path)
    assert [block.why_not for block in page.blocks] == ["", "nobody has it"]
    assert "nosuch" not in Reader(tmp_path / "reader").follows(page.blocks)


def test_lines_that_are_left_out() -> None:
    assert matches(["a", "...", "c  took 3 ms"], ["a", "b", "b", "c took 12.5 ms"])
    assert matches(["a", "..."], ["a"])
    assert not matches(["a", "...", "c"], ["a", "b"])
    assert not matches(["a"], ["a", "b"])


def test_a_progress_bar_is_erased() -> None:
    shown = "a\n\x1b[?25lone\r\x1b[2Kone\ntwo\n\x1b[?25h\r\x1b[1A\x1b[2K\x1b[1A\x1b[2Kb\nc\n"
    assert re.sub(r"\x1b\[\S*?[A-Za-z]|\r", "", erased(shown)).split() == ["a", "b", "c"]


def test_what_a_page_has_started_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("# A\n\n```sh\nsleep 99 & echo $! > number\n```\n\n<!-- run: touch last -->\n")
    reader = Reader(tmp_path / "reader")
    reader.follows(Page(path).blocks)
    assert (reader.folder / "last").exists()
    number = (reader.folder / "number").read_text().strip()
    end = time.monotonic() + 10
    while is_running(number) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_running(number)


def is_running(number: str) -> bool:
    """Say whether a process is there, and none that nobody has asked for its end."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
