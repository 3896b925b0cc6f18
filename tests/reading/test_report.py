"""``mxm-dataio report``: what it writes, and what that looks like in a browser."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mxm_dataio.cli import main
from mxm_dataio.integrity.pruning import Choice, prune
from mxm_dataio.models import Failure, Mode, Status, Unseen
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from tests.support.browser import Browser, chromium
from tests.support.effort import crossed
from tests.support.recorded import Recorder, Try

HOSTILE = "</script><img src='http://127.0.0.1:9/x' onerror='pwned=1'><!--<b>\u202e\u2028&lt;"
TIMEOUT = Failure("requests.exceptions.ConnectTimeout", f"timed out {HOSTILE}")


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["report", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def fill(root: Path, count: int = 240) -> Recorder:
    """Record a session of a few hosts with a child, and everything that may befall a call."""
    with RecordingStore(root) as store:
        parent = Recorder.begin(store, program="scraper.py")
        child = Recorder.begin(store, parent.session, at=1.0, program="worker.py")
        for number in range(count):
            recorder = child if number % 3 == 2 else parent
            url = f"https://{'ab'[number % 2]}.example/item/{number:05}?page={number % 7}"
            at = number * 0.05
            body = b'{"number": %d}' % (number % 100)
            new = {"connect": 0.01, "tls": 0.02, "first_byte": 0.05, "total": 0.06}
            match number % 20:
                case 3:
                    recorder.call(url, Try(404, b"{}"), at=at)
                case 5:
                    recorder.call(url, Try(503, b"busy"), Try(200, body, start=0.1), at=at)
                case 7:
                    lost = Try(None, total=0.2, failure=TIMEOUT)
                    recorder.call(
                        url, lost, at=at, duration=0.2, status=Status.FAILED, failure=TIMEOUT
                    )
                case 11:
                    recorder.call(
                        url, Try(200, bytes(range(256)) * 9), at=at, method="POST", upload=b"a=1"
                    )
                case 13:
                    recorder.call(
                        url, Try(200, body, original="e" * 64, truncated=5), at=at,
                        status=Status.PARTIAL,
                    )  # fmt: skip
                case 17:
                    recorder.call(url, at=at, duration=0.001, served_from=parent.calls[0])
                case _:
                    recorder.call(url, Try(200, body, **new), at=at)
        child.end(count * 0.05, coverage=())
        parent.end(
            count * 0.05 + 1,
            coverage=[Unseen("process", "/usr/bin/curl", 3, "legacy.download")],
            left_out=[Unseen("left out", "b.test:443", 1), Unseen("left out", "c.test:80", 3)],
            warnings=["one warning"],
            exit_status=0,
        )
    return parent


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recorded")


@pytest.fixture(scope="module")
def recorded(root: Path) -> Recorder:
    return fill(root)


# -- the command -------------------------------------------------------------------------------


def test_the_page_is_written_and_written_anew(
    root: Path, recorded: Recorder, tmp_path: Path
) -> None:
    target = tmp_path / "a folder" / "report.html"
    target.parent.mkdir()
    for _ in range(2):
        done = run(recorded.session.id[:16], "--root", root, "-o", target)
        assert done.exit_code == 0
        assert done.output == (
            f"{target}: 240 calls in 2 sessions, {target.stat().st_size:,} bytes\n"
        )
        assert target.read_text(encoding="utf-8").endswith("</html>\n")
        assert list(target.parent.iterdir()) == [target]
        target.chmod(0o640)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_by_default_it_is_named_for_its_session(
    root: Path, recorded: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(recorded.session.id, "--root", root).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == [f"report-{recorded.session.id}.html"]


def test_to_standard_output(root: Path, recorded: Recorder) -> None:
    done = run(recorded.session.id, "--root", root, "-o", "-")
    assert (done.exit_code, done.output[:15]) == (0, "<!DOCTYPE html>")


def test_what_cant_be_written_leaves_what_is_there(
    root: Path, recorded: Recorder, tmp_path: Path
) -> None:
    done = run(recorded.session.id, "--root", root, "-o", tmp_path / "none" / "x.html")
    assert (done.exit_code, "can't be written" in done.output) == (2, True)


def test_as_json(root: Path, recorded: Recorder) -> None:
    done = run(recorded.session.id, "--root", root, "--json")
    assert done.exit_code == 0
    first, *calls = map(json.loads, done.output.splitlines())
    assert (first["type"], first["totals"]["calls"]) == ("report", 240)
    assert {call["type"] for call in calls} == {"call"}
    assert recorded.calls == [
        call["id"] for call in calls if call["session_id"] == recorded.session.id
    ]


def test_called_wrongly(root: Path, recorded: Recorder, tmp_path: Path) -> None:
    for arguments in (
        ("zz", "--root", root),
        (recorded.session.id, "--root", tmp_path / "none"),
        (recorded.session.id, "--root", root, "--json", "-o", "x"),
        (),
    ):
        assert run(*arguments).exit_code == 2


def test_a_record_that_does_not_verify(tmp_path: Path) -> None:
    held = fill(tmp_path / "root", 40)
    with closing(sqlite3.connect(tmp_path / "root" / "dataio.sqlite")) as db, db:
        db.execute("UPDATE requests SET url = char(27) || '[2J' WHERE number = 3")
    done = run(held.session.id, "--root", tmp_path / "root", "-o", tmp_path / "x.html")
    assert done.exit_code == 1
    assert "the record does not verify: 1 finding, the first:" in done.output
    assert "\x1b" not in done.output
    (first, *_) = run(held.session.id, "--root", tmp_path / "root", "--json").output.splitlines()
    assert json.loads(first)["verified"]["ok"] is False


def test_calls_that_are_not_listed_are_said(root: Path, recorded: Recorder, tmp_path: Path) -> None:
    target = tmp_path / "x.html"
    done = run(recorded.session.id, "--root", root, "-o", target, "--calls", 10, "--body-bytes", 0)
    assert done.output.splitlines()[1] == "228 calls are counted and not listed: see --calls"
    assert b'"bodies":{}' in target.read_bytes()


# -- the page ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    with Browser(path) as started:
        started.size(1280, 900)
        yield started


@pytest.fixture(scope="module")
def written(root: Path, recorded: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("page") / "report.html"
    assert run(recorded.session.id, "--root", root, "-o", target).exit_code == 0
    return target


@pytest.fixture
def shown(browser: Browser, written: Path) -> Iterator[Browser]:
    """Show the page; see that it was shown without a complaint and asked for nothing."""
    browser.size(1280, 900)
    browser.prefer("light")
    browser.open(written)
    yield browser
    assert browser.complaints == []
    assert browser.requests == [written.as_uri()]


def texts(browser: Browser, selector: str) -> list[str]:
    found: list[str] = browser.run(
        f"[...document.querySelectorAll({json.dumps(selector)})].map(one => one.innerText.trim())"
    )
    return found


def table(browser: Browser) -> list[dict[str, str]]:
    """Return the rows of the table of calls, by the names of its columns."""
    names = [text.rstrip(" ▴▾") for text in texts(browser, "table.calls th")]
    cells = texts(browser, "table.calls tr.call > td")
    return [
        dict(zip(names, cells[place : place + len(names)], strict=True))
        for place in range(0, len(cells), len(names))
    ]


def search(browser: Browser, text: str, **chosen: str) -> str:
    """Search and filter the calls as a user does; return what is said of what was found."""
    browser.run(
        "(() => { const set = (one, value) => { one.value = value; one.dispatchEvent(new Event("
        "one.type === 'search' ? 'input' : 'change')) };"
        f"set(document.querySelector('.filters [type=search]'), {json.dumps(text)});"
        f"for (const [name, value] of Object.entries({json.dumps(chosen)}))"
        " set(document.querySelector(`.filters [name=${name}]`), value) })()"
    )
    browser.settle()
    (found,) = texts(browser, ".found")
    return found


def test_the_figures_are_the_stores(shown: Browser, root: Path, recorded: Recorder) -> None:
    with RootStore(root, readonly=True) as store:
        sessions = store.sessions()
        calls = [call for one in sessions for call in store.exchanges(one.id)]
    attempts = [one for call in calls for one in call.responses]
    figures = dict(
        zip(texts(shown, ".figures .name"), texts(shown, ".figures strong"), strict=True)
    )
    bad = [
        call
        for call in calls
        if call.request.status is Status.FAILED
        or (call.answer and (call.answer.status_code or 0) >= 400)
    ]
    assert figures["Calls"] == f"{len(calls)}"
    assert figures["Attempts"] == f"{len(attempts)}"
    assert figures["Hosts"] == "2"
    assert figures["Went wrong"] == f"{len(bad)}" == "24"
    assert figures["Retries"] == "12"
    received = sum(one.size for one in attempts)
    assert f"{received:,} bytes of bodies" in texts(shown, ".figures .why")
    bodies = [(one.checksum, one.size) for one in attempts if one.checksum]
    bodies += [(c.request.body_checksum, c.request.body_size) for c in calls if c.request.body_size]
    named = sum(size for _, size in bodies)
    saving = round(100 * (named - sum(dict(bodies).values())) / named)
    assert figures["Dedup saving"] == f"{saving} %"
    counted = {row["Host"]: row["Calls"] for row in wide(shown, "#hosts")}
    assert counted == {"a.example": "120", "b.example": "120"}
    facts = dict(zip(texts(shown, "#facts dt"), texts(shown, "#facts dd"), strict=True))
    assert (facts["Session"], facts["Program"], facts["Exit status"], facts["Host"]) == (
        recorded.session.id, "scraper.py", "0", os.uname().nodename,
    )  # fmt: skip
    assert texts(shown, "h1") == ["market · scraper.py"]


def wide(browser: Browser, section: str) -> list[dict[str, str]]:
    names = texts(browser, f"{section} thead th")
    cells = texts(browser, f"{section} tbody td")
    return [
        dict(zip(names, cells[place : place + len(names)], strict=True))
        for place in range(0, len(cells), len(names))
    ]


def test_each_row_is_its_call(shown: Browser, root: Path) -> None:
    with RootStore(root, readonly=True) as store:
        calls = [call for one in store.sessions() for call in store.exchanges(one.id)]
    calls.sort(key=lambda call: call.request.id)
    rows = table(shown)
    assert texts(shown, ".found") == ["1–100 of 240 calls"]
    for row, call in zip(rows, calls[:100], strict=True):
        answer = call.answer
        assert (row["Method"], row["URL"]) == (call.request.method, call.request.url)
        assert row["Time (UTC)"] == call.request.started_at[11:23]
        if answer is None or answer.status_code is None:
            assert row["Status"] == ("stored" if answer is None else "ConnectTimeout")
        else:
            codes = [str(one.status_code) for one in call.responses]
            assert row["Status"] == "→".join(codes)
            assert row["Bytes"] == f"{answer.size:,}"
            assert answer.checksum is not None
            assert row["Checksum"] == answer.checksum[:10]


def test_searching_and_filtering(shown: Browser) -> None:
    assert search(shown, "ITEM/0001") == "1–10 of 10 calls found among 240"
    assert all("item/0001" in row["URL"] for row in table(shown))
    assert search(shown, "item/0002", status="4") == "1–1 of 1 call found among 240"
    assert search(shown, "", status="") == "1–100 of 240 calls"
    assert search(shown, "no such thing") == "No call found among 240"
    assert search(shown, "", status="wrong") == "1–24 of 24 calls found among 240"
    assert search(shown, "", status="exception") == "1–12 of 12 calls found among 240"
    assert search(shown, "", status="", mark="retried") == "1–12 of 12 calls found among 240"
    assert search(shown, "", mark="", session="1") == "1–80 of 80 calls found among 240"
    assert {row["Session"] for row in table(shown)} == {"child 1"}
    assert search(shown, "", session="", host="0") == "1–100 of 120 calls found among 240"
    assert search(shown, "application/json", host="") == "No call found among 240"
    shown.run("document.getElementById('deep').click()")
    assert search(shown, "application/json") == "1–100 of 216 calls found among 240"
    assert search(shown, '"number": 42}') == "1–2 of 2 calls found among 240"
    # The waterfall follows, and its button shows all again.
    assert texts(shown, "#timeline [role=status]")[0].startswith("2 calls of 240")
    shown.run("document.querySelector('#timeline [role=status] button').click()")
    assert texts(shown, ".found") == ["1–100 of 240 calls"]


def test_sorting(shown: Browser) -> None:
    def by(name: str) -> list[str]:
        shown.run(
            "[...document.querySelectorAll('button.sort')].find("
            f"one => one.textContent.startsWith({json.dumps(name)})).click()"
        )
        return [row[name] for row in table(shown)]

    sizes = [int(text.replace(",", "") or 0) for text in by("Bytes")]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 2304
    sizes = [int(text.replace(",", "") or 0) for text in by("Bytes")]
    assert sizes == sorted(sizes)
    urls = by("URL")
    assert urls == sorted(urls)
    assert urls[0].startswith("https://a.example/item/00000")
    assert shown.run("document.querySelector('th.url').ariaSort") == "ascending"
    by("URL")
    assert shown.run("document.querySelector('th.url').ariaSort") == "descending"
    assert by("#")[:3] == ["1", "2", "3"]


def test_pages(shown: Browser) -> None:
    def go(name: str) -> str:
        shown.run(
            "[...document.querySelectorAll('.pager button')].find("
            f"one => one.textContent === '{name}').click()"
        )
        return texts(shown, ".found")[0]

    assert go("Next") == "101–200 of 240 calls"
    assert go("Last") == "201–240 of 240 calls"
    assert shown.run("document.querySelectorAll('tr.call').length") == 40
    assert go("First") == "1–100 of 240 calls"


def test_a_call_opens_to_headers_and_bodies(shown: Browser) -> None:
    search(shown, "item/00005")
    shown.run("document.querySelector('button.open').click()")
    assert shown.run("document.querySelector('button.open').ariaExpanded") == "true"
    heads = texts(shown, ".attempt h3")
    assert heads == ["Attempt 1 of 2: 503 Unavailable", "Attempt 2 of 2: 200 OK"]
    shown.run("document.querySelectorAll('.details details').forEach(one => { one.open = true })")
    assert "User-Agent" in texts(shown, ".headers dt")
    assert texts(shown, ".preview pre") == ["busy", '{\n  "number": 5\n}']
    shown.run("document.querySelector('button.open').click()")
    assert texts(shown, ".details") == []
    search(shown, "item/00011")
    shown.run("document.querySelector('button.open').click()")
    sent, received = texts(shown, ".preview pre")
    assert sent == "a=1"
    assert received.splitlines()[4].startswith("0040  40 41 42 43")
    assert texts(shown, ".preview .note")[1] == "Body, 2,304 bytes: hex, the first 256 bytes"


def test_a_call_can_be_linked_to(browser: Browser, written: Path, recorded: Recorder) -> None:
    browser.open(f"{written.as_uri()}#call={recorded.calls[130]}")
    assert texts(browser, ".found") == ["101–200 of 240 calls"]
    assert len(texts(browser, "tr.details")) == 1
    assert recorded.calls[130] in texts(browser, "tr.details")[0]
    browser.run("location.hash = '#call=none'")
    browser.settle()
    assert texts(browser, ".found")[0].startswith("The call none is not among those")


def test_the_waterfall_draws_what_is_in_view(shown: Browser, recorded: Recorder) -> None:
    count = "document.querySelectorAll('.sheet .bar').length"
    assert 10 < shown.run(count) < 30
    first = texts(shown, ".sheet .bar .address")[0]
    assert first == "GET a.example/item/00000?page=0"
    assert shown.run("document.querySelectorAll('.sheet .seg.tls').length") > 5
    shown.run("document.querySelector('.scroller').scrollTop = 1e9")
    shown.settle()
    assert texts(shown, ".sheet .bar .address")[-1] == "GET b.example/item/00239?page=1"
    assert shown.run(count) < 30
    # Segments lie within their track, each behind the other.
    assert shown.run(
        "[...document.querySelectorAll('.sheet .track')].every(track => {"
        " const all = [...track.querySelectorAll('.seg:not(.whole)')].map(one =>"
        " [parseFloat(one.style.left), parseFloat(one.style.width)]);"
        " return all.every(([left, width], place) => left >= -0.01 && left + width <= 100.01 &&"
        " (!place || left >= all[place - 1][0] + all[place - 1][1] - 0.01)) })"
    )
    shown.run("document.querySelector('.sheet .bar:last-child').click()")
    assert "item/00239" in texts(shown, "tr.details")[0]


def test_what_was_seen_and_what_went_wrong_is_told(shown: Browser) -> None:
    assert texts(shown, ".verdicts strong") == [
        "The record verifies", "Not all was seen", "24 calls went wrong",
        "The session is complete",
    ]  # fmt: skip
    (seen,) = wide(shown, "#coverage")
    assert list(seen.values()) == ["process", "/usr/bin/curl", "3", "legacy.download"]
    assert texts(shown, "#coverage .left-out") == [
        "Left out, as it was told to: 1 call to b.test:443, 3 calls to c.test:80."
    ]
    wrong = {row["What"]: row["Calls"] for row in wide(shown, "#failures")}
    assert wrong == {"404 Not Found": "12", "ConnectTimeout": "12"}
    shown.run("document.querySelector('#failures button').click()")
    assert texts(shown, ".found") == ["1–12 of 12 calls found among 240"]
    assert len(wide(shown, "#verification")) == 2
    assert texts(shown, "#verification dd")[0].startswith("mxm-dataio-head 1 2 ")
    assert texts(shown, ".warnings li") == ["main one warning"]


# Of each text in view, how it contrasts with what is behind it, as WCAG 2.1 computes it.
CONTRASTS = """
(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  let count = 0;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const one = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !one.checkVisibility() || /SCRIPT|STYLE/.test(one.tagName))
      continue;
    if (one.disabled) continue;
    const pair = [light(parse(getComputedStyle(one).color)), light(behind(one))];
    count += 1;
    if ((Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05) < 4.5) poor.push(one.outerHTML);
  }
  return [count, poor];
})()
"""


@pytest.mark.parametrize(("scheme", "width"), crossed(["light", "dark"], [360, 820, 1280, 1920], 2))
def test_it_can_be_read(shown: Browser, scheme: str, width: int) -> None:
    shown.prefer(scheme)
    shown.size(width, 800)
    shown.run(
        "document.querySelectorAll('button.open')[5].click();"
        "document.querySelectorAll('.details details').forEach(one => { one.open = true })"
    )
    shown.settle()
    assert shown.run("document.documentElement.scrollWidth") <= width
    assert shown.run("document.documentElement.scrollHeight") > 3000
    back = shown.run("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(255, 255, 255)") == (scheme == "light")
    count, poor = shown.run(CONTRASTS)
    assert count > 500
    assert poor == []


def test_everything_has_a_name(shown: Browser) -> None:
    assert shown.run("document.documentElement.lang") == "en"
    nameless = shown.run(
        "[...document.querySelectorAll('button, a, input, select, [role=img], [role=region],"
        " nav, section')].filter(one => !(one.getAttribute('aria-label') || one.innerText.trim()"
        " || one.getAttribute('aria-labelledby') || one.closest('label')))"
        ".map(one => one.outerHTML)"
    )
    assert nameless == []
    assert shown.run(
        "[...document.querySelectorAll('th')].every(one => one.scope && one.textContent.trim())"
    )
    assert shown.run("new Set([...document.querySelectorAll('[id]')].map(one => one.id)).size") == (
        shown.run("document.querySelectorAll('[id]').length")
    )


def test_it_can_be_printed(shown: Browser, tmp_path: Path) -> None:
    shown.pdf(tmp_path / "x.pdf")
    pages = len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "x.pdf").read_bytes()))
    assert 6 < pages < 30
    assert texts(shown, ".found") == ["1–100 of 240 calls"]


# -- a record that means harm ------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a session all of whose texts are an attack, some by a forger's hand."""
    root = tmp_path_factory.mktemp("hostile")
    with RecordingStore(root) as store:
        held = Recorder.begin(store, program=HOSTILE, source=HOSTILE, kind=HOSTILE)
        failure = Failure(f"a.{HOSTILE}", HOSTILE)
        body = f"{HOSTILE}\ud800".encode("utf-8", "surrogatepass")
        held.call(
            f"https://data.example/?{HOSTILE}",
            Try(200, HOSTILE.encode(), headers=[("X-Hostile", HOSTILE), (HOSTILE, "x")]),
            Try(200, body, start=0.1, url=f"https://{HOSTILE}/"),
            method=HOSTILE,
            headers=[("X-Hostile", HOSTILE)],
            upload=HOSTILE.encode(),
        )
        held.call(
            f"https://{HOSTILE}/", Try(None, failure=failure), status=Status.FAILED, failure=failure
        )
        held.call(f"javascript:{HOSTILE}", Try(503, headers=[("Location", "javascript:pwned=1")]))
        held.end(
            1,
            warnings=[HOSTILE],
            coverage=[Unseen(HOSTILE, HOSTILE, 1, HOSTILE)],
            left_out=[Unseen("left out", HOSTILE, 1)],
        )
    with closing(sqlite3.connect(root / "dataio.sqlite")) as db, db:
        db.execute("UPDATE sessions SET host = ?", (HOSTILE,))
        db.execute("UPDATE responses SET peer = ?, tls_version = ?", (HOSTILE, HOSTILE))
        db.execute("UPDATE requests SET served_from = ? WHERE number = 3", (HOSTILE,))
    target = root / "report.html"
    assert run(held.session.id, "--root", root, "-o", target).exit_code == 1
    return target


def test_nothing_that_was_recorded_runs_or_loads(browser: Browser, hostile: Path) -> None:
    for width in (1280, 360):
        browser.size(width, 900)
        browser.open(hostile)
        browser.run(
            "document.querySelectorAll('button.open').forEach(one => one.click());"
            "document.querySelectorAll('details').forEach(one => { one.open = true })"
        )
        browser.settle()
        assert browser.complaints == []
        assert browser.requests == [hostile.as_uri()]
        assert browser.run("typeof pwned") == "undefined"
        assert browser.run("document.querySelectorAll('img, iframe, object, form, b').length") == 0
        assert browser.run("document.scripts.length") == 2
        assert browser.run(
            "[...document.querySelectorAll('a')].every(one => one.getAttribute('href')[0] === '#')"
        )
        assert browser.run(
            "[...document.querySelectorAll('*')].every(one => [...one.attributes].every("
            "at => !at.name.startsWith('on')))"
        )
        assert browser.run("document.documentElement.scrollWidth") <= width
    assert "The record does not verify" in texts(browser, ".verdicts strong")
    # As text it is all there, with what would turn it round shown by its code.
    said = HOSTILE.replace("\u202e", "\\u{202e}").replace("\u2028", "\\u{2028}")
    assert texts(browser, "h1") == [f"{said} · {said}"]
    assert said in texts(browser, ".preview pre")
    assert "\u202e" not in browser.run("document.body.innerText + document.title")


@pytest.mark.parametrize(
    "attempt",
    [
        "new Image().src = 'http://127.0.0.1:9/'",
        "fetch('http://127.0.0.1:9/').catch(() => 0)",
        "document.body.append(Object.assign(document.createElement('iframe'),"
        " {src: 'http://127.0.0.1:9/'}))",
        "document.body.append(Object.assign(document.createElement('link'),"
        " {rel: 'stylesheet', href: 'http://127.0.0.1:9/'}))",
        "document.head.append(Object.assign(document.createElement('style'),"
        " {textContent: 'body {color: red}'}))",
        "document.body.innerHTML = '<p>x</p>'",
        "document.head.append(Object.assign(document.createElement('script'),"
        " {text: 'pwned = 1'}))",
    ],
)
def test_the_policy_forbids_what_an_attack_would_need(
    browser: Browser, hostile: Path, attempt: str
) -> None:
    browser.open(hostile)
    blocked = browser.run(
        "new Promise(done => { addEventListener('securitypolicyviolation',"
        f" () => done(true)); setTimeout(() => done(false), 3000); try {{ {attempt} }}"
        " catch (exc) { done(exc instanceof TypeError) } })"
    )
    assert blocked is True
    assert browser.run("typeof pwned") == "undefined"


# -- other sessions ----------------------------------------------------------------------------


def test_a_session_of_which_nothing_is_known(browser: Browser, tmp_path: Path) -> None:
    with RecordingStore(tmp_path) as store:
        held = Recorder.begin(store, mode=Mode.AUTO)
        run_of = held.session.id
        done = run(run_of, "--root", tmp_path, "-o", tmp_path / "x.html")
        held.end(1)
    assert done.exit_code == 0
    browser.size(360, 800)
    browser.open(tmp_path / "x.html")
    assert browser.complaints == []
    assert texts(browser, ".verdicts strong") == [
        "The record verifies so far", "Coverage is not known", "No call went wrong",
        "The session is running",
    ]  # fmt: skip
    assert texts(browser, ".found") == ["No call"]
    assert browser.run("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize(
    ("exit_status", "card"),
    [(1, "The program exited with 1"), (-9, "The program was ended by SIGKILL"), (0, None)],
)
def test_how_the_program_ended(
    exit_status: int, card: str | None, browser: Browser, tmp_path: Path
) -> None:
    root, target = tmp_path / "root", tmp_path / "report.html"
    with RecordingStore(root) as store:
        parent = Recorder.begin(store)
        child = Recorder.begin(store, parent.session, at=1.0)
        child.call("https://a.example/", Try(200, b"a"))
        child.end(2.0, Status.INTERRUPTED, coverage=(), exit_status=-15)
        parent.end(3.0, coverage=(), exit_status=exit_status)
    # Of the newest, if of none else.
    assert run("--root", root, "-o", target).exit_code == 0
    browser.open(target)
    bad = texts(browser, ".verdicts li.bad strong")
    assert bad == ([card] if card else [])
    good = texts(browser, ".verdicts li.ok strong")
    assert ("The session is complete" in good) == (card is None)
    rows = wide(browser, "#sessions")
    assert [row["Exit"] for row in rows] == [
        "SIGKILL" if card and exit_status < 0 else str(exit_status),
        "SIGTERM",
    ]
    assert [row["Status"] for row in rows] == ["complete", "ended by parent"]


def test_a_session_that_was_pruned(browser: Browser, tmp_path: Path) -> None:
    held = fill(tmp_path, 3)
    with RecordingStore(tmp_path) as store:
        prune(store, Choice(before=4e9))
    done = run(held.session.id, "--root", tmp_path, "-o", tmp_path / "x.html")
    assert done.exit_code == 0, done.output
    browser.open(tmp_path / "x.html")
    assert browser.complaints == []
    assert "its calls were deleted" in browser.run("document.body.innerText")
    assert texts(browser, ".found") == ["No call"]


def test_findings_lead_to_their_calls(browser: Browser, tmp_path: Path) -> None:
    held = fill(tmp_path / "root", 40)
    with closing(sqlite3.connect(tmp_path / "root" / "dataio.sqlite")) as db, db:
        db.execute(
            "UPDATE requests SET url = 'https://forged.example/' WHERE id = ?", held.calls[2:3]
        )
        db.execute("UPDATE requests SET status = 'bogus' WHERE id = ?", held.calls[4:5])
    run(held.session.id, "--root", tmp_path / "root", "-o", tmp_path / "x.html")
    browser.size(1280, 900)
    browser.open(tmp_path / "x.html")
    found = wide(browser, "#verification .wide:first-of-type")
    assert [held.calls[4] in row["What"] for row in found] == [True, False, False]
    assert found[1]["Where"] == "GET https://forged.example/"
    browser.run("document.querySelector('#verification a').click()")
    browser.settle()
    assert "forged.example" in texts(browser, "tr.details")[0]
    assert search(browser, "", mark="doubted") == "1–1 of 1 call found among 39"
    assert browser.complaints == []


@pytest.mark.long
def test_ten_thousand_calls(browser: Browser, tmp_path: Path) -> None:
    held = fill(tmp_path / "root", 10_000)
    target = tmp_path / "x.html"
    assert run(held.session.id, "--root", tmp_path / "root", "-o", target).exit_code == 0
    assert target.stat().st_size < 10_000_000
    browser.size(1280, 900)
    seconds = min(browser.open(target) for _ in range(3))
    assert seconds < 1
    search(browser, "item/09")
    browser.settle(300)
    assert texts(browser, ".found") == ["1–100 of 1,000 calls found among 10,000"]
    clock: Any = browser.run(
        "(() => { const began = performance.now();"
        " document.querySelectorAll('button.sort')[4].click();"
        " return performance.now() - began })()"
    )
    assert clock < 500
