"""Where connections and calls go, and sets of hosts."""

from __future__ import annotations

import _socket
import contextlib
import fnmatch
from collections.abc import Iterable
from typing import NamedTuple

# _socket, which the socket module hands on, loads nothing else.
LOOPBACK, UNIX = "loopback", "unix"
_LOCAL_NAMES = ("localhost", "ip6-localhost", "ip6-loopback", "localhost.localdomain")


class Target(NamedTuple):
    """The other end of a connection.

    Attributes:
        host: the name that was asked for, as far as it is known, else the address; of a unix
            socket its path, an abstract one with ``@`` in front.
        port: ``None`` for a unix socket.
        address: what the socket is given: an IP address, or ``host`` again.
    """

    host: str
    port: int | None = None
    address: str = ""

    def __str__(self) -> str:
        if self.port is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def allowing(self) -> str:
        """What of ``allowed_hosts`` lets a connection to it pass."""
        if self.port is None and self.host.startswith(("/", "@")):
            return UNIX
        return LOOPBACK if is_loopback(self.host) else self.host


def is_address(host: str) -> bool:
    """Say whether a host is an IP address, which nobody has to be asked for."""
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, host.partition("%")[0])
        except (OSError, ValueError):
            continue
        return True
    return False


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine: its name, or an address that never leaves it."""
    host = host.lower().rstrip(".")
    if host in _LOCAL_NAMES or host.endswith(".localhost"):  # RFC 6761 §6.3
        return True
    host = host.removeprefix("::ffff:")
    # Who connects to the unspecified address reaches this machine.
    return host in ("::1", "::", "0.0.0.0") or (host.startswith("127.") and is_address(host))


class HostSet:
    """Hosts, by name, address, network or pattern.

    Args:
        hosts: names, addresses, networks (``10.0.0.0/8``), each perhaps with ``:port``, or with
            ``*``, or a unix socket's path; ``loopback`` and ``unix`` stand for this machine
            and for all unix sockets; a library's name (``psycopg2``) for all that it connects to
            without Python's sockets. Upper and lower case are the same.
    """

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        words = {host.strip().lower() for host in hosts}
        self._loopback = LOOPBACK in words
        self._unix = UNIX in words
        self._paths = tuple(sorted(word for word in words if word.startswith(("/", "@"))))
        self._networks = tuple(network for word in words if (network := _network(word)) is not None)
        self._hosts = tuple(
            _split(word)
            for word in sorted(words - {LOOPBACK, UNIX})
            if word and not word.startswith(("/", "@")) and _network(word) is None
        )
        # Addresses of allowed names, with the ports that are allowed there.
        self._learned: dict[str, set[int | None]] = {}

    def admits(self, target: Target) -> bool:
        """Say whether the other end of a connection is among them."""
        if target.port is None:
            return self._unix or _matches_any(target.host.lower(), self._paths)
        ends = {target.host.lower().rstrip("."), (target.address or target.host).lower()}
        # By its address alone: a name can be had for any.
        address = (target.address or target.host).lower()
        if self._loopback and is_loopback(address):
            return True
        ports = self._learned.get(address, ())
        if None in ports or target.port in ports:
            return True
        for pattern, port in self._hosts:
            if port in (None, target.port) and any(fnmatch.fnmatchcase(e, pattern) for e in ends):
                return True
        return bool(self._networks) and self._within(address)

    def admits_lookup(self, host: str, *, reverse: bool = False) -> bool:
        """Say whether a name may be asked for, or an address's name (``reverse``).

        What nobody has to be asked for always may: addresses, this machine's own names.
        """
        host = host.lower().rstrip(".")
        if is_loopback(host) or host == _socket.gethostname().lower():
            return True
        if is_address(host) and not reverse:
            return True
        return any(fnmatch.fnmatchcase(host, pattern) for pattern, _ in self._hosts)

    def names(self, library: str) -> bool:
        """Say whether a library may connect wherever it does, which nobody sees."""
        return any(
            port is None and fnmatch.fnmatchcase(library.lower(), pattern)
            for pattern, port in self._hosts
        )

    def learn(self, host: str) -> None:
        """Find the addresses of a name that may be asked for, as the program is about to.

        It may connect by another road than it asked (a pool of threads, asyncio).
        """
        host = host.lower().rstrip(".")
        ports = {port for pattern, port in self._hosts if fnmatch.fnmatchcase(host, pattern)}
        if not ports or is_address(host):
            return
        with contextlib.suppress(OSError, UnicodeError):
            # Not by what a program may have put into the module above it: that is not to notice.
            for *_, address in _socket.getaddrinfo(host, None, type=_socket.SOCK_STREAM):
                self._learned.setdefault(str(address[0]), set()).update(ports)

    def _within(self, address: str) -> bool:
        import ipaddress  # where networks are allowed alone

        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(parsed in ipaddress.ip_network(n, strict=False) for n in self._networks)


def _split(word: str) -> tuple[str, int | None]:
    """Return pattern and port of ``host``, ``host:port``, ``::1`` or ``[::1]:port``."""
    if word.startswith("["):
        host, _, port = word[1:].partition("]")
        port = port.removeprefix(":")
    elif word.count(":") == 1:
        host, _, port = word.partition(":")
    else:
        host, port = word, ""
    return host.rstrip("."), int(port) if port.isdecimal() else None


def _network(word: str) -> str | None:
    address, slash, bits = word.partition("/")
    return word if slash and bits.isdecimal() and is_address(address) else None


def _matches_any(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)
