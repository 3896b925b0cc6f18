"""A report as JSON values, without its calls; for these see :mod:`mxm_dataio.reading.values`.

Lists are bounded, and say how many more there were; so are texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from ...storage.catalog.sound import text_of
from ..outcomes import ended, exit_word
from ..values import finding
from .gather import Part, Report
from .tally import Failing, Host, Percentiles, Totals

_TEXT = 2000
_FINDINGS = 200
_NOTES = 100
_PARTS = 1000
_COVERAGE = 1000
_HOSTS = 500
_FAILING = 100


def summary(report: Report, at: str) -> dict[str, Any]:
    """Return all that is told besides the calls.

    Args:
        at: the instant at which it is told.
    """
    tally = report.tally
    hosts, failing = tally.hosts(), tally.failing()
    return {
        "made": {"version": version("mxm-dataio"), "at": at},
        "root": _cut(report.root),
        "parts": [_part(part) for part in report.parts[:_PARTS]],
        "more_parts": len(report.parts[_PARTS:]),
        "verified": _verified(report),
        "coverage": None
        if report.coverage is None
        else [_bounded(unseen._asdict()) for unseen in report.coverage[:_COVERAGE]],
        "more_coverage": len((report.coverage or ())[_COVERAGE:]),
        "left_out": [_bounded(one._asdict()) for one in report.left_out[:_COVERAGE]],
        "more_left_out": len(report.left_out[_COVERAGE:]),
        "unwatched": report.unwatched,
        "totals": {
            **{name: getattr(tally.totals, name) for name in Totals.__slots__},
            **tally.percentiles()._asdict(),
        },
        "began": report.began,
        "ended": report.ended,
        "latencies": tally.latencies(),
        "sizes": tally.sizes(),
        "lanes": [lane._asdict() for lane in tally.lanes(report.began, report.ended)],
        "hosts": [_host(host) for host in hosts[:_HOSTS]],
        "more_hosts": len(hosts[_HOSTS:]),
        "failing": [_failing(one) for one in failing[:_FAILING]],
        "more_failing": len(failing[_FAILING:]),
        "listed": len(report.listed),
        "body_limit": report.body_limit,
    }


def _part(part: Part) -> dict[str, Any]:
    session, end = part.session, part.end
    chain = None
    if end is not None:
        chain = {
            "head": end.head.hex(), "records": end.records, "leaf": end.leaf,
            "seal": end.seal.hex() if end.seal is not None else None,
        }  # fmt: skip
    return _bounded(
        {
            "id": session.id, "parent": session.parent_id, "source": session.source,
            "kind": session.kind, "mode": session.mode, "as_of": session.as_of,
            "status": session.status, "started_at": session.started_at,
            "ended_at": session.ended_at, "pruned_at": session.pruned_at, "pid": session.pid,
            "host": text_of(end.host) if end else "", "program": session.program,
            "exit_status": session.exit_status, "exit": exit_word(session.exit_status),
            "outcome": ended(session), "warnings": session.warnings[:_NOTES],
            "watched": session.coverage is not None, "calls": part.calls, "bad": part.bad,
            "chain": chain,
        }
    )  # fmt: skip


def _verified(report: Report) -> dict[str, Any]:
    found = report.verified
    return _bounded(
        {
            "ok": report.ok, "sessions": found.sessions, "calls": found.calls,
            "payloads": found.payloads, "bytes": found.size,
            "head": str(found.head) if found.head else None,
            "against": [str(head) for head in report.against],
            "findings": [finding(one) for one in found.findings[:_FINDINGS]],
            "more": found.more + len(found.findings[_FINDINGS:]),
            "notes": found.notes[:_NOTES],
            "damaged": report.damaged[:_FINDINGS],
            "more_damaged": len(report.damaged[_FINDINGS:]),
        }
    )  # fmt: skip


def _host(host: Host) -> dict[str, Any]:
    peers, more = host.reached
    return _bounded(
        {
            "name": host.name, "calls": host.calls, "attempts": host.attempts, "bad": host.bad,
            "received": host.received, "sent": host.sent,
            "answers": dict(sorted(host.answers.items())),
            **Percentiles.of(host.latencies)._asdict(),
            "peers": peers, "more_peers": more, "tls": sorted(host.tls),
            "began": host.began, "ended": host.ended,
        }
    )  # fmt: skip


def _failing(one: Failing) -> dict[str, Any]:
    return _bounded(
        {
            "what": one.what, "answered": one.answered, "calls": one.calls,
            "hosts": list(one.hosts), "message": one.message, "request": one.request,
            "began": one.began,
        }
    )  # fmt: skip


def _bounded(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value with its texts cut."""
    return {name: _short(one) for name, one in value.items()}


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return _cut(value)
    if isinstance(value, Mapping):
        return _bounded(value)
    if isinstance(value, (list, tuple)):
        return [_short(one) for one in value]
    return value


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}… ({len(text) - _TEXT:,} more)"
