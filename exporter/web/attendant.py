"""One request served without an event loop: the door's thread steps through it, waiting in between.

Generators that yield what to wait for (a selectors mask; 0: nothing but the next look around).
Knows no route and no configuration.
"""

import selectors
import socket
import ssl
from collections.abc import Callable, Generator
from functools import partial
from typing import TypeVar

from exporter.web.answers import Answer, encode
from exporter.web.head import Head, Refusal, read_head

T = TypeVar("T")
Steps = Generator[int, None, T]
Extra = tuple[tuple[str, str], ...]

READ_BYTES = 65536


def serve(
    sock: socket.socket,
    attend: Callable[[Head], Steps[Answer]],
    may_enter: Callable[[ssl.SSLSocket], bool],
    extra_headers: Extra,
) -> Steps[None]:
    """Read one request from a non-blocking socket, plain or TLS, and answer it.

    Raises:
        OSError: the client has gone, or speaks no TLS.
    """
    if isinstance(sock, ssl.SSLSocket):
        yield from _until_done(sock.do_handshake)
        if not may_enter(sock):
            return
    found = yield from _read(sock)
    if found is None:
        return
    if isinstance(found, Refusal):
        answer, with_body = Answer.text(found.status, found.message + "\n"), True
    else:
        answer, with_body = (yield from attend(found)), found.method != "HEAD"
    yield from _write(sock, encode(answer, extra_headers, body=with_body))
    if not isinstance(sock, ssl.SSLSocket):
        sock.shutdown(socket.SHUT_WR)


def _read(sock: socket.socket) -> Steps[Head | Refusal | None]:
    received = bytearray()
    while True:
        data = yield from _until_done(lambda: sock.recv(READ_BYTES))
        if not data:
            return None
        received += data
        found = read_head(received)
        if found is not None:
            return found if isinstance(found, Refusal) else found[0]


def _write(sock: socket.socket, data: bytes) -> Steps[None]:
    rest = data
    while rest:
        sent = yield from _until_done(partial(sock.send, rest))
        rest = rest[sent:]


def _until_done(action: Callable[[], T]) -> Steps[T]:
    """Do *action* as often as it wants to wait."""
    while True:
        try:
            return action()
        except ssl.SSLWantWriteError:
            yield selectors.EVENT_WRITE
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError):
            # a send of less than 2 KiB that blocks meets a client that does not read: it may wait
            # for the deadline as one that does not speak
            yield selectors.EVENT_READ
