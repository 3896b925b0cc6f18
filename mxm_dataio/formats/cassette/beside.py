"""Payloads that are kept beside a cassette, in files named by their checksums."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from .nodes import Node, Refusal


class Folder:
    """The payloads beside a cassette, in ``<file>.d``.

    Args:
        path: of the cassette.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(f"{path.name}.d")

    def __call__(self, checksum: str, size: int) -> bytes:
        """Return the payload of a checksum, which the caller checks.

        Raises:
            Refusal: it is not there or of another size; a link is never followed.
        """
        path = self.file(checksum)
        if self.path.is_symlink():
            raise Refusal(f"{self.path} is a link", "beside")
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            with os.fdopen(descriptor, "rb") as file:
                if os.fstat(file.fileno()).st_size != size:
                    raise Refusal(f"{path} does not have {size} bytes", "beside")
                return file.read(size + 1)
        except OSError as exc:
            raise Refusal(f"{path} can't be read: {exc.strerror}", "beside") from None

    def file(self, checksum: str) -> Path:
        """Return the path of a payload: the name is a checksum, never a text of the cassette."""
        return self.path / f"{checksum}.bin"


def named_beside(calls: Iterable[Node]) -> dict[str, int]:
    """Return checksum → size of the payloads that calls have beside them."""
    found: dict[str, int] = {}
    for node in calls:
        for part in (node["request"], *node.get("responses", ())):
            made = (part.get("body") or {}).get("bytes", {})
            if "beside" in made:
                found[made["sha256"]] = made["beside"]
    return found
