"""Has the docstrings' roles (``:class:`mxm_dataio.Store```) read as code on the page of the API."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:mod|class|meth|func|data|attr|exc):`~?(?:\w+\.)*(\w+)`")


class Roles(griffe.Extension):
    """Rewrites each docstring as it is read."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Rewrite that of a module, a class, a function or an attribute."""
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)
