"""What others have deleted or moved of a store's files while they were open."""

from __future__ import annotations

from pathlib import Path

from ..concurrency import mutex


class Losses:
    """What was lost, in words, each once.

    Args:
        folders: that are to stay what they are.
    """

    def __init__(self, *folders: Path) -> None:
        self._folders = {path: _file_at(path) for path in folders}
        self._found: list[str] = []

    def note(self, text: str) -> None:
        """Note what was lost."""
        if text not in self._found:
            self._found.append(text)

    def look(self) -> list[str]:
        """Look for the folders, and return all that was noted."""
        with mutex.lock:
            for path, file in self._folders.items():
                if _file_at(path) != file:
                    self.note(
                        f"the folder {path} was deleted or moved while it was open: put back what "
                        "was in it, or record again"
                    )
            return list(self._found)


def _file_at(path: Path) -> tuple[int, int] | None:
    """Return device and inode of what lies at a path, or where a link there leads."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
