"""A test's session: opened on its cassette as the marker says, and what became of it."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, get_args

from ..api import IngestSession, capture_of, options_of
from ..cassettes.session import CassetteSession
from ..config.choices import Freeze, OnExpired
from ..config.faces import PYTEST
from ..config.settings import nearest, seconds_of
from ..coverage import blocking
from ..errors import BlockedError, ConfigError, LeftOutError, ReplayMissError
from ..formats.cassette.runs import Run
from ..models import Mode
from ..replay.misses import swallowed
from ..utils import parse_instant
from .network import ALSO_STDLIB, Past
from .options import REASON

if TYPE_CHECKING:
    import pytest

# Options of the marker that are the plugin's own.
_OWN = frozenset({"expires", "on_expired", "freeze", "scope", "block_network"})
_NOT_THE_MARKERS = frozenset({"path", "shared", "root", "session"})
_CLOCK = "clock"


class _MarkedSession(CassetteSession):
    """The session of a test that a marker or a fixture opens."""

    _face = PYTEST


class TestSession:
    """A session that is open for a test, a class or a module.

    Args:
        path: of the cassette.
        shared: cassettes that are replayed besides.
        options: as the marker and the configuration have them together.
        test: node id of what it is for.
        again: the command that records it again.
        lifted: makes the context in which the network is not blocked for the whole run.
        only: the test is the only one whose name the cassette has.

    Attributes:
        warning: what is to be said of the cassette's age, and then of what went past it; empty if
            nothing is.

    Raises:
        ConfigError: an unknown option, or a value that does not fit.
    """

    def __init__(
        self,
        path: Path,
        shared: Iterable[Path],
        options: Mapping[str, Any],
        test: str,
        again: str,
        run: Run,
        lifted: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
        *,
        only: bool = False,
    ) -> None:
        self.path = path
        self.test = test
        self._passed: dict[str, bool] = {}
        self.warning = ""
        self.again = again
        self._lifted = lifted
        self._past = Past(options["allowed_hosts"])
        self._options = options
        given = {name: value for name, value in options.items() if name not in _OWN}
        reason = given.pop(REASON, "")
        known = options_of(CassetteSession) - _NOT_THE_MARKERS
        for name in given:
            if name not in known:
                raise ConfigError(
                    f"{test}: dataio has no option {name!r}{nearest(name, known | _OWN)}"
                )
        # Who records an old cassette again wants it to be young, changed or not.
        given.setdefault("redate", given["mode"] == "rewrite" and "expires" in options)
        if given["mode"] == "once":
            with run.state(path) as state:
                if not state.there:
                    # Another test of the run may have made it: it is as little recorded as this.
                    given["mode"] = "all"
        self.ingest = _MarkedSession(path, shared=list(shared), **given)
        capture_of(self.ingest).opener.face = PYTEST._replace(reason=reason)
        self.ingest.cassette.run = self._run = run
        self.ingest.cassette.marked = True
        self.ingest.cassette.only = test if only else ""
        self._told = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        options = self._options
        ingest = self.ingest.open()
        try:
            self._judge_age(options.get("expires"), options.get("on_expired", "warn"))
            self._begin(ingest)
        except BaseException as exc:
            self._close(exc)
            raise
        return self

    def _begin(self, ingest: IngestSession) -> None:
        self._stack.enter_context(self._lifted())
        if ingest.mode is Mode.REPLAY:
            self._stack.enter_context(blocked(self.test, self._options["allowed_hosts"], ingest))
        else:
            self._stack.enter_context(self._past.watching())
        if self._options.get("freeze"):
            self._freeze(self._options["freeze"])

    def suspend(self) -> None:
        """Leave all calls alone until :meth:`resume`."""
        self._stack.close()
        self.ingest.suspend()

    def resume(self) -> None:
        """Have calls in the cassette again."""
        if self.ingest.resume():
            self._begin(self.ingest)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None and self._passed and not any(self._passed.values()):
            exc = _TestFailedError(self.test)
        self._close(exc)

    def _close(self, exc: BaseException | None) -> None:
        try:
            # The clock goes right before the cassette is dated.
            self._stack.close()
            self.warning = self._past.said(
                self.test, stdlib=capture_of(self.ingest).settings.stdlib
            )
        finally:
            if exc is None and self._told == len(self.ingest.misses):
                # All misses have failed their tests already.
                self.ingest.close(self.ingest.misses[0] if self._told else None)
            else:
                self.ingest.close(exc)

    def _freeze(self, how: object) -> None:
        if how not in get_args(Freeze):
            words = ", ".join(map(repr, get_args(Freeze)))
            raise ConfigError(f"{self.test}: freeze={how!r}: there are {words}")
        from .clock import frozen, this_second

        meta = self.ingest.meta
        if self.ingest.mode is not Mode.REPLAY:
            # One for all tests that have the cassette, those that are not recorded again as well.
            anew = self.ingest.cassette.word == "rewrite" and self.ingest.cassette.only
            with self._run.state(self.path) as state:
                state.clock = state.clock or (not anew and meta.get(_CLOCK)) or this_second()
                meta[_CLOCK] = state.clock
        instant = meta.get(_CLOCK) or f"{self.ingest.cassette.recorded or '1970-01-01'}T00:00:00Z"
        seed = self.path.stem
        self._stack.enter_context(frozen(instant, seed, ticks=how == "tick"))

    def _judge_age(self, expires: Any, then: str) -> None:
        if then not in get_args(OnExpired):
            words = ", ".join(get_args(OnExpired))
            raise ConfigError(f"{self.test}: on_expired={then!r}: there are {words}")
        if expires is None or self.ingest.mode is Mode.RECORD or not self.ingest.cassette.recorded:
            return
        recorded = self.ingest.cassette.recorded
        try:
            seconds = seconds_of(expires, "d")
        except ValueError as exc:
            raise ConfigError(f"expires={expires!r}: {exc}") from None
        if time.time() - parse_instant(f"{recorded}T00:00:00.000000Z") <= seconds:
            return
        text = (
            f"{self.path} was recorded {recorded}, which is longer ago than {expires}: "
            f"record it again: {self.again}"
        )
        if then == "fail":
            raise ConfigError(text)
        self.warning = text

    # -- what became of it ---------------------------------------------------------------------

    def ended(self, test: str, phase: str, report: pytest.TestReport) -> bool:
        """Take what became of a test in a phase; say whether it met misses no one was told of."""
        expected = hasattr(report, "wasxfail")
        self._passed.setdefault(test, False)
        if phase == "call":
            self._passed[test] = report.passed or expected
        if report.failed:
            self._passed[test] = False
            if phase == "call":
                # What fixtures have recorded in other phases may be of use to other tests.
                self.ingest.cassette.forget(test, phase)
        return bool((report.failed or expected) and self._new_misses())

    def raise_misses(self) -> None:
        """Raise the misses that the program has met since this was asked last.

        Raises:
            ReplayMissError: there are some.
        """
        new = self._new_misses()
        if new:
            raise swallowed(new) from new[0]

    def _new_misses(self) -> list[ReplayMissError]:
        new = self.ingest.misses[self._told :]
        self._told += len(new)
        return new

    def concerns(self, exc: BaseException) -> bool:
        """Say whether a test failed for what is not in the cassette."""
        seen: set[int] = set()
        left: BaseException | None = exc
        while left is not None and id(left) not in seen:
            if isinstance(left, ReplayMissError):
                # What is left out is not recorded again either.
                return not isinstance(left, LeftOutError)
            seen.add(id(left))
            left = left.__cause__ or left.__context__
        return False


class _TestFailedError(Exception):
    """Keeps the session of a test that failed from writing its cassette."""


def blocked(
    test: str, allowed_hosts: Iterable[str], ingest: IngestSession | None = None
) -> contextlib.AbstractContextManager[None]:
    """Refuse a test's connections but to the hosts allowed, and to unix sockets.

    Args:
        ingest: the session that is replayed, if that is why: it counts them as misses.

    Raises:
        BlockedError, ReplayMissError: out of the program's own call that would connect.
    """
    stdlib = ingest is None or capture_of(ingest).settings.stdlib
    also = "" if stdlib else ALSO_STDLIB

    def explain(host: str, port: int | None, caller: str) -> Exception:
        where = host if port is None else f"{host}:{port}"
        why = "is replayed" if ingest is not None else "has the network blocked"
        text = (
            f"{test} {why}, and {caller or 'it'} is about to reach {where} past the cassette: "
            f"only calls of requests, urllib3 and http.client are recorded{also}; to let it: "
            f"{PYTEST.says('allowed_hosts', [host])}"
        )
        if ingest is None:
            return BlockedError(text, host=host, port=port, caller=caller)
        error = ReplayMissError(text, url=where)
        capture_of(ingest).missed(error)
        return error

    return blocking.blocked(["unix", *allowed_hosts], explain)


def again(test: str) -> str:
    """Return the command that records a test again, given its node id."""
    return f"pytest {shlex.quote(test)} --dataio-mode=rewrite"
