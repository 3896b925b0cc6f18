"""Servers for tests that care about the bytes on the wire.

`RawServer` hands each accepted connection to a function of the test, which may
send anything, well-formed or not, and may cut the connection. It does no HTTP
of its own beyond reading requests. Everything listens on 127.0.0.1 only.
"""

from __future__ import annotations

import hashlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import trustme

KEPT_BODY = 1 << 20
_RECV_SIZE = 1 << 16


@dataclass(frozen=True)
class Request:
    """A request as it was read, its body freed of any transfer coding.

    `raw` is all of it as it came, head and transfer coding included. The length
    and digest of the body are kept apart from it, because `RawServer.requests`
    drops bodies above `KEPT_BODY` bytes, and their `raw` with them.
    """

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes
    body_length: int
    body_sha256: str
    raw: bytes = b""

    @property
    def path(self) -> str:
        """The target without its query, nor its origin if it is absolute."""
        if self.target.startswith("/"):
            return self.target.partition("?")[0]
        return urlsplit(self.target).path

    def header(self, name: str) -> str | None:
        """Return the values of a header joined by a comma, or None if absent."""
        return _header(self.headers, name)


def _header(headers: Sequence[tuple[str, str]], name: str) -> str | None:
    values = [value for key, value in headers if key.lower() == name.lower()]
    return ", ".join(values) if values else None


def _parse_headers(lines: Sequence[bytes]) -> list[tuple[str, str]]:
    pairs = (line.decode("latin-1").partition(":") for line in lines)
    return [(name, value.strip(" \t")) for name, _, value in pairs]


class _GoneError(Exception):
    """The peer closed the connection before a request was complete."""


class Connection:
    """An accepted connection, as seen by a handler."""

    def __init__(
        self, sock: socket.socket, record: Callable[[Request], None] | None = None
    ) -> None:
        """Wrap a connected socket; `record` is told of each request read."""
        self._sock = sock
        self._record = record
        self._buffer = bytearray()
        self._raw = bytearray()
        # A request was read, and nothing was sent since: the handler is not reading.
        self._asked = False

    def read_request(self) -> Request | None:
        """Read a whole request; None if the peer closed before its end."""
        self._asked = False
        self._raw.clear()
        try:
            head = self._read_until(b"\r\n\r\n")
            first, *lines = head.split(b"\r\n")
            method, target, version = first.decode("latin-1").split(" ")
            headers = _parse_headers(lines)
            body = self._read_body(headers)
        except _GoneError:
            return None
        digest = hashlib.sha256(body).hexdigest()
        raw = bytes(self._raw)
        request = Request(method, target, version, headers, body, len(body), digest, raw)
        if self._record is not None:
            self._record(request)
        self._asked = True
        return request

    @property
    def peer(self) -> str:
        """The peer's address, without its port."""
        address: str = self._sock.getpeername()[0]
        return address

    def read_head(self) -> bytes:
        """Read the head of a request, its last empty line included, and no further.

        Raises:
            ConnectionError: the peer closed before its end.
        """
        mark = b"\r\n\r\n"
        try:
            return self._read_until(mark) + mark
        except _GoneError:
            raise ConnectionError("the peer closed within a head") from None

    def receive(self) -> bytes:
        """Return what came next, whatever it is; nothing at the peer's end."""
        data = bytes(self._buffer) or self._sock.recv(_RECV_SIZE)
        self._buffer.clear()
        return data

    def take(self, size: int) -> bytes:
        """Return so many bytes, whatever they are.

        Raises:
            ConnectionError: the peer closed before their end.
        """
        try:
            return self._read_exactly(size)
        except _GoneError:
            raise ConnectionError("the peer closed early") from None

    def relay(self, other: socket.socket) -> None:
        """Pass bytes between the peer and a socket, both ways, until either closes."""
        if self._buffer:
            other.sendall(self.receive())
        while True:
            # What TLS has decoded already does not make its socket readable.
            held = isinstance(self._sock, ssl.SSLSocket) and self._sock.pending()
            ready = [self._sock] if held else select.select([self._sock, other], [], [])[0]
            for source in ready:
                data = source.recv(_RECV_SIZE)
                if not data:
                    return
                (other if source is self._sock else self._sock).sendall(data)

    def readable(self) -> bool:
        """Say whether bytes, or the peer's end, wait to be read by one that reads."""
        if self._asked:
            return False
        try:
            return bool(select.select([self._sock], [], [], 0)[0])
        except (OSError, ValueError):
            # Its thread is about to end.
            return True

    def send(self, data: bytes) -> None:
        """Send all of the data."""
        self._sock.sendall(data)
        self._asked = False

    def reset(self) -> None:
        """Cut the connection: the peer gets a reset, not an end of file."""
        with suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._sock.close()

    def close(self) -> None:
        """Close the connection in good order; on TLS the peer is told so."""
        if self._sock.fileno() == -1:
            return
        with suppress(OSError, ValueError):
            if isinstance(self._sock, ssl.SSLSocket):
                # Room for the closing alert; its answer is not waited for.
                select.select([], [self._sock], [], 1.0)
                self._sock.settimeout(0)
                self._sock.unwrap()
        self._sock.close()

    def handshake(self) -> None:
        """Do the TLS handshake, if the connection is a TLS one."""
        if isinstance(self._sock, ssl.SSLSocket):
            self._sock.do_handshake()

    def interrupt(self) -> None:
        """End the connection from another thread, waking the one that reads."""
        with suppress(OSError):
            # The plain method: the TLS one also drops state that is in use.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def _read_body(self, headers: Sequence[tuple[str, str]]) -> bytes:
        codings = (_header(headers, "Transfer-Encoding") or "").lower()
        if codings.endswith("chunked"):
            return self._read_chunks()
        return self._read_exactly(int(_header(headers, "Content-Length") or 0))

    def _read_chunks(self) -> bytes:
        body = bytearray()
        while size := int(self._read_until(b"\r\n").partition(b";")[0], 16):
            body += self._read_exactly(size)
            if self._read_exactly(2) != b"\r\n":
                raise ValueError("a chunk is longer than it says")
        while self._read_until(b"\r\n"):
            pass  # A trailer field.
        return bytes(body)

    def _read_until(self, mark: bytes) -> bytes:
        """Return what comes before the mark, and consume the mark."""
        while (end := self._buffer.find(mark)) < 0:
            self._fill()
        data = bytes(self._buffer[:end])
        self._raw += self._buffer[: end + len(mark)]
        del self._buffer[: end + len(mark)]
        return data

    def _read_exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        data = bytes(self._buffer[:size])
        self._raw += data
        del self._buffer[:size]
        return data

    def _fill(self) -> None:
        data = self._sock.recv(_RECV_SIZE)
        if not data:
            raise _GoneError
        self._buffer += data


Handler = Callable[[Connection], None]
Route = bytes | Callable[[Request], bytes]


class RawServer:
    """A server that runs a handler for each connection, in a thread of its own.

    It listens from construction until `stop`. The connection is closed when the
    handler returns. A handler may run into a peer that went away (`OSError`);
    any other exception is a fault of the test and surfaces as an unhandled
    exception of the thread, which pytest reports.
    """

    host = "127.0.0.1"

    def __init__(self, handler: Handler, *, tls: ssl.SSLContext | None = None) -> None:
        """Start to listen on a free port, with TLS if a context is given."""
        self._handler = handler
        self._tls = tls
        self._lock = threading.Lock()
        self._connections = 0
        self._hits = 0
        self._requests: list[Request] = []
        self._open: dict[threading.Thread, Connection] = {}
        self._stopping = False
        self._probes: set[int] = set()
        self._listener = self._listen()
        self._address = self._listener.getsockname()
        self._thread = threading.Thread(target=self._accept, name="raw-server", daemon=True)
        self._thread.start()

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        return socket.create_server((self.host, 0), family=family, backlog=128)

    @property
    def port(self) -> int:
        """The port listened on."""
        port: int = self._address[1]
        return port

    @property
    def url(self) -> str:
        """The base address, without a slash at its end."""
        scheme = "http" if self._tls is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections were accepted, whatever became of them."""
        with self._lock:
            return self._connections

    @property
    def hits(self) -> int:
        """How many whole requests were read."""
        with self._lock:
            return self._hits

    @property
    def requests(self) -> list[Request]:
        """The requests read so far, without the bodies above `KEPT_BODY` bytes."""
        with self._lock:
            return list(self._requests)

    def sync(self) -> None:
        """Return when every connection that was made before this call has been counted.

        A program that fails before it has an answer may be ahead of the server.
        """
        with socket.socket(self._listener.family, socket.SOCK_STREAM) as probe:
            probe.settimeout(10)
            probe.bind((self.host, 0))
            with self._lock:
                self._probes.add(probe.getsockname()[1])
            probe.connect(self._address)
            probe.recv(1)

    def settle(self, seconds: float = 0.5) -> None:
        """Return when nothing that was sent is left to read, or a handler takes too long to.

        A program that closes without waiting for its answer may be ahead of the server.
        """
        deadline = time.monotonic() + seconds
        while self._unread() and time.monotonic() < deadline:
            time.sleep(0.001)

    def _unread(self) -> bool:
        """Say whether a connection has more to read, be it that its peer has closed it."""
        with self._lock:
            held = list(self._open.values())
        return any(one.readable() for one in held)

    def stop(self) -> None:
        """Stop listening and end every connection; further calls do nothing.

        A handler that is busy with something else than its connection is not
        waited for longer than a second: its thread is a daemon.
        """
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
        with suppress(OSError), socket.socket(self._listener.family) as last:
            last.settimeout(1)
            last.connect(self._address)
        self._thread.join()
        self._listener.close()
        with self._lock:
            still_open = dict(self._open)
        for connection in still_open.values():
            connection.interrupt()
        deadline = time.monotonic() + 1
        for thread in still_open:
            thread.join(max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Self:
        """Return the running server."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.stop()

    def _accept(self) -> None:
        while True:
            sock, address = self._listener.accept()
            with self._lock:
                if self._stopping:
                    sock.close()
                    return
                if address and address[1] in self._probes:
                    self._probes.remove(address[1])
                    sock.close()
                    continue
                self._connections += 1
            with suppress(OSError):
                self._start(sock)

    def _start(self, sock: socket.socket) -> None:
        """Give a socket to a thread; the handshake is left to that thread."""
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        connection = Connection(sock, self._record)
        thread = threading.Thread(target=self._serve, args=[connection], daemon=True)
        with self._lock:
            self._open[thread] = connection
        thread.start()

    def _serve(self, connection: Connection) -> None:
        try:
            with suppress(OSError):
                connection.handshake()
                self._handler(connection)
        finally:
            connection.close()
            with self._lock:
                del self._open[threading.current_thread()]

    def _record(self, request: Request) -> None:
        if request.body_length > KEPT_BODY:
            request = replace(request, body=b"", raw=b"")
        with self._lock:
            self._hits += 1
            self._requests.append(request)


def responder(routes: Mapping[str, Route]) -> Handler:
    """Return a handler that answers requests by path until the peer leaves.

    A route is the raw answer or a function that makes it from the request; a
    path without a route gets a 404. Answers go out as they are, to HEAD
    requests too. The connection is closed after an answer that says so, by
    ``Connection: close`` or by being HTTP/1.0 without ``keep-alive``, and after
    a request that asks for it.
    """

    def handle(connection: Connection) -> None:
        while (request := connection.read_request()) is not None:
            route = routes.get(request.path, _NOT_FOUND)
            raw = route if isinstance(route, bytes) else route(request)
            connection.send(raw)
            if _closes(request.version, request.headers) or _answer_closes(raw):
                return

    return handle


def _closes(version: str, headers: Sequence[tuple[str, str]]) -> bool:
    """Tell whether a message ends its connection, by the rules of HTTP."""
    options = (_header(headers, "Connection") or "").lower().replace(" ", "").split(",")
    return "close" in options or (version == "HTTP/1.0" and "keep-alive" not in options)


def _answer_closes(raw: bytes) -> bool:
    """Tell whether a raw answer, after any interim ones, ends its connection."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    version, _, status = first.decode("latin-1").partition(" ")
    if status.startswith("1") and rest:
        return _answer_closes(rest)
    return _closes(version, _parse_headers(lines))


def answer(
    status: int,
    body: bytes = b"",
    *,
    headers: Sequence[tuple[str, str]] = (),
    reason: str | None = None,
    version: str = "HTTP/1.1",
    chunked: Sequence[int] | None = None,
) -> bytes:
    """Build a raw answer.

    The body is framed by a Content-Length, or with `chunked` by chunks of the
    given sizes, one more chunk taking the rest. No framing header is added to
    one given in `headers`, and no Content-Length to a status without a body.
    """
    if reason is None:
        known = status in HTTPStatus.__members__.values()
        reason = HTTPStatus(status).phrase if known else ""
    fields = list(headers)
    framed = _header(fields, "Transfer-Encoding") or _header(fields, "Content-Length")
    bodiless = status < 200 or status in (204, 304)
    if framed is None and chunked is not None:
        fields.append(("Transfer-Encoding", "chunked"))
    elif framed is None and not bodiless:
        fields.append(("Content-Length", str(len(body))))
    lines = [f"{version} {status} {reason}", *(f"{key}: {val}" for key, val in fields)]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head + (body if chunked is None else _chunks(body, chunked))


def _chunks(body: bytes, sizes: Sequence[int]) -> bytes:
    """Return a body in chunked transfer coding."""
    if any(size < 1 for size in sizes):
        raise ValueError("a chunk has at least one byte")
    coded, start = bytearray(), 0
    for size in [*sizes, len(body)]:
        if piece := body[start : start + size]:
            coded += b"%x\r\n%b\r\n" % (len(piece), piece)
        start += size
    return bytes(coded + b"0\r\n\r\n")


_NOT_FOUND = answer(404, b"not found\n", headers=[("Content-Type", "text/plain")])


def tls_server(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    """Return a server context for 127.0.0.1 and localhost, and its CA file.

    The authority is made for the occasion; a client trusts the server only if
    it is given the returned path of the CA's certificate.
    """
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    return context, str(bundle)
