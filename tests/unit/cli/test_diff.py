"""``mxm-dataio diff``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mxm_dataio.models import Session
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.calls import call
from tests.trust.small import end, session
from tests.unit.cli.running import Screen, fits, run, values

HEAD = b"HTTP/1.1 200 OK\r\nDate: %d\r\nETag: %s\r\nContent-Type: %s\r\n\r\n"
PRICES = [{"day": day, "close": 100 + day} for day in range(40)]


@pytest.fixture
def held(root: Path, store: RecordingStore) -> list[Session]:
    """Two sessions; what the second got differs in every way."""
    found = []
    for number in (1, 2):
        one = session()
        child = session(one)
        store.begin(one)
        store.begin(child)
        prices = [*PRICES[:3], {"day": 3, "close": 0}, *PRICES[4:]] if number == 2 else PRICES

        def ask(
            name: str, body: bytes, media: bytes = b"text/plain", etag: bytes = b"x",
            code: int = 200, held: Session = one,
        ) -> None:  # fmt: skip
            head = HEAD % (number, etag, media)  # noqa: B023
            call(store, held, f"https://h/{name}", code, body=body, head=head)

        ask("same", b"same")
        ask("json", json.dumps(prices).encode(), b"application/json")
        ask("text", b"one\ntwo\nthree\n" if number == 1 else b"one\n2\nthree\n")
        ask("binary", bytes(number), b"image/png")
        ask("etag", b"same", etag=b"%d" % number)
        ask("code", b"same", code=200 if number == 1 else 404)
        ask("spaces", b"[1]" if number == 1 else b"[ 1 ]", b"application/json")
        ask("only-first" if number == 1 else "only-second", b"x")
        ask("child", b"%d" % number, held=child)
        end(store, child)
        end(store, one)
        found.append(one)
    return found


def test_sessions_into_a_pipe(root: Path, held: list[Session]) -> None:
    done = run("diff", "latest~1", "latest", "--root", root)
    assert (done.exit_code, done.stderr) == (1, "")
    text = done.stdout
    assert text.startswith(f"--- session {held[0].id}  market  ")
    for line in (
        "~ GET https://h/json  [", "    body: 1 difference in JSON",
        "      ~ [day=3].close: 103 → 0", "    body: differs in its lines", "      -two",
        "      +2",
        "    body: 1 → 2 bytes, sha256 6e340b9cffb3… → 96a296d224f2…", '    ~ ETag: 1 → 2',
        "    outcome: complete 200 → complete 404", "+ GET https://h/only-second  200  [",
        "- GET https://h/only-first  200  [", "~ GET https://h/child",
        "10 calls compared: 2 same, 6 changed, 1 added, 1 gone",
    ):  # fmt: skip
        assert f"\n{line}" in text, line
    assert "Date" not in text
    assert "\x1b" not in text


def test_sessions_as_json(root: Path, held: list[Session]) -> None:
    found = values("diff", held[0].id, held[1].id, "--root", root)
    kinds = [one["type"] for one in found]
    assert kinds == [*["changed"] * 5, "added", "changed", "gone", "summary"]
    by_name = {one["url"].rpartition("/")[2]: one for one in found[:-1]}
    assert by_name["json"]["body"]["differences"] == [
        {"op": "changed", "path": [3, "close"], "shown": "[day=3].close", "old": 103, "new": 0}
    ]
    assert by_name["etag"]["headers"] == [{"name": "ETag", "old": "1", "new": "2"}]
    assert by_name["code"]["facts"] == {"outcome": ["complete 200", "complete 404"]}
    assert by_name["text"]["body"]["lines"][0].startswith("@@")
    assert {by_name["json"]["id"], by_name["json"]["old_id"]} <= {
        one["id"] for one in values("requests", "--root", root)
    }
    assert found[-1] == {"type": "summary", "same": 2, "changed": 6, "added": 1, "gone": 1}


def test_sessions_on_a_terminal(root: Path, held: list[Session], screen: Screen) -> None:
    lines = screen("diff", "-2", "-1", "--root", root, status=1)
    assert fits(lines)
    one = next(line for line in lines if line.startswith("~ GET /json"))
    assert len(one) < 60
    assert run("show", one.rpartition(" ")[2].strip("]"), "--root", root).exit_code == 0


def test_a_shared_host_is_said_once(
    root: Path, held: list[Session], screen: Screen, store: RecordingStore
) -> None:
    assert screen("diff", "--root", root, "--brief", status=1)[2] == "at https://h"
    long = session()
    store.begin(long)
    call(store, long, f"https://h/{'folder/' * 20}price?page=7")
    end(store, long)
    lines = screen("diff", held[0].id, long.id, "--root", root, status=1)
    assert fits(lines)
    assert any("folder/price?page=7" in line for line in lines)


def test_the_last_two_of_the_newest_sessions_source(
    root: Path, held: list[Session], store: RecordingStore
) -> None:
    both = run("diff", "latest~1", "latest", "--root", root).stdout
    assert run("diff", "--root", root).stdout == both
    other = replace(session(), source="other")
    store.begin(other)
    end(store, other)
    done = run("diff", "--root", root)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"session {other.id} is the first of the source 'other'" in done.stderr
    last = session()
    store.begin(last)
    end(store, last)
    begun = run("diff", "--root", root).stdout.splitlines()[:2]
    assert [line.split()[2] for line in begun] == [held[1].id, last.id]
    assert run("diff", "latest", "--root", root).exit_code == 2


def test_equal_sessions(root: Path, held: list[Session]) -> None:
    done = run("diff", "latest", "latest", "--root", root)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == ("9 calls compared: 9 same, 0 changed, 0 added, 0 gone")
    assert values("diff", "latest", "latest", "--root", root)[-1]["same"] == 9


def test_options(root: Path, held: list[Session]) -> None:
    brief = run("diff", "-2", "-1", "--brief", "--root", root).stdout
    assert "body" not in brief
    assert "~ GET https://h/json" in brief
    assert "ETag" not in run("diff", "-2", "-1", "--no-headers", "--root", root).stdout
    assert "3 same, 5 changed" in run("diff", "-2", "-1", "--no-headers", "--root", root).stdout
    everything = run("diff", "-2", "-1", "--all-headers", "--root", root)
    assert "    ~ Date: 1 → 2" in everything.stdout
    assert "0 same, 8 changed" in everything.stdout


def test_many_differences_are_cut(root: Path, store: RecordingStore) -> None:
    held = session()
    store.begin(held)
    ids = [
        call(store, held, "https://h/a", 200, body=json.dumps([f"{mark}{'x' * 99}"] * 60).encode())
        for mark in "ab"
    ]
    end(store, held)
    shown = run("diff", *ids, "--root", root).stdout
    assert "body: 60 differences in JSON" in shown
    assert "  … 40 more (--all shows them)" in shown
    assert f'"a{"x" * 58}…' in shown
    whole = run("diff", *ids, "--all", "--root", root).stdout
    assert "more" not in whole
    assert f'"b{"x" * 99}"' in whole


def test_calls(root: Path, held: list[Session], screen: Screen) -> None:
    def ids(name: str) -> list[str]:
        return [one["id"] for one in values("requests", "--root", root, "--grep", f"{name}$")]

    same = run("diff", *ids("spaces"), "--root", root)
    assert (same.exit_code, "nothing differs" in same.stdout) == (0, True)
    assert run("diff", *ids("same"), "--root", root).exit_code == 0
    done = run("diff", *(one[-8:] for one in ids("json")), "--root", root)
    assert done.exit_code == 1
    assert done.stdout.startswith("--- GET https://h/json  ")
    assert "\n  ~ [day=3].close: 103 → 0\n" in done.stdout
    others = run("diff", ids("only-first")[0], ids("only-second")[0], "--root", root)
    assert (others.exit_code, "url: https://h/only-first → " in others.stdout) == (1, True)
    (one,) = values("diff", *ids("json"), "--root", root)
    assert (one["type"], one["body"]["how"]) == ("changed", "json")
    (one,) = values("diff", *ids("same"), "--root", root)
    assert one["type"] == "same"
    assert fits(screen("diff", *ids("text"), "--root", root, status=1))


def test_a_damaged_payload_is_a_difference(root: Path, held: list[Session]) -> None:
    for path in (root / "responses").iterdir():
        path.write_bytes(b"changed")
    done = run("diff", "-2", "-1", "--root", root)
    assert done.exit_code == 1
    assert "does not hold the bytes of its name" in done.stdout
    assert "1 same" in done.stdout
    assert any("problem" in one for one in values("diff", "-2", "-1", "--root", root))


def test_called_wrongly(root: Path, held: list[Session]) -> None:
    id = values("requests", "--root", root)[0]["id"]
    for wrong in (
        ("latest",), ("latest", id), (id, "latest"), ("latest", "none"),
        ("latest", "latest", "--all-headers", "--no-headers"),
    ):  # fmt: skip
        done = run("diff", *wrong, "--root", root)
        assert (done.exit_code, done.stdout) == (2, ""), wrong
