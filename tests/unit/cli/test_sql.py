"""``mxm-dataio sql``."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

from mxm_dataio.cli.demo_scraper import Demonstrated
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support import CHECKOUT
from tests.support.calls import call
from tests.trust.small import session
from tests.unit.cli.running import Screen, fits, rows, run, values

GROUPED = "SELECT host, status_code, count(*) AS n FROM calls GROUP BY 1, 2 ORDER BY 2"


def test_into_a_pipe(demonstrated: tuple[Path, Demonstrated]) -> None:
    root, _ = demonstrated
    found = rows("sql", GROUPED, "--root", root)
    assert [row[1:] for row in found] == [["200", "13"], ["302", "1"], ["404", "1"]]
    assert rows("sql", "SELECT NULL, x'0aff', 'a' || char(10, 27)", "--root", root) == [
        ["-", "x'0aff'", r"a\n\x1b"]
    ]


def test_as_json(demonstrated: tuple[Path, Demonstrated]) -> None:
    root, done = demonstrated
    found = values("sql", GROUPED, "--root", root)
    assert [one["n"] for one in found] == [13, 1, 1]
    assert set(found[0]) == {"host", "status_code", "n"}
    (one,) = values("sql", "SELECT 1 AS a, NULL AS a, 9e999 AS a, x'00' AS b", "--root", root)
    assert one == {"a": 1, "a:1": None, "a:2": None, "b": "x'00'"}
    sessions = values("sql", "SELECT id FROM sessions ORDER BY id", "--root", root)
    assert sessions[0]["id"] == done.recorded


def test_as_csv(demonstrated: tuple[Path, Demonstrated]) -> None:
    root, _ = demonstrated
    query = "SELECT 'a,b' AS \"one, two\", NULL, 'c' || char(10) || '\"d\"'"
    done = run("sql", query, "--csv", "--root", root)
    names, row = csv.reader(io.StringIO(done.stdout))
    assert (names[0], row) == ("one, two", ["a,b", "", 'c\n"d"'])


def test_on_a_terminal(demonstrated: tuple[Path, Demonstrated], screen: Screen) -> None:
    root, _ = demonstrated
    lines = screen("sql", GROUPED, "--root", root)
    assert lines[0].split() == ["host", "status_code", "n"]
    assert [line.split()[1:] for line in lines[2:]] == [["200", "13"], ["302", "1"], ["404", "1"]]
    wide = screen("sql", "SELECT url, text(id) AS body, params, status FROM calls", "--root", root)
    assert fits(wide)
    assert wide[0].split() == ["url", "body", "params", "status"]
    assert len(wide) == 2 + 15
    # Of more columns than there is room for, none is left out.
    every = screen("sql", "SELECT * FROM calls LIMIT 1", "--root", root)
    assert {"row", "id", "url", "params_hash", "seconds"} <= {
        line.split()[0] for line in every if line
    }
    assert "no rows" in run("sql", "SELECT 1 WHERE 0", "--root", root).stderr


def test_what_a_server_sent_moves_no_cursor(
    store: RecordingStore, root: Path, screen: Screen
) -> None:
    held = session()
    store.begin(held)
    call(store, held, "https://h/1", 200, body=b"\x1b[2Jgone\n")
    store.close()
    query = "SELECT text(id) FROM calls"
    for shown in (
        "\n".join(screen("sql", query, "--root", root)),
        run("sql", query, "--root", root).stdout,
    ):
        assert r"\x1b[2Jgone\n" in shown
    assert json.loads(run("sql", query, "--json", "--root", root).stdout) == {
        "text(id)": "\x1b[2Jgone\n"
    }


def test_the_columns_are_listed() -> None:
    found = rows("sql")
    assert ["calls", "host", "text"] in found
    assert ["headers", "value", "text"] in found


def test_mistakes(demonstrated: tuple[Path, Demonstrated]) -> None:
    root, _ = demonstrated
    for query, words in (
        ("SELECT hots FROM calls", "Error: SQL: no such column: hots; did you mean 'host'?"),
        ("DROP TABLE main.requests", "Error: SQL: a query reads the views (SELECT …)"),
        ("SELECT * FROM requests", "main.requests is no view"),
    ):
        done = run("sql", query, "--root", root)
        assert (done.exit_code, done.stdout) == (2, "")
        assert words in done.stderr
    assert run("sql", "SELECT 1", "--csv", "--json", "--root", root).exit_code == 2


def test_as_csv_where_the_output_has_few_characters(
    demonstrated: tuple[Path, Demonstrated],
) -> None:
    root, _ = demonstrated
    done = subprocess.run(
        [sys.executable, "-m", "mxm_dataio", "sql", "SELECT 'ä→' AS ü", "--csv", "--root", root],
        capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, cwd=CHECKOUT,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"\\xfc\n\\xe4>\n")
