"""A large body on its way out of an archive: past memory, and into its place once it is checked."""

from __future__ import annotations

import os

from ..errors import IntegrityError, StoreError
from ..storage.payloads.folder import PayloadFolder
from ..storage.payloads.spool import Spool
from ..utils import cause
from . import names
from .object_store import ObjectStore
from .session_object import Payload

# Bytes that are held before a temporary file takes them.
_HELD = 1 << 20


def fetch(objects: ObjectStore, folder: PayloadFolder, payload: Payload) -> None:
    """Put a body of an archive into a folder of payloads.

    Raises:
        IntegrityError: it is missing there, or damaged; nothing was put.
        StoreError: the object store could not be reached, or refused; or the disk did.
    """
    name = names.payload(payload.checksum)
    spool = Spool(folder.temporary, _HELD)
    try:
        left = payload.size
        for chunk in objects.chunks(name, payload.size):
            left -= len(chunk)
            if left < 0:
                break
            spool.write(chunk)
        if left or spool.checksum != payload.checksum:
            raise IntegrityError(
                f"{objects.url}/{name} is damaged: it holds other bytes than its name says"
            )
        folder.put(spool)
    except OSError as exc:
        raise unwritable(folder, exc) from exc
    finally:
        spool.discard()


def keep(folder: PayloadFolder, checksum: str, content: bytes) -> None:
    """Keep a small body, whose checksum was compared.

    Raises:
        StoreError: the disk refused.
    """
    try:
        folder.keep(checksum, content)
    except OSError as exc:
        raise unwritable(folder, exc) from exc


def is_there(folder: PayloadFolder, checksum: str) -> bool:
    """Say whether a folder has a payload, sound or not."""
    return os.path.lexists(folder.path(checksum))


def unwritable(folder: PayloadFolder, exc: OSError) -> StoreError:
    """Return the error for a disk that takes no payload."""
    return StoreError(
        f"payloads can't be written to {folder.folder}: {cause(exc, '')}", path=folder.folder
    )
