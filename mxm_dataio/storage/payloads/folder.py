"""Content-addressed payload files: ``responses/<sha256>.bin``, one for each distinct body.

Up to a size a payload is read and checked at once. A larger one is checked block by block as it is
read, by ``<sha256>.prefixes`` beside it (see :mod:`.prefixes`, which says why so), so that its
first byte does not wait for its last. Neither way is a byte served that was not checked. Without
that file the payload is hashed whole first; it is written before the payload, so one without a
payload is what a killed process left.

If asked for, a payload that gets smaller by it is compressed: ``<sha256>.bin.zst``, which is found
as well by who did not ask. Its name and its prefixes are those of the uncompressed bytes, and so it
is these that are checked. If both files are there, the uncompressed one counts.

A payload that no record names any more is removed by :mod:`mxm_dataio.integrity.pruning`, while
others put theirs; how that goes well is told in :mod:`.expiry`.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from ...concurrency.reentry import is_interrupt
from ...errors import ConfigError, IntegrityError
from ...models import Compression
from ..descriptors import Descriptor, OwnFile
from ..files import READ, _write_all, open_plain, sync_path
from .checked_file import VerifiedFile
from .compression import MOST, Decompressed, compress, compress_file, decompress, require
from .drain import BLOCK
from .expiry import removed, renewed
from .prefixes import Prefixes, room
from .spool import Spool, _create, _held

# Payloads up to this size are verified and served from one read.
_WHOLE = 2 << 20
_REMEMBERED = 4096
_SINGLE_SYNCS = 64
# Of a payload of half a tebibyte.
_LARGEST_PREFIXES = 64 << 20
# An empty file: payloads are, or were, compressed in this folder.
MIXED = ".compressed"


class PayloadFolder:
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
        compression: Compression = Compression.NONE,
        *,
        temporary: Path | None = None,
    ) -> None:
        self.folder = folder
        self.temporary = temporary or folder
        self._compressing = compression is Compression.ZSTD
        if self._compressing:
            require()
        # Whether to look for compressed ones before a payload is put: not for nothing.
        self._mixed = self._compressing
        # What every name begins with: a Path made for each opening costs more than the opening.
        self._names = f"{folder}{os.sep}"
        self._verified: set[str] = set()
        self._unsynced: list[Path] = []
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

    def path(self, checksum: str) -> Path:
        """Return the path of a payload; the name is our own digest, never the server's text.

        That of the compressed file, if there is no other.
        """
        name = self._name(checksum)
        if not os.path.lexists(name) and os.path.lexists(f"{name}.zst"):
            return Path(f"{name}.zst")
        return Path(name)

    def _name(self, checksum: str) -> str:
        return f"{self._names}{checksum}.bin"

    def prefixes_path(self, checksum: str) -> Path:
        """Return the path of what a large payload is checked by."""
        return self.folder / f"{checksum}.prefixes"

    def put(self, spool: Spool) -> str:
        """Keep a spool's bytes under their checksum; the same bytes twice are one file.

        Raises:
            OSError: the disk refused.
        """
        checksum = spool.checksum
        held = self._holds(checksum, spool.size)
        if spool.size > _WHOLE and not (held and self._prefixes(checksum, spool.size)):
            self._keep_prefixes(checksum, spool.prefixes())
        if held:
            spool.discard()
            return checksum
        if spool.temporary is None:
            self._keep(checksum, spool.content())
            spool.discard()
        elif self._compressing and spool.file and self._keep_compressed(checksum, spool.file):
            spool.discard()
        else:
            target = Path(self._name(checksum))
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
        target = Path(self._name(checksum))
        self._write(target, content)
        self._put(target)

    def _keep_compressed(self, checksum: str, content: bytes | BinaryIO) -> bool:
        """Say whether a payload was kept compressed; if not, it is to be kept as it is."""
        plain = Path(self._name(checksum))
        if os.path.lexists(plain):
            # A damaged one, which would be read before the other: it has to be replaced.
            return False
        target = plain.with_name(f"{plain.name}.zst")
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
        path = self.prefixes_path(checksum)
        # Without them the payload is no less kept, and only later at its first byte.
        with contextlib.suppress(OSError):
            self._write(path, prefixes.encode())
            self._put(path)

    def _write(self, target: Path, content: bytes) -> None:
        descriptor, temporary = _create(self.temporary)
        try:
            with OwnFile(_held(descriptor, temporary)) as file:
                _write_all(file, content)
                # As long as it is open it is no one's to delete.
                temporary.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def _write_compressed(self, target: Path, source: BinaryIO) -> bool:
        """Write a file compressed and say so, unless it would be little smaller."""
        descriptor, temporary = _create(self.temporary)
        pays = False
        try:
            with OwnFile(_held(descriptor, temporary)) as file:
                pays = compress_file(source, cast(BinaryIO, file))
                if pays:
                    temporary.replace(target)
        except BaseException:
            pays = False
            raise
        finally:
            if not pays:
                with contextlib.suppress(OSError):
                    temporary.unlink()
        return pays

    def _put(self, path: Path) -> None:
        if len(self._unsynced) < _SINGLE_SYNCS:
            self._unsynced.append(path)
        else:
            self._unlisted += 1

    def _holds(self, checksum: str, size: int) -> bool:
        """Say whether a payload is there, whole; a damaged one counts as absent and is replaced."""
        name = self._name(checksum)
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

    def open(self, checksum: str, size: int) -> BinaryIO:
        """Return a payload, to be read once, from its start. No byte comes that is not checked.

        Raises:
            IntegrityError: the file is missing or holds other bytes; it is named. Reading a large
                one raises this too, before the block that is damaged.
            ConfigError: it is compressed, and the library for that is not installed.
        """
        if size <= _WHOLE:
            return self._open_small(checksum, size)
        file = self._opened(checksum, size)
        try:
            prefixes = self._prefixes(checksum, size) or self._hashed(file, checksum)
            damaged = functools.partial(_damaged, self.path(checksum))
            return cast(BinaryIO, VerifiedFile(file, checksum, prefixes, damaged))
        except BaseException:
            file.close()
            raise

    def read(self, checksum: str, size: int) -> bytes | None:
        """Return a payload, if it is there and sound."""
        try:
            with self.open(checksum, size) as file:
                return file.read()
        except (IntegrityError, ConfigError):
            return None

    def verify(self, checksum: str, size: int, *, beside: bool = False) -> None:
        """Read the whole payload and check it.

        Args:
            beside: check its prefixes too, if there are any.

        Raises:
            IntegrityError: the payload is missing or holds other bytes, or the prefixes do,
                and then the payload is sound; the file is named.
            ConfigError: it is compressed, and the library for that is not installed.
        """
        with self._opened(checksum, size) as file:
            prefixes = self._hashed(file, checksum)
        path = self.prefixes_path(checksum)
        if beside and (path.is_symlink() or path.exists()):
            held = self._prefixes(checksum, size)
            if held is None or (held.block == prefixes.block and held != prefixes):
                raise IntegrityError(
                    f"{path} is damaged; the payload beside it is sound, and is hashed before its "
                    "first byte is served: remove the file or record the call again",
                    path=path,
                )

    def _open_small(self, checksum: str, size: int) -> BinaryIO:
        for last in (False, False, True):
            descriptor, compressed = self._descriptor(checksum)
            try:
                content = _read(descriptor, size)
                break
            except OSError as exc:
                # The program may have closed it, in another thread.
                if last or exc.errno != errno.EBADF:
                    raise self._unreadable(checksum, exc) from exc
            finally:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        if compressed:
            content = decompress(content, size)
        if len(content) != size or hashlib.sha256(content).hexdigest() != checksum:
            raise _damaged(self.path(checksum))
        return io.BytesIO(content)

    def _hashed(self, file: BinaryIO, checksum: str) -> Prefixes:
        try:
            prefixes, found = Prefixes.of(file, BLOCK)
        except OSError as exc:
            raise _damaged(self.path(checksum)) from exc
        if found != checksum:
            raise _damaged(self.path(checksum))
        return prefixes

    def _opened(self, checksum: str, size: int) -> BinaryIO:
        descriptor, compressed = self._descriptor(checksum)
        name = f"{self._name(checksum)}{'.zst' if compressed else ''}"
        try:
            held = Descriptor(descriptor, Path(name), READ)
        except OSError as exc:
            os.close(descriptor)
            raise self._unreadable(checksum, exc) from exc
        file = cast(BinaryIO, OwnFile(held))
        try:
            kept = os.fstat(file.fileno())
            if not stat.S_ISREG(kept.st_mode):
                raise _damaged(self.path(checksum))
            if compressed and kept.st_size < size <= kept.st_size * MOST:
                return cast(BinaryIO, Decompressed(file, size))
            if compressed or kept.st_size != size:
                raise _damaged(self.path(checksum))
        except BaseException:
            file.close()
            raise
        return file

    def _prefixes(self, checksum: str, size: int) -> Prefixes | None:
        """Return what a large payload is checked by, if it is there and sound."""
        try:
            with os.fdopen(open_plain(self.prefixes_path(checksum)), "rb") as file:
                kept = os.fstat(file.fileno()).st_size
                # What is stated may be anything; what is there is read, if it can be meant.
                if not 0 < kept <= min(room(size), _LARGEST_PREFIXES):
                    return None
                return Prefixes.decode(file.read(kept), size)
        except OSError:
            return None

    def _descriptor(self, checksum: str) -> tuple[int, bool]:
        """Return a payload's file, and whether it is compressed."""
        name = self._name(checksum)
        try:
            try:
                # Of a small one that is no plain file the bytes will tell; a large one is asked.
                return os.open(name, READ), False
            except FileNotFoundError:
                return os.open(f"{name}.zst", READ), True
        except OSError as exc:
            raise self._unreadable(checksum, exc) from exc

    def _unreadable(self, checksum: str, exc: OSError) -> IntegrityError:
        path = self.path(checksum)
        return IntegrityError(
            f"the payload {path} can't be opened ({exc.strerror}); restore the file from a "
            "copy or record the call again",
            path=path,
        )

    def files(self) -> Iterator[tuple[str, Path]]:
        """Yield the files of the folder, each with the checksum that its name begins with."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder) as found:
            for entry in found:
                if entry.name != MIXED:
                    yield entry.name.partition(".")[0], Path(entry.path)

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


def _read(descriptor: int, size: int) -> bytes:
    """Return what a file holds, up to one byte more than it should."""
    content = os.read(descriptor, size + 1)
    # Some file systems give less at once; of the rest, nothing is at the end.
    while len(content) < size and (more := os.read(descriptor, size + 1 - len(content))):
        content += more
    return content


def _damaged(path: Path) -> IntegrityError:
    return IntegrityError(
        f"the payload {path} does not hold the bytes of its name; it is damaged and was not "
        "served: restore the file from a copy or record the call again",
        path=path,
    )
