"""The variables by which processes have themselves captured, and what stands in them.

And what has to be there before the rest is: clocks, ids, JSON, words on standard error.

Loads nothing that an interpreter has not loaded as it starts.
"""

from __future__ import annotations

import os
import stat
import time
from _json import encode_basestring, encode_basestring_ascii, make_encoder

TYPE_CHECKING = False  # see the package's __init__
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any


PREFIX = "MXM_DATAIO_"
# Switches capture on: a word, or the link that a captured process leaves for its children.
AUTO = f"{PREFIX}AUTO"
# The folder that the processes of one run share.
RUN = f"{PREFIX}RUN"
# Arguments of a session that are no settings.
SOURCE, AS_OF, SESSION = f"{PREFIX}SOURCE", f"{PREFIX}AS_OF", f"{PREFIX}SESSION"
CONFIG = f"{PREFIX}CONFIG"
# Of the form of a link.
VERSION = 1
# Programs that nobody wrote for this are to be seen whole.
DEFAULTS = {"stdlib": True, "watch": True}


def default_root(environ: Mapping[str, str]) -> str:
    """Return ``${mxm.data_root}/dataio``; the data root is ``MXM_DATA_ROOT`` or ``~/.mxm``."""
    base = environ.get("MXM_DATA_ROOT") or os.path.expanduser("~/.mxm")
    return os.path.join(base, "dataio")


_OFF = ("", "0", "false", "no", "off")
_ON = ("1", "true", "yes", "on")


def is_off(word: str) -> bool:
    """Say whether a value of :data:`AUTO` leaves capture off."""
    return word.lower() in _OFF


def is_link(word: str) -> bool:
    """Say whether a value of :data:`AUTO` is a link, not a word that switches capture on.

    Raises:
        ValueError: it is neither.
    """
    if word.startswith("{"):
        return True
    if word.lower() not in _ON:
        raise ValueError(f"{AUTO}={word!r}: set it to 1, or leave it out")
    return False


def _refuse(value: object) -> object:
    raise TypeError(f"no {type(value).__name__} is written")


def json_writer(
    default: Callable[[Any], object] = _refuse,
    *,
    between: str = ",",
    behind: str = ":",
    ascii: bool = True,
    sort: bool = False,
    nan: bool = True,
) -> Callable[[object], str]:
    """Return what writes values as JSON, as :meth:`json.JSONEncoder.encode` does.

    By the encoder below it, which has no public name: ``encode`` makes one anew at each call, which
    takes as long as to write what a call has; and the package around it takes milliseconds to load.

    Args:
        default: returns what is written in the place of what JSON has no form for.
        between, behind: what stands between items, and behind the name of a member.
        ascii: other characters are escaped.
        sort: members stand in the order of their names.
        nan: numbers may be none.
    """
    texts = encode_basestring_ascii if ascii else encode_basestring
    parts = make_encoder(None, default, texts, None, behind, between, sort, False, nan)
    return lambda value: "".join(parts(value, 0))


# As json.dumps writes it.
_link_text = json_writer(between=", ", behind=": ")


def link_text(value: object) -> str:
    """Return a value as JSON, as a link has it; see :mod:`mxm_dataio.run.handoff`."""
    return _link_text(value)


def link_says(member: str, value: object) -> bool:
    """Say whether this process's link, if it has one, sets a member to a value."""
    word = os.environ.get(AUTO, "")
    return word.startswith("{") and f'"{member}": {link_text(value)}' in word


# The clocks and the dice, taken before a program can put its own in their place: a list of instants
# that a test has its code read is to be that code's.
wall_time, wall_time_ns = time.time, time.time_ns
perf_counter_ns, monotonic = time.perf_counter_ns, time.monotonic
_urandom = os.urandom

_last = 0


def after_fork(renew: Callable[[], None], **more: Callable[[], None]) -> None:
    """Have a forked child renew what a thread of its parent may have held: a lock, most of all.

    Args:
        more: what else :func:`os.register_at_fork` takes: ``before``, ``after_in_parent``.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew, **more)


def seconds_since(clock: int) -> float:
    """Return the seconds since a reading of ``perf_counter_ns``, in whole microseconds.

    More digits take longer to write than to measure.
    """
    return (perf_counter_ns() - clock) // 1000 / 1e6


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562 §5.7): unique across machines, ascending within a process.

    The 74 bits behind the millisecond carry a 12-bit fraction of it (method 3 of §6.2), then
    62 random bits; two ids of one instant are told apart by stepping the fraction.
    """
    global _last
    now = (wall_time_ns() << 12) // 1_000_000
    # One statement that calls nothing: no other thread and no signal's handler comes in between.
    _last = stamp = now if now > _last else _last + 1
    while (drawn := next(_drawn, None)) is None:
        _draw()
    # (f"…" takes twice as long.)
    return "%08x-%04x-7%03x-%04x-%012x" % (  # noqa: UP031
        stamp >> 28, stamp >> 12 & 0xFFFF, stamp & 0xFFF, 0x8000 | drawn >> 50,
        drawn & 0xFFFF_FFFF_FFFF,
    )  # fmt: skip


# Numbers of 64 random bits: the system is asked for many at once, which takes a microsecond.
_drawn: Iterator[int] = iter(())


def _draw() -> None:
    global _drawn
    _drawn = iter(memoryview(_urandom(2048)).cast("Q"))


# A child's are not those that its parent goes on to use.
after_fork(_draw)


def say(text: str) -> None:
    """Say something past whatever a program has put in place of ``sys.stderr``. Never raises."""
    put(f"mxm-dataio: {text}")


def put(line: str) -> None:
    """Print a line, unless the program has put a file or socket of its own in the place.

    What moves a cursor is escaped.

    What it opens after it has closed standard error gets that number. It can't be told from a log
    that is put there on purpose; what there is to say is in the session's warnings, too.
    Never raises.
    """
    try:
        found = os.fstat(2)
        if (found.st_dev, found.st_ino) == _STANDARD or stat.S_ISCHR(found.st_mode):
            os.write(2, f"{printable(line)}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return


def printable(text: str, kept: str = "\n") -> str:
    """Return a text that moves no cursor: it may be a server's, or a forger's.

    Args:
        kept: what stays as it is, though it is none that is printed.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in kept else repr(character)[1:-1]
        for character in text
    )


def output_ended(exc: OSError) -> int:
    """Return with what status a command ends whose output can't be written; say why.

    A reader that has enough (``| head -1``) is no failure to tell of: the status is a shell's for
    a program that SIGPIPE has ended.
    """
    # What is still held would be written as the interpreter ends, and fail once more.
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 1)
    if isinstance(exc, BrokenPipeError):
        return 141
    say(f"error: the output can't be written: {exc.strerror}")
    return 1


def _standard() -> tuple[int, int] | None:
    """Return which file standard error is: as the process begins, which loads this."""
    try:
        found = os.fstat(2)
    except OSError:
        return None
    return found.st_dev, found.st_ino


_STANDARD = _standard()
