"""``mxm-dataio requests``."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mxm_dataio.cli.commands.requests import outcome
from mxm_dataio.cli.demo_scraper import Demonstrated
from mxm_dataio.models import Session, Status
from mxm_dataio.reading.listing import Listed, Tried
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.calls import call
from tests.trust.small import end, session
from tests.unit.cli.running import Screen, fits, rows, run, values


def test_into_a_pipe(demonstrated: tuple[Path, Demonstrated]) -> None:
    root, done = demonstrated
    found = rows("requests", "--root", root)
    assert len(found) == 15
    assert {len(row) for row in found} == {9}
    assert {row[1] for row in found} == {done.recorded}
    flaky = next(row for row in found if row[7].endswith("/flaky"))
    assert flaky[3:6] == ["GET", "503→200", "16"]
    assert len(flaky[0]) == 36
    assert len(flaky[8]) == 64
    assert float(flaky[6]) > 0
    assert [row[2] for row in found] == sorted(row[2] for row in found)


def test_as_json(demonstrated: tuple[Path, Demonstrated]) -> None:
    root, done = demonstrated
    found = values("requests", "latest", "--root", root, "--grep", "flaky")
    (one,) = found
    assert (one["type"], one["session_id"]) == ("request", done.recorded)
    assert (one["attempts"], one["status_code"], one["outcome"]) == ([503, 200], 200, "503→200")
    assert one["id"] == rows("requests", "--root", root, "--grep", "flaky")[0][0]


def test_on_a_terminal(demonstrated: tuple[Path, Demonstrated], screen: Screen) -> None:
    root, _ = demonstrated
    piped = rows("requests", "-1", "--root", root)
    narrow = screen("requests", "-1", "--root", root)
    assert fits(narrow)
    calls = values("requests", "-1", "--root", root)
    host = "/".join(calls[0]["url"].split("/")[:3])
    assert narrow[0] == f"at {host}"
    assert all(row[7].startswith(host) for row in piped)
    assert {"id", "time", "method", "status", "bytes", "took", "url"} <= {*narrow[1].split()}
    assert set(narrow[2]) == {"─"}
    assert len(narrow) == 18
    assert "http" not in "".join(narrow[1:])
    wide = screen("requests", "--root", root, width=140)
    assert fits(wide, 140)
    assert wide[1].split() == [
        "id", "time", "(UTC)", "method", "status", "bytes", "took", "url", "checksum",
    ]  # fmt: skip
    assert fits(screen("requests", "--root", root, width=36), 36)


def test_ids_shown_on_a_terminal_can_be_pasted_back(
    demonstrated: tuple[Path, Demonstrated], screen: Screen
) -> None:
    root, done = demonstrated
    shown = [line.split()[0] for line in screen("requests", "--root", root)[3:]]
    for text, row in zip(shown, rows_again(root), strict=True):
        assert run("show", text, "--root", root, "--json").stdout.count(f'"id": "{row}"') == 1
    session_id = screen("sessions", "--root", root)[2].split()[0]
    assert done.recorded.endswith(session_id)


def rows_again(root: Path) -> list[str]:
    return [one["id"] for one in values("requests", "--root", root)]


@pytest.fixture
def held(root: Path, store: RecordingStore) -> list[Session]:
    first, second = session(), session()
    child = session(first)
    for one in (first, child, second):
        store.begin(one)
    call(store, first, "https://one.example/a", 503, 200, body=b"needle", started=1e9)
    call(store, child, "https://two.example/b", 404, method="POST", upload=b"x=needle")
    call(
        store, second, "https://two.example/c", 200, source="other",
        body=gzip.compress(b"a needle"),
        head=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n\r\n",
    )  # fmt: skip
    call(store, second, "https://two.example/needle", None, status=Status.FAILED, started=2e9)
    for one in (child, first, second):
        end(store, one)
    return [first, child, second]


def test_which(root: Path, held: list[Session]) -> None:
    def urls(*options: object) -> str:
        found = run("requests", "--root", root, *options)
        assert found.exit_code == 0, found.output
        lines = [line.split("\t")[7] for line in found.stdout.splitlines()]
        return " ".join(line.rpartition("/")[2] for line in lines)

    first, child, second = (one.id for one in held)
    assert urls() == "a b c needle"
    assert urls(first) == "a b"
    assert urls("--session", child[-8:]) == "b"
    assert urls("latest~1") == urls("-2") == "a b"
    assert urls(second, "--limit", 1) == "needle"
    assert urls("--limit", 2) == "c needle"
    assert urls("--host", "two.example") == "b c needle"
    assert urls("--method", "post") == "b"
    assert urls("--status", "5xx", "--status", "failed") == "a needle"
    assert urls("--since", "2030-01-01") == "needle"
    assert urls("--source", "other") == "c"
    assert urls("--failed") == "b needle"
    assert urls("--grep", "^https://.*/(a|b)$") == "a b"
    assert urls("--grep", "needle") == "needle"
    assert urls("--grep", "needle", "--bodies") == "a b c needle"
    assert urls("--grep", "a needle", "--bodies") == "c"
    assert urls("--grep", "needle", "--bodies", "--limit", 3) == "b c needle"
    assert urls("--grep", "needle", "--host", "one.example", "--bodies") == "a"
    none = run("requests", "--root", root, "--method", "PUT")
    assert (none.exit_code, none.stdout, none.stderr) == (0, "", "no calls found\n")


def test_bodies_that_cannot_be_read_are_told(root: Path, held: list[Session]) -> None:
    for path in (root / "responses").iterdir():
        path.write_bytes(b"changed")
    done = run("requests", "--root", root, "--grep", "needle", "--bodies")
    assert done.exit_code == 1
    assert done.stdout.count("\n") == 1
    assert "4 bodies can't be read; the first: the payload" in done.stderr


def test_a_forged_url_moves_no_cursor(root: Path, store: RecordingStore, screen: Screen) -> None:
    held = session()
    store.begin(held)
    call(store, held, "https://h/\x1b[2J\tx\ny", 200)
    end(store, held)
    (row,) = rows("requests", "--root", root)
    assert row[7] == r"https://h/\x1b[2J\tx\ny"
    assert r"\x1b[2J" in screen("requests", "--root", root, width=100)[2]


def test_called_wrongly(root: Path, held: list[Session]) -> None:
    for wrong in (
        ("none",), (held[0].id, "--session", held[0].id), ("--bodies",), ("--grep", "("),
        ("--status", "2000"), ("--since", "x"), ("latest~9",),
    ):  # fmt: skip
        done = run("requests", "--root", root, *wrong)
        assert (done.exit_code, done.stdout) == (2, ""), wrong


@pytest.mark.parametrize(
    ("codes", "status", "served", "wanted"),
    [
        ([200], Status.COMPLETE, None, "200"),
        ([503, 503, 200], Status.COMPLETE, None, "503→503→200"),
        ([503, 503, 503, 200], Status.COMPLETE, None, "503×3→200"),
        ([None, None], Status.FAILED, None, "failed→failed"),
        ([200], Status.PARTIAL, None, "200 partial"),
        ([500], Status.FAILED, None, "500→failed"),
        ([], Status.FAILED, None, "failed"),
        ([], Status.INTERRUPTED, None, "interrupted"),
        ([], Status.COMPLETE, "id", "stored"),
    ],
)
def test_outcomes(codes: list[int | None], status: Status, served: str | None, wanted: str) -> None:
    attempts = tuple(Tried(code, 0, None, True, 0) for code in codes)
    made = Listed("i", "s", "x", 0.0, "GET", "u", status, None, served, attempts)
    assert outcome(made) == wanted
