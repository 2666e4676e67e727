"""Hangs up on peers when the time of a request is over: one clock for all users of a child.

    DEADLINES.begin(sock, until)
    ...                              sends and receives without a timer of their own
    DEADLINES.end(sock)

A timer for each receive costs a twentieth of a request (2026-11); a clock that looks at all of them
fifty times a second costs nothing. Who is hung up on sees the end of the stream, and looks at the
time himself. Knows no request.
"""

import socket
import threading
from contextlib import suppress
from time import monotonic, sleep

# Nobody waits longer than this beyond his time.
TICK_S = 0.02


class Deadlines:
    """Sockets in use, and until when."""

    def __init__(self) -> None:
        self._until: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._has_clock = False

    def begin(self, sock: socket.socket, until: float) -> None:
        """Shut *sock* down at *until*, monotonic seconds, unless `end` is called before."""
        self._until[sock] = until
        if not self._news.is_set():
            self._wake()

    def end(self, sock: socket.socket) -> None:
        """Leave *sock* alone from now on."""
        self._until.pop(sock, None)

    def _wake(self) -> None:
        with self._lock:
            is_first, self._has_clock = not self._has_clock, True
        self._news.set()
        if is_first:
            threading.Thread(target=self._tick, name="deadlines", daemon=True).start()

    def _tick(self) -> None:
        while True:
            self._news.wait()
            while self._until:
                sleep(TICK_S)
                self._look()
            self._news.clear()
            # between the last look and this one somebody may have begun
            if self._until:
                self._news.set()

    def _look(self) -> None:
        now = monotonic()
        for sock, until in list(self._until.items()):
            if until <= now:
                self.end(sock)
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


DEADLINES = Deadlines()
"""Of this process."""
