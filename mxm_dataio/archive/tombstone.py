"""What says that a session was pruned from an archive: its calls are gone, its row and seal stay.

It is created before anything is deleted.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ..errors import IntegrityError
from ..storage.catalog.sealed import SealedSession
from ..utils import canonical_json

VERSION = 1
LARGEST = 16 << 10
_MARK = "mxm-dataio tombstone"


def write(session: SealedSession, at: str) -> bytes:
    """Return the tombstone of a session.

    Args:
        at: when it was pruned.
    """
    said = {
        _MARK: VERSION, "session": session.id, "store": session.store, "leaf": session.leaf,
        "seal": session.seal.hex(), "count": session.count, "head": session.head.hex(), "at": at,
    }  # fmt: skip
    return canonical_json({**said, "sealed": _sealed(said)})


def read(content: bytes, session: SealedSession, where: str) -> str:
    """Return when a session was pruned.

    Args:
        where: what it is, for an error.

    Raises:
        IntegrityError: it is damaged, another session's, or of a newer release.
    """
    try:
        said = json.loads(content)
        version, at = said[_MARK], said["at"]
        known = json.loads(write(session, at))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise IntegrityError(f"{where} is damaged, or none of mxm-dataio's") from None
    if type(version) is int and version > VERSION:
        raise IntegrityError(
            f"{where} is of version {version}, this release knows up to {VERSION}: upgrade "
            "mxm-dataio"
        )
    if said != known or not isinstance(at, str):
        raise IntegrityError(f"{where} is damaged, or another session's")
    return at


def _sealed(said: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(said)).hexdigest()
