"""Records tests/support/programs.py with another recorder, in whose environment it is run.

    python tests/foreign/record.py vcrpy yaml requests http://127.0.0.1:PORT FILE

(A service listens there: ``python -m tests.support.service``.) The samples beside it were made so.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import programs

# What text can't hold, and vcrpy's JSON and betamax's text therefore don't.
BINARY = frozenset(
    {"file", "generator", "gzip", "gzip raw", "gzip read", "deflate", "binary", "latin-1",
     "multipart", "put bytes"}
)  # fmt: skip


def by_vcrpy(serializer: str, who: str, base: str, file: Path) -> Any:
    """Record with vcrpy."""
    import vcr

    leave = BINARY if serializer == "json" else frozenset()
    recorder = vcr.VCR(
        serializer=serializer, record_mode="new_episodes", match_on=["method", "uri"]
    )
    with recorder.use_cassette(str(file)):
        return programs.run(_steps(who, base), leave)


def by_betamax(bodies: str, _who: str, base: str, file: Path) -> Any:
    """Record with betamax, bodies ``exact`` or as ``text``."""
    import betamax
    import requests

    session = requests.Session()
    recorder = betamax.Betamax(session, cassette_library_dir=str(file.parent))
    exact = bodies == "exact"
    leave = BINARY if not exact else frozenset({"file", "generator"})
    options = {"record": "once", "preserve_exact_body_bytes": exact}
    with recorder.use_cassette(file.stem, **options):
        return programs.run(programs.by_requests(base, session), leave)


def by_responses(_kind: str, _who: str, base: str, file: Path) -> Any:
    """Record with the recorder of responses."""
    from responses import _recorder

    @_recorder.record(file_path=file)
    def program() -> Any:
        return programs.run(programs.by_requests(base))

    return program()


def _steps(who: str, base: str) -> Any:
    return {"requests": programs.by_requests, "urllib3": programs.by_urllib3}[who](base)


if __name__ == "__main__":
    library, kind, who, base, file = sys.argv[1:]
    recorders = {"vcrpy": by_vcrpy, "betamax": by_betamax, "responses": by_responses}
    for name, seen in recorders[library](kind, who, base, Path(file)).items():
        if "raised" in seen:
            sys.stderr.write(f"{name}: {seen['raised']}: {seen['said']}\n")
