"""Record a scraper that knows nothing of this package, stop its server, replay it offline.

    python -m examples.demo

The store is left in ``demo-data`` for a look. Exit status: 0 if the replayed result equals the
recorded one, 1 if not.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from examples import scraper
from examples.market_server import MarketServer
from mxm_dataio import Exchange, IngestSession, Mode, ReplayMissError, Store

SOURCE = "market"
ROOT = Path("demo-data")
HEADINGS = ("method", "path", "status", "coding", "bytes", "ms", "checksum")
RIGHT = frozenset({"bytes", "ms"})
STYLES = {"2": "green", "3": "cyan", "4": "yellow", "5": "red"}

Row = tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One run of the scraper: what it found, how long it took, what the server saw of it."""

    result: dict[str, object]
    seconds: float
    hits: int
    session_id: str


def run(server: MarketServer, root: Path, mode: Mode) -> Run:
    """Run the scraper under a session of the given mode."""
    before, clock = server.hits, time.perf_counter()
    with IngestSession(source=SOURCE, root=root, mode=mode) as ingest:
        result = scraper.run(server.url)
    return Run(result, time.perf_counter() - clock, server.hits - before, ingest.id)


def row(exchange: Exchange, base_url: str, arrow: str) -> Row:
    """Return a stored call as a line of the table."""
    request, answer = exchange.request, exchange.answer
    assert answer is not None
    return (
        request.method,
        request.url.removeprefix(base_url),
        arrow.join(str(attempt.status_code or "failed") for attempt in exchange.responses),
        answer.header("Content-Encoding") or answer.header("Transfer-Encoding") or "",
        f"{answer.size:,}",
        f"{1000 * (request.duration or 0):.1f}",
        (answer.checksum or "")[:10],
    )


def print_page(rows: list[Row], summary: dict[str, str], equal: bool) -> None:
    """Print the table and what is below it, with rich where it is installed."""
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        print_plainly(rows, summary)
        return
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in HEADINGS:
        right = "right" if heading in RIGHT else "left"
        table.add_column(heading, justify=right, no_wrap=heading != "path")  # type: ignore[arg-type]
    for method, path, status, *rest in rows:
        style = STYLES.get(status[-3], "red")
        table.add_row(method, Text(path), Text(status, style), *rest)
    console.print(table)
    below = Table.grid(padding=(0, 2))
    for name, text in summary.items():
        verdict = "bold green" if equal else "bold red"
        below.add_row(Text(name, "dim"), Text(text, verdict if name == "result" else ""))
    console.print()
    console.print(below)


def print_plainly(rows: list[Row], summary: dict[str, str]) -> None:
    """Print the same as aligned text."""
    lines = [HEADINGS, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, tuple("-" * width for width in widths))
    for line in lines:
        cells = [
            cell.rjust(width) if heading in RIGHT else cell.ljust(width)
            for cell, width, heading in zip(line, widths, HEADINGS, strict=True)
        ]
        print("  ".join(cells).rstrip())
    print()
    for name, text in summary.items():
        print(f"{name:<{max(map(len, summary))}}  {text}")


def arrow() -> str:
    """Return the sign between two attempts, as the output's encoding allows."""
    try:
        "→".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return ">"
    return "→"


def main(root: Path = ROOT) -> int:
    """Run the demo with its store in ``root``, which is emptied first; return the exit status."""
    if root.exists():
        shutil.rmtree(root)
    with MarketServer() as server:
        print(f"recording examples/scraper.py against {server.url} ...")
        recorded = run(server, root, Mode.RECORD)
        server.stop()
        print("server stopped; replaying it from the store ...\n")
        try:
            replayed = run(server, root, Mode.REPLAY)
        except ReplayMissError as miss:
            print(f"NOT EQUAL: a call was not in the store\n{miss}")
            return 1
    with Store(root, readonly=True) as store:
        exchanges = list(store.exchanges(recorded.session_id))
    attempts = sum(len(exchange.responses) for exchange in exchanges)
    payloads = [path.stat().st_size for path in (root / "responses").glob("*.bin*")]
    equal = replayed.result == recorded.result
    size = len(json.dumps(recorded.result))
    if equal:
        verdict = f"EQUAL: the replay found what the recording found ({size:,} bytes of JSON)"
    else:
        verdict = "NOT EQUAL: the replay found something else than the recording"
    summary = {
        "calls": f"{len(exchanges)}, in {attempts} attempts",
        "payloads": f"{len(payloads)} files, one for each distinct body, {sum(payloads):,} bytes",
        "store": f"{root}/dataio.sqlite, {root}/responses/",
        "time": f"{1000 * recorded.seconds:.0f} ms recording, "
        f"{1000 * replayed.seconds:.0f} ms replaying",
        "server": f"{recorded.hits} requests while recording, {replayed.hits} while replaying",
        "result": verdict,
    }
    print_page([row(exchange, server.url, arrow()) for exchange in exchanges], summary, equal)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
