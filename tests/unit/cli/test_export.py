"""``mxm-dataio export`` of tables; of cassettes see ``tests/unit/formats/test_exporting.py``."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mxm_dataio.cli.demo_scraper import Demonstrated
from tests.unit.cli.running import run


def test_the_name_tells_the_format(demonstrated: tuple[Path, Demonstrated], tmp_path: Path) -> None:
    root, done = demonstrated
    for name, more in (("a.csv", []), ("b.jsonl", []), ("c", ["--format", "csv"])):
        said = run("export", done.recorded, "-o", tmp_path / name, *more, "--root", root)
        assert said.stdout == f"{tmp_path / name}: 15 calls of demo\n"
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "c").read_bytes()
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [line["id"] for line in lines]
    assert {line["session_id"] for line in lines} == {done.recorded}


def test_parquet(demonstrated: tuple[Path, Demonstrated], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    root, done = demonstrated
    path = tmp_path / "calls.parquet"
    said = run("export", done.recorded, "-o", path, "--root", root, "--json")
    assert json.loads(said.stdout)["format"] == "parquet"
    assert parquet.read_table(path).num_rows == 15


def test_what_is_refused(demonstrated: tuple[Path, Demonstrated], tmp_path: Path) -> None:
    root, _ = demonstrated
    path = tmp_path / "a.csv"
    path.write_text("mine")
    for more in ([], ["--force", "--keep-headers"], ["--force", "--keep-chunks"]):
        assert run("export", "-o", path, *more, "--root", root).exit_code == 2
    assert path.read_text() == "mine"
    away = run("export", "-o", tmp_path / "no" / "a.csv", "--root", root)
    assert away.exit_code == 2
    assert "a.csv can't be written" in away.stderr
