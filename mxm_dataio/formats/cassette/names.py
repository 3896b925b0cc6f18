"""Which cassette file is whose test's."""

from __future__ import annotations

import hashlib
import re

# Whatever else a name has may mean something to a shell, to git or to a file system.
_PLAIN = re.compile(r"[A-Za-z0-9_.,=+@\[\]-]+")
_OTHER = re.compile(r"[^A-Za-z0-9_.,=+@\[\]-]+")
# File systems take 255 bytes, of which ".json", a temporary name and side files need some.
_LONGEST = 120
_DIGITS = 10


def cassette_name(test: str, cls: str = "") -> str:
    """Return the name of a test's cassette, without its ending; no two tests have the same.

    Args:
        test: the test's name, parameters included: ``test_a[x-1]``.
        cls: the name of its class; of one within another with that, ``TestOuter.TestInner``.

    A name that is no plain file name, or too long for one, or that another differs from in case
    alone (some file systems tell no difference), ends with a digest of the whole.
    """
    name = f"{cls}.{test}" if cls else test
    _, _, parameters = test.partition("[")
    plain = _PLAIN.fullmatch(name) is not None and not name.startswith((".", "-"))
    if plain and len(name) <= _LONGEST and parameters == parameters.lower():
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"{_OTHER.sub('-', name)[:_LONGEST].strip('.-') or 'test'}-{digest}"
