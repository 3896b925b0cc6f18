"""The object store that an archive lies in: S3, Google's, Azure's, a folder, or memory.

The one file that loads obstore, and the boundary at which its errors become ours. It speaks HTTP by
itself, so what is done here is never recorded. What goes wrong on the way (5xx, throttling, a
connection that breaks) it tries again with jitter; only a creation that timed out it leaves to us,
since that may have come through.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from ..config.archive_urls import checked
from ..coverage import natives
from ..errors import ConfigError, IntegrityError, StoreError

# For about half a minute; what still fails then is pushed by the next push.
_RETRIES = 10
_LONGEST_WAIT = 5.0
# A creation of which no word came back.
_CREATIONS = 4
# Of a body that is written by parts, and so not at once: of so many bytes, so many at a time. A
# store takes 10,000 parts.
_PART = 8 << 20
_PARTS_AT_ONCE = 2
_MOST_PARTS = 9000

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_STATUS = re.compile(r"status code: ([0-9]{3})(?: ([A-Z][A-Za-z ]{0,40}))?")
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_SYSTEM = re.compile(r'message: "([A-Z][A-Za-z ]{1,60})"')
# Nobody has said who asks: then it is the cloud's own machine that is asked.
_NOBODY = re.compile(r"169\.254\.169\.254|metadata\.google|Missing[A-Za-z]*Key")

_memories: dict[str, Any] = {}
_opening = threading.RLock()
# The process that has asked first.
_used_by = 0


class Listed(NamedTuple):
    """An object as a listing has it."""

    name: str
    size: int
    modified: datetime


class Fetched(NamedTuple):
    """An object that was fetched."""

    content: bytes
    modified: datetime


class ObjectStore:
    """Objects below the prefix of a URL.

    Args:
        url: ``s3://``, ``gs://``, ``az://``, ``file://`` or, for tests, ``memory://``.

    Attributes:
        url: as it is told.

    Raises:
        ConfigError: the URL is none, or obstore is not installed.
        StoreError: the store's settings in the environment don't do.
    """

    def __init__(self, url: str) -> None:
        self.url = checked(url)
        if "obstore" not in sys.modules:
            natives.own.add("obstore")
        try:
            import obstore
        except ImportError:
            raise ConfigError(
                "an archive needs obstore and pyarrow: pip install 'mxm-dataio[archive]'"
            ) from None
        self._library = obstore
        self._errors = obstore.exceptions
        self._absent: Path | None = None
        with self.mapped("opened"):
            self._store = self._opened()

    @property
    def _obstore(self) -> Any:
        """The library, whose threads a forked child does not have: there it would wait for ever."""
        global _used_by
        _used_by = _used_by or os.getpid()
        if _used_by != os.getpid():
            raise StoreError(
                f"the archive {self.url} can't be asked by a process that was forked from one that "
                "has asked an archive: start it in another way (multiprocessing's spawn), or pull "
                f"first (mxm-dataio pull {self.url} --root DIR) and use that root"
            )
        return self._library

    def _opened(self) -> Any:
        from obstore.store import LocalStore, MemoryStore, from_url

        scheme = urlsplit(self.url).scheme
        if scheme == "memory":
            with _opening:
                return _memories.setdefault(self.url, MemoryStore())
        if scheme == "file":
            folder = Path(unquote(urlsplit(self.url).path))
            self._absent = None if folder.is_dir() else folder
            # What reads alone makes no folder: it finds nothing.
            return MemoryStore() if self._absent else LocalStore(folder, mkdir=True)
        # (What is given here stands in place of all that the environment says of the client.)
        given = self.plain and "AWS_ALLOW_HTTP" not in os.environ
        return from_url(
            self.url,
            client_options={"allow_http": True} if given else None,
            retry_config={
                "max_retries": _RETRIES,
                "backoff": {"max_backoff": timedelta(seconds=_LONGEST_WAIT)},
            },
        )

    @property
    def plain(self) -> bool:
        """Whether the environment names an S3 that is reached by ``http://``."""
        return urlsplit(self.url).scheme == "s3" and any(
            os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS
        )

    # -- writing -----------------------------------------------------------------------------

    def create(self, name: str, content: bytes | memoryview) -> bool:
        """Create an object, in one request that only one of several wins.

        Returns:
            Whether it was created; ``False``: there is one.

        Raises:
            StoreError: the store could not be reached, or refused.
        """
        store = self._writable()
        for tries in range(1, _CREATIONS + 1):
            try:
                self._obstore.put(store, name, content, mode="create", use_multipart=False)
                return True
            except self._errors.AlreadyExistsError as exc:
                # S3's 409 says that another's is under way, which may come to nothing.
                if "status code: 409" not in str(exc) or self.head(name) is not None:
                    return False
                problem: Exception = exc
            except self._errors.GenericError as exc:
                # Timed out, perhaps after it was done: then the next says that it is there.
                problem = exc
                if _STATUS.search(str(exc)) and "status code: 5" not in str(exc):
                    break
            except Exception as exc:
                raise self._error("written", name, exc) from None
            if tries < _CREATIONS:
                time.sleep(random.uniform(0.05, 0.1 * 2**tries))
        raise self._error("written", name, problem) from None

    def put(self, name: str, content: bytes | memoryview) -> None:
        """Write an object, whatever is there."""
        with self.mapped("written", name):
            self._obstore.put(self._writable(), name, content, use_multipart=False)

    def put_parts(self, name: str, chunks: Iterable[bytes], size: int) -> None:
        """Write a large object by parts, whatever is there.

        Args:
            chunks: its bytes; what they raise is raised, and then nothing was written.
            size: of all.
        """
        part = max(_PART, -(-size // _MOST_PARTS))
        with self.mapped("written", name):
            writer = self._obstore.open_writer(
                self._writable(), name, buffer_size=part, max_concurrency=_PARTS_AT_ONCE
            )
            # Closed only at the end: that is what makes an object of the parts.
            for chunk in chunks:
                writer.write(chunk)
            writer.close()

    def delete(self, names: list[str]) -> None:
        """Remove objects; one that is not there is no fault."""
        with self.mapped("removed"):
            try:
                self._obstore.delete(self._store, names)
            except FileNotFoundError:
                for name in names:
                    with contextlib.suppress(FileNotFoundError):
                        self._obstore.delete(self._store, [name])

    # -- reading -----------------------------------------------------------------------------

    def head(self, name: str) -> Listed | None:
        """Return size and age of an object, if it is there."""
        with self.mapped("read", name):
            try:
                found = self._obstore.head(self._store, name)
            except FileNotFoundError:
                return None
            return Listed(name, found["size"], found["last_modified"])

    def get(self, name: str, limit: int) -> Fetched | None:
        """Return an object, if it is there.

        Args:
            limit: bytes; more are not read.

        Raises:
            IntegrityError: it is larger.
            StoreError: the store could not be reached, or refused.
        """
        chunks: list[bytes] = []
        with self.mapped("read", name):
            try:
                found = self._obstore.get(self._store, name)
            except FileNotFoundError:
                return None
            self._refuse_large(name, found.meta["size"], limit)
            size = 0
            for chunk in found.stream():
                size += len(chunk)
                self._refuse_large(name, size, limit)
                chunks.append(bytes(chunk))
            return Fetched(b"".join(chunks), found.meta["last_modified"])

    def chunks(self, name: str, size: int) -> Iterator[bytes]:
        """Yield the bytes of an object that may be large.

        Args:
            size: that it has to have.

        Raises:
            IntegrityError: it is not there, or of another size.
            StoreError: the store could not be reached, or refused.
        """
        with self.mapped("read", name):
            try:
                found = self._obstore.get(self._store, name)
            except FileNotFoundError:
                raise IntegrityError(f"{self.url}/{name} is missing") from None
            if found.meta["size"] != size:
                raise IntegrityError(
                    f"{self.url}/{name} has {found.meta['size']} bytes, and {size} are due"
                )
            for chunk in found.stream():
                yield bytes(chunk)

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield the objects below a prefix, which is a folder's name.

        Of a store that holds foreign ones, too: their names may be anything.
        """
        with self.mapped("listed", prefix):
            for batch in self._obstore.list(self._store, prefix):
                for one in batch:
                    yield Listed(one["path"], one["size"], one["last_modified"])

    # -- errors ------------------------------------------------------------------------------

    def _refuse_large(self, name: str, size: int, limit: int) -> None:
        if size > limit:
            raise IntegrityError(
                f"{self.url}/{name} is too large to be what its name says: {size} bytes, and "
                f"{limit} at most are read"
            )

    def _writable(self) -> Any:
        if self._absent is not None:
            try:
                self._absent.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as exc:
                raise StoreError(
                    f"the archive {self.url} can't be made: {exc.strerror}", path=self._absent
                ) from exc
            self._store = self._opened()
        return self._store

    @contextlib.contextmanager
    def mapped(self, verb: str, name: str = "") -> Iterator[None]:
        """Have errors of the library be ours: an object can't be read, written, …"""
        try:
            yield
        except (StoreError, ConfigError):
            raise
        except Exception as exc:
            raise self._error(verb, name, exc) from None

    def _error(self, verb: str, name: str, exc: Exception) -> StoreError:
        """Return the error of ours for one of obstore's.

        Of its text only what is known is told: it may have the endpoint's password in it, or what
        the server says of a key. So it is no cause either.
        """
        text = str(exc)
        where = f"{self.url}/{name}" if name else self.url
        status, code, system = _STATUS.search(text), _CODE.search(text), _SYSTEM.search(text)
        why = type(exc).__name__
        what = f"{where} can't be {verb}"
        if _NOBODY.search(text):
            why = "there are no credentials: give them in the environment (AWS_ACCESS_KEY_ID, …)"
        elif status is not None:
            why = f"the store answered {' '.join(filter(None, status.groups())).strip()}"
            why += f" ({code[1]})" if code else ""
            if status[1] in ("401", "403"):
                why += ": give credentials that may in the environment (AWS_ACCESS_KEY_ID, …)"
            elif status[1] == "404":
                why += ": make the bucket first, or give another"
        elif "BadScheme" in text or "builder error" in text:
            why = "its endpoint is http://, and AWS_ALLOW_HTTP=true is not in the environment"
        elif "dns error" in text:
            why = "the host of its endpoint is not known"
        elif "TimedOut" in text or "timed out" in text:
            why = "the store does not answer in time"
        elif "IncompleteMessage" in text or "Connection reset" in text:
            why = "the connection broke off"
        elif "ertificate" in text or "InvalidMessage" in text:
            why = "no TLS connection comes about with its endpoint"
        elif system is not None:
            why = system[1]
        elif "error sending request" in text:
            why = "the store can't be reached"
        elif isinstance(exc, FileNotFoundError):
            why = "there is no such bucket or folder"
        return StoreError(f"{what}: {why}")
