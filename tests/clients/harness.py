"""Runs a client plainly, recorded, and replayed after its server has stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import requests

from mxm_dataio import IngestSession, Status, mount, use_cassette
from mxm_dataio.models import Exchange
from mxm_dataio.redaction import PLACEHOLDER
from mxm_dataio.storage.recording_store import RecordingStore

SOURCE = "client"
WHY = "needs the extra 'clients': pip install '.[clients]'"
HEAVY = "takes half a minute to install: make clients"
# Told of the client's requests.Session, if it has one.
Carry = Callable[[requests.Session], Any]
Work = Callable[[Carry], Any]


class Server(Protocol):
    """What counts the requests it gets, and can be stopped."""

    @property
    def hits(self) -> int:
        """How many requests came."""

    def stop(self) -> None:
        """Let go of the address."""


@contextmanager
def session(
    root: Path, mode: str, way: str = "hook", **options: Any
) -> Iterator[tuple[IngestSession, Carry]]:
    """Open a session, and yield it with what mounts it on a client where that is the way."""
    with ExitStack() as stack:
        ingest = stack.enter_context(
            IngestSession(SOURCE, root, mode, hook=way == "hook", **options)
        )

        def carry(carried: requests.Session) -> None:
            if way == "mount":
                stack.enter_context(mount(carried, ingest))

        yield ingest, carry


def exchanges(root: Path) -> list[Exchange]:
    """Return all recorded calls, in their order."""
    with RecordingStore(root) as store:
        return [e for s in store.sessions() for e in store.exchanges(s.id)]


def record_then_replay(
    root: Path,
    server: Server,
    work: Work,
    *,
    way: str = "hook",
    same: Callable[[Any], Any] = lambda result: result,
    later: Callable[[], Any] = lambda: None,
    hidden: tuple[str, ...] = (),
    **options: Any,
) -> Any:
    """Do the work plainly, recorded and replayed, and return what it returned.

    The server sees the same number of requests plainly and recorded, each of them is an attempt
    in the store, and it is stopped before the replay.

    Args:
        same: makes a result comparable between two visits to a server that gives each visit
            other ids and dates. The replay is compared without it.
        hidden: texts of the result that are secret: replay has the placeholder for them.
        later: called before the replay, to change the date.
        options: for the sessions.
    """
    start = server.hits
    plain = work(lambda _: None)
    hits = server.hits - start
    assert hits > 0
    with session(root, "record", way, **options) as (ingest, carry):
        recorded = work(carry)
    assert same(recorded) == same(plain)
    assert ingest.session.warnings == ()
    assert ingest.session.status is Status.COMPLETE
    assert server.hits == start + 2 * hits, "other requests under capture"
    calls = exchanges(root)
    assert sum(len(call.responses) for call in calls) == hits
    server.stop()
    later()
    with session(root, "replay", way, **options) as (_, carry):
        replayed = work(carry)
    expected = repr(recorded)
    for text in hidden:
        expected = expected.replace(text, PLACEHOLDER)
    assert replayed == recorded if not hidden else repr(replayed) == expected
    assert server.hits == start + 2 * hits
    return recorded


def record_then_replay_by(
    root: Path,
    server: Server,
    work: Callable[[], Any],
    *,
    options: dict[str, Any] | None = None,
    later: Callable[[], Any] = lambda: None,
    **rules: Any,
) -> Any:
    """Record work that asks in another way each time, replay it by rules; return what it returned.

    To a root and to a cassette, the rules said before the recording and only afterwards. Where
    there are rules it is they that make the difference: without them the replay has a miss.

    Args:
        options: what else is said, recording and replaying.
        later: called before the replays, with the server gone.
    """
    keeps: dict[str, Callable[..., Any]] = {
        "root": lambda name, mode, **said: IngestSession(SOURCE, root / name, mode, **said),
        "cassette": lambda name, mode, **said: use_cassette(root / f"{name}.json", mode, **said),
    }
    options = options or {}
    recorded = {}
    for keep, session in keeps.items():
        for when, said in (("before", rules), ("afterwards", {})):
            hits = server.hits
            with session(f"{keep} {when}", "record", **options, **said):
                recorded[keep, when] = work()
            assert server.hits > hits
    hits = server.hits
    server.stop()
    later()
    for (keep, when), result in recorded.items():
        with keeps[keep](f"{keep} {when}", "replay", **options, **rules) as ingest:
            assert work() == result, (keep, when)
        assert not ingest.misses
    for keep, session in keeps.items() if rules else ():
        with suppress(Exception), session(f"{keep} afterwards", "replay", **options) as ingest:
            work()
        assert ingest.misses, f"it is the same without {rules}"
    assert server.hits == hits
    return result


def files_with(root: Path, secret: str) -> list[Path]:
    """Return the files below root that contain a text."""
    needle = secret.encode()
    files = [path for path in root.rglob("*") if path.is_file()]
    assert files
    return [path.relative_to(root) for path in files if needle in path.read_bytes()]
