"""A connection between the kernel and whoever will serve it, and what the door wants of the house.

Knows neither threads nor loops, but that there may be two who want the same visitor.
"""

import socket
from dataclasses import dataclass, field
from typing import Protocol

from exporter.web.answers import Answer
from exporter.web.attendant import READ_BYTES, Steps
from exporter.web.head import Head, Refusal, read_head


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket. ``on_loopback``: nobody else can reach it but over a rebound name."""

    sock: socket.socket
    on_loopback: bool


@dataclass(slots=True, eq=False)
class Visitor:
    """An accepted connection that nobody serves yet. Whoever claims it first has it.

    ``is_ready``: its request is here, whole.
    """

    sock: socket.socket
    owner: str
    on_loopback: bool
    arrived: float
    is_ready: bool = False
    _ticket: list[None] = field(default_factory=lambda: [None])

    def claim(self) -> bool:
        """Take it; false when the other thread has. ``list.pop`` is atomic, so no lock is held."""
        try:
            self._ticket.pop()
        except IndexError:
            return False
        return True

    def peek(self) -> tuple[Head, int] | Refusal | None:
        """Judge what a plain client has sent so far, and leave it there; None when it has gone."""
        try:
            return read_head(self.sock.recv(READ_BYTES, socket.MSG_PEEK))
        except OSError:
            return None


class House(Protocol):
    """What is behind the door."""

    @property
    def occupied(self) -> int:
        """Connections that the loop has now; read from the thread."""
        ...

    @property
    def limit(self) -> int:
        """Connections that it may have."""
        ...

    def inner_path(self, head: Head) -> str:
        """Return the path of a request as the routes know it; from the thread."""
        ...

    def is_crowded(self, owner: str) -> bool:
        """Return whether a newcomer would soon push out others; read from the thread."""
        ...

    def reject(self, reason: str) -> None:
        """Count a connection that is not served; called in the thread."""
        ...

    def receive(self, visitor: Visitor) -> None:
        """Take a connection over; called in the loop."""
        ...

    def attend(self, head: Head, visitor: Visitor) -> Steps[Answer]:
        """Answer a request in the loop's place; stepped through in the thread."""
        ...
