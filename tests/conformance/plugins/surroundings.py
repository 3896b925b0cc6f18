"""A pytest plugin: what the suites expect of the machine and this one may not have.

Loaded with ``-p surroundings`` in every mode alike, so that tests run that would be left out
otherwise. It touches no client: only sockets bound for three test addresses, and a server.
"""

from __future__ import annotations

import errno
import os
import socket
from contextvars import ContextVar
from typing import Any

# What the suites connect to for an address that never answers: reserved, and private.
SILENT = {"240.0.0.0", "10.255.255.1"}
# What they bind to for an address that is not this machine's: RFC 5737.
FOREIGN = "192.0.2.255"


class Tarpit:
    """A listener whose queue is full: who connects to it waits, here as on any network.

    A gateway or a proxy may answer for every address there is, and no route leads to reserved
    ones without a network.
    """

    def __init__(self) -> None:
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.address = self.listener.getsockname()
        # The kernel lets one more in than it was told.
        self.waiting = [socket.socket() for _ in range(4)]
        for client in self.waiting:
            client.setblocking(False)
            client.connect_ex(self.address)

    def close(self) -> None:
        for client in (*self.waiting, self.listener):
            client.close()


def redirect_sockets(tarpit: Tarpit) -> None:
    """Send connections for silent addresses to the tarpit; refuse to bind to a foreign one."""
    connect, bind = socket.socket.connect, socket.socket.bind

    def connect_here(self: socket.socket, address: Any) -> None:
        silent = isinstance(address, tuple) and address[0] in SILENT
        return connect(self, tarpit.address if silent else address)

    def bind_here(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] == FOREIGN:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        return bind(self, address)

    socket.socket.connect = connect_here  # type: ignore[method-assign,assignment]
    socket.socket.bind = bind_here  # type: ignore[method-assign,assignment]


def extend_hypercorn() -> None:
    """Tell hypercorn's applications of their connection, as urllib3's fork of it does.

    The dummy server of urllib3 2 reads ``extensions`` of the ASGI scope that no release of
    hypercorn sets: the connection itself, for its CONNECT proxy, and the TLS session's facts.
    """
    try:
        from hypercorn.trio.task_group import TaskGroup
        from hypercorn.trio.tcp_server import TCPServer
    except ImportError:
        return
    stream: ContextVar[Any] = ContextVar("stream")
    run, spawn_app = TCPServer.run, TaskGroup.spawn_app

    async def run_known(self: Any) -> None:
        # A task of its own; those of the connection's applications inherit from it.
        stream.set(self.stream)
        await run(self)

    async def spawn_told(self: Any, app: Any, config: Any, scope: Any, send: Any) -> Any:
        connection = stream.get()
        scope["extensions"]["_transport"] = connection
        if hasattr(connection, "selected_alpn_protocol"):
            certificate = connection.getpeercert() or {}
            names = (pair for group in certificate.get("subject", ()) for pair in group)
            scope["extensions"]["tls"] = {
                "alpn_protocol": connection.selected_alpn_protocol(),
                "client_cert_name": ", ".join(f"{name}={value}" for name, value in names),
            }
        return await spawn_app(self, app, config, scope, send)

    TCPServer.run = run_known
    TaskGroup.spawn_app = spawn_told


# At import, which is before other plugins: pytest-socket puts back after each test what it found.
TARPIT = Tarpit()
redirect_sockets(TARPIT)
extend_hypercorn()


def pytest_unconfigure() -> None:
    """Let those go who wait."""
    TARPIT.close()
