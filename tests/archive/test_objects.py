"""Objects as they are written and read: whole, or refused with their name."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet as pq

from mxm_dataio.archive import exchanges, parquet
from mxm_dataio.archive.exchanges import ArchivedCall, ExchangesWriter
from mxm_dataio.archive.parquet import Column, columns_of
from mxm_dataio.errors import IntegrityError
from mxm_dataio.storage.catalog import rows
from mxm_dataio.storage.root_store import RootStore
from tests.support.effort import rounds
from tests.support.memory import growth


@pytest.fixture
def written(root: Path) -> tuple[bytes, list[ArchivedCall]]:
    """Return an object with calls, and those."""
    writer, calls = ExchangesWriter(), []
    with RootStore(root, readonly=True) as store:
        for one in store.catalog.sealed_sessions():
            for call in store.catalog.sealed_calls(one.id):
                contents = {
                    checksum: store.payload(checksum, size) or b""
                    for checksum, size in exchanges.bodies(call)
                }
                calls.append(ArchivedCall(len(calls), call, contents))
                writer.add(len(calls) - 1, call, contents)
    return bytes(writer.finish()), calls


def test_what_is_written_is_read(written: tuple[bytes, list[ArchivedCall]]) -> None:
    content, calls = written
    assert exchanges.read(content, "x") == calls


def test_the_columns_are_those_that_are_hashed() -> None:
    names = [one.name for one in exchanges.COLUMNS]
    assert len(names) == len(set(names))
    of_call = rows.CHAINED.replace("coalesce(h.content, q.head)", "q.head").replace(
        "s.id", "session"
    )
    of_call = of_call.replace("r.id", "root").replace("q.", "")
    assert names[:21] == of_call.split(", ")
    attempts = exchanges.COLUMNS[names.index("attempts")]
    assert [one.name for one in attempts.fields] == rows.RESPONSE.split(", ")


def test_engines_read_it(written: tuple[bytes, list[ArchivedCall]]) -> None:
    content, calls = written
    table = pq.read_table(pyarrow.BufferReader(content), page_checksum_verification=True)
    assert table.column("params_hash").to_pylist() == sorted(one.call.columns[10] for one in calls)
    assert set(table.column("host").to_pylist()) == {"data.example"}
    assert {200, None} >= set(table.column("status_code").to_pylist())
    first = table.to_pylist()[0]
    assert first["attempts"][-1]["status_code"] == first["status_code"]


@pytest.mark.parametrize("cut", [0, 1, 4, 8, 12, 100, -1, -4, -8, -100])
def test_what_was_cut_is_refused(written: tuple[bytes, list[ArchivedCall]], cut: int) -> None:
    with pytest.raises(IntegrityError, match="some/name is damaged"):
        exchanges.read(written[0][:cut], "some/name")


def test_every_flipped_byte_is_found(written: tuple[bytes, list[ArchivedCall]]) -> None:
    content = written[0]
    for place in rounds(range(0, len(content), 97), range(len(content))):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        with pytest.raises(IntegrityError):
            exchanges.read(bytes(flipped), "x")


def test_a_strangers_bytes_are_refused_or_read(written: tuple[bytes, list[ArchivedCall]]) -> None:
    """Whose hash of itself is right, and nothing else need be."""
    content, draw = written[0], random.Random(5)
    view = memoryview(content)
    footer = parquet._footer(view)
    said: list[str] = []
    for _ in range(rounds(200, 20_000)):
        changed = bytearray(content)
        for _ in range(draw.choice((1, 1, 2, 5))):
            place = draw.randrange(footer, len(content) - 8) if draw.random() < 0.7 else 4
            changed[place or draw.randrange(4, footer - 32)] = draw.randrange(256)
        found = memoryview(changed)
        digest = parquet._sha256(found[: footer - 32], found[footer:])
        changed[footer - 32 : footer] = digest
        try:
            exchanges.read(bytes(changed), "x")
        except IntegrityError as exc:
            said.append(str(exc))
    assert all(text.startswith("x is damaged") for text in said)


# -- tables ------------------------------------------------------------------------------------

_COLUMNS = (*columns_of(text="a", integer="b"), Column("c", "", columns_of(bytes="d")))


def foreign(**columns: Any) -> bytes:
    """Return a table of another's making, that is whole."""
    sink = pyarrow.BufferOutputStream()
    pq.write_table(pyarrow.table(columns), sink, compression="zstd")
    return bytes(parquet._sealed(memoryview(sink.getvalue()).cast("B")))


_LISTS = pyarrow.list_(pyarrow.struct([("d", pyarrow.binary())]))


_TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_REALS = st.none() | st.floats(allow_nan=False)
_NUMBERS = st.none() | st.integers(-(1 << 63), (1 << 63) - 1)
_BYTES = st.none() | st.binary(max_size=20)
_FIELDS = columns_of(text="a", bytes="b", integer="c", real="d", boolean="e")
_VALUES = st.tuples(_TEXTS, _BYTES, _NUMBERS, _REALS, st.none() | st.booleans())


@given(
    st.lists(st.builds(lambda v, f: (*v, f), _VALUES, st.lists(_VALUES, max_size=3)), min_size=1)
)
def test_values_of_every_kind(rows: list[tuple[Any, ...]]) -> None:
    columns = (*_FIELDS, Column("f", "", _FIELDS))
    content = bytes(parquet.write(parquet.batch(columns, rows)))
    found = parquet.read(content, columns, "x")
    assert found == rows
    assert repr(found) == repr(rows)  # -0.0 is equal to 0.0, and True to 1


def test_columns_in_another_order_and_further_ones() -> None:
    lists = pyarrow.array([[{"d": b"1"}, {"d": None}], []], _LISTS)
    content = foreign(x=[1.5, 2.5], c=lists, b=[1, None], a=["ä", "b"])
    assert parquet.read(content, _COLUMNS, "x") == [
        ("ä", 1, [(b"1",), (None,)]),
        ("b", None, []),
    ]


@pytest.mark.parametrize(
    "columns",
    [
        {"a": ["x"], "b": [1]},
        {"a": ["x"], "b": [1.0], "c": pyarrow.array([[]], _LISTS)},
        {"a": [b"x"], "b": [1], "c": pyarrow.array([[]], _LISTS)},
        {"a": ["x"], "b": ["1"], "c": pyarrow.array([[]], _LISTS)},
        {"a": ["x"], "b": [1], "c": [["x"]]},
        {"a": ["x"], "b": [1], "c": pyarrow.array([None], _LISTS)},
        {"a": ["x"], "b": [1], "c": pyarrow.array([[None]], _LISTS)},
    ],
)  # fmt: skip
def test_columns_that_lack_or_are_of_other_types(columns: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="some/name is damaged"):
        parquet.read(foreign(**columns), _COLUMNS, "some/name")


def test_what_unpacks_to_too_much_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = pyarrow.array([[]] * 200, _LISTS)
    content = foreign(a=["x" * 10_000] * 200, b=[1] * 200, c=lists)
    assert len(content) < 10_000
    assert len(parquet.read(content, _COLUMNS, "x")) == 200
    for name, limit in (("LARGEST", 1000), ("_MOST_ROWS", 199)):
        with monkeypatch.context() as patch:
            patch.setattr(parquet, name, limit)
            with pytest.raises(IntegrityError, match="it says that it unpacks to"):
                parquet.read(content, _COLUMNS, "x")


def test_what_stands_there_once_for_many_rows_is_unpacked_once() -> None:
    """1.4 kB of a file can be gigabytes, by what it says of itself and by its rows few."""
    once = b"x" * (2 << 20)
    rows, places = 2000, pyarrow.array([0] * 2000, pyarrow.int32())
    texts = pyarrow.DictionaryArray.from_arrays(places, [once.decode()])
    bytes_ = pyarrow.DictionaryArray.from_arrays(places, pyarrow.array([once]))
    structs = pyarrow.StructArray.from_arrays([bytes_], ["d"])
    ends = pyarrow.array(range(rows + 1), pyarrow.int32())
    table = pyarrow.table(
        {"a": texts, "b": [1] * rows, "c": pyarrow.ListArray.from_arrays(ends, structs)}
    )
    sink = pyarrow.BufferOutputStream()
    pq.write_table(
        table, sink, compression="zstd", store_schema=False, dictionary_pagesize_limit=1 << 30
    )
    content = bytes(parquet._sealed(memoryview(sink.getvalue()).cast("B")))
    assert len(content) < 10_000

    def read() -> None:
        assert parquet.read(content, _COLUMNS, "x") == [(once.decode(), 1, [(once,)])] * rows

    assert growth(read) < 100 << 20


def test_lists_of_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_MOST_IN_LISTS", 99)
    content = foreign(a=["x"], b=[1], c=pyarrow.array([[{"d": None}] * 100], _LISTS))
    with pytest.raises(IntegrityError, match="has 100 values"):
        parquet.read(content, _COLUMNS, "x")


@pytest.mark.parametrize("row", [(1, 1, []), ("\ud800", 1, []), ("a", "1", []), ("a", 1 << 64, [])])
def test_a_value_that_none_of_its_kind_has_is_not_written(row: tuple[Any, ...]) -> None:
    with pytest.raises(IntegrityError, match="a record holds a value"):
        parquet.batch(_COLUMNS, [row])
