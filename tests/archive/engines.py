"""The programs of the page on queries, as they stand there, on an archive of ours."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

from mxm_dataio.archive import Archive
from mxm_dataio.archive.object_store import ObjectStore
from mxm_dataio.storage.recording_store import RecordingStore
from tests.docs.pages import DOCS, Page
from tests.support import CHECKOUT
from tests.trust import small

from .archives import names, objects

_URL = "s3://bucket/2025"
PROGRAMS = {
    block.heading: block.code
    for block in Page(DOCS / "how-to" / "query-an-archive.md").blocks
    if block.language == "python" and _URL in block.code
}
# Heading → the module that it needs.
MODULES = {
    "DuckDB": "duckdb", "Polars": "polars", "pandas": "pandas", "Ray Data": "ray",
    "Spark": "pyspark", "Bodies": "duckdb",
}  # fmt: skip
# They start in half a minute, and are installed in gigabytes.
HEAVY = ("Ray Data", "Spark")
# Host → its calls.
HOSTS = {"a.example": 6, "b.example:8443": 4, "c.example": 2}


def is_installed(heading: str) -> bool:
    """Say whether a program has what it needs."""
    return find_spec(MODULES[heading]) is not None


def archive(root: Path, url: str) -> None:
    """Push calls to some hosts, of sources with odd names, and leave what does not count."""
    with RecordingStore(root) as store:
        for at, source in enumerate(("market", "a/b=c d", "ü%")):
            held = replace(small.session(), source=source)
            store.begin(held)
            for number, (host, calls) in enumerate(HOSTS.items()):
                with mock.patch.object(small, "HOST", f"https://{host}"):
                    for call in range(at, calls, 3):
                        small.record(store, held, f"{number}-{call}", b"x" * (10 + call))
            small.end(store, held)
    Archive(url).push(root)
    # As a push that was killed left it.
    (name, *_) = names(url, "exchanges")
    folder = name.rpartition("/")[0]
    stray = f"{folder}/01890000-0000-7000-8000-000000000000.parquet"
    ObjectStore(url).put(stray, objects(url)[name])


def said(heading: str, url: str, folder: Path) -> object:
    """Return what a program of the page prints, of an archive.

    Args:
        folder: where it is run.
    """
    path = folder / "program.py"
    path.write_text(PROGRAMS[heading].replace(_URL, url), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, path],
        env={
            **os.environ, "PYTHONPATH": str(CHECKOUT), "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1", "RAY_USAGE_STATS_ENABLED": "0",
        },
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ast.literal_eval(ran.stdout.splitlines()[-1])
