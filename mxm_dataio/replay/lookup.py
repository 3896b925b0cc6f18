"""Which stored answer a call gets.

Of the source's recorded calls with the same identity, from sessions not after the as-of: those of
the newest session, in their order, the last again at the end. One session can be pinned. A session
that records too (``auto``) is answered by others alone, and by none at the end: a job that it has
submitted and polls comes to an end.

**What was learned late.** A value that was found to be secret after it was sent is masked in the
recorded call, and in replay the program sends it before it can be known, too. So where no call is
found, one will do that has :data:`~mxm_dataio.http.tokens.LATE` in the place of a value that looks
drawn by lot. What is taken for the secret is to turn out as one before the session ends: if it does
not, the wrong call may have answered, and that is a miss; see :meth:`Lookup.unproved`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from urllib.parse import unquote

from ..concurrency import mutex
from ..config.choices import Exhausted
from ..errors import NearMiss
from ..http.tokens import LATE, PLACEHOLDER
from ..identity import CONDITIONS, USER, Identity, base_of, conditions_of, without_headers
from ..models import Exchange, Request
from ..redaction.users import User
from ..redaction.values import looks_drawn
from ..storage.backend import Backend, Finder
from ..storage.catalog.lookups import Following
from ..utils import as_of_bound
from .nearest import nearest
from .read_ahead import ReadAhead
from .rekeyed import Rekeyed
from .turns import Places, SharedTurns

# Recorded calls looked at for the nearest to a miss.
_CANDIDATES = 200
# Conditions of a call; ``None`` where they are a part of its hash, or do not count.
Made = dict[str, str] | None
_ANYONE = User(0, ())


class Lookup:
    """Finds answers for one session, and remembers which it has given.

    Args:
        store: where to look.
        source: the session's.
        as_of: the latest as-of that counts, in stored form; ``None`` for all.
        root_id: the one recorded session to look in.
        exhausted: what follows the last recorded answer of a call.
        but: a recorded session that answers nothing: the one that looks, where it records too. What
            is found is then fetched otherwise, so that nothing is taken for a secret on trust.
        rekeyed: finds calls that were recorded by other rules than are in force.
    """

    def __init__(
        self,
        store: Backend,
        source: str,
        *,
        as_of: str | None = None,
        root_id: str | None = None,
        exhausted: Exhausted = "repeat",
        but: str = "",
        rekeyed: Rekeyed | None = None,
    ) -> None:
        self._store = store
        self.source = source
        self._bounded = as_of is not None
        self._bound = as_of_bound(as_of)
        self._root_id = root_id
        self._exhausted = exhausted
        self._but = but
        self._rekeyed = rekeyed
        # Calls that no other session held when they were asked for first.
        self._absent: set[str] = set()
        self._served, self._settled = Places({}, {})
        self._answered = 0
        self._shared: SharedTurns | None = None
        self._ahead = ReadAhead(store, source, self._bound, pinned=root_id is not None)
        # Recorded calls with a value that was learned late; what stood in its place, by call.
        self._late: list[Request] | None = None
        # Recorded calls of others than the first user.
        self._users: list[Request] | None = None
        self._taken: dict[tuple[str, str], Request] = {}

    def share(self, shared: SharedTurns) -> None:
        """Serve calls in turns with other processes from now on.

        Raises:
            StoreError: what is shared can't be read or written.
        """
        with mutex.lock:
            if self._shared is None and not self._but:
                places = shared.join(self.source, Places(self._served, self._settled))
                self._served, self._settled = places
                self._shared = shared

    def find(self, identity: Identity) -> tuple[Exchange | None, Exchange | None]:
        """Return the exchange that answers a call, and the one that confirmed it last."""
        found = self._find(identity)
        return self._resolve(found) if found is not None else (None, None)

    @property
    def roots(self) -> set[str]:
        """Ids of the recorded sessions that have answered, or of the one that is to."""
        found = {root_id for _, root_id in list(self._settled.values())}
        return found | ({self._root_id} if self._root_id else set())

    def reaches(self, request: Request, catalog: Finder) -> bool:
        """Say whether a recorded call is of the session that answers calls with its hash."""
        place = self._settled.get(request.params_hash)
        if self._root_id is None and place is None:
            place = catalog.newest(self.source, request.params_hash, self._bound, self._but)
        return request.root_id == (place[1] if place else self._root_id)

    def knows(self, endpoint: str) -> bool:
        """Say whether calls to an endpoint are recorded that may have a body."""
        return self._store.catalog.takes_bodies(self.source, endpoint)

    def nearest(self, identity: Identity) -> tuple[NearMiss, ...]:
        """Return the recorded calls that come closest to one that was not found."""
        catalog = self._store.catalog
        candidates = catalog.with_hash(identity.params_hash(), _CANDIDATES)
        candidates += catalog.similar(self.source, identity.endpoint, _CANDIDATES)
        if self._rekeyed is not None:
            candidates = [self._rekeyed.seen(request) for request in candidates]
        return nearest(
            identity.document().decode("utf-8"),
            candidates,
            source=self.source,
            bound=self._bound if self._bounded else None,
            headers=identity.all_headers,
            forgotten=catalog.forgotten(),
        )

    def _find(self, identity: Identity) -> Exchange | None:
        document = identity.document()
        base = hashlib.sha256(document).hexdigest()
        with mutex.lock:
            # Where calls are recorded meanwhile nothing that was read ahead would hold.
            user = identity.user
            also = self._others(identity, base, document)
            anew = bool(self._but or also or (user and not user.number))
            if self._shared is None:
                return self._next(identity, base, also, anew)
            with self._shared.turn():
                exchange = self._next(identity, base, also, anew)
                if exchange is not None:
                    request = exchange.request
                    settled = self._settled.get(request.params_hash)
                    self._shared.note(self.source, request.params_hash, request.id, settled)
            return exchange

    def _next(self, identity: Identity, base: str, also: list[str], anew: bool) -> Exchange | None:
        """Return the call that is next to answer, and take note that it has."""
        while True:
            answered = self._answered
            found = None if anew else self._ahead.find(identity, base, self._served)
            exchange: Exchange | None = None
            if found is not None and self._settles(found):
                exchange = self._store.decoded(found)
            if exchange is None or not answers(exchange, _made(identity)):
                found, exchange = None, self._look_up(identity, base, also)
            who = identity.user if self._but else None
            if exchange is not None and who and exchange.request.session_id not in who.sessions:
                # Another user's may be another: what can't be compared is fetched.
                exchange = None
            # Else a call that a signal's handler or a finalizer has made amid this one has it.
            if answered == self._answered:
                break
        if exchange is not None:
            request = exchange.request
            self._answered += 1
            self._served[request.params_hash] = request.id
            if not self._but:
                self._ahead.answered(request.id, ahead=found is not None)
        return exchange

    def _settles(self, found: Following) -> bool:
        """Settle which session answers a hash; say whether it is this call's."""
        place = found.as_of, found.root_id
        return self._settled.setdefault(found.params_hash, place) == place

    def _look_up_as(self, identity: Identity, base: str, asked: Identity | None) -> Exchange | None:
        """Return what answers a call as if it had another identity.

        Args:
            asked: the call's own, where conditions are a part of that.
        """
        also = self._others(identity, base, identity.document())
        return self._look_up(identity, base, also, asked)

    def _look_up(
        self, identity: Identity, base: str, also: list[str], asked: Identity | None = None
    ) -> Exchange | None:
        """Return the call that is next to answer.

        Args:
            also: hashes besides its own under which the call was recorded.
            asked: the identity of the call, where this one stands for it.
        """
        variants = self._store.catalog.variants(self.source, base)
        counting = {identity.counting(names) for names in variants}
        hashes = sorted(identity.params_hash(names) for names in counting)
        if (plain := identity.counting(())) not in counting:
            hashes.append(identity.params_hash(plain) if plain else base)
        twins = [*also]
        anyones = identity.user is not None and not identity.user.number and not self._but
        if anyones:
            twins += self._of_any_user(identity)
        place: tuple[str, str] | None = None
        params_hash = base
        with mutex.lock:
            for candidate in (*hashes, *twins):
                there = self._place(candidate)
                if there is not None and (place is None or there > place):
                    place, params_hash = there, candidate
            if place is None and not self._but:
                params_hash = self._late_hash(identity)
                place = self._place(params_hash) if params_hash else None
            if place is None and not self._but and identity.user is not None and not anyones:
                # Of these none is this user's, as far as can be told.
                anyone = replace(identity.by_anyone(), user=_ANYONE)
                return self._look_up_as(anyone, base, asked)
            if place is None and not self._but and (bare := identity.without_data()) is not None:
                # Recorded before data under the name of a secret counted.
                found = self._look_up_as(bare, bare.params_hash(), asked)
                masked = found is not None and f"={PLACEHOLDER}" in found.request.url
                return found if masked else None
            if place is None and not self._but and identity.conditions:
                # Recorded before conditions were a part of what is asked.
                without = identity.unconditional()
                return self._look_up_as(without, without.params_hash(), identity)
            if place is None:
                return None
            made = asked.conditions if asked else _made(identity)
            root_id = place[1]
            exchange = next(self._behind(made, params_hash, root_id), None)
            if twins:
                others = [
                    next(self._behind(made, other, root_id), None)
                    for other in {*hashes, *twins} - {params_hash}
                ]
                exchange = self._first([exchange, *others])
            if exchange is None and self._exhausted == "repeat":
                again = [self._again(made, one, root_id) for one in {params_hash, *twins}]
                exchange = self._latest(again)
            return exchange

    def _behind(
        self, made: Made, params_hash: str, root_id: str, after: str | None = None
    ) -> Iterator[Exchange]:
        """Yield the calls with a hash that may answer, behind the one that answered last."""
        place = self._served.get(params_hash, "") if after is None else after
        while (found := self._store.nth(self.source, params_hash, root_id, place)) is not None:
            place = found.request.id
            if answers(found, made):
                yield found

    def _again(self, made: Made, params_hash: str, root_id: str) -> Exchange | None:
        """Return the last call with a hash that may answer, if one of them has answered."""
        last = self._served.get(params_hash, "")
        found = self._store.exchange(last) if last else None
        if found is None or answers(found, made):
            return found
        return max(
            self._behind(made, params_hash, root_id, ""),
            key=lambda one: (len(one.request.id), one.request.id),
            default=None,
        )

    def _latest(self, found: Iterable[Exchange | None]) -> Exchange | None:
        there = [exchange for exchange in found if exchange is not None]
        return max(there, key=lambda one: (len(one.request.id), one.request.id), default=None)

    def _first(self, found: Iterable[Exchange | None]) -> Exchange | None:
        """Return the exchange that was recorded first; ids end in a number, or are as long."""
        there = [exchange for exchange in found if exchange is not None]
        return min(there, key=lambda one: (len(one.request.id), one.request.id), default=None)

    def _others(self, identity: Identity, base: str, document: bytes) -> list[str]:
        """Return hashes besides its own under which a call was recorded."""
        found = [] if self._but else self._twins(identity, document)
        return found if self._rekeyed is None else found + self._rekeyed.of(identity, base)

    def _twins(self, identity: Identity, document: bytes) -> list[str]:
        """Return the hashes of recorded calls that are this one, masked late."""
        if PLACEHOLDER.encode("ascii") not in document:
            return []
        return [
            request.params_hash
            for request in self._recorded_late()
            if request.identity.replace(LATE, PLACEHOLDER)
            == identity.document(base_of(request.identity)[1]).decode("utf-8")
        ]

    def _of_any_user(self, identity: Identity) -> list[str]:
        """Return the hashes of recorded calls that are this one, made by others than the first."""
        if self._users is None:
            found = self._store.catalog.with_text(self.source, USER, self._bound, _CANDIDATES)
            self._users = list({request.params_hash: request for request in found}.values())
        return [
            request.params_hash
            for request in self._users
            if without_headers(request.identity, {USER})
            == identity.document(set(base_of(request.identity)[1]) - {USER}).decode("utf-8")
        ]

    def _recorded_late(self) -> list[Request]:
        """Return recorded calls with a value that was learned late, one for each hash."""
        if self._late is None:
            catalog = self._store.catalog
            found = catalog.with_text(self.source, LATE, self._bound, _CANDIDATES)
            self._late = list({request.params_hash: request for request in found}.values())
        return self._late

    def _late_hash(self, identity: Identity) -> str:
        """Return the hash of a recorded call that is this one but for what was learned late."""
        for request in self._recorded_late():
            document = identity.document(base_of(request.identity)[1]).decode("utf-8")
            values = filled(request.identity, document)
            if values is not None:
                self._taken.update({(request.params_hash, value): request for value in values})
                return request.params_hash
        return ""

    def unproved(self, proved: Callable[[str], bool]) -> list[Request]:
        """Return the recorded calls that answered for a value that was taken for a secret.

        Args:
            proved: says whether a value has turned out to be one.
        """
        return [request for (_, value), request in self._taken.items() if not proved(value)]

    def _place(self, params_hash: str) -> tuple[str, str] | None:
        if self._root_id is not None:
            held = self._store.last(self.source, params_hash, self._root_id)
            return (held.request.as_of, self._root_id) if held else None
        # Which session answers is settled at the first call, so that a recording that goes on
        # beside the replay can't change it half-way.
        place = self._settled.get(params_hash)
        if place is None and params_hash not in self._absent:
            place = self._store.catalog.newest(self.source, params_hash, self._bound, self._but)
            if place is not None:
                self._settled[params_hash] = place
            elif self._but:
                self._absent.add(params_hash)
        return place

    def _resolve(self, exchange: Exchange) -> tuple[Exchange | None, Exchange | None]:
        """Return the exchange that holds the bytes, and the one that confirmed them last."""
        held: Exchange | None = exchange
        confirmed: Exchange | None = None
        led: set[str] = set()
        while held is not None:
            if confirmed is None and held.is_from_source:
                confirmed = held
            source = held.request.served_from
            if not source:
                break
            # A store from elsewhere may lead in a circle, in which nothing holds the bytes.
            held = self._store.exchange(source) if source not in led else None
            led.add(source)
        return held, confirmed


def _made(identity: Identity) -> Made:
    """Return what says of a call with this very hash whether it may answer."""
    return {} if CONDITIONS.isdisjoint(identity.all_headers) else None


def answers(exchange: Exchange, conditions: Made) -> bool:
    """Say whether a recorded call may answer one with its hash, of which conditions are no part.

    As a 304 or 412 it answers a call that made conditions (RFC 9110 §13.1), and one that was
    recorded before they were a part of the hash answers its like alone.

    Args:
        conditions: of the call that asks; ``None`` where they are no question any more.
    """
    answer = exchange.answer
    if conditions is None:
        return True
    if not conditions and (answer is None or answer.status_code not in (304, 412)):
        return True
    request = exchange.request
    if request.served_from is not None:
        # What confirmed a stored answer is no answer of its own.
        return not conditions
    made = conditions_of(request.headers)
    if not made and answer is not None and answer.status_code in (304, 412):
        # Of another recorder that keeps no headers of requests.
        return True
    return made == conditions


def filled(recorded: str, asked: str) -> list[str] | None:
    """Return what stands in one text for what was learned late in another, else the same.

    Args:
        recorded: with :data:`~mxm_dataio.http.tokens.LATE` in it.

    Returns:
        The values; ``None`` if the texts differ elsewhere, or one looks like no secret.
    """
    first, *pieces = recorded.split(LATE)
    if not asked.startswith(first):
        return None
    values = []
    at = len(first)
    for place, piece in enumerate(pieces, 1):
        last = place == len(pieces)
        end = len(asked) - len(piece) if last else asked.find(piece, at + 1)
        if end <= at or not asked.startswith(piece, end):
            return None
        values.append(asked[at:end])
        at = end + len(piece)
    return values if all(map(_may_be_secret, values)) else None


def _may_be_secret(value: str) -> bool:
    return value == PLACEHOLDER or ('"' not in value and looks_drawn(unquote(value)))
