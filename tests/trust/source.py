"""The source that is recorded: what it answers to a URL can be worked out without asking it."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import socketserver
import struct
import threading
from collections.abc import Callable
from socket import SO_LINGER, SOL_SOCKET
from typing import NamedTuple
from urllib.parse import urlsplit

_BLOCK = random.Random(5).randbytes(2 << 20)
_CHUNK = 9_000

# What an exchange comes to; the rest of the kinds are read to their end.
REFUSED, CUT = "refused", "cut"
KINDS = ("get", "chunked", "close", "gzip", "head", "unmodified", "post", REFUSED, CUT)


class Asked(NamedTuple):
    """What a URL of ours asks for: ``/<kind>/<size>/<offset>?<mark>``."""

    kind: str
    size: int
    offset: int
    mark: str

    @classmethod
    def of(cls, url: str) -> Asked:
        """Return what a URL asks for, or raise ``ValueError``."""
        parts = urlsplit(url)
        kind, size, offset = parts.path.strip("/").split("/")
        return cls(kind, int(size), int(offset), parts.query)

    @property
    def path(self) -> str:
        """The URL without its origin."""
        return f"/{self.kind}/{self.size}/{self.offset}?{self.mark}"

    @property
    def method(self) -> str:
        """The method that it is asked with."""
        return {"head": "HEAD", "post": "POST"}.get(self.kind, "GET")

    @property
    def bytes(self) -> bytes:
        """The bytes that it is about."""
        return _BLOCK[self.offset : self.offset + self.size]

    @property
    def upload(self) -> bytes:
        """What is sent along."""
        return self.bytes if self.kind == "post" else b""

    @property
    def payload(self) -> bytes:
        """The answer's payload: what the wire carries between transfer and content coding."""
        if self.kind in ("head", "unmodified", REFUSED):
            return b""
        if self.kind == "post":
            return hashlib.sha256(self.bytes).hexdigest().encode()
        if self.kind == "gzip":
            return gzip.compress(self.bytes, 1, mtime=0)
        return self.bytes[: self.size // 2] if self.kind == CUT else self.bytes

    @property
    def body(self) -> bytes:
        """What the program reads."""
        return self.bytes if self.kind == "gzip" else self.payload


class _Handler(socketserver.StreamRequestHandler):
    wbufsize = -1

    def handle(self) -> None:
        """Answer requests on a connection until either side has had enough."""
        while line := self.rfile.readline():
            length = 0
            while (header := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            self.rfile.read(length)
            if not self._answer(Asked.of(line.split(b" ")[1].decode())):
                return
            self.wfile.flush()

    def _answer(self, asked: Asked) -> bool:
        """Answer; say whether the connection goes on."""
        kind, payload = asked.kind, asked.payload
        if kind == REFUSED:
            self.request.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if kind == "unmodified":
            self.wfile.write(b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n")
            return True
        head = b"HTTP/1.1 200 OK\r\n"
        if kind == "chunked":
            self.wfile.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(payload), _CHUNK):
                piece = payload[at : at + _CHUNK]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return True
        if kind == "close":
            self.wfile.write(head + b"Connection: close\r\n\r\n" + payload)
            return False
        if kind == "gzip":
            head += b"Content-Encoding: gzip\r\n"
        size = len(payload) if kind in ("get", "gzip", "post") else asked.size
        self.wfile.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, size, payload))
        return kind != CUT


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that was killed is what this is about."""


def serve() -> tuple[str, Callable[[], None]]:
    """Serve from a forked process; return the origin and how to end it."""
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        os.close(ready)
        server = _Server(("127.0.0.1", 0), _Handler)
        os.write(told, str(server.server_address[1]).encode())
        # It ends with the process that it serves, however that ends.
        parent = os.getppid()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        while os.getppid() == parent:
            threading.Event().wait(0.5)
        os._exit(0)
    os.close(told)
    port = os.read(ready, 16).decode()
    os.close(ready)

    def stop() -> None:
        os.kill(child, 9)
        os.waitpid(child, 0)

    return f"http://127.0.0.1:{port}", stop
