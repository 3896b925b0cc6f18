"""Ctrl-C amid what waits for an archive."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import click

_INTERRUPTED = 130


@contextlib.contextmanager
def ending_at_once(otherwise: str) -> Iterator[None]:
    """End the process at once where what is waited for in here is interrupted.

    See :func:`mxm_dataio.concurrency.background.waited_for`.

    Args:
        otherwise: what of it counts then, in words.
    """
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"Aborted: {otherwise}", err=True)
        # Its threads may wait for the network for minutes yet.
        os._exit(_INTERRUPTED)
