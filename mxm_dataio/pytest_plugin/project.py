"""The files of a project of tests, and which of them may name a cassette.

Which test opens which cassette is known only when it runs. Of a test that has not, its file's text
shows whether it could: one that names the cassette may, and one that opens cassettes by its own
code may open any.
"""

from __future__ import annotations

import fnmatch
import functools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

# Code that says which file a cassette is, in ways that no one can read from here.
_OPENS = re.compile(
    r"use_cassette|CassetteSession|dataio_cassette_name|default_cassette|MXM_DATAIO_AUTO"
)
_VIRTUAL = "pyvenv.cfg"


class Project:
    """A project of tests.

    Args:
        root: its folder.
        tests: patterns of the names of files with tests.
        skipped: patterns of the names of folders that are not looked into.
    """

    def __init__(self, root: Path, tests: Sequence[str], skipped: Sequence[str]) -> None:
        self._root = root
        self._tests = tests
        self._skipped = skipped

    @functools.cached_property
    def _files(self) -> dict[Path, bool]:
        """All files of Python, and whether they are named as tests are."""
        found = {}
        for folder, folders, names in os.walk(self._root):
            folders[:] = [] if _VIRTUAL in names else [n for n in folders if not self._skips(n)]
            for name in names:
                if name.endswith(".py"):
                    path = Path(folder, name)
                    found[path] = self._is_test(path)
        return found

    def _skips(self, folder: str) -> bool:
        skipped = (*self._skipped, "site-packages", "__pycache__")
        return any(fnmatch.fnmatch(folder, pattern) for pattern in skipped)

    def _is_test(self, path: Path) -> bool:
        return any(
            fnmatch.fnmatch(str(path), f"*{os.sep}{pattern}")
            if os.sep in pattern
            else fnmatch.fnmatch(path.name, pattern)
            for pattern in self._tests
        )

    def tests(self) -> set[Path]:
        """Return the files that are named as those of tests are."""
        return {path for path, is_test in self._files.items() if is_test}

    def helpers(self) -> set[Path]:
        """Return the other files of Python, which any test may use."""
        return {path for path, is_test in self._files.items() if not is_test}

    def naming(self, cassette: Path) -> Iterator[Path]:
        """Yield the files whose text has a cassette's name, as text in quotes has it."""
        for path in self._files:
            if self._names(path, cassette):
                yield path

    def may_open(self, path: Path, cassette: Path) -> bool:
        """Say whether a file of tests may open a cassette otherwise than by its tests' names."""
        return self._names(path, cassette) or _OPENS.search(self._text(path)) is not None

    def _names(self, path: Path, cassette: Path) -> bool:
        stem = re.escape(cassette.stem)
        return re.search(rf"[\"'/\\]{stem}(\.\w+)?[\"']", self._text(path)) is not None

    @functools.cache  # noqa: B019 - a project lives as long as the report of a run
    def _text(self, path: Path) -> str:
        try:
            return path.read_text("utf-8", errors="replace")
        except OSError:
            return ""
