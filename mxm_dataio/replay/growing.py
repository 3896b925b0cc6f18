"""Look-ups in a store that grows as it is asked: an archive's, of which sessions come on demand."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import IntegrityError, StoreError
from ..identity import Identity
from ..models import Exchange, Request
from .lookup import Lookup


class GrowingLookup(Lookup):
    """Finds what a look-up finds in a store that has all.

    Which session answers is certain once all that are newer have come, and the store sees to that.
    But what these say of other hashes of a call was not known as it was asked: then it is asked
    again, until nothing more comes.

    Attributes:
        grown: returns how many times something has come; set before the first look-up.
        unreachable: why the last call was not looked up to the end; empty: it was.
    """

    grown: Callable[[], int]
    unreachable = ""
    _known = -1

    def find(self, identity: Identity) -> tuple[Exchange | None, Exchange | None]:
        """Return the exchange that answers a call; none, if what may have it can't be reached."""
        self.unreachable = ""
        try:
            return super().find(identity)
        except IntegrityError:
            raise
        except StoreError as exc:
            self.unreachable = str(exc)
            return None, None

    def _look_up(
        self, identity: Identity, base: str, also: list[str], asked: Identity | None = None
    ) -> Exchange | None:
        while True:
            before = self.grown()
            found = super()._look_up(identity, base, also, asked)
            if self.grown() == before:
                return found
            also = self._others(identity, base, identity.document())

    def _recorded_late(self) -> list[Request]:
        self._renew()
        return super()._recorded_late()

    def _of_any_user(self, identity: Identity) -> list[str]:
        self._renew()
        return super()._of_any_user(identity)

    def _renew(self) -> None:
        if self._known != self.grown():
            self._known, self._late, self._users = self.grown(), None, None
