"""The README's examples run as pasted, and what it names exists."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
import requests

import mxm_dataio
from examples import demo
from examples.market_server import MarketServer
from mxm_dataio import ConfigError, DataIOWarning, IngestSession, ReplayMissError, Store
from mxm_dataio.config import Settings
from mxm_dataio.process import default_root
from tests.support import CHECKOUT
from tests.support.servers import RawServer, answer, responder

TEXT = (CHECKOUT / "README.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8000"
LONGEST = 20


@dataclass(frozen=True)
class Block:
    """A fenced block of the README, with the heading that it stands under."""

    heading: str
    language: str
    code: str


def blocks() -> Sequence[Block]:
    """Return the fenced blocks in their order."""
    heading, found = "", []
    parts = re.finditer(r"^#+ ([^\n]+)$|^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    for match in parts:
        if match[1]:
            heading = match[1]
        else:
            found.append(Block(heading, match[2], match[3]))
    return found


PYTHON = [block for block in blocks() if block.language == "python"]


def block_under(heading: str, language: str) -> str:
    """Return the one block of a language under a heading."""
    (code,) = [b.code for b in blocks() if (b.heading, b.language) == (heading, language)]
    return code


def run(code: str, folder: Path, address: str) -> str:
    """Run a block as a pasted file, with pytest if it is a test; return what it printed."""
    is_test = "def test_" in code
    path = folder / ("test_pasted.py" if is_test else "pasted.py")
    path.write_text(code.replace(ADDRESS, address), encoding="utf-8")
    tool = (
        [
            "-m",
            "pytest",
            "-q",
            *(f"-pno:{name}" for name in ("cacheprovider", "asyncio", "recording")),
        ]
        if is_test
        else ["-W", "error", "-W", "ignore::ImportWarning"]
    )
    python_path = os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")])
    # Where CI is set, a test replays only; the block is for one who has not recorded yet.
    outside = {key: value for key, value in os.environ.items() if key != "CI"}
    done = subprocess.run(
        [sys.executable, *tool, path.name],
        cwd=folder,
        env={**outside, "PYTHONPATH": python_path, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout.replace(address, ADDRESS)


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.heading)
def test_a_block_of_python_runs_when_pasted(tmp_path: Path, block: Block) -> None:
    with MarketServer() as server:
        run(block.code, tmp_path, server.url)
    assert len(block.code.splitlines()) <= LONGEST


def test_the_owners_block_replays_what_it_recorded(tmp_path: Path) -> None:
    with MarketServer() as server:
        out = run(block_under("You own a `requests.Session`", "python"), tmp_path, server.url)
        assert server.hits == 2  # 503, then 200; nothing for the replay
    assert out == "record {'status': 'ok'}\nreplay {'status': 'ok'}\n"


def test_the_test_block_runs_again_without_its_server(tmp_path: Path) -> None:
    code = block_under("You write a test", "python")
    with MarketServer() as server:
        run(code, tmp_path, server.url)
        assert server.hits == 1
    run(code, tmp_path, server.url)


def test_the_auditors_block_lists_every_attempt(tmp_path: Path) -> None:
    with MarketServer() as server:
        out = run(block_under("You audit a program", "python"), tmp_path, server.url)
        hits = server.hits
    assert "\ncomplete ()\n" in out
    assert len(re.findall(r"^ {4}\d{3} \d+ [0-9a-f]{64}$", out, re.MULTILINE)) == hits


def test_the_fetchers_block_replays_without_its_source(tmp_path: Path) -> None:
    out = run(block_under("Your source is not HTTP", "python"), tmp_path, ADDRESS)
    lines = out.splitlines()
    assert [line.partition(" b'")[0] for line in lines] == ["record", "replay"]
    assert lines[0].partition(" ")[2] == lines[1].partition(" ")[2]


def test_the_miss_is_printed_as_shown(tmp_path: Path) -> None:
    with MarketServer() as server:
        out = run(block_under("A miss", "python"), tmp_path, server.url)
    assert masked(out) == masked(block_under("A miss", "text"))


def masked(text: str) -> str:
    """Return text without ids and hashes, which differ from run to run."""
    text = re.sub(r"params_hash [0-9a-f…]+", "params_hash …", text)
    return re.sub(r"\[[0-9a-f-]{36}\]", "[…]", text)


def test_the_demos_output_is_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert demo.main() == 0
    printed = {timeless(line) for line in capsys.readouterr().out.splitlines()}
    shown = [line for line in block_under("Try it", "text").splitlines() if line != "..."]
    rules = [line for line in shown if set(line) == {"─"}]
    assert len(rules) == 1
    for line in shown:
        assert line in rules or timeless(line) in printed


def timeless(line: str) -> str:
    """Return the words of a line of the demo without what differs by clock and zlib release."""
    if " gzip " in line:
        line = line.partition(" gzip ")[0]
    line = re.sub(r"[\d,]+ bytes\s*$", "· bytes", line)
    return " ".join("·" if re.fullmatch(r"\d+\.\d", word) else word for word in _words(line))


def _words(line: str) -> list[str]:
    return re.sub(r"\d+ ms", "· ms", line).split()


def test_every_file_it_names_exists() -> None:
    named = set(re.findall(r"\]\(([\w/.]+)\)", TEXT))
    named |= set(re.findall(r"`(tests/[\w/]+\.py)`", TEXT))
    missing = sorted(name for name in named if not (CHECKOUT / name).exists())
    assert not missing


def test_every_folder_and_module_at_the_top_of_the_package_is_on_the_map() -> None:
    package = Path(str(mxm_dataio.__file__)).parent
    names = [f"{path.name}/" if path.is_dir() else path.name for path in package.iterdir()]
    section = TEXT.partition("## How it works")[2].partition("\n## ")[0]
    rows = section.partition("| layer |")[2]
    missing = [name for name in names if f"`{name}`" not in rows]
    assert sorted({*missing} - {"__pycache__/", "py.typed"}) == []


def test_every_setting_is_listed_with_its_default() -> None:
    section = TEXT.partition("## Settings")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE))
    settings = Settings(root=Path(default_root({})))
    assert list(rows) == [field.name for field in fields(Settings)]
    for name, shown in rows.items():
        value = getattr(settings, name)
        if name != "root":
            assert shown.strip("`") == ("none" if value in (None, (), {}) else str(value).lower())


def test_the_documented_defaults_are_those_of_the_file() -> None:
    omegaconf = pytest.importorskip("omegaconf")
    held = omegaconf.OmegaConf.load(CHECKOUT / "configs" / "default.yaml")["dataio"]
    settings = Settings(root=Path(default_root({})))
    assert sorted(held) == sorted(field.name for field in fields(Settings))
    for name in set(held) - {"root"}:
        value = getattr(settings, name)
        assert held[name] == (list(value) if isinstance(value, tuple) else value)


# -- what it says in plain sentences, where no block shows it ----------------------------------


@pytest.fixture
def server() -> Iterator[MarketServer]:
    """Serve the market for one test."""
    with MarketServer() as market:
        yield market


def test_a_swallowed_miss_is_raised_at_the_end(tmp_path: Path, server: MarketServer) -> None:
    with IngestSession("market", tmp_path, "record"):
        requests.get(server.url, timeout=10)
    replay = IngestSession("market", tmp_path, "replay")
    with (
        pytest.raises(ReplayMissError, match="the program went on without"),
        replay,
        suppress(ReplayMissError),
    ):
        requests.get(f"{server.url}/symbols", timeout=10)
    assert server.hits == 1


def test_a_replayed_cookie_is_the_placeholder(tmp_path: Path, server: MarketServer) -> None:
    form = {"user": "demo", "password": "one"}
    with IngestSession("market", tmp_path, "record"):
        live = requests.post(f"{server.url}/login", data=form, timeout=10)
    assert live.cookies["session"] != "REDACTED"
    form["password"] = "another"
    with IngestSession("market", tmp_path, "replay"):
        replayed = requests.post(f"{server.url}/login", data=form, timeout=10)
    assert replayed.cookies["session"] == "REDACTED"
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert live.cookies["session"].encode() not in stored
    assert b"password=REDACTED" in stored


def test_without_redaction_the_cookie_is_stored(tmp_path: Path, server: MarketServer) -> None:
    form = {"user": "demo", "password": "one"}
    values = []
    for mode in ("record", "replay"):
        with pytest.warns(DataIOWarning, match="redaction is off"):
            ingest = IngestSession("market", tmp_path, mode, redaction=None)
        with ingest:
            logged_in = requests.post(f"{server.url}/login", data=form, timeout=10)
        values.append(logged_in.cookies["session"])
    assert values[0] == values[1] != "REDACTED"


def test_auto_serves_what_is_fresh_and_revalidates_what_is_not(
    tmp_path: Path, server: MarketServer
) -> None:
    seen = []
    for ttl in (None, None, 3600, 0):
        with IngestSession("market", tmp_path, "auto", ttl=ttl) as ingest:
            got = requests.get(f"{server.url}/calendar", timeout=10)
        assert (got.status_code, bool(got.json()["holidays"])) == (200, True)
        seen.append(server.hits)
    assert seen == [1, 1, 1, 2]
    with Store(tmp_path, readonly=True) as store:
        (call,) = store.exchanges(ingest.id)
    assert [attempt.status_code for attempt in call.responses] == [304]


def test_auto_never_serves_a_failure(tmp_path: Path, server: MarketServer) -> None:
    statuses = []
    for _ in range(3):
        with IngestSession("market", tmp_path, "auto"):
            statuses.append(requests.get(f"{server.url}/flaky", timeout=10).status_code)
    assert (statuses, server.hits) == ([503, 200, 200], 2)


def test_auto_fetches_a_streamed_upload_every_time(tmp_path: Path, server: MarketServer) -> None:
    for _ in range(2):
        with IngestSession("market", tmp_path, "auto"):
            requests.post(f"{server.url}/orders/preview", data=io.BytesIO(b"{}"), timeout=10)
    assert server.hits == 2


def test_a_body_broken_off_is_replayed_as_far_as_it_was_received(tmp_path: Path) -> None:
    body = bytes(range(256)) * 40_000  # more than any buffer on the way takes
    pieces = []
    with RawServer(responder({"/big": answer(200, body)})) as server:
        url = f"{server.url}/big"
        for mode in ("record", "replay"):
            ingest = IngestSession("market", tmp_path, mode)
            with ingest, requests.get(url, stream=True, timeout=10) as streamed:
                pieces.append(next(streamed.iter_content(chunk_size=100)))
        assert pieces == [body[:100]] * 2
        replay = IngestSession("market", tmp_path, "replay")
        with pytest.raises(ReplayMissError, match="broke off"), replay:
            requests.get(url, timeout=10)
        assert server.hits == 1


def test_the_kth_call_gets_the_kth_answer_then_the_last(
    tmp_path: Path, server: MarketServer
) -> None:
    url = f"{server.url}/flaky"
    with IngestSession("market", tmp_path, "record"):
        recorded = [requests.get(url, timeout=10).status_code for _ in range(2)]
    with IngestSession("market", tmp_path, "replay"):
        replayed = [requests.get(url, timeout=10).status_code for _ in range(4)]
    assert (recorded, replayed) == ([503, 200], [503, 200, 200, 200])
    with IngestSession("market", tmp_path, "replay", exhausted="error") as strict:
        assert [requests.get(url, timeout=10).status_code for _ in range(2)] == recorded
        with pytest.raises(ReplayMissError):
            requests.get(url, timeout=10)
        strict.misses.clear()


def test_what_does_not_go_through_urllib3_is_not_seen(tmp_path: Path, server: MarketServer) -> None:
    with IngestSession("market", tmp_path, "record") as ingest:
        urllib.request.urlopen(f"{server.url}/symbols", timeout=10).close()
    with Store(tmp_path, readonly=True) as store:
        assert store.requests(ingest.id) == []
    with IngestSession("market", tmp_path, "replay"):
        urllib.request.urlopen(f"{server.url}/symbols", timeout=10).close()
    assert server.hits == 2


def test_one_root_at_a_time_with_the_hook(tmp_path: Path) -> None:
    with IngestSession("market", tmp_path / "a"):
        with pytest.raises(ConfigError, match="hook=False"):
            IngestSession("market", tmp_path / "b").open()
        with IngestSession("market", tmp_path / "b", hook=False) as beside:
            mxm_dataio.mount(requests.Session(), beside).unmount()
