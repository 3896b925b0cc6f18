"""Views as tables of pyarrow and frames of pandas, and as files."""

from __future__ import annotations

import builtins
import csv
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mxm_dataio.errors import ConfigError, IntegrityError
from mxm_dataio.formats.rows import to_rows
from mxm_dataio.models import Session, Status
from mxm_dataio.storage.catalog.views import VIEWS
from mxm_dataio.storage.questions import Questions
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.calls import call
from tests.trust.small import fill, session

FIRST = datetime(1970, 1, 1, 0, 0, 1, 500000, UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RecordingStore]:
    with RecordingStore(tmp_path / "root") as made:
        yield made


@pytest.fixture
def held(store: RecordingStore) -> Session:
    """A session, and a child of it, with three calls in all; and another."""
    first, other = session(), session()
    child = session(first)
    for one in (first, child, other):
        store.begin(one)
    call(store, first, "https://h/1?a=1", 200, started=1.5)
    call(store, child, "https://h/2", None, status=Status.FAILED, duration=None)
    call(store, first, "https://h/3", 404)
    call(store, other, "https://h/4", 200)
    return first


@pytest.mark.parametrize("view", VIEWS)
def test_tables(tmp_path: Path, view: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    fill(tmp_path / "root")
    with RootStore(tmp_path / "root") as store:
        table = Questions(store).table(view)
        wanted = [tuple(row) for row in Questions(store).sql(f"SELECT * FROM {view} ORDER BY 1")]
    assert table.column_names == [column.name for column in VIEWS[view]]
    kinds = {
        "text": pyarrow.string(), "json": pyarrow.string(), "integer": pyarrow.int64(),
        "real": pyarrow.float64(), "boolean": pyarrow.bool_(),
        "instant": pyarrow.timestamp("us", tz="UTC"),
    }  # fmt: skip
    assert list(table.schema.types) == [kinds[column.kind] for column in VIEWS[view]]
    assert table.num_rows == len(wanted) > 2
    for at, column in enumerate(VIEWS[view]):
        if column.kind != "instant":
            assert table.column(at).to_pylist() == [row[at] for row in wanted]


@pytest.mark.parametrize("view", VIEWS)
def test_frames(tmp_path: Path, view: str) -> None:
    pandas = pytest.importorskip("pandas")
    fill(tmp_path / "root")
    with RootStore(tmp_path / "root") as store:
        frame = Questions(store).frame(view)
        wanted = [tuple(row) for row in Questions(store).sql(f"SELECT * FROM {view} ORDER BY 1")]
    assert list(frame.columns) == [column.name for column in VIEWS[view]]
    assert len(frame) == len(wanted) > 2
    for at, column in enumerate(VIEWS[view]):
        values = [None if pandas.isna(one) else one for one in frame.iloc[:, at]]
        if column.kind != "instant":
            assert values == [row[at] for row in wanted]


def test_calls_in_types_of_their_own(store: RecordingStore, held: Session) -> None:
    pandas = pytest.importorskip("pandas")
    frame = Questions(store).frame()
    assert str(frame["started_at"].dtype) == "datetime64[us, UTC]"
    assert frame["started_at"][0] == pandas.Timestamp(FIRST)
    assert frame["status_code"].tolist() == [200, pandas.NA, 404, 200]
    assert frame.groupby("status")["bytes"].sum().to_dict() == {"complete": 15, "failed": 0}
    table = Questions(store).table()
    assert table.column("started_at")[0].as_py() == FIRST
    assert table.column("seconds").to_pylist() == [1.0, None, 1.0, 1.0]


def test_a_store_without_calls(store: RecordingStore) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    assert Questions(store).table().num_rows == len(Questions(store).frame("attempts")) == 0
    assert str(Questions(store).frame()["started_at"].dtype) == "datetime64[us, UTC]"


def test_what_is_missing_is_said(store: RecordingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name.partition(".")[0] in ("pandas", "pyarrow"):
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'mxm-dataio\[arrow\]'"):
        Questions(store).table()
    with pytest.raises(ConfigError, match=r"pip install 'mxm-dataio\[pandas\]'"):
        Questions(store).frame()
    with pytest.raises(ConfigError, match=r"no view 'cals': there are .*; did you mean 'calls'"):
        Questions(store).frame("cals")


def test_a_damaged_record_is_told(store: RecordingStore, held: Session, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    assert len(list(Questions(store).calls())) == 4
    store.close()
    with sqlite3.connect(tmp_path / "root" / "dataio.sqlite") as db:
        db.execute("UPDATE requests SET body_size = 'many'")
    db.close()
    with RootStore(tmp_path / "root") as made:
        for read in (Questions(made).table, Questions(made).frame):
            with pytest.raises(IntegrityError, match="no integer in its column sent_bytes"):
                read()


def test_files(store: RecordingStore, held: Session, tmp_path: Path) -> None:
    urls = ["https://h/1?a=1", "https://h/2", "https://h/3"]
    path = tmp_path / "calls.jsonl"
    assert to_rows(store, held.id, path, "jsonl") == 3
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["url"] for line in lines] == urls
    assert (lines[0]["params"], lines[1]["seconds"]) == ({"a": "1"}, None)
    path = tmp_path / "calls.csv"
    assert to_rows(store, held.id, path, "csv") == 3
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["url"] for row in rows] == urls
    assert (rows[0]["params"], rows[1]["seconds"]) == ('{"a": "1"}', "")
    with pytest.raises(ConfigError, match="is there already: --force replaces it"):
        to_rows(store, held.id, path, "csv")
    assert to_rows(store, held.id, path, "csv", force=True) == 3
    parquet = pytest.importorskip("pyarrow.parquet")
    assert to_rows(store, held.id, tmp_path / "calls.parquet", "parquet") == 3
    table = parquet.read_table(tmp_path / "calls.parquet")
    assert table.column("url").to_pylist() == urls
    assert table.column("started_at")[0].as_py() == FIRST
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "calls.csv", "calls.jsonl", "calls.parquet", "root",
    ]  # fmt: skip
