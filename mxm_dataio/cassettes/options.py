"""The keywords of ``use_cassette`` and of the marker ``dataio``, for type checkers and editors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import TypedDict

from ..api import Time
from ..config.choices import CassetteMode, Exhausted, Freeze, OnExpired, Scope
from ..formats.volatile import Volatile
from ..identity.view import View
from ..ingest.answering import Answer
from ..models import Mode
from ..redaction.rules import Redaction


class SessionOptions(TypedDict, total=False):
    """What is the same for a session with a cassette as for one with a root."""

    ttl: Time | Mapping[str, Time | None] | None
    reuse: Iterable[str | int] | Mapping[str, Iterable[str | int]] | None
    stale_if_error: bool | Time | None
    exhausted: Exhausted | None
    redaction: Redaction | Mapping[str, Redaction | None] | None
    strict: bool | None
    view: View | Mapping[str, View] | str | None
    ignore_params: Iterable[str] | Mapping[str, Iterable[str]] | None
    ignore_hosts: Iterable[str] | Mapping[str, Iterable[str]] | None
    match_host: bool | Mapping[str, bool] | None
    ignore_body_of: Iterable[str] | Mapping[str, Iterable[str]] | None
    match_headers: Iterable[str] | Mapping[str, Iterable[str]] | None
    spool_limit: int | None
    max_body: int | None
    stdlib: bool | None
    watch: bool | None
    allowed_hosts: Iterable[str] | None
    sources: Mapping[str, str] | None
    kind: str
    hook: bool
    answer: Answer | None


class _KeptOptions(SessionOptions, total=False):
    source: str | None
    keep_failed: bool
    redate: bool
    keep_chunks: bool
    volatile: Volatile | None
    as_of: str | date | datetime | None


class CassetteOptions(_KeptOptions, total=False):
    """The keywords of :class:`mxm_dataio.use_cassette` behind ``path`` and ``mode``.

    One that hands them on is ``def recorded(**options: Unpack[CassetteOptions])``.
    """

    shared: Iterable[str | os.PathLike[str]]


class MarkerOptions(_KeptOptions, total=False):
    """The keywords of the marker ``dataio``, and what the fixture ``dataio_config`` returns.

    ``@pytest.mark.dataio(**MarkerOptions(mode="once", freeze="tick"))`` is checked by its types.
    """

    mode: Mode | CassetteMode
    expires: str | float | timedelta
    on_expired: OnExpired
    freeze: Freeze
    scope: Scope
    block_network: bool
