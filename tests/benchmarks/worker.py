"""A contestant's own process: both ends of the pipe to it. One JSON line asks, one answers."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CHECKOUT = Path(__file__).resolve().parents[2]
_PATIENCE = 900.0


class WorkError(Exception):
    """A contestant could not do its work."""


class Worker:
    """The parent's end.

    Args:
        key: of the contestant that lives there.
    """

    def __init__(self, key: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=CHECKOUT,
            env=environment(),
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def ask(self, job: str, *, patience: float = _PATIENCE, **options: Any) -> dict[str, Any]:
        """Have a job done, a method of :class:`~tests.benchmarks.jobs.Jobs`.

        Args:
            patience: seconds after which the process is ended.

        Raises:
            WorkError: it says why.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(patience, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(json.dumps({"job": job, **options}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            late = not timer.is_alive()
            timer.cancel()
        if not line:
            raise WorkError(f"took over {patience:.0f} s" if late else "its process ended")
        answer: dict[str, Any] = json.loads(line)
        if "failure" in answer:
            raise WorkError(answer["failure"])
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def environment() -> dict[str, str]:
    """Return the environment without what would turn calls away or change settings.

    Nor what keeps Python from writing bytecode: what is installed has it, and a checkout that
    is compiled at every start says nothing of what an import costs.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy")
        and not name.startswith("MXM_DATAIO_")
        and name != "PYTHONDONTWRITEBYTECODE"
    }


def main(key: str) -> None:
    """Do the jobs that come in, until no more can."""
    from .contestants import CONTESTANTS
    from .jobs import Jobs

    # What a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    jobs = Jobs(CONTESTANTS[key]())
    for line in sys.stdin:
        options = json.loads(line)
        gc.collect()
        try:
            answer = getattr(jobs, options.pop("job"))(**options)
        except Exception as exc:
            text = str(exc).strip().splitlines()
            answer = {"failure": f"{type(exc).__name__}: {text[0] if text else ''}"[:200]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
