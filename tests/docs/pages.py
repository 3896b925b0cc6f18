"""The pages of documentation, and their blocks run as a reader would: in order, in one folder.

Blocks of ``console`` and ``sh`` are typed into one shell a page, on a terminal; a block of
``python`` is a file that is pasted and run, or saved under the name in its first line
(``# shop.py``). What a page shows of output is compared with what came.

Comments of a page tell what a reader would not type: ``<!-- run: COMMAND -->``,
``<!-- e3756226: COMMAND -->`` (what the id on the page stands for) and ``<!-- not run: WHY -->``
for the block behind it.
"""

from __future__ import annotations

import fcntl
import os
import pty
import random
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tests.support import CHECKOUT

DOCS = CHECKOUT / "docs"
README = CHECKOUT / "README.md"
# Where the pages have the server of ``python -m examples.serve``.
PORT = "8000"
# Where the reader of a page is, as it shows it.
FOLDER = "/home/you/prices"
WIDTH = 100

_PART = re.compile(
    r"^(?P<level>#+) (?P<heading>[^\n]+)$"
    r"|^```(?P<language>[\w-]*)[^\n]*\n(?P<code>.*?)^```$"
    r"|^<!-- (?P<word>run|not run|[0-9a-f]{4,8}): (?P<said>[^\n]*) -->$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block, with the heading that it stands under.

    Attributes:
        why_not: why it is not run; empty: it is.
        before: what is typed before it and not shown.
    """

    heading: str
    language: str
    code: str
    why_not: str = ""
    before: tuple[tuple[str, str], ...] = ()

    @property
    def saved_as(self) -> str | None:
        """The name of the file that it is to be saved in."""
        found = re.match(r"# ([\w/]+\.\w+)$", self.code.partition("\n")[0])
        return found[1] if found else None

    @property
    def is_test(self) -> bool:
        """It is to be run by pytest."""
        return "def test_" in self.code


@dataclass(frozen=True)
class Page:
    """A page of Markdown."""

    path: Path

    @property
    def name(self) -> str:
        """Its path, from the checkout."""
        return str(self.path.relative_to(CHECKOUT))

    @cached_property
    def text(self) -> str:
        """The whole of it."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        """The fenced blocks in their order."""
        heading, why_not, found = "", "", []
        before: list[tuple[str, str]] = []
        for match in _PART.finditer(self.text):
            if match["heading"]:
                heading = match["heading"]
            elif match["word"] == "not run":
                why_not = match["said"]
            elif match["word"]:
                before.append((match["word"], match["said"]))
            else:
                code = match["code"]
                found.append(Block(heading, match["language"], code, why_not, tuple(before)))
                why_not, before = "", []
        return [*found, Block(heading, "sh", "", before=tuple(before))] if before else found

    @cached_property
    def headings(self) -> list[str]:
        """The headings in their order, but not what looks like one in a block."""
        return [match["heading"] for match in _PART.finditer(self.text) if match["heading"]]

    @cached_property
    def links(self) -> list[str]:
        """What its links and pictures lead to."""
        prose = re.sub(r"^```.*?^```$|`[^`\n]+`", "", self.text, flags=re.MULTILINE | re.DOTALL)
        return re.findall(r"\]\(([^)\s]+)\)", prose)

    def section(self, heading: str) -> str:
        """Return what stands under a heading, up to the next of its level or above."""
        found = re.search(rf"^(#+) {re.escape(heading)}\n", self.text, re.MULTILINE)
        assert found, f"{self.name} has no heading {heading!r}"
        rest = self.text[found.end() :]
        return re.split(rf"^#{{1,{len(found[1])}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def slug(heading: str) -> str:
    """Return a heading's anchor."""
    kept = re.sub(r"[^\w\s-]", "", heading.lower()).strip()
    return re.sub(r"[-\s]+", "-", kept)


def pages() -> list[Page]:
    """Return the README and all pages of docs/."""
    return [Page(README), *(Page(path) for path in sorted(DOCS.rglob("*.md")))]


# -- running them ----------------------------------------------------------------------------------

_PROGRAMS = {
    "python": "",
    "python3": "",
    "pytest": "-m pytest -p dataio",
    "mxm-dataio": "-m mxm_dataio",
}
_END = b"\x02\r\n"
_NOT_THE_READERS = {"CI", "COLUMNS", "PYTHONPATH"}
# Of a progress bar, which what takes longer than a moment shows: to the line above, and erase it.
_ERASING = re.compile(r"(\n|\x1b\[1A|\x1b\[2K)")
# What http.server says of a request.
_SERVED = re.compile(r"^127\.0\.0\.1 - - \[.*\n", re.MULTILINE)
# A server that was started answers.
_AT_FIRST = """
wait_for() { until (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null; do sleep 0.02; done; }
"""


@dataclass
class Step:
    """Something typed, and what has to come of it."""

    typed: str
    status: int | None = 0
    shown: list[str] = field(default_factory=list)
    complaints: Path | None = None


class Reader:
    """Somebody who does what a page says, in a folder that is empty.

    Args:
        port: in the place of that on the pages.
    """

    def __init__(self, folder: Path, port: int | str = PORT) -> None:
        self.folder = folder / "work"
        self._port = str(port)
        self._aside = folder / "aside"
        for made in (self.folder, self._aside / "bin", self._aside / "home"):
            made.mkdir(parents=True)
        self._ids: list[str] = []
        python = shlex.quote(sys.executable)
        programs = {
            "python": "",
            "python3": "",
            "pytest": "-m pytest -p dataio",
            "mxm-dataio": "-m mxm_dataio",
        }
        for name, arguments in programs.items():
            path = self._aside / "bin" / name
            path.write_text(f'#!/bin/sh\nexec {python} {arguments} "$@"\n')
            path.chmod(0o755)

    def follows(self, blocks: list[Block]) -> str:
        """Run blocks, and check what comes of them; return all that was printed."""
        steps: list[Step] = []
        for block in blocks:
            if block.language == "text" and not block.why_not:
                assert steps, f"nothing printed what stands under {block.heading!r}"
                steps[-1].shown = block.code.splitlines()
            steps += self._steps(block)
        script = _AT_FIRST + "".join(f"{step.typed}\nprintf '\\001%d\\n' $?\n" for step in steps)
        said = self._typed(self._here(script)).replace(self._port, PORT)
        said = said.replace(str(self.folder), FOLDER)
        parts = re.split(r"\x01(\d+)\n", said)
        done = list(zip(parts[::2], parts[1::2], strict=False))
        assert len(done) == len(steps), said
        for step, (printed, status) in zip(steps, done, strict=True):
            told = f"$ {step.typed}\n{printed}"
            if step.complaints is not None and step.complaints.exists():
                assert _SERVED.sub("", step.complaints.read_text()) == "", told
            assert step.status is None or int(status) == step.status, f"{told}status {status}"
            if step.shown:
                assert matches(step.shown, printed.splitlines()), (
                    f"{told}\nis not what is shown:\n" + "\n".join(step.shown)
                )
        return "".join(printed for printed, _ in done)

    def _steps(self, block: Block) -> Iterator[Step]:
        for word, said in block.before:
            yield Step(said if word == "run" else f"id_{word}=$({said})")
            if word != "run":
                self._ids.append(word)
        if block.why_not:
            return
        match block.language:
            case "console":
                yield from self._console(block.code)
            case "sh":
                yield from self._console(
                    re.sub(r"^(?=[^\s#])", "$ ", block.code, flags=re.MULTILINE)
                )
            case "text":
                pass  # what the step before it printed
            case "python" | "ini":
                yield from self._file(block)
            case language:
                raise AssertionError(
                    f"a block of {language!r} under {block.heading!r}: who runs it?"
                )

    def _console(self, code: str) -> Iterator[Step]:
        found: list[Step] = []
        for line in code.splitlines():
            if line.startswith("$ "):
                typed = line[2:]
                for one in self._ids:
                    typed = typed.replace(one, f"${{id_{one}}}")
                status = re.search(r"#.*\bstatus (\d)", line)
                found.append(Step(typed, int(status[1]) if status else 0))
            elif found:
                found[-1].shown.append(line)
        for step in found:
            while step.shown and not step.shown[-1].strip():
                step.shown.pop()
        yield from found

    def _file(self, block: Block) -> Iterator[Step]:
        number = len(list(self._aside.glob("block-*")))
        held = self._aside / f"block-{number}"
        held.write_text(self._here(block.code), encoding="utf-8")
        if block.saved_as:
            yield Step(f"mkdir -p {Path(block.saved_as).parent} && cp {held} {block.saved_as}")
            return
        assert block.language == "python", f"the block under {block.heading!r} names no file"
        name = "test_pasted.py" if block.is_test else "pasted.py"
        how = "-m pytest -p dataio -q" if block.is_test else "-W error -W ignore::ImportWarning"
        complaints = held.with_suffix(".err")
        yield Step(f"cp {held} {name} && python {how} {name} 2>{complaints}", complaints=complaints)

    def _here(self, text: str) -> str:
        """Return what is on the page with the port that is free here."""
        return re.sub(rf"\b{PORT}\b", self._port, text)

    def _typed(self, script: str) -> str:
        """Have a shell on a terminal do it; return what it printed."""
        path = self._aside / "script"
        path.write_text(f"{script}printf '\\002\\n'\n", encoding="utf-8")
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, WIDTH, 0, 0))
        outside = {
            name: value
            for name, value in os.environ.items()
            # Where CI is set a test replays only; a page is for one who has not recorded yet.
            if not name.startswith(("MXM_", "PYTEST", "COLUMNS"))
            and name not in ("CI", "PYTHONPATH")
        }
        shell = subprocess.Popen(
            ["bash", str(path)],
            cwd=self.folder,
            env={
                **outside,
                "HOME": str(self._aside / "home"),
                "PATH": os.pathsep.join([str(self._aside / "bin"), os.environ["PATH"]]),
                "PYTHONPATH": os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")]),
                "PYTHONIOENCODING": "utf-8",
                "PYTEST_ADDOPTS": "-p no:cacheprovider",
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "NO_COLOR": "1",
                "TERM": "xterm",
            },
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        said = b""
        try:
            with suppress(OSError), os.fdopen(ours, "rb", buffering=0) as terminal:
                while not said.endswith(_END) and (piece := terminal.read(65_536)):
                    said += piece
        finally:
            # What a page has started and not ended, with it.
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
        text = said.removesuffix(_END).decode().replace("\r\n", "\n")
        return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", erased(text))


def erased(text: str) -> str:
    """Return what is left of a terminal's text once lines of it were erased."""
    lines, at = [""], 0
    for part in _ERASING.split(text):
        if part == "\n":
            at += 1
            lines += [""] * (at == len(lines))
        elif part == "\x1b[1A":
            at -= 1
        elif part == "\x1b[2K":
            lines[at] = ""
        else:
            lines[at] += part
    return "\n".join(lines)


def free_port() -> int:
    """Return a port of four digits, as that on the pages has, which lines are broken after."""
    while True:
        port = random.randrange(2_000, 9_999)
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)):
                return port


def matches(shown: list[str], printed: list[str]) -> bool:
    """Say whether lines are those that a page shows, in which ``...`` is any number of lines."""
    parts = re.split(r"^\s*\.\.\.$", "\n".join(shown), flags=re.MULTILINE)
    pattern = ".*?".join(f" ?{re.escape(masked(part))} ?" for part in parts)
    return re.fullmatch(pattern, masked("\n".join(printed))) is not None


_MASKS = (
    (r"127\.0\.0\.1:\d+", "HERE"),
    (r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b", "ID"),
    (r"params_hash [0-9a-f…]+", "params_hash …"),
    (r"\b[0-9a-f]{10,64}\b", "HASH"),
    (r"\b(?=[a-f]*\d)[0-9a-f]{8}\b", "ID"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?Z?", "TIME"),
    (r"\d{4}-\d\d-\d\d", "DATE"),
    (r"\d\d:\d\d:\d\d(\.\d+)?", "TIME"),
    (r"[\d.,]+ ?(ms|s|µs)\b", "SPAN"),
    (r"\b\d+,\d+ bytes", "BYTES"),
    (r"\b\d+\.\d+\b", "N"),
    (r"[─━-]{3,}", "---"),
    (r"\s+", " "),
)


def masked(text: str) -> str:
    """Return text without what differs from run to run, and without how its lines are broken."""
    for pattern, word in _MASKS:
        text = re.sub(pattern, word, text)
    return text.strip()
