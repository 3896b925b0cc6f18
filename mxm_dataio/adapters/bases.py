"""urllib3's own classes, from below whatever a program has put under their names.

It may replace ``urllib3.connection.HTTPConnection`` by a subclass, before this package is imported
or later. Connections of pools made earlier are still of the class below, so that is the one to
look at; and replay must not run the program's own connection code.
"""

from __future__ import annotations

import http.client
from typing import Any

import urllib3.connection
import urllib3.connectionpool


def _below(name: str, module: str, *places: Any) -> Any:
    """Return urllib3's class of this name, from under the first place that still leads to it."""
    for place in places:
        for cls in getattr(place, "__mro__", ()):
            if (cls.__name__, cls.__module__) == (name, module):
                return cls
    return places[0]


def _connection(name: str) -> Any:
    """Return urllib3's connection class of this name.

    http.client is asked for its subclasses, since a recorder (vcrpy) puts classes of another kind
    in every place where urllib3 has its own. A fork of urllib3 may have none there.
    """
    open_: list[Any] = [http.client.HTTPConnection]
    found = getattr(urllib3.connection, name)
    while open_:
        for cls in open_.pop().__subclasses__():
            open_.append(cls)
            if (cls.__name__, cls.__module__) == (name, "urllib3.connection"):
                # The last made, should the module have been loaded twice.
                found = cls
    return found


Connection: Any = _connection("HTTPConnection")
TLSConnection: Any = _connection("HTTPSConnection")
Pool: Any = _below(
    "HTTPConnectionPool",
    "urllib3.connectionpool",
    urllib3.connectionpool.HTTPConnectionPool,
    urllib3.connectionpool.HTTPSConnectionPool,
)
