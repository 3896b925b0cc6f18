"""Content-addressed payload files: ``responses/<sha256>.bin``, one for each distinct body.

A large one has ``<sha256>.prefixes`` beside it, by which it is checked as it is read (see
:mod:`.reading`). That is written before the payload, so one without a payload is what a killed
process left.

If asked for, a payload that gets smaller by it is compressed: ``<sha256>.bin.zst``, which is found
as well by who did not ask. Its name and its prefixes are those of the uncompressed bytes, and so it
is these that are checked. If both files are there, the uncompressed one counts.

A payload that no record names any more is removed by :mod:`mxm_dataio.integrity.pruning`, while
others put theirs; how that goes well is told in :mod:`.expiry`.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO, cast

from ...concurrency.reentry import is_interrupt
from ...config.choices import Compression
from ...errors import ConfigError, IntegrityError
from ..descriptors import OwnFile
from ..files import sync_path
from . import reading
from .compression import compress, compress_file, require
from .expiry import removed, renewed
from .prefixes import Prefixes
from .reading import MIXED, PayloadReader
from .spool import Spool, create, held

_REMEMBERED = 4096
_SINGLE_SYNCS = 64


class PayloadFolder(PayloadReader):
    """Payload files in one folder of the local disk.

    Attributes:
        temporary: the folder in which files are written until they have their names.

    Args:
        temporary: that folder, if it is on the same file system.
        compression: of what is put from now on; what is there is read whatever it is.

    Raises:
        ConfigError: the library for it is not installed.
    """

    def __init__(
        self,
        folder: Path,
        compression: Compression = "none",
        *,
        temporary: Path | None = None,
    ) -> None:
        super().__init__(folder)
        self.temporary = temporary or folder
        self._compressing = compression == "zstd"
        if self._compressing:
            require()
        # Whether to look for compressed ones before a payload is put: not for nothing.
        self._mixed = self._compressing
        self._verified: set[str] = set()
        self._unsynced: list[str] = []
        # How many of those that are not listed, and how many of them are synced.
        self._unlisted = self._listed = 0

    def create(self) -> None:
        """Make the folder, for its owner alone."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.folder.stat().st_dev != self.folder.parent.stat().st_dev:
            # No file can be moved there from without.
            self.temporary = self.folder
        mark = self.folder / MIXED
        if self._compressing:
            with contextlib.suppress(FileExistsError):
                mark.touch(mode=0o600, exist_ok=False)
        # Without it, all that may happen is that a payload is kept in both forms.
        self._mixed = os.path.lexists(mark)

    def put(self, spool: Spool) -> str:
        """Keep a spool's bytes under their checksum; the same bytes twice are one file.

        Raises:
            OSError: the disk refused.
        """
        checksum = spool.checksum
        there = self._holds(checksum, spool.size)
        if spool.size > reading.WHOLE and not (there and self._prefixes(checksum, spool.size)):
            self._keep_prefixes(checksum, spool.prefixes())
        if there:
            spool.discard()
            return checksum
        if spool.temporary is None:
            self._keep(checksum, spool.content())
            spool.discard()
        elif self._compressing and spool.file and self._keep_compressed(checksum, spool.file):
            spool.discard()
        else:
            target = self._name(checksum)
            # Its last bytes may have come long ago.
            os.utime(spool.temporary)
            spool.temporary.replace(target)
            spool.moved()
            self._put(target)
        return checksum

    def keep(self, checksum: str, content: bytes) -> None:
        """Keep bytes whose checksum is known.

        Raises:
            OSError: the disk refused.
        """
        if not self._holds(checksum, len(content)):
            self._keep(checksum, content)

    def _keep(self, checksum: str, content: bytes) -> None:
        if self._compressing and self._keep_compressed(checksum, content):
            return
        target = self._name(checksum)
        self._write(target, content)
        self._put(target)

    def _keep_compressed(self, checksum: str, content: bytes | BinaryIO) -> bool:
        """Say whether a payload was kept compressed; if not, it is to be kept as it is."""
        plain = self._name(checksum)
        if os.path.lexists(plain):
            # A damaged one, which would be read before the other: it has to be replaced.
            return False
        target = f"{plain}.zst"
        # No room for both, for one: the bytes are there, and lose nothing by staying as they are.
        with contextlib.suppress(OSError):
            if isinstance(content, bytes):
                frame = compress(content)
                if frame is None:
                    return False
                self._write(target, frame)
            elif not self._write_compressed(target, content):
                return False
            self._put(target)
            return True
        return False

    def _keep_prefixes(self, checksum: str, prefixes: Prefixes) -> None:
        path = str(self.prefixes_path(checksum))
        # Without them the payload is no less kept, and only later at its first byte.
        with contextlib.suppress(OSError):
            self._write(path, prefixes.encode())
            self._put(path)

    def _write(self, target: str, content: bytes) -> None:
        descriptor, temporary = create(self.temporary)
        try:
            with contextlib.closing(held(descriptor, temporary)) as file:
                file.write(content)
                # As long as it is open it is no one's to delete.
                os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def _write_compressed(self, target: str, source: BinaryIO) -> bool:
        """Write a file compressed and say so, unless it would be little smaller."""
        descriptor, temporary = create(self.temporary)
        pays = False
        try:
            with OwnFile(held(descriptor, temporary)) as file:
                pays = compress_file(source, cast(BinaryIO, file))
                if pays:
                    os.replace(temporary, target)
        except BaseException:
            pays = False
            raise
        finally:
            if not pays:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
        return pays

    def _put(self, path: str) -> None:
        if len(self._unsynced) < _SINGLE_SYNCS:
            self._unsynced.append(path)
        else:
            self._unlisted += 1

    def _holds(self, checksum: str, size: int) -> bool:
        """Say whether a payload is there, whole; a damaged one counts as absent and is replaced."""
        name = self._name(checksum)
        if not (self._mixed or os.access(name, os.F_OK)):
            # Most are new; an exception would take longer than their files do.
            return False
        known = checksum
        try:
            kept = os.lstat(name)
            if kept.st_size != size:
                return False
        except OSError as exc:
            if is_interrupt(exc):
                raise
            if not self._mixed:
                return False
            name = f"{name}.zst"
            try:
                kept = os.lstat(name)
            except OSError:
                return False
            known = f"{checksum} {kept.st_size}"
        if known not in self._verified:
            try:
                self.verify(checksum, size)
            except (IntegrityError, ConfigError):
                return False
            if len(self._verified) >= _REMEMBERED:
                self._verified.clear()
            self._verified.add(known)
        return renewed(name, kept.st_mtime)

    def remove(self, path: Path, before: float) -> int | None:
        """Remove a file of the folder, and return its size, unless it was put or met lately.

        Args:
            before: since this instant, in seconds since the epoch.

        Raises:
            OSError: the folder can't be written.
        """
        checksum, _, kind = path.name.partition(".")
        beside = [self.prefixes_path(checksum)] if kind.startswith("bin") else []
        return removed(path, before, *beside)

    def sync(self) -> None:
        """Sync what was put since the last time, and the folder's names."""
        # What another thread syncs meanwhile is synced here too, not waited for: see mutex.
        pending, unlisted = list(self._unsynced), self._unlisted
        if unlisted != self._listed:
            # One sync of everything is cheaper than hundreds of single ones; Linux waits.
            os.sync()
            self._listed = unlisted
        else:
            for path in pending:
                sync_path(path)
            if pending:
                sync_path(self.folder)
        for path in pending:
            with contextlib.suppress(ValueError):
                self._unsynced.remove(path)
