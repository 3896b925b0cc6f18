"""urllib3's own classes, from below whatever a program has put under their names.

It may replace ``urllib3.connection.HTTPConnection`` by a subclass, before this package is imported
or later. Connections of pools made earlier are still of the class below, so that is the one to
look at; and replay must not run the program's own connection code.
"""

from __future__ import annotations

from typing import Any

import urllib3.connection
import urllib3.connectionpool

from ..patches import own_class

Connection: Any = own_class(
    "HTTPConnection",
    "urllib3.connection",
    urllib3.connection.HTTPConnection,
    urllib3.connectionpool.HTTPConnectionPool.ConnectionCls,
)
TLSConnection: Any = own_class(
    "HTTPSConnection",
    "urllib3.connection",
    urllib3.connection.HTTPSConnection,
    urllib3.connectionpool.HTTPSConnectionPool.ConnectionCls,
)
Pool: Any = own_class(
    "HTTPConnectionPool",
    "urllib3.connectionpool",
    urllib3.connectionpool.HTTPConnectionPool,
    urllib3.connectionpool.HTTPSConnectionPool,
)
