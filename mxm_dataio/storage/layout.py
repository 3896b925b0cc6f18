"""What lies where in a store's root."""

from __future__ import annotations

from pathlib import Path

from ..errors import IntegrityError
from .files import is_link

DATABASE = "dataio.sqlite"
RESPONSES = "responses"
JOURNAL = "journal"
RUNNING = "running"
# What is to be done about a root that can't be written, unless the cause says.
WRITABLE = "make the folder writable or give another root"


def refuse_links(root: Path) -> None:
    """Raise if a folder of a root is a link: what is written and deleted in it is elsewhere.

    The root itself may be a link; its owner says what that is.
    """
    for name in (RESPONSES, JOURNAL, RUNNING):
        path = root / name
        if is_link(path):
            raise IntegrityError(
                f"{path} is a link; nothing was read or changed: put the folder itself in its "
                "place, or give another root",
                path=path,
            )
