"""The values that are known, and which of them may be in a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from mmap import mmap

from ..concurrency import mutex
from ..process import new_id
from .needles import GRAM, Needle

# So many needles are looked for one by one.
_FEW = 16
# Places of a text whose findings are in memory at once.
_STRIDE = 1 << 18


class Needles:
    """Values that are known, the latest of each kind, and their needles. Of any thread.

    What reads takes no lock. What changes does, and may be called again within itself: by a
    handler of a signal, or as an object is collected.

    Args:
        lasting, passing: how many of each are known at once.
        always: what is looked for besides.
    """

    def __init__(self, lasting: int, passing: int, always: Iterable[Needle] = ()) -> None:
        self._limits = {False: lasting, True: passing}
        self._values: dict[bool, dict[str, tuple[Needle, ...]]] = {False: {}, True: {}}
        self._all: dict[Needle, None] = {}
        self._grams: dict[int, dict[Needle, None]] = {}
        # Those without an anchor that is long enough for that.
        self._short: dict[Needle, None] = {}
        self._changing = False
        self._added = 0
        # An id of when a value was added last.
        self.learned = ""
        self.version: object = None
        self.epoch: object = None
        for needle in always:
            self._put(needle)
            self.version = object()

    def renew(self) -> None:
        """Begin anew in a forked child: a thread of the parent may have been changing it."""
        self._changing = False

    def __iter__(self) -> Iterator[Needle]:
        return iter(list(self._all))

    def known(self, value: str, *, passing: bool = False) -> bool:
        """Say whether a value is known, which makes it the latest."""
        if value not in self._values[False] and not (passing and value in self._values[True]):
            return False
        with mutex.lock:
            for values in self._values.values():
                needles = values.pop(value, None)
                if needles is not None:
                    values[value] = needles
                    return True
        return False

    def add(self, value: str, needles: tuple[Needle, ...], *, passing: bool = False) -> None:
        """Know a value."""
        with mutex.lock:
            # (What is learned within is put here, but makes nothing be forgotten.)
            within, self._changing = self._changing, True
            try:
                if not passing:
                    needles = self._values[True].pop(value, needles)
                for needle in self._values[passing].setdefault(value, needles):
                    self._put(needle)
                self.learned = new_id()
                self.version = object()
                self._added += 1
                if not within:
                    self._forget(passing)
            finally:
                self._changing = within

    def _forget(self, passing: bool) -> None:
        """Forget the oldest: one that is in use still is found again."""
        values, limit = self._values[passing], self._limits[passing]
        while len(values) > limit:
            oldest = list(values)[0]  # noqa: RUF015 - iter() minds what comes meanwhile
            for needle in values.pop(oldest, ()):
                self._drop(needle)
        if self._added >= limit // 4:
            self._added = 0
            self.epoch = object()

    def _put(self, needle: Needle) -> None:
        self._all[needle] = None
        if not needle.grams:
            self._short[needle] = None
        for gram in needle.grams:
            self._grams.setdefault(gram, {})[needle] = None

    def _drop(self, needle: Needle) -> None:
        self._all.pop(needle, None)
        self._short.pop(needle, None)
        for gram in needle.grams:
            those = self._grams.get(gram)
            if those is not None:
                those.pop(needle, None)
                if not those:
                    # (What was put there meanwhile stays.)
                    for other in self._grams.pop(gram, ()):
                        self._put(other)

    def near(self, data: bytes | mmap) -> list[Needle]:
        """Return the needles whose anchors are in a text."""
        if len(self._all) <= _FEW:
            some = list(self._all)
        else:
            some = [*list(self._short), *self._looked_up(data)]
        if isinstance(data, bytes):
            return [needle for needle in some if needle.anchor in data]
        return [needle for needle in some if data.find(needle.anchor) >= 0]

    def _looked_up(self, data: bytes | mmap) -> Iterable[Needle]:
        grams = self._grams
        known = grams.keys()
        view = memoryview(data)[: len(data) // GRAM * GRAM].cast("I")
        if known.isdisjoint(view):
            return ()
        found: dict[Needle, None] = {}
        for at in range(0, len(view), _STRIDE):
            for gram in set(filter(grams.__contains__, view[at : at + _STRIDE])):
                found.update(dict(grams.get(gram, ())))
        return found
