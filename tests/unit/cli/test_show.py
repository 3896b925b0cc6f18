"""``mxm-dataio show``."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mxm_dataio.cli import main
from mxm_dataio.cli.demo_scraper import Demonstrated
from mxm_dataio.cli.exchange import phases
from mxm_dataio.integrity.pruning import Choice, prune
from mxm_dataio.models import Response, Status, Timings
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.calls import call
from tests.trust.small import end, fill, session
from tests.unit.cli.running import Screen, fits, run, values

DEMO = tuple[Path, Demonstrated]


def id_of(root: Path, path: str) -> str:
    (found,) = values("requests", "--root", root, "--grep", path + "$")
    return str(found["id"])


def raw(*arguments: object) -> bytes:
    done = CliRunner().invoke(main, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout_bytes


# -- calls -----------------------------------------------------------------------------------------


def test_a_call_that_was_tried_again(demonstrated: DEMO) -> None:
    root, done = demonstrated
    id = id_of(root, "/flaky")
    shown = run("show", id[-8:], "--root", root)
    assert (shown.exit_code, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("GET http://127.0.0.1:")
    assert lines[1] == f"  id          {id}"
    assert lines[2] == f"  session     {done.recorded}, source demo"
    assert any(line.startswith("  outcome     complete: 503→200 in ") for line in lines)
    first = lines.index("attempt 1 of 2  503 Service Unavailable  HTTP/1.1")
    second = lines.index("attempt 2 of 2  200 OK  HTTP/1.1")
    assert any("wait" in line and " ms" in line for line in lines[first:second])
    assert '  {"error": "try again"}' in lines[first:second]
    assert lines[-1] == '  {"status": "ok"}'
    assert "█" not in shown.stdout
    one = run("show", f"{id}/1", "--root", root).stdout
    assert "try again" in one
    assert "attempt 2" not in one


def test_what_was_redacted_is_seen(demonstrated: DEMO) -> None:
    root, _ = demonstrated
    lines = run("show", id_of(root, "/login"), "--root", root).stdout.splitlines()
    assert "  user=demo&password=REDACTED" in lines
    assert "  Set-Cookie: session=REDACTED; HttpOnly" in lines
    assert any(line.startswith("  body sha256 ") for line in lines)


def test_bodies_are_decoded_and_cut(demonstrated: DEMO) -> None:
    root, _ = demonstrated
    id = id_of(root, "/weather/Bergen")
    shown = run("show", id, "--root", root).stdout
    assert "application/json, gzip undone" in shown
    assert '    "city": "Bergen",' in shown
    assert '      {"date": "2024-03-14", "high": ' in shown
    page = run("show", id_of(root, "/news/today"), "--root", root).stdout
    assert "  <html><body><h1>Café reopens</h1></body></html>" in page
    csv = run("show", id_of(root, "/table.csv"), "--root", root).stdout
    assert "  payload     46 bytes, in 3 chunks" in csv


def test_long_bodies_are_cut_unless_all_is_asked_for(root: Path, store: RecordingStore) -> None:
    held = session()
    store.begin(held)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\n"
    text = "".join(f"line {number}\n" for number in range(100)).encode()
    ids = [
        call(store, held, "https://h/text", 200, body=text, head=head % b"text/plain"),
        call(store, held, "https://h/bin", 200, body=bytes(1000), head=head % b"image/png"),
        call(store, held, "https://h/wide", 200, body=b"x" * 9000, head=head % b"text/plain"),
    ]
    end(store, held)
    for id, notes in zip(
        ids,
        (
            ["  line 39", "  … 60 lines more; it has 790 bytes in all (--all shows it)"],
            ["  … 47 lines more; it has 1,000 bytes in all (--all shows it)"],
            ["… 7,000 characters more"],
        ),
        strict=True,
    ):
        shown = run("show", id, "--root", root).stdout
        assert all(note in shown for note in notes)
        whole = run("show", id, "--root", root, "--all").stdout
        assert "more" not in whole
    assert "  line 99" in run("show", ids[0], "--root", root, "--all").stdout
    assert (
        "  000003e0  00 00 00 00 00 00 00 00" in run("show", ids[1], "--root", root, "--all").stdout
    )


def test_everything_that_is_known_is_shown(root: Path) -> None:
    ids = fill(root)
    with RootStore(root, readonly=True) as store:
        _, b, _, d, e = store.exchanges(ids[0])
    shown = run("show", b.request.id, "--root", root).stdout
    for text in (
        "POST https://data.example/b?day=1", "parameters  day=1", "kind        daily",
        "  a=1", "attempt 2 of 2", "request     GET https://data.example/b?day=1&again=1",
        "connect 10 ms, tls 20 ms, wait 10 ms, receive 210 ms = 250 ms",
        "peer        192.0.2.7:443", "tls         TLSv1.3, TLS_AES_128_GCM_SHA256, certificate",
        "failure     urllib3.exceptions.ReadTimeoutError: slow",
        "9 bytes more came and were not kept (max_body)", "closed by the peer",
        f"redacted    a secret was taken from it; what came has sha256 {'e' * 64}",
    ):  # fmt: skip
        assert text in shown, text
    failed = run("show", d.request.id, "--root", root).stdout
    assert "failure     requests.exceptions.ConnectionError: refused" in failed
    assert "served from the store: " in failed
    assert "payload     0 bytes" in run("show", e.request.id, "--root", root).stdout


def test_as_json(demonstrated: DEMO) -> None:
    root, done = demonstrated
    id = id_of(root, "/weather/Fes")
    (one,) = values("show", id, "--root", root)
    assert (one["type"], one["id"], one["session_id"]) == ("request", id, done.recorded)
    (attempt,) = one["attempts"]
    assert attempt["id"] == f"{id}/1"
    assert attempt["body"]["codings"] == ["gzip"]
    assert "text" not in attempt["body"]
    assert Path(attempt["path"]).exists()
    (one,) = values("show", id, "--root", root, "--all")
    assert json.loads(one["attempts"][0]["body"]["text"])["city"] == "Fes"
    assert one["attempts"][0]["timings"]["total"] > 0


def test_as_json_with_what_is_no_text(root: Path, store: RecordingStore) -> None:
    held = session()
    store.begin(held)
    id = call(store, held, "https://h/a", 200, body=b"\x00\xff", upload=b"x=1")
    call(store, held, "https://h/b", None, status=Status.FAILED)
    (one,) = values("show", id, "--root", root, "--all")
    assert base64.b64decode(one["attempts"][0]["body"]["base64"]) == b"\x00\xff"
    assert one["body"]["text"] == "x=1"
    (one,) = values("show", id_of(root, "/b"), "--root", root)
    assert one["failure"]["class"] == "requests.exceptions.ConnectionError"
    assert one["attempts"][0]["body"] is None


def test_on_a_terminal(demonstrated: DEMO, screen: Screen) -> None:
    root, _ = demonstrated
    for path in ("/flaky", "/login", "/weather/Fes", "/table.csv", "page=1"):
        lines = screen("show", id_of(root, path), "--root", root)
        assert fits(lines), path
        assert any("█" in line for line in lines)
    narrow = screen("show", id_of(root, "/weather/Fes"), "--root", root)
    assert "      {" not in narrow
    bars = [line for line in screen("show", id_of(root, "/flaky"), "--root", root) if "█" in line]
    assert bars[0].strip().startswith("█")
    assert bars[1].strip().startswith("─")


# -- payloads --------------------------------------------------------------------------------------


def test_payloads_byte_for_byte(root: Path, store: RecordingStore) -> None:
    held = session()
    store.begin(held)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    large = os.urandom(3 << 20)
    packed = gzip.compress(bytes(range(256)))
    id = call(store, held, "https://h/a", 503, 200, body=packed, head=head, upload=b"sent\r\n\x00")
    big = call(store, held, "https://h/b", 200, body=large)
    end(store, held)
    assert raw("show", id, "--raw", "--root", root) == packed
    assert raw("show", f"{id}/1", "--raw", "--root", root) == packed
    assert raw("show", id, "--decoded", "--root", root) == bytes(range(256))
    assert raw("show", id, "--raw", "--request-body", "--root", root) == b"sent\r\n\x00"
    found = raw("show", big, "--raw", "--attempt", 1, "--root", root)
    assert hashlib.sha256(found).digest() == hashlib.sha256(large).digest()


def test_payloads_that_are_not_there(root: Path, store: RecordingStore) -> None:
    held = session()
    store.begin(held)
    none = call(store, held, "https://h/a", None, status=Status.FAILED)
    served = call(store, held, "https://h/b", served_from=none)
    end(store, held)
    for arguments, why in [
        ((none, "--raw"), "no answer came"),
        ((none, "--attempt", 2), "no attempt 2: it has 1 attempt"),
        ((none, "--raw", "--request-body"), "without a body"),
        ((served, "--raw"), f"answered from the store, show {none}"),
        ((f"{none}/x",), "behind the slash"),
        ((held.id, "--raw"), "is a session"),
        ((none, "--request-body"), "what --raw or --decoded are to write"),
    ]:  # fmt: skip
        done = run("show", *arguments, "--root", root)
        assert (done.exit_code, done.stdout) == (2, ""), arguments
        assert why in done.stderr


def test_damaged_payloads(root: Path, store: RecordingStore) -> None:
    held = session()
    store.begin(held)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    id = call(store, held, "https://h/a", 200, body=b"no gzip", head=head)
    end(store, held)
    done = run("show", id, "--decoded", "--root", root)
    assert done.exit_code == 1
    assert "gzip coding is damaged" in done.stderr
    assert "gzip coding is damaged" in run("show", id, "--root", root).stdout
    for path in (root / "responses").iterdir():
        path.write_bytes(b"changed")
    for arguments in ((), ("--raw",), ("--json", "--all")):
        done = run("show", id, *arguments, "--root", root)
        assert done.exit_code == 1
        assert "does not hold the bytes of its name" in done.output


def test_no_control_characters_are_written_raw_to_a_terminal(
    root: Path, store: RecordingStore
) -> None:
    held = session()
    store.begin(held)
    plain = call(store, held, "https://h/a", 200, body=b"plain\n")
    binary = call(store, held, "https://h/b", 200, body=b"\x1b[2J")
    end(store, held)
    for id, status, wanted in ((plain, 0, b"plain"), (binary, 2, b"write it to a file")):
        master, slave = pty.openpty()
        try:
            done = subprocess.run(
                [sys.executable, "-m", "mxm_dataio.cli", "show", id, "--raw", "--root", root],
                stdin=slave, stdout=slave, stderr=slave, timeout=60, check=False,
            )  # fmt: skip
            shown = os.read(master, 65536)
        finally:
            os.close(master)
            os.close(slave)
        assert done.returncode == status
        assert wanted in shown
        assert b"\x1b[2J" not in shown


# -- sessions --------------------------------------------------------------------------------------


def test_a_session(root: Path, screen: Screen) -> None:
    ids = fill(root)
    shown = run("show", ids[1], "--root", root)
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert lines[0] == f"session {ids[1]}"
    for text in (
        "  source      market", "  status      incomplete", "  program     scraper.py",
        "  exit        3", "  calls       3 calls in 4 attempts, 0 errors, 17 bytes",
        "with its children", "warnings", "  a word", "not captured",
        "  process curl, 2 times, by m", f"its calls: mxm-dataio requests {ids[1][-8:]}",
    ):  # fmt: skip
        assert text in lines, text
    child = run("show", ids[2], "--root", root).stdout
    assert f"  parent      {ids[1]}" in child
    assert "with its children" not in child
    (one,) = values("show", "latest", "--root", root)
    assert (one["type"], one["id"], one["children"]) == ("session", ids[1], [ids[2]])
    assert one["coverage"] == [{"kind": "process", "name": "curl", "times": 2, "caller": "m"}]
    assert one["hosts"] == {"data.example": 3}
    assert fits(screen("show", ids[1], "--root", root))


def test_a_prune(root: Path) -> None:
    ids = fill(root)
    with RecordingStore(root) as store:
        prune(store, Choice(sessions=(ids[0],)))
        event = store.sessions()[-1].id
    shown = run("show", event, "--root", root).stdout
    assert f"  session {ids[0]}: 5 calls" in shown
    assert "  source      (prune)" in shown
    assert "  pruned      20" in run("show", ids[0], "--root", root).stdout


def test_ids_that_say_too_little(root: Path) -> None:
    ids = fill(root)
    for text, why in (
        ("01", "sessions and calls begin or end with 01"), ("zzz", "no session and no call zzz"),
        ("latest~7", "no session latest~7"),
    ):  # fmt: skip
        done = run("show", text, "--root", root)
        assert (done.exit_code, why in done.stderr) == (2, True), done.stderr
    assert run("show", ids[0][:20], "--root", root).exit_code in (0, 2)


@pytest.mark.parametrize("option", ["--attempt=0", "--nothing"])
def test_called_wrongly(root: Path, option: str) -> None:
    fill(root)
    assert run("show", "latest", option, "--root", root).exit_code == 2


@pytest.mark.parametrize(
    ("timings", "wanted"),
    [
        (
            Timings(0.1, 0.05, 0.25, 0.5),
            {"connect": 0.1, "tls": 0.05, "wait": 0.1, "receive": 0.25},
        ),
        (Timings(None, None, 0.2, 0.3), {"wait": 0.2, "receive": 0.1}),
        (Timings(0.1, None, None, 0.1), {"connect": 0.1, "receive": 0.0}),
        (Timings(), {}),
    ],
)
def test_phases_add_up_to_all_of_it(timings: Timings, wanted: dict[str, float]) -> None:
    response = Response("1", 1, "GET", status_code=200, size=7, timings=timings)
    assert phases(response) == pytest.approx(wanted)
