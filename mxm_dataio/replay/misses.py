"""The error of a call that replay does not find, and of one that the program swallowed."""

from __future__ import annotations

from collections.abc import Sequence

from ..config.faces import Face
from ..errors import NearMiss, ReplayMissError
from ..models import Request, Response

# Of more names than these it is not for a cache buster or two that a call is another.
_FEW = 3


def miss_error(
    method: str,
    url: str,
    params_hash: str,
    where: str,
    near: tuple[NearMiss, ...],
    face: Face,
    *,
    recording: str = "",
) -> ReplayMissError:
    """Return the error that says what was asked, what comes closest, and what to do.

    Args:
        url: redacted.
        where: what was searched, in words.
        near: recorded calls, the closest first.
        face: in whose words to say what to do.
        recording: how to record it there, if not by another mode.
    """
    lines = [f"{method} {url} is not recorded in {where} (params_hash {params_hash})"]
    if near:
        lines.append("nearest recorded calls:")
    for one in near:
        lines.append(f"  {one.method} {one.url}  [{one.request_id}]")
        why = one.differences or (
            "the same call; it was recorded fewer times than it is asked for, or in "
            "another session",
        )
        lines += [f"    - {difference}" for difference in why]
    if not near:
        lines.append("nothing is recorded that resembles it")
    if face.reason:
        lines.append(face.reason)
    recording = recording or (
        f"{face.says('mode', 'record')}, or {face.says('mode', 'auto')} to fetch only what is "
        "missing"
    )
    lines.append(f"to record it: {recording}")
    from .nearest import HOST  # who misses has it loaded

    changed = near[0].ignorable if near else ()
    if 0 < len(changed) <= _FEW:
        names = [name for name in changed if name != HOST]
        options = [face.says("ignore_params", names)] if names else []
        options += [face.says(HOST, False)] if HOST in changed else []
        what = " and ".join("the host" if name == HOST else name for name in changed)
        lines.append(
            f"if {what} change{'s' * (len(changed) == 1)} from run to run, replay with "
            f"{' and '.join(options)}"
        )
    return ReplayMissError(
        "\n".join(lines), method=method, url=url, params_hash=params_hash, nearest=near
    )


def goes_past(method: str, url: str, past: str, instead: str) -> ReplayMissError:
    """Return the error of a call that goes past what is captured, and would reach the network.

    Args:
        past: what it goes past.
        instead: what to do.
    """
    return ReplayMissError(
        f"{method} {url} goes past {past}, where calls are neither recorded nor replayed: "
        f"{instead}",
        method=method,
        url=url,
    )


def ended_early(method: str, response: Response) -> ReplayMissError:
    """Return the error of a program that reads on where a recorded body ends, and is not whole."""
    url, size = response.url, response.size
    if response.truncated and response.redacted and not size:
        text = (
            f"{method} {url}: the body of {size + response.truncated} bytes was not kept, since "
            "redaction rules could not be asked of it: name the places= of rules that take "
            "nothing of answers, and record it again"
        )
    elif response.truncated:
        text = (
            f"{method} {url}: {size} bytes of this body were recorded (max_body), and "
            f"{size + response.truncated} came; there is no more to replay: record it again with "
            "a larger max_body, or read no further"
        )
    else:
        text = (
            f"{method} {url}: the recorded program read {size} bytes of this body and "
            "broke off; there is no more to replay: record it again, reading to the end"
        )
    return ReplayMissError(text, method=method, url=url)


def doubtful(request: Request) -> ReplayMissError:
    """Return the error of a call that was answered as if a value in it were the recorded secret."""
    return ReplayMissError(
        f"{request.method} {request.url} [{request.id}] answered a call with another value in the "
        "place of what was found to be a secret as it was recorded, and this value was not: it "
        "may be another call's answer; record it again",
        method=request.method,
        url=request.url,
        params_hash=request.params_hash,
    )


def swallowed(misses: Sequence[ReplayMissError]) -> ReplayMissError:
    """Return the error for a session in which calls were missed and the program went on."""
    first, count = misses[0], len(misses)
    return ReplayMissError(
        f"{count} call{'s were' if count > 1 else ' was'} not in the recording and the "
        f"program went on without; the first:\n{first}",
        method=first.method,
        url=first.url,
        params_hash=first.params_hash,
        nearest=first.nearest,
    )
