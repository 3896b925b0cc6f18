"""Which answer a look-up gives, beside the rules written down over a plain list of calls."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxm_dataio.config.choices import Exhausted
from mxm_dataio.identity import Identity, identify
from mxm_dataio.models import Mode, Session, Status
from mxm_dataio.replay.lookup import Lookup
from mxm_dataio.storage.entries import CapturedAttempt, CapturedCall, Entry, InSession
from mxm_dataio.storage.recording_store import RecordingStore
from mxm_dataio.storage.root_store import RootStore
from mxm_dataio.utils import as_of_bound
from tests.support.effort import examples

OLD, NEW = "2025-01-01", "2025-01-02"
FORGOTTEN = 2
# Each example has a source of its own in the one store.
_examples = itertools.count()


class Sessions:
    """The sessions of one example, in the order of their rows."""

    def __init__(self) -> None:
        self.name = f"{next(_examples):06}"
        self.all = [
            self._session("s1", OLD),
            self._session("s2", OLD, parent="s1"),
            self._session("s3", NEW),
            self._session("s4", OLD),
            self._session("s5", NEW, source="other"),
        ]
        self.order = [one.id for one in self.all]

    def _session(self, id: str, as_of: str, parent: str = "", source: str = "") -> Session:
        return Session(
            self.id(id), source or self.name, Mode.RECORD, as_of, Status.COMPLETE, "t",
            root_id=self.id(parent or id), parent_id=self.id(parent) if parent else None,
        )  # fmt: skip

    def id(self, name: str) -> str:
        """Return an id that no other example has."""
        return f"{self.name}-{name}"


def identity(name: str, value: str, action: str) -> Identity:
    headers = [("X", value), ("Y", value)] + ([("SOAPAction", action)] if action else [])
    return identify("GET", f"http://host/{name}", headers=headers)


CALLS = [identity(n, v, a) for n in ("p", "q", "r") for v in ("1", "2") for a in ("", "act")]


@dataclass(frozen=True)
class Held:
    """A recorded call."""

    id: str
    session: Session
    base: str
    hash: str
    counts: bool


@dataclass
class Rules:
    """The rules, as :mod:`mxm_dataio.replay.lookup` has them in words."""

    sessions: Sessions
    pinned: str | None
    bound: str
    exhausted: Exhausted
    calls: list[Held] = field(default_factory=list)
    variants: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)
    settled: dict[str, tuple[str, str]] = field(default_factory=dict)
    served: dict[str, str] = field(default_factory=dict)

    def place(self, params_hash: str) -> tuple[str, str] | None:
        found = [
            (one.session.as_of, self.sessions.order.index(one.session.root_id))
            for one in self.calls
            if one.hash == params_hash
            and one.counts
            and one.session.source == self.sessions.name
            and (
                one.session.root_id == self.pinned
                if self.pinned
                else one.session.as_of <= self.bound
            )
        ]
        if not found:
            return None
        as_of, number = max(found)
        return self.settled.setdefault(params_hash, (as_of, self.sessions.order[number]))

    def answer(self, asked: Identity) -> str | None:
        base, plain = asked.params_hash(), asked.counting(())
        names = {asked.counting(vary) for vary in self.variants.get(base, ())}
        hashes = sorted(asked.params_hash(one) for one in names)
        if plain not in names:
            hashes.append(asked.params_hash(plain) if plain else base)
        places = [(place, one) for one in hashes if (place := self.place(one))]
        if not places:
            return None
        # The first of the newest.
        (_, root), params_hash = max(places, key=lambda found: found[0])
        return self.next(root, params_hash)

    def next(self, root: str, params_hash: str) -> str | None:
        after = self.served.get(params_hash, "")
        found = sorted(
            one.id
            for one in self.calls
            if one.hash == params_hash and one.counts and one.session.root_id == root
            and one.session.source == self.sessions.name and one.id > after
        )  # fmt: skip
        if found:
            self.served[params_hash] = found[0]
            return found[0]
        return (after or None) if self.exhausted == "repeat" else None


def record(
    store: RecordingStore, rules: Rules, began: str, what: tuple[int, int, Any, int]
) -> None:
    where, which, vary, status = what
    call, held = CALLS[which], rules.sessions.all[where]
    names = call.counting(vary)
    one = Held(
        rules.sessions.id(began),
        held,
        call.params_hash(),
        call.params_hash(names),
        counts=status == 1,
    )
    entry = Entry(
        CapturedCall(
            one.id, "GET", "u", 0.0,
            status=Status.COMPLETE if status else Status.INTERRUPTED,
        ),
        InSession(held.id, held.root_id, held.source, held.as_of),
        "", call.document(names).decode(), names, one.base if names else None, None, 0, None,
        (CapturedAttempt("GET", "u", 0.0, 200, complete=True),), {},
    )  # fmt: skip
    store.catalog.put([entry])
    if status == FORGOTTEN:
        assert store.forget(one.id)
    rules.calls.append(one)
    if names and held.source == rules.sessions.name:
        rules.variants.setdefault(one.base, set()).add(names)


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([usual] * 12 + list(others))


wild = st.tuples(
    st.sampled_from([0, 0, 0, 0, 1, 2, 2, 3, 4]),
    st.integers(0, len(CALLS) - 1),
    st.sampled_from([(), (), (), ("x",), ("x", "y")]),
    st.sampled_from([0, FORGOTTEN, 1, 1, 1, 1, 1]),
)
# One program that makes a few calls over and over.
calm = st.tuples(
    mostly(0, 1, 2), st.sampled_from([0, 2, 4, 6]), mostly((), ("x",)), mostly(1, 0, FORGOTTEN)
)
# Ask for the call that was recorded so many behind the one asked for last, or record another.
moves = mostly(1, 1, 2, 3, 0, -1, -7)
recorded = st.lists(calm, min_size=10, max_size=40) | st.lists(wild, min_size=3, max_size=30)
asked_for = (
    st.lists(moves | st.just(1) | st.just(1) | calm, min_size=10, max_size=50)
    | st.lists(mostly(1, 1), min_size=10, max_size=50)
    | st.lists(moves | wild, min_size=5, max_size=40)
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordingStore]:
    with RecordingStore(tmp_path_factory.mktemp("store") / "root") as made:
        yield made


@examples(200)
@given(
    before=recorded,
    then=asked_for,
    pinned=st.sampled_from([None, None, "s1", "s3", "s4"]),
    as_of=st.sampled_from([None, None, OLD]),
    exhausted=st.sampled_from(get_args(Exhausted)),
    late=st.none() | st.integers(0, 6),
)
def test_it_gives_what_the_rules_say(
    store: RecordingStore,
    before: list[tuple[int, int, Any, int]],
    then: list[Any],
    pinned: str | None,
    as_of: str | None,
    exhausted: Exhausted,
    late: int | None,
) -> None:
    sessions = Sessions()
    root = sessions.id(pinned) if pinned else None
    rules = Rules(sessions, root, as_of_bound(as_of) if as_of else "~", exhausted)
    for one in sessions.all:
        store.begin(one)
    for number, what in enumerate(before):
        record(store, rules, f"{2 * number:05}", what)
    with RootStore(store.root, readonly=True) as reader:
        lookup = Lookup(reader, sessions.name, as_of=as_of, root_id=root, exhausted=exhausted)
        place, number = -1, 0
        for step in then:
            if isinstance(step, tuple):
                number += 1
                # One that began earlier than others may be recorded after them.
                began = 2 * len(before) if late is None else 2 * (place + late)
                record(store, rules, f"{began:05}.{number:05}", step)
                continue
            place = (place + step) % len(before)
            asked = CALLS[before[place][1]]
            found, _ = lookup.find(asked)
            assert (found.request.id if found else None) == rules.answer(asked)


@pytest.mark.parametrize("count", [1, 2, 12, 25])
def test_what_is_recorded_meanwhile_counts(store: RecordingStore, count: int) -> None:
    sessions = Sessions()
    rules = Rules(sessions, None, "~", "repeat")
    for one in sessions.all:
        store.begin(one)
    for number in range(40):
        record(store, rules, f"{number:05}", (0, 0, (), 1))
    with RootStore(store.root, readonly=True) as reader:
        lookup = Lookup(reader, sessions.name)

        def found() -> str | None:
            exchange, _ = lookup.find(CALLS[0])
            assert (exchange.request.id if exchange else None) == rules.answer(CALLS[0])
            return exchange.request.id if exchange else None

        for _ in range(count):
            found()
        # It began before the next one, and took longer.
        record(store, rules, f"{count - 1:05}.late", (0, 0, (), 1))
        assert found() == sessions.id(f"{count - 1:05}.late")
        assert found() == sessions.id(f"{count:05}")
        # Its answer says that others depend on a header, and comes from a newer session.
        record(store, rules, "99999", (2, 0, ("x",), 1))
        assert found() == sessions.id("99999")
