"""Sessions under rules, and a search for what these were to hide."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from mxm_dataio import (
    IngestSession,
    Redaction,
    use_cassette,
)
from mxm_dataio.redaction import DEFAULT

SECRET, OTHER = "Zk3v9-QmX71_tRw8", "Hn3sD-8yU5j_Fe1G"


HIDDEN = {("answer_json", "ssn"), ("answer_header", "x-account")}


def in_root(path: Path, mode: str, rules: Redaction) -> AbstractContextManager[Any]:
    return IngestSession("s", path / "root", mode, redaction=rules, stdlib=True)


def on_tape(path: Path, mode: str, rules: Redaction) -> AbstractContextManager[Any]:
    mode = "rewrite" if mode == "record" else "none"
    return use_cassette(path / "tape.json", mode, redaction=rules, stdlib=True)


WAYS = (in_root, on_tape)


def leaks(folder: Path, *values: str) -> list[str]:
    found = []
    for path in folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        for undo in (bytes, gzip.decompress, zlib.decompress):
            with contextlib.suppress(OSError, zlib.error, EOFError):
                found += [path.name for value in values if value.encode() in undo(data)]
    return found


def hiding(place: str, *names: str, mask: str = "HIDDEN") -> Redaction:
    """Return rules that hide what stands under names in a place, or all of it."""

    def rule(where: str, name: str, value: str) -> str | None:
        return mask if where == place and (not names or name in names) else None

    return DEFAULT.adding(rule)


def in_path(place: str, name: str, value: str) -> str | None:
    if place != "path":
        return None
    if name == "/" and value.startswith("bot"):
        return "bot-token"
    return "ID" if name.endswith("/users/") or name.startswith("/services/") else None
