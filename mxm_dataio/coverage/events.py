"""What goes past captured calls, and who is told of it."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from ..http.hosts import Target
from .callers import Stack


class Question(NamedTuple):
    """The look-up of a name, or of the name of an address.

    Attributes:
        host: what is asked for.
        reverse: it is an address whose name is asked for.
    """

    host: str
    port: int | None = None
    reverse: bool = False


class Child(NamedTuple):
    """A process that is about to be started, or to take this one's place.

    Attributes:
        executable: as it is given, ``curl`` or ``/usr/bin/curl``.
        arguments: its own name first.
        environment: what it will have; ``None``: that of this process.
        replaces: it takes this process's place (``os.exec…``).
    """

    executable: str
    arguments: tuple[str, ...] = ()
    environment: Any = None
    replaces: bool = False


class Watcher(Protocol):
    """Who is told of what happens, in the thread that does it and in the midst of it.

    An exception that is returned is raised in the program. One that a watcher raises itself is
    dropped: the program is not to suffer from being watched.
    """

    def connecting(self, target: Target, stack: Stack) -> Exception | None:
        """Take a connection that no captured call makes, once for each socket and target."""

    def resolving(self, question: Question, stack: Stack) -> Exception | None:
        """Take a look-up that no captured call makes."""

    def spawning(self, child: Child, stack: Stack) -> Exception | None:
        """Take the start of a process."""

    def importing(self, name: str, stack: Stack) -> None:
        """Take the first import of a module, perhaps in vain, of those it was installed for."""
