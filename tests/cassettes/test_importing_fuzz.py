"""Any mutation of a file gives recordings or an IntegrityError that names the file."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio import formats
from mxm_dataio.errors import IntegrityError
from mxm_dataio.formats.foreign import documents
from mxm_dataio.formats.foreign.conversion import Converted, converted
from mxm_dataio.formats.recordings import Recording, checksum_of
from tests.support.effort import examples
from tests.support.importing import FOREIGN

FILES = sorted(path for path in FOREIGN.iterdir() if path.suffix in (".yaml", ".json"))
OLD = [
    {
        "request": {
            "method": "GET", "protocol": "http", "host": "a.test", "port": 80, "path": "/x?y=1",
            "body": None, "headers": {"Accept": "*/*"},
        },
        "response": {
            "status": {"code": 200, "message": "OK"},
            "headers": ["Content-Type: text/plain\r\n"],
            "body": {"string": "x"},
        },
    }
]  # fmt: skip


def read(content: bytes, file: Path) -> Converted:
    """Return what becomes of a file's content, if it is of a known format."""
    format = formats.detect(content) or "vcr"
    assert format != "cassette"
    document = documents.parse_document(content, file)
    return converted(formats.module_of(format).interactions(document))


def holds(content: bytes, file: Path) -> None:
    """Check that a file gives whole recordings, or an error that names it."""
    error: IntegrityError | None = None
    recordings: list[Recording] = []
    try:
        recordings = read(content, file).recordings
    except IntegrityError as exc:
        error = exc
    assert error is None or (str(file) in str(error) and error.path == file)
    for recording in recordings:
        request = recording.exchange.request
        assert request.params_hash == checksum_of(request.identity.encode())
        for checksum, payload in recording.payloads.items():
            assert checksum_of(payload) == checksum
        for answer in recording.exchange.responses:
            assert answer.checksum in recording.payloads
            assert answer.head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
@given(data=st.data())
@examples(50)
def test_bytes_changed(file: Path, data: st.DataObject) -> None:
    # A part of it, so that it is fast; what breaks the rest breaks it alike.
    content = file.read_bytes()[: data.draw(st.sampled_from([600, 6_000]))]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(at, min(len(content), at + 40)))
        new = data.draw(st.binary(max_size=8) | st.sampled_from(_PIECES))
        content = content[:at] + new + content[end:]
    holds(content, file)


_PIECES = [
    b"&a", b"*a", b"!!python/object/apply:os.system", b"!!binary", b"[", b"{", b"\xff", b"\x00",
    b"null", b"<<: *a", b"-1", b"1e999", b"\\ud800", b"\\x0d\\x0a", b": ", b"\n- ", b'"', b"'",
]  # fmt: skip

_ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(
        ["http://[", "http://a:x/", "http://a/\x00", "ftp://a/", "http://", "\ud800", "gzip",
         "chunked", "-1", 99, 100, 10**20, "a\r\nb", "text/plain; charset=rot13", "ü: ü"]
    ),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["string", "base64_string", "encoding", "code", "message", "Vary"]), inner,
        max_size=3,
    ),
    max_leaves=5,
)  # fmt: skip


@pytest.mark.parametrize("file", [*FILES, None], ids=lambda path: path.name if path else "old")
@given(data=st.data())
@examples(50)
def test_values_changed(file: Path | None, data: st.DataObject) -> None:
    document = _document(file)
    for _ in range(data.draw(st.integers(1, 3))):
        document = _changed(document, data)
    holds(json.dumps(document).encode(), Path("changed.json"))
    try:
        text = yaml.safe_dump(document)
    except UnicodeEncodeError:
        return
    holds(text.encode("utf-8", "surrogatepass"), Path("changed.yaml"))


def _document(file: Path | None) -> Any:
    """Return a small valid document, with one of the file's longer calls."""
    if file is None:
        return json.loads(json.dumps(OLD))
    document = documents.parse_document(file.read_bytes(), file).value
    name = next(n for n in ("interactions", "http_interactions", "responses") if n in document)
    calls = document[name][:8:4]
    return {**document, name: json.loads(json.dumps(calls, default=bytes.hex))}


def _changed(value: Any, data: st.DataObject) -> Any:
    """Return a document with one of its values changed, left out or doubled."""
    if isinstance(value, (dict, list)) and value and data.draw(st.integers(0, 9)):
        out = value.copy()
        keys = sorted(value) if isinstance(value, dict) else range(len(value))
        key = data.draw(st.sampled_from(keys))
        what = data.draw(st.sampled_from(["in", "in", "in", "in", "drop", "set"]))
        if what == "drop":
            del out[key]
        else:
            out[key] = _changed(value[key], data) if what == "in" else data.draw(_ODD)
        return out
    return data.draw(_ODD)


@pytest.mark.long
@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_many_bytes_changed(file: Path) -> None:
    lot = random.Random(file.name)
    whole = file.read_bytes()
    for _ in range(1500):
        content = whole[: lot.choice([1_000, 5_000, len(whole)])]
        for _ in range(lot.randint(1, 5)):
            at = lot.randint(0, len(content))
            new = lot.choice([*_PIECES, lot.randbytes(lot.randint(0, 5))])
            content = content[:at] + new + content[at + lot.choice([0, 0, 1, 3, 30]) :]
        holds(content, file)
