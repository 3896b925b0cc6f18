"""Real proxies on loopback: HTTP ones that forward and tunnel, and a SOCKS one."""

from __future__ import annotations

import base64
import socket
import struct
from pathlib import Path

from tests.support.servers import Connection, Handler, RawServer, answer

USER, PASSWORD = "someone", "proxy-secret"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def proxy(*, guarded: bool = False, refusal: bytes | None = None) -> Handler:
    """Return a proxy that opens tunnels, and answers in the origin's place what it is to forward.

    Args:
        guarded: it wants `BASIC` for its ``Proxy-Authorization``.
        refusal: what it answers to a CONNECT, before it closes.
    """

    def handle(connection: Connection) -> None:
        while request := connection.read_request():
            if guarded and request.header("Proxy-Authorization") != BASIC:
                connection.send(answer(407, b"who?", headers=[("Connection", "close")]))
                return
            if request.method != "CONNECT":
                connection.send(answer(200, b"via proxy " + request.target.encode()))
            elif refusal is not None:
                connection.send(refusal)
                return
            else:
                port = int(request.target.rpartition(":")[2])
                with socket.create_connection(("127.0.0.1", port), timeout=5) as origin:
                    origin.settimeout(None)
                    connection.send(b"HTTP/1.1 200 Connection established\r\nVia: p\r\n\r\n")
                    connection.relay(origin)
                return

    return handle


def socks(*, guarded: bool = False, reply: int = 0, names: list[bytes] | None = None) -> Handler:
    """Return a SOCKS 5 proxy (RFC 1928).

    Args:
        guarded: it wants `USER` and `PASSWORD` (RFC 1929).
        reply: its answer to a request; 0 opens the connection.
        names: takes the addresses it was asked for.
    """

    def handle(connection: Connection) -> None:
        version, count = connection.take(2)
        assert version == 5
        connection.take(count)
        connection.send(b"\x05\x02" if guarded else b"\x05\x00")
        if guarded:
            connection.take(1)
            user = connection.take(connection.take(1)[0])
            password = connection.take(connection.take(1)[0])
            good = (user, password) == (USER.encode(), PASSWORD.encode())
            connection.send(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                return
        kind = connection.take(4)[3]
        host = connection.take(connection.take(1)[0] if kind == 3 else 4)
        (port,) = struct.unpack("!H", connection.take(2))
        if names is not None:
            names.append(host)
        bound = b"\x00\x01" + socket.inet_aton("127.0.0.1") + struct.pack("!H", port)
        if reply:
            connection.send(b"\x05" + bytes([reply]) + bound)
            return
        with socket.create_connection(("127.0.0.1", port), timeout=5) as origin:
            origin.settimeout(None)
            connection.send(b"\x05\x00" + bound)
            connection.relay(origin)

    return handle


class UnixServer(RawServer):
    """A server on a socket of the file system."""

    def __init__(self, handler: Handler, path: Path) -> None:
        """Start to listen on a path."""
        self._path = path
        super().__init__(handler)

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._path))
        listener.listen(128)
        return listener

    def sync(self) -> None:
        """Do nothing: its clients have no address to tell one from another by."""
