"""The README is short, leads to all else, and each of its blocks works when pasted anywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from examples import demo
from tests.support import CHECKOUT

from .pages import DOCS, README, Block, Page, Reader, free_port

PAGE = Page(README)
LINES = 250
# What those ask first who have just met it, and the page that says so.
FIRST_QUESTIONS = {
    "how do I see the JSON that came back?": "how-to/read-a-recording.md",
    "why is this a miss?": "how-to/understand-a-miss.md",
    "how do I re-record one test?": "how-to/refresh-cassettes.md",
    "what is not captured?": "explanation/coverage.md",
    "can I send this to an auditor?": "how-to/hand-on-a-report.md",
}
TO_RUN = [
    (number, block) for number, block in enumerate(PAGE.blocks) if not block.why_not and
    block.language != "text"
]  # fmt: skip


def block_under(heading: str, language: str) -> Block:
    """Return the one block of a language under a heading."""
    (block,) = [b for b in PAGE.blocks if (b.heading, b.language) == (heading, language)]
    return block


def with_what_it_prints(number: int) -> list[Block]:
    """Return a block, and what the README shows as its output."""
    after = PAGE.blocks[number + 1 : number + 2]
    shown = [one for one in after if one.language == "text" and not one.why_not]
    return [PAGE.blocks[number], *shown]


def test_it_is_short() -> None:
    assert len(PAGE.text.splitlines()) <= LINES


@pytest.mark.parametrize(
    "number", [number for number, _ in TO_RUN], ids=[block.heading for _, block in TO_RUN]
)
def test_a_block_works_when_pasted_into_an_empty_folder(tmp_path: Path, number: int) -> None:
    Reader(tmp_path, free_port()).follows(with_what_it_prints(number))


def test_the_test_runs_again_without_its_server(tmp_path: Path) -> None:
    block = block_under("You write tests", "python")
    assert "def service" in block.code
    without = Block("", "python", block.code.partition("@pytest.fixture")[0])
    reader = Reader(tmp_path, free_port())
    with pytest.raises(AssertionError, match="ConnectionError"):
        reader.follows([without])
    reader.follows([block, without])


def test_the_first_two_commands_are_near_the_top() -> None:
    place = PAGE.text.index("\n$ make demo\n$ make test\n")
    assert PAGE.text[:place].count("\n") < 60


def test_the_first_questions_are_answered_one_hop_from_its_contents() -> None:
    contents = PAGE.text.partition("**Contents**")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| ([^|]+\?) \| \[[^]]+\]\(docs/([^)]+)\) \|$", contents, re.M))
    assert rows == FIRST_QUESTIONS
    assert set(FIRST_QUESTIONS.values()) <= set(Page(DOCS / "index.md").links)


def test_its_contents_name_every_section() -> None:
    contents = PAGE.text.partition("**Contents**")[2].partition("\n## ")[0]
    named = re.findall(r"\]\(#([\w-]+)\)", contents)
    sections = re.findall(r"^## (.+)$", PAGE.text, re.MULTILINE)
    assert len(named) == len(sections) - 1  # but for More, at the end


def test_a_block_that_is_of_another_page_is_run_there() -> None:
    taken = [b for b in PAGE.blocks if b.why_not.startswith("it is that of ")]
    assert len(taken) == 2
    for block in taken:
        there = Page(CHECKOUT / block.why_not.removeprefix("it is that of "))
        assert [one for one in there.blocks if one.code == block.code and not one.why_not]


def test_every_page_can_be_reached_from_it() -> None:
    seen: set[Path] = set()
    waiting = [README]
    while waiting:
        path = waiting.pop()
        if path in seen or path.suffix != ".md":
            continue
        seen.add(path)
        links = [link.partition("#")[0] for link in Page(path).links if "://" not in link]
        waiting += [(path.parent / link).resolve() for link in links if link]
    assert set(DOCS.rglob("*.md")) <= seen


# -- the demo --------------------------------------------------------------------------------------


def test_the_demos_output_is_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert demo.main() == 0
    printed = {timeless(line) for line in capsys.readouterr().out.splitlines()}
    shown = block_under("Try it", "text").code.splitlines()
    rules = [line for line in shown if set(line) == {"─"}]
    assert len(rules) == 1
    for line in shown:
        assert line in (*rules, "...") or timeless(line) in printed


def timeless(line: str) -> str:
    """Return the words of a line of the demo without what differs by clock and zlib release."""
    if " gzip " in line:
        line = line.partition(" gzip ")[0]
    line = re.sub(r"[\d,]+ bytes\s*$", "· bytes", line)
    return " ".join("·" if re.fullmatch(r"\d+\.\d", word) else word for word in _words(line))


def _words(line: str) -> list[str]:
    return re.sub(r"\d+ ms", "· ms", line).split()


def test_make_demo_installs_no_more_than_the_command_line_needs() -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    rule = makefile.partition("$(VENV)/.demo: pyproject.toml\n")[2].partition("\n\n")[0]
    assert re.findall(r"install .*-e '(.+)'", rule) == [".[cli]"]
