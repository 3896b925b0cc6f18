"""A server of which a test sees, and says, each byte."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable
from typing import Any


class Talk(socketserver.ThreadingTCPServer):
    """A server whose connections are handed to a function; keeps the bytes it received.

    Args:
        talk: the function: gets the server, a reader, and what sends.
        tls: a context, for TLS.
        path: of a unix socket, in place of a port.
    """

    daemon_threads = True
    block_on_close = True

    def __init__(
        self,
        talk: Callable[[Talk, Any, Any], None],
        tls: ssl.SSLContext | None = None,
        path: str | None = None,
    ) -> None:
        self.heard: list[bytes] = []
        self.hits = 0
        self.connections = 0
        self._talk = talk
        self._tls = tls
        address: Any = ("127.0.0.1", 0)
        if path is not None:
            self.address_family, address = socket.AF_UNIX, path
        super().__init__(address, socketserver.StreamRequestHandler)
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server_address[1]}"
        if path is not None:
            self.url = f"unix://{path}"

    def settle(self) -> None:
        """Wait for nothing: its programs wait for their answers, which are counted before."""

    def finish_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        if self._tls is not None:
            request = self._tls.wrap_socket(request, server_side=True)
        if self.address_family == socket.AF_INET:
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with request, request.makefile("rb") as reader, contextlib.suppress(OSError):
            self._talk(self, reader, request.sendall)

    def head(self, reader: Any) -> dict[str, str] | None:
        """Read a request's head; None if the client has left."""
        lines: list[bytes] = []
        while (line := reader.readline()) not in (b"\r\n", b""):
            lines.append(line)
        if not lines:
            return None
        self.hits += 1
        self.heard.append(b"".join(lines) + line)
        pairs = (text.decode("latin-1").partition(":") for text in lines[1:])
        return {name.lower(): value.strip() for name, _, value in pairs}

    def body(self, reader: Any, headers: dict[str, str]) -> None:
        """Read a request's body."""
        if "chunked" not in headers.get("transfer-encoding", ""):
            self.heard.append(reader.read(int(headers.get("content-length", 0))))
            return
        size = -1
        while size:
            line = reader.readline()
            size = int(line, 16)
            self.heard.append(line + reader.read(size + 2))

    def stop(self) -> None:
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
            self.server_close()
