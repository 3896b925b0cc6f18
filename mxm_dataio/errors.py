"""Every error this package raises, in one shallow tree.

    DataIOError
    ├── ConfigError         an unknown mode or setting, sessions that exclude each other
    │   ├── RuleError       a redaction rule raised
    │   └── ViewError       a view raised, or returned what is no call
    ├── StoreError          the store can't be opened, read or written
    │   ├── IntegrityError  what is stored is missing, damaged or not ours; never served
    │   └── BusyError       the database can't be used now; what is recorded waits in the journal
    ├── FetchError          a fetcher failed, live or as recorded
    ├── ReplayMissError     replay was asked for a call that was not recorded
    │   └── LeftOutError    a call that is left out, to a host that replay may not reach
    └── BlockedError        a connection was refused, where the network is blocked

    DataIOWarning           something was not recorded; the program goes on

All are picklable: the message is the only positional argument, everything else lives in
typed attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class DataIOError(Exception):
    """Base of every error of this package."""


class ConfigError(DataIOError):
    """The caller asked for something that does not exist or can't be combined."""


class RuleError(ConfigError):
    """A redaction rule raised. What it raised is not told: it may be the secret."""


class ViewError(ConfigError):
    """A view (``view=``) raised, or returned what is no call."""


class StoreError(DataIOError):
    """The store could not be opened, read or written.

    Attributes:
        path: the file or folder concerned, if there is one.
    """

    def __init__(self, message: str, *, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class IntegrityError(StoreError):
    """A stored file or record is missing, damaged, foreign or of a newer format."""


class BusyError(StoreError):
    """The database can't be used now: another process holds its lock, or it was taken from us.

    Nothing is lost by that: what is recorded waits in the journal.
    """


class FetchError(DataIOError):
    """A fetcher raised, now or when the call was recorded.

    Attributes:
        error_class: dotted name of the exception that the fetcher raised.
    """

    def __init__(self, message: str, *, error_class: str = "") -> None:
        super().__init__(message)
        self.error_class = error_class


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A recorded call that resembles the one replay was asked for, and why it is another.

    Attributes:
        differences: in words.
        ignorable: the names in ``ignore_params`` by which it would be the same call, if there are
            such; ``match_host`` stands for the setting by which hosts do not count.
    """

    request_id: str
    method: str
    url: str
    differences: tuple[str, ...]
    ignorable: tuple[str, ...] = ()


class ReplayMissError(DataIOError):
    """Replay was asked for a call that the store does not hold.

    Not a ``requests.RequestException`` nor a ``urllib3`` error on purpose: an
    ``except RequestException: continue`` must not hide a hole in a recording.

    Attributes:
        method, url: the call, redacted as it would be stored.
        params_hash: its identity.
        nearest: recorded calls that come closest, best first.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str = "",
        url: str = "",
        params_hash: str = "",
        nearest: tuple[NearMiss, ...] = (),
    ) -> None:
        super().__init__(message)
        self.method = method
        self.url = url
        self.params_hash = params_hash
        self.nearest = nearest


class LeftOutError(ReplayMissError):
    """A call that is left out of recordings was made in replay, to a host that it may not reach.

    No miss: a session in which the program catches it ends as if it had not been made.
    """


class BlockedError(DataIOError):
    """A connection was refused: the network is blocked here.

    No ``OSError``, which programs take for a host that can't be reached, and survive.

    Attributes:
        host, port: where it was to lead; a unix socket's path, and ``None``.
        caller: the module that made it.
    """

    def __init__(
        self, message: str, *, host: str = "", port: int | None = None, caller: str = ""
    ) -> None:
        super().__init__(message)
        self.host = host
        self.port = port
        self.caller = caller


# What it raises to decode bytes that were never encoded.
MALFORMED = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, OSError,
)  # fmt: skip


class DataIOWarning(UserWarning):
    """Something could not be recorded; the program's own call was not disturbed."""
