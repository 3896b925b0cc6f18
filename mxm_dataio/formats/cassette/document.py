"""Cassettes: recordings as one JSON text for git, by a line the same if the source is the same.

    {
      "mxm-dataio cassette": 1,
      "source": "yahoo",
      "recorded": "2025-10-07",
      "calls": [{"request": …, "responses": […]}, …]
    }

The first member is the format's version. ``recorded`` is the day on which a call was recorded that
does not name another. See :mod:`.writing` for a call, :mod:`.bodies` for a body. What is above a
size lies in a folder beside, ``<file>.d/<checksum>.bin``.

Reading trusts nothing: unknown members, members that stand twice, and bodies that do not have their
checksum are refused, and what is found by a hash is hashed anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from json.encoder import encode_basestring
from pathlib import Path
from typing import IO, Any

from ...errors import IntegrityError
from ..recordings import Recording
from ..volatile import Volatile
from . import json_text
from .beside import Folder
from .json_text import Number
from .nodes import Node, Refusal
from .reading import Beside, Setting, asked_of, to_recording
from .schema import check
from .writing import to_node

MARK = "mxm-dataio cassette"
VERSION = 1
SUFFIX = ".json"
# Files above this are refused: they are no text that someone reads.
_LARGEST = 256 << 20
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
# What would not show in a text, or turns it round: controls, line ends of Unicode's, surrogates.
_UNSEEN = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")
# These stand on one line.
_INLINE = frozenset({"bytes", "chunks"})
# What is within these was recorded, or is others'.
_THEIRS = frozenset({"json", "data", "identity", "meta"})


@dataclass(slots=True)
class Document:
    """A cassette's content.

    Attributes:
        source: of the calls that do not name another.
        recorded: day of the calls that do not name another, ``2025-10-07``.
        as_of: what the data stand for, where it is not that day.
        meta: what other parts keep here, by their names; passed on as it is.
        calls: their nodes; see :mod:`.writing`.
    """

    source: str
    recorded: str
    as_of: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    calls: list[Node] = field(default_factory=list)

    def recorded_of(self, node: Node) -> str:
        """Return the day on which a call was recorded."""
        found: str = node.get("recorded", self.recorded)
        return found

    def add(
        self, recording: Recording, volatile: Volatile, *, chunks: bool = False
    ) -> dict[str, bytes]:
        """Add a call; return checksum → payload of what goes beside.

        Args:
            volatile: the headers left out.
            chunks: keep how chunked bodies were cut.
        """
        written = to_node(recording, volatile=volatile, chunks=chunks)
        request = recording.exchange.request
        node = written.node
        if request.source not in ("", self.source):
            node = {"source": request.source, **node}
        day = request.started_at[:10]
        if day not in ("", self.recorded):
            node = {"recorded": day, **node}
        self.calls.append(node)
        return written.beside

    def setting(self, node: Node, beside: Beside, root_id: str = "") -> Setting:
        """Return what a call has of its cassette."""
        day = self.recorded_of(node)
        return Setting(self.source, self.as_of or day, f"{day}T00:00:00.000000Z", root_id, beside)

    def text(self) -> str:
        """Return the text of the file."""
        members: Node = {MARK: VERSION, "source": self.source, "recorded": self.recorded}
        if self.as_of:
            members["as_of"] = self.as_of
        if self.meta:
            members["meta"] = self.meta
        members["calls"] = self.calls
        out: list[str] = []
        _print(members, "\n", out, ours=True)
        out.append("\n")
        return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", "".join(out))


def printed(node: Any) -> str:
    """Return a part of a document as its text has it, but for how far it is indented."""
    out: list[str] = []
    _print(node, "\n", out, ours=True)
    return "".join(out)


def _print(value: Any, line: str, out: list[str], *, ours: bool) -> None:
    """Print a value, a member a line.

    Args:
        line: begins a line on its level.
        ours: the names are the format's, not those of what was recorded.
    """
    if isinstance(value, str):
        out.append(encode_basestring(value))
    elif isinstance(value, Number):
        out.append(value.text)
    elif isinstance(value, dict) and value:
        inner, mark = f"{line}  ", "{"
        for name, item in value.items():
            out.append(f"{mark}{inner}{encode_basestring(name)}: ")
            if ours and name in _INLINE:
                out.append(json.dumps(item, ensure_ascii=False))
            else:
                _print(item, inner, out, ours=ours and name not in _THEIRS)
            mark = ","
        out.append(f"{line}}}")
    elif isinstance(value, list) and value:
        inner, mark = f"{line}  ", "["
        for item in value:
            out.append(mark + inner)
            _print(item, inner, out, ours=ours)
            mark = ","
        out.append(f"{line}]")
    else:
        out.append(json.dumps(value))


# -- reading -----------------------------------------------------------------------------------

_MEMBERS: dict[str, type] = {
    MARK: int, "source": str, "recorded": str, "as_of": str, "meta": dict, "calls": list,
}  # fmt: skip


def parse(content: bytes, name: str) -> Document:
    """Return the document of a file's bytes.

    Args:
        name: of the file, for messages.

    Raises:
        IntegrityError: it is no cassette, malformed, or of a newer version; the place is named.
    """
    if len(content) > _LARGEST:
        raise _refused(name, f"is larger than {_LARGEST} bytes")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise _refused(name, f"is no UTF-8 text: {exc}") from None
    try:
        top = json_text.loads(text, _members)
    except json.JSONDecodeError as exc:
        raise _refused(
            name, f"is no JSON: {exc.msg} in line {exc.lineno}, column {exc.colno}{_hint(text)}"
        ) from None
    except (ValueError, RecursionError) as exc:
        raise _refused(name, f"is no JSON that can be read: {exc}") from None
    if not isinstance(top, dict) or MARK not in top:
        raise _refused(name, f"is no cassette: it does not begin with {MARK!r}{_hint(text)}")
    version = top[MARK]
    if type(version) is not int or version < 1:
        raise _refused(name, f"has the format version {version!r}, which is none")
    if version > VERSION:
        raise _refused(
            name,
            f"is of format version {version}, this release reads up to {VERSION}: upgrade "
            "mxm-dataio; the file was left as it is",
        )
    return _document(top, name)


def _members(pairs: list[tuple[str, Any]]) -> Node:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the member {twice!r} stands twice in one object")
    return made


def _hint(text: str) -> str:
    if re.search(r"^(interactions|http_interactions|responses):", text, re.MULTILINE) or (
        '"http_interactions"' in text or '"interactions"' in text
    ):
        return "; it looks like one of another tool: mxm-dataio import FILE -o NEW.json"
    return ""


def _document(top: Node, name: str) -> Document:
    for member, item in top.items():
        if member not in _MEMBERS:
            raise _refused(name, f"has an unknown member {member!r}")
        if not isinstance(item, _MEMBERS[member]):
            raise _refused(name, f"{member} is of the wrong kind: {type(item).__name__}")
    for member in ("source", "recorded", "calls"):
        if member not in top:
            raise _refused(name, f"has no {member!r}")
    for index, node in enumerate(top["calls"]):
        try:
            check(node)
        except Refusal as exc:
            raise refusal(name, index, exc) from None
    for place, day in _days(top):
        if not _DATE.fullmatch(day):
            raise _refused(name, f"{place} is no day like 2025-10-07: {day!r}")
    return Document(
        top["source"], top["recorded"], top.get("as_of", ""), top.get("meta", {}), top["calls"]
    )


def _days(top: Node) -> Iterator[tuple[str, str]]:
    yield "recorded", top["recorded"]
    for index, node in enumerate(top["calls"]):
        if "recorded" in node:
            yield f"calls[{index}].recorded", node["recorded"]


def refusal(name: str, index: int, exc: Refusal) -> IntegrityError:
    """Return the error for a call that is malformed.

    Args:
        name: of the file.
        index: of the call.
    """
    place = f"calls[{index}]" + (f".{exc.place}" if exc.place else "")
    return _refused(name, f"{place}: {exc}")


def _refused(name: str, why: str) -> IntegrityError:
    return IntegrityError(f"the cassette {name}: {why}", path=Path(name))


# -- as every format -----------------------------------------------------------------------------


def knows(content: bytes) -> bool:
    """Say whether a file is of this format, given how it begins."""
    return re.match(rb'\s*\{\s*"mxm-dataio cassette"', content) is not None


def read(fp: IO[bytes]) -> list[Recording]:
    """Return the calls of a cassette.

    Args:
        fp: the file; payloads beside it are looked for by its name.

    Raises:
        IntegrityError: it is malformed, damaged or newer; the place is named.
    """
    name = _name_of(fp)
    document = parse(fp.read(_LARGEST + 1), name)
    return list(recordings(document, name))


def recordings(document: Document, name: str) -> Iterator[Recording]:
    """Yield the calls of a document.

    Args:
        name: of its file; payloads beside it are looked for by that.

    Raises:
        IntegrityError: a call is malformed or damaged; the place is named.
    """
    beside = Folder(Path(name))
    for index, node in enumerate(document.calls):
        try:
            asked = asked_of(node, beside=beside)
            yield to_recording(node, asked, f"{name}#{index + 1}", document.setting(node, beside))
        except Refusal as exc:
            raise refusal(name, index, exc) from None


def _name_of(fp: IO[bytes]) -> str:
    name = getattr(fp, "name", "")
    return str(name) if isinstance(name, (str, Path)) and str(name) else "<stream>"
