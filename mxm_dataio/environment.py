"""The variables by which processes have themselves captured, and what stands in them.

Loads nothing that an interpreter has not loaded as it starts.
"""

from __future__ import annotations

import os
from _json import encode_basestring_ascii as _quoted

TYPE_CHECKING = False  # see the package's __init__
if TYPE_CHECKING:
    from collections.abc import Mapping

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


def link_text(values: Mapping[str, object]) -> str:
    """Return values as JSON, as a link has them; see :mod:`mxm_dataio.link`."""
    pairs = (f"{_quoted(name)}: {_text(value)}" for name, value in values.items())
    return "{" + ", ".join(pairs) + "}"


def _text(value: object) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, dict):
        return link_text(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_text, value)) + "]"
    raise TypeError(f"a link holds no {type(value).__name__}")


def link_says(member: str, value: object) -> bool:
    """Say whether this process's link, if it has one, sets a member to a value."""
    word = os.environ.get(AUTO, "")
    return word.startswith("{") and f'"{member}": {_text(value)}' in word
