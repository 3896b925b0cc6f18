"""Programs run under capture by ``run``, for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

from mxm_dataio import Request, Session, Store
from mxm_dataio.integrity.verify import verify_root

# A program that prints what it gets from each of its arguments.
GET = """
    import sys, requests
    for url in sys.argv[1:]:
        print(requests.get(url).text, flush=True)
"""


class Done(NamedTuple):
    """How a run ended.

    Attributes:
        said: what was on standard error, without the summary.
        summary: the summary, as ``--json`` prints it.
    """

    status: int
    out: str
    said: str
    summary: dict[str, Any]


class Programs:
    """A folder of programs, and a root that they are recorded to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"

    def write(self, name: str, text: str) -> None:
        """Write a program, or a module of one."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a process: none of this one's settings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MXM_", "PYTHON"))}
        return {**kept, **more}

    def plainly(self, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a program of this interpreter's without capture."""
        return subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=self.folder,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def run(self, *words: object, options: str = "", **environment: str) -> Done:
        """Run a program under capture."""
        done = self.plainly(*self.command(options), *words, **environment)
        *lines, last = done.stderr.splitlines(keepends=True) or [""]
        summary = json.loads(last) if last.startswith('{"type": "run"') else {}
        said = "".join(lines) if summary else done.stderr
        return Done(done.returncode, done.stdout, said, summary)

    def command(self, options: str = "") -> list[str]:
        """Return what stands before the program, behind the interpreter."""
        return ["-m", "mxm_dataio.run", "--json", "--root", str(self.root), *options.split()]

    # -- what was recorded -------------------------------------------------------------------

    def sessions(self) -> list[Session]:
        """Return what is recorded, and make sure that it is as it was sealed."""
        found = verify_root(self.root)
        assert found.ok, found.findings
        with Store(self.root, readonly=True) as store:
            return store.sessions()

    def requests(self) -> list[Request]:
        """Return all calls, in the order of their sessions."""
        with Store(self.root, readonly=True) as store:
            return [call for one in store.sessions() for call in store.requests(one.id)]

    def called(self) -> list[str]:
        """Return the targets of all calls, sorted."""
        urls = [request.url for request in self.requests()]
        return sorted(url.partition("//")[2].partition("/")[2] for url in urls)
