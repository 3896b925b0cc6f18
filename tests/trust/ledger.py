"""What victims told before they were killed, and whether a store holds it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mxm_dataio import Exchange, Session, Status, StoreError
from mxm_dataio.storage.root_store import RootStore

from .source import CUT, REFUSED, Asked


@dataclass
class Told:
    """What the victims of one source told, in all its processes."""

    asked: set[str] = field(default_factory=set)
    read: dict[str, str] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    began: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    trouble: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        """Take a line of theirs."""
        word, _, rest = line.partition(" ")
        if word == "ask":
            self.asked.add(rest)
        elif word == "got":
            url, _, digest = rest.partition(" ")
            self.read[url] = digest
        elif word in ("failed", "began", "ended"):
            getattr(self, word).add(rest)
        elif word == "trouble":
            self.trouble.append(rest)


@dataclass
class Found:
    """What a check came to.

    Attributes:
        reported: exchanges that were told of as read.
        whole: those of them that are in the store, once, as the source sent them.
        beyond: exchanges that are there, whole, though they were killed before they could be
            told of.
        problems: what should not be.
    """

    reported: int = 0
    whole: int = 0
    beyond: int = 0
    sessions: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Add another check's counts and problems."""
        self.reported += other.reported
        self.whole += other.whole
        self.beyond += other.beyond
        self.sessions += other.sessions
        self.problems += other.problems


def check_store(store: RootStore, told: dict[str, Told], known: set[str]) -> Found:
    """Check the victims' sessions in an open store.

    Args:
        told: by source, the victims that are dead and are to be checked.
        known: all sources that may be there.
    """
    found = Found()
    by_source: dict[str, list[Session]] = {source: [] for source in told}
    for session in store.sessions():
        if session.source not in known:
            found.problems.append(f"session {session.id} of {session.source} is no one's")
        elif session.source in told:
            by_source[session.source].append(session)
    for source, sessions in by_source.items():
        _check_source(store, told[source], sessions, found)
    return found


def _check_source(store: RootStore, told: Told, sessions: list[Session], found: Found) -> None:
    found.problems += told.trouble
    found.sessions += len(sessions)
    for id in told.began - {session.id for session in sessions}:
        found.problems.append(f"session {id} was open, and is not there")
    counts: Counter[str] = Counter()
    sound: set[str] = set()
    for session in sessions:
        wanted = {Status.COMPLETE} if session.id in told.ended else {Status.INTERRUPTED}
        if session.id in told.began - told.ended:
            # Killed between its end and the word of it.
            wanted.add(Status.COMPLETE)
        if session.status not in wanted:
            found.problems.append(f"session {session.id} is {session.status} {session.warnings}")
        for exchange in store.exchanges(session.id):
            url = exchange.request.url
            counts[url] += 1
            if url not in told.asked:
                found.problems.append(f"{url} was never asked for")
                continue
            try:
                wrong = _wrong(store, exchange, told.read.get(url))
            except StoreError as exc:
                wrong = str(exc)
            if wrong:
                found.problems.append(f"{url}: {wrong}")
            else:
                sound.add(url)
    for url in (*told.read, *told.failed):
        if not counts[url]:
            found.problems.append(f"{url} was read to its end, and is lost")
    found.problems += [f"{url} is there {n} times" for url, n in counts.items() if n > 1]
    reported = told.read.keys() | told.failed
    found.reported += len(reported)
    found.whole += sum(counts[url] == 1 for url in reported & sound)
    found.beyond += len(sound - reported)


def _wrong(store: RootStore, exchange: Exchange, digest: str | None) -> str:
    """Return what is wrong with an exchange, or nothing."""
    request = exchange.request
    asked = Asked.of(request.url)
    if digest is not None and digest != hashlib.sha256(asked.body).hexdigest():
        return "the program read something else than was sent"
    if request.method != asked.method:
        return f"its method is {request.method}"
    if len(exchange.responses) != 1:
        return f"it has {len(exchange.responses)} attempts"
    (response,) = exchange.responses
    if asked.kind == REFUSED:
        # What is not read to its end (by a kill, too) is never on record as such.
        return "" if request.status is Status.FAILED else f"it is {request.status}"
    whole = asked.kind != CUT
    if whole and request.status is not Status.COMPLETE:
        return f"it is {request.status}"
    if response.complete is not whole:
        return f"its answer is {'' if response.complete else 'not '}complete"
    upload = asked.upload
    if request.body_checksum != (hashlib.sha256(upload).hexdigest() if upload else None):
        return "its upload is another"
    if upload:
        with store.payloads.open(hashlib.sha256(upload).hexdigest(), len(upload)) as file:
            if file.read() != upload:
                return "its upload's bytes are others"
    with store.open(response) as file:
        if file.read() != asked.payload:
            return f"its payload of {response.size} bytes is not what was sent"
    return ""


def check_folder(root: Path, verified: set[str], *, opened: bool) -> list[str]:
    """Return what is wrong with the files of a root whose processes are all dead.

    Args:
        verified: names of payloads that were checked before; added to.
        opened: a store has been opened since, to record.
    """
    problems = []
    for folder in (root, root / "responses", root / "journal", root / "running"):
        if folder.exists() and folder.stat().st_mode & 0o077:
            problems.append(f"{folder} is open to others")
    for path in root.rglob("*"):
        if path.is_dir():
            continue
        # SQLite makes its file as any other, and it is narrowed before anything is in it.
        if path.stat().st_mode & 0o077 and path.stat().st_size:
            problems.append(f"{path} is open to others")
        if path.parent.name == "responses" and path.suffix == ".bin" and path.name not in verified:
            if hashlib.sha256(path.read_bytes()).hexdigest() != path.stem:
                problems.append(f"{path} does not hold the bytes of its name")
            verified.add(path.name)
        elif opened and path.suffix == ".tmp":
            problems.append(f"{path} was not swept away")
        elif path.parent.name in ("journal", "running") and opened:
            problems.append(f"{path} was not taken in")
        elif path.parent == root and not path.name.startswith("dataio.sqlite"):
            problems.append(f"{path} is none of ours")
    return problems


def litter(root: Path) -> int:
    """Count the temporary files that the dead have left."""
    return sum(name.endswith(".tmp") for _, _, names in os.walk(root) for name in names)
