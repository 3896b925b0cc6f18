"""Names of an archive's objects, below its prefix.

Whoever lists ``sessions/`` knows which sessions are there, without reading one: the name of each
says which store it is from, which leaf of that store's tree it is, its id, and its seal.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

MARK = "archive.json"
EXCHANGES = "exchanges"
PAYLOADS = "payloads"
SESSIONS = "sessions"
TOMBSTONES = "tombstones"
INDEX = "index"

_STORE = r"[0-9a-f]{32}"
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SESSION = re.compile(
    rf"{SESSIONS}/store=({_STORE})/([0-9]{{8,18}})-({_ID})-([0-9a-f]{{64}})\.parquet"
)
_EXCHANGES = re.compile(
    rf"{EXCHANGES}/source=([^/]*)/month=([0-9]{{4}}-[0-9]{{2}})/({_ID})(?:-([0-9]{{1,6}}))?\.parquet"
)
_CHECKSUM = re.compile(r"[0-9a-f]{64}")


class SessionName(NamedTuple):
    """What the name of a session's object says.

    Attributes:
        store: id of the store that it was recorded in.
        leaf: its place in that store's tree.
    """

    store: str
    leaf: int
    session: str
    seal: bytes

    def __str__(self) -> str:
        return f"{of_store(self.store)}/{self.leaf:08}-{self.session}-{self.seal.hex()}.parquet"

    @classmethod
    def parse(cls, name: str) -> SessionName | None:
        """Return what a name says; nothing, if it is none of a session's object."""
        match = _SESSION.fullmatch(name)
        if match is None:
            return None
        found = cls(match[1], int(match[2]), match[3], bytes.fromhex(match[4]))
        return found if str(found) == name else None


class ExchangesName(NamedTuple):
    """What the name of an object with calls says.

    Attributes:
        part: 0, 1 …: the calls of a session that are too many for one object are in several.
    """

    source: str
    month: str
    session: str
    part: int = 0

    def __str__(self) -> str:
        part = f"-{self.part}" if self.part else ""
        # As Hive has it, whose readers make a column of the name.
        source = quote(self.source, safe=" ") or "__HIVE_DEFAULT_PARTITION__"
        return f"{EXCHANGES}/source={source}/month={self.month}/{self.session}{part}.parquet"

    @classmethod
    def parse(cls, name: str) -> ExchangesName | None:
        """Return what a name says; nothing, if it is none of an object with calls."""
        match = _EXCHANGES.fullmatch(name)
        if match is None:
            return None
        source = "" if match[1] == "__HIVE_DEFAULT_PARTITION__" else unquote(match[1])
        found = cls(source, match[2], match[3], int(match[4] or 0))
        return found if str(found) == name else None


def of_store(store: str) -> str:
    """Return below what the sessions of a store are."""
    return f"{SESSIONS}/store={store}"


def payload(checksum: str) -> str:
    """Return the name of a large body."""
    return f"{PAYLOADS}/{checksum[:2]}/{checksum}"


def tombstone(session_id: str) -> str:
    """Return the name of what says that a session was pruned from the archive."""
    return f"{TOMBSTONES}/{session_id}.json"


def is_checksum(text: object) -> bool:
    """Say whether a value is the checksum of a payload."""
    return isinstance(text, str) and _CHECKSUM.fullmatch(text) is not None
