"""A source that is no HTTP service: a fetcher of your own, recorded and replayed like any call.

python -m examples.fetcher
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from mxm_dataio import IngestSession, Request, register, unregister


class Warehouse:
    """Fetches from an SQL database; the endpoint of a request is the table's name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fetch(self, request: Request) -> bytes:
        """Return a symbol's rows as JSON."""
        with closing(sqlite3.connect(self.path)) as database:
            query = f"SELECT day, close FROM {request.endpoint} WHERE symbol = ?"
            return json.dumps(
                database.execute(query, [request.params["symbol"]]).fetchall()
            ).encode()


def main(root: Path) -> list[str]:
    """Fetch from a database, delete it, fetch again from the store; return both answers."""
    root.mkdir(parents=True, exist_ok=True)
    path = root / "warehouse.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE closes (symbol, day, close)")
        database.execute("INSERT INTO closes VALUES ('ALFA', '2024-01-02', 70.25)")
        database.commit()
    register("warehouse", Warehouse(path))
    answers = []
    for mode in ("record", "replay"):
        with IngestSession(source="warehouse", root=root / "store", mode=mode) as ingest:
            response = ingest.request("closes", {"symbol": "ALFA"}, kind="daily_closes")
            answers.append(ingest.content(response).decode())
        path.unlink(missing_ok=True)
    unregister("warehouse")
    return answers


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(*main(Path(folder)), sep="\n")
