"""The calls of a cassette that was read, found by their hashes."""

from __future__ import annotations

from dataclasses import replace
from mmap import mmap
from pathlib import Path

from ...models import Request, Status
from ..recordings import Recording
from . import document as cassette
from . import reading
from .beside import Folder
from .derived import Deriving
from .document import Document
from .nodes import Node, Refusal
from .reading import Asked, Setting


class LoadedCassette:
    """The calls of a cassette, found by their hashes.

    Args:
        path: of the file.
        document: its content.
        deriving: how a request's identity is derived that says none.

    Raises:
        IntegrityError: a request is malformed or damaged; the place is named.
    """

    def __init__(self, path: Path, document: Document, deriving: Deriving) -> None:
        self.path = path
        self.document = document
        self.beside = Folder(path)
        self.held: list[CassetteCall] = []
        # Of forked children, too.
        self.played = mmap(-1, len(document.calls) or 1)
        self.by_hash: dict[str, list[CassetteCall]] = {}
        self.variants: dict[str, list[tuple[str, ...]]] = {}
        for index, node in enumerate(document.calls):
            try:
                asked = reading.asked_of(node, deriving, self.beside)
            except Refusal as exc:
                raise cassette.refusal(str(path), index, exc) from None
            held = CassetteCall(self, index, node, asked)
            self.held.append(held)
            if node.get("status") == Status.INTERRUPTED:
                # It has no outcome.
                continue
            found = asked.identified
            self.by_hash.setdefault(found.params_hash, []).append(held)
            if found.vary:
                self.variants.setdefault(found.base_hash, []).append(found.vary)


class CassetteCall:
    """A call of a cassette, restored when it is asked for.

    Attributes:
        asked: what it is found by.
    """

    __slots__ = ("_recording", "asked", "id", "index", "node", "tape")

    def __init__(self, tape: LoadedCassette, index: int, node: Node, asked: Asked) -> None:
        self.tape = tape
        self.index = index
        self.node = node
        self.asked = asked
        self.id = f"{tape.path}#{index + 1}"
        self._recording: Recording | None = None

    def __str__(self) -> str:
        return f"{self.node['request']['method']} {self.node['request']['url']}"

    @property
    def params_hash(self) -> str:
        """Of its identity."""
        return self.asked.identified.params_hash

    @property
    def played(self) -> bool:
        """It has answered, in this process or in one that was forked."""
        return bool(self.tape.played[self.index])

    @property
    def recorded(self) -> str:
        """The day on which it was recorded."""
        return self.tape.document.recorded_of(self.node)

    def recording(self) -> Recording:
        """Return the call with its bytes.

        Raises:
            IntegrityError: it is malformed or damaged; the place is named.
        """
        if self._recording is None:
            path = str(self.tape.path)
            try:
                self._recording = reading.to_recording(
                    self.node, self.asked, self.id, self._setting()
                )
            except Refusal as exc:
                raise cassette.refusal(path, self.index, exc) from None
        return self._recording

    def request(self, source: str) -> Request:
        """Return the request, as one of a source: in a cassette these do not count."""
        return replace(
            reading.to_request(self.node, self.asked, self.id, self._setting()), source=source
        )

    def _setting(self) -> Setting:
        tape = self.tape
        return tape.document.setting(self.node, tape.beside, str(tape.path))
