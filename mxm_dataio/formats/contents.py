"""The content of a compressed body, as far as what undoes its coding is installed."""

from __future__ import annotations

from ..codings import State, undone

# Content above this is not taken apart.
LARGEST = 4 << 20


def content_of(coding: str, data: bytes) -> bytes | None:
    """Return the content of a body.

    Args:
        coding: of ``Content-Encoding``: one, or several in the order in which they were applied.

    Returns:
        ``None`` if the body is not sound, holds too much, or nothing that is installed undoes it.
    """
    found = undone(coding, data, LARGEST)
    return found.content if found.state is State.WHOLE else None
