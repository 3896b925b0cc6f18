"""Where the cassette of another recorder's file belongs, for our pytest plugin to find it.

A file's name says whose test it is, as far as its recorder left the name as it was: characters
that a file system refuses became dashes, and pytest-vcr and betamax put the tests of all modules
into one folder. With the tests themselves (``pytest --collect-only -q``) each file finds its own.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .cassette.names import cassette_name

SUFFIX = ".json"
FOLDER = "cassettes"
_SUFFIXES = (".yaml", ".yml", ".json")
# What pytest-recording and betamax put a dash in the place of.
_RECORDING = re.compile(r"""[<>?%*:|"'/\\]""")
_BETAMAX = re.compile(r'[\s/<>:\\"|?*]')
# What pytest-recording makes of names that are too long for a file.
_LONGEST = 255
_IDENTIFIERS = re.compile(r"(?:[^\W\d]\w*\.)?test\w*(?:\[.*\])?", re.DOTALL)


class Case(NamedTuple):
    """A test, by its node id.

    Attributes:
        file: of its module.
        cls: name of the innermost class, or nothing.
        name: parameters included.
    """

    file: Path
    cls: str
    name: str

    @property
    def cassette(self) -> Path:
        """Where our plugin looks for its cassette."""
        name = cassette_name(self.name, self.cls)
        return self.file.parent / FOLDER / self.file.stem / f"{name}{SUFFIX}"

    @property
    def _dotted(self) -> str:
        return f"{self.cls}.{self.name}" if self.cls else self.name

    def places(self) -> Iterator[Path]:
        """Yield where pytest-recording and pytest-vcr put its cassette, without its ending."""
        folder = self.file.parent / FOLDER
        yield folder / self.file.stem / _shortened(_RECORDING.sub("-", self._dotted))
        yield folder / self._dotted

    def names(self) -> Iterator[str]:
        """Yield the names that betamax's fixtures give its cassette, in whatever folder."""
        module = self.file.with_suffix("").parts
        own = f"{self.cls}." if self.cls else ""
        for name in {_BETAMAX.sub("-", self.name), self.name.partition("[")[0]}:
            for start in range(len(module)):
                yield f"{'.'.join(module[start:])}.{own}{name}"


def _shortened(name: str) -> str:
    if len(name) + len(".yaml") <= _LONGEST:
        return name
    digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return f"{name[: _LONGEST - len('.yaml') - len(digest) - 3]}...{digest}"


def cases_of(lines: Iterable[str], folder: Path) -> list[Case]:
    """Return the tests that ``pytest --collect-only -q`` lists.

    Args:
        folder: that the paths begin in, pytest's rootdir.
    """
    found = []
    for line in lines:
        file, mark, rest = line.rstrip("\n").partition(".py::")
        if not mark:
            continue
        plain, bracket, parameters = rest.partition("[")
        *classes, name = plain.split("::")
        cls = classes[-1] if classes else ""
        found.append(Case(folder / f"{file}.py", cls, name + bracket + parameters))
    return found


class Destinations:
    """Maps files to the cassettes that they become.

    Args:
        tests: whose cassettes they are, if that is known.
    """

    def __init__(self, tests: Iterable[Case] = ()) -> None:
        # Mappings without values are sets that keep their order.
        self._places: dict[Path, dict[Path, None]] = defaultdict(dict)
        self._names: dict[str, dict[Path, None]] = defaultdict(dict)
        for test in tests:
            for place in test.places():
                self._places[place.absolute()][test.cassette] = None
            for name in test.names():
                self._names[name][test.cassette] = None

    def of(self, file: Path) -> list[Path]:
        """Return where a file's cassette belongs: one place, or one for each test that shared it.

        A file that no test is known for stays where it is, under its name; that of a test keeps
        the name that our plugin gives it.
        """
        stem = file.with_suffix("") if file.suffix.lower() in _SUFFIXES else file
        found = self._places.get(stem.absolute()) or self._names.get(stem.name)
        if found:
            return list(found)
        plain = _IDENTIFIERS.fullmatch(stem.name) is None
        name = stem.name if plain else cassette_name(stem.name)
        return [stem.with_name(f"{name}{SUFFIX}")]
