"""``make screenshots``: the pictures of the report in docs/, taken of a session made up for it.

Needs Chromium. The picture of the benchmark, docs/bench.png, is what ``make bench`` draws.
"""

from __future__ import annotations

import base64
import random
import sys
import tempfile
from pathlib import Path

from click.testing import CliRunner

from mxm_dataio.cli.main import main as command_line
from mxm_dataio.models import Failure, Status, Unseen
from mxm_dataio.storage.recording_store import RecordingStore
from tests.support.browser import Browser, chromium
from tests.support.recorded import Recorder, Try

DOCS = Path(__file__).parents[1]
CALLS = 2_000
CHILDREN = 3
HOSTS = ("data.example", "quotes.example", "news.example")
TIMEOUT = Failure("requests.exceptions.ReadTimeout", "read timed out")
# Sections of the page, by the beginning of their headings, and where the pictures are cut.
WIDE = (("", 530), ("Timeline", 1_120))
NARROW = (("", 1_000), ("Timeline", 1_000), ("Calls", 1_000))
SCALE = 0.85
# Scrolls to a section, and into the middle of what scrolls in it.
_SHOW = """
(heading => {
  const found = [...document.querySelectorAll("h2")].find(one => one.textContent === heading);
  if (!found) return;
  found.scrollIntoView();
  for (const one of found.parentElement.querySelectorAll("*"))
    if (one.scrollHeight > 4 * one.clientHeight) one.scrollTop = one.scrollHeight / 4;
})("%s")
"""


def main(folder: Path = DOCS) -> None:
    """Take the pictures."""
    path = chromium()
    if path is None:
        raise SystemExit("the pictures are taken by Chromium, and there is none here")
    with tempfile.TemporaryDirectory() as made, Browser(path) as browser:
        page = Path(made) / "report.html"
        session = record(Path(made) / "recordings")
        done = CliRunner().invoke(
            command_line, ["report", session, "--root", f"{made}/recordings", "-o", str(page)]
        )
        assert done.exit_code == 0, done.output
        take(browser, page, WIDE, 1_180, "light", folder / "report.png", beside=False)
        take(browser, page, NARROW, 390, "dark", folder / "report-dark-phone.png", beside=True)


def record(root: Path) -> str:
    """Record a scraper of some data services in four processes; return its session."""
    drawn = random.Random(20251007)
    with RecordingStore(root) as store:
        parent = Recorder.begin(store, program="nightly_scraper.py")
        children = [
            Recorder.begin(store, parent.session, at=3.0 * number, program="worker.py")
            for number in range(1, CHILDREN + 1)
        ]
        for number in range(CALLS):
            recorder = [parent, *children][number % (CHILDREN + 1)]
            start = 3.0 * (number % (CHILDREN + 1)) + number * 0.04 + drawn.random() * 0.2
            call(recorder, number, start, drawn)
        end = CALLS * 0.04 + 12
        for child in children:
            child.end(end, coverage=())
        seen = [
            Unseen("connection", "feed.example:9000", 1, "nightly_scraper"),
            Unseen("process", "curl", 3, "legacy.mirror"),
        ]
        parent.end(end + 1, coverage=seen, exit_status=0)
        return parent.session.id


def call(recorder: Recorder, number: int, at: float, drawn: random.Random) -> None:
    """Record one of its calls."""
    host = drawn.choices(HOSTS, (6, 2, 1))[0]
    url = f"https://{host}/v2/bars/S{number:04}?interval=1d&page={number % 4}"
    waited = drawn.lognormvariate(-3.1, 0.7)
    body = b'{"bars": [' + b"70.25, " * int(drawn.lognormvariate(4.5, 0.7)) + b"%d]}" % number
    new = {"connect": 0.02, "tls": 0.045} if number % 40 < CHILDREN + 1 else {}
    first = waited + (0.065 if new else 0)
    answered = Try(200, body, first_byte=first, total=first + 0.01, **new)
    match drawn.randrange(100):
        case 0:
            recorder.call(url, Try(404, b"{}", first_byte=waited, total=waited), at=at)
        case 1 | 2 | 3:
            again = Try(200, body, start=0.25, first_byte=waited, total=waited + 0.01)
            recorder.call(url, Try(503, b"busy", total=0.06), again, at=at)
        case 4:
            lost = Try(None, total=1.0, failure=TIMEOUT)
            recorder.call(url, lost, at=at, duration=1.0, status=Status.FAILED, failure=TIMEOUT)
        case _:
            recorder.call(url, answered, at=at)


def take(
    browser: Browser,
    page: Path,
    panels: tuple[tuple[str, int], ...],
    width: int,
    scheme: str,
    path: Path,
    *,
    beside: bool,
) -> None:
    """Write a picture of sections of the page, one under the other or beside it."""
    pictures = []
    browser.prefer(scheme)
    for heading, height in panels:
        browser.size(width, height, SCALE)
        browser.open(page)
        browser.run(_SHOW % heading)
        browser.settle(200)
        browser.picture(path)
        pictures.append(base64.b64encode(path.read_bytes()).decode())
    gap = 16
    images = "".join(f'<img src="data:image/png;base64,{one}">' for one in pictures)
    style = f"margin:0;display:flex;gap:{gap}px;flex-direction:{'row' if beside else 'column'}"
    sheet = page.with_name("sheet.html")
    sheet.write_text(
        f"<style>body{{background:#889;{style}}} img{{align-self:start}}</style>{images}"
    )
    heights = [round(height * SCALE) for _, height in panels]
    across, between = round(width * SCALE), gap * (len(panels) - 1)
    if beside:
        browser.size(across * len(panels) + between, max(heights))
    else:
        browser.size(across, sum(heights) + between)
    browser.open(sheet)
    browser.settle(200)
    browser.picture(path)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
