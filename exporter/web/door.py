"""The thread that owns the listening sockets: accepts, hands over, answers for a loop that hangs.

Why a thread: ``/-/healthy`` must answer on the same port while the event loop is stuck (P19), and a
loop that accepts by itself logs thousands of lines and starves when descriptors run out (E9). Why
not a second port or process: the orchestrator's probe would then watch something else than what
Prometheus scrapes. Why not look at every request here: the common path must cost nothing.

    accept ──> waiting ──> the loop takes it (microseconds)
       │        ↑    ├── the loop hangs for TAKE_BACK_S: /-/healthy is peeked at and answered here,
       └─ porch ┘    │   all else keeps waiting
                     └── over TLS, that cannot be peeked at, for TLS_TAKE_BACK_S: everything is
                         answered here: /-/healthy, else 503

A thread cannot help when C code keeps the interpreter lock for ever, and a mistake in this one
closes the port: both show as a failed health check, which is what they are.
"""

import asyncio
import logging
import selectors
import socket
import ssl
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from exporter.web.attendant import Steps, serve
from exporter.web.gate import is_health_check
from exporter.web.head import Refusal
from exporter.web.limits import HEADER_TIMEOUT_S, owner_of
from exporter.web.porch import LOOK_S, Porch
from exporter.web.tls import may_enter
from exporter.web.visitor import House, Listener, Visitor
from exporter.web.watched import WatchedConfig

log = logging.getLogger("sonde.web")

# Half of the shortest timeout that orchestrators use for a liveness probe (1 s).
TAKE_BACK_S = 0.5
# A connection served here is lost to the loop, which may only be slow: P11 allows a scrape 1 s.
TLS_TAKE_BACK_S = 2.0
# How often waiting connections are looked at while nobody takes them.
UNATTENDED_TICK_S = 0.05
# How often files are looked at while nobody connects.
TICK_S = 1.0
ACCEPTS_PER_TURN = 64
# Sockets that were cut and are not closed yet, and those that wait to be taken.
SLACK = 16
# After running out of descriptors: long enough not to spin, short enough for a health check.
REST_S = 0.1
# Handed to the loop in one of its turns, as a share of the cap: the first bytes of each must be
# read before the ones behind it may push it out.
_BATCH_SHARE = 8
_MAX_BATCH = 16
# Between two batches of TLS connections in a storm: at 0.3 ms each half of the loop's time is left.
STORM_PAUSE_S = 0.01


@dataclass(slots=True, eq=False)
class _Held:
    """A connection served by this thread."""

    sock: socket.socket
    deadline: float
    steps: Steps[None]


class Door(threading.Thread):
    """Accepts for the running event loop.

    Args:
        listeners: bound sockets; closed by this thread when it ends.
        watched: the web config file, read again here.
        house: takes the connections.
    """

    def __init__(self, listeners: Sequence[Listener], watched: WatchedConfig, house: House) -> None:
        super().__init__(name="sonde-door", daemon=True)
        self._loop = asyncio.get_running_loop()
        self._listeners = listeners
        self._watched = watched
        self._house = house
        self._batch = max(1, min(_MAX_BATCH, house.limit // _BATCH_SHARE))
        self._waiting: deque[Visitor] = deque()
        self._porch = Porch(max(SLACK, house.limit // _BATCH_SHARE), house.reject)
        self._held: set[_Held] = set()
        # since when the loop has been asked to take connections over; None when it has come
        self._asked_at: float | None = None
        self._is_stopping = False
        self._is_listening = False
        self._rests_until: float | None = None
        self._selector = selectors.DefaultSelector()
        self._wake_here, self._wake_there = socket.socketpair()
        for end in (self._wake_here, self._wake_there):
            end.setblocking(False)  # noqa: FBT003 - the interface of socket
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def stop(self) -> None:
        """Ask the thread to close the listeners and end; await `ended` for it. Any thread."""
        self._is_stopping = True
        self._wake()

    def made_room(self) -> None:
        """Tell that a connection has ended; called in the loop."""
        if not self._is_listening:
            self._wake()

    def run(self) -> None:
        try:
            self._selector.register(self._wake_here, selectors.EVENT_READ)
            while not self._is_stopping:
                self._turn()
        finally:
            self._close()

    def _hand_over(self) -> None:
        """Give a few waiting connections to the loop; runs in the loop."""
        self._asked_at = None
        for _ in range(self._batch):
            try:
                visitor = self._waiting.popleft()
            except IndexError:
                break
            if visitor.claim():
                self._house.receive(visitor)
        if self._waiting:
            self._asked_at = monotonic()
            if self._house.is_crowded("") and self._watched.state.context is not None:
                # handshakes that nobody finishes must not keep the loop from those it has
                self._loop.call_later(STORM_PAUSE_S, self._hand_over)
            else:
                self._loop.call_soon(self._hand_over)
        self.made_room()

    def _turn(self) -> None:
        self._listen_if_there_is_room()
        events = self._selector.select(self._patience())
        self._watched.refresh()
        for key, _ in events:
            if isinstance(key.data, Listener):
                self._accept(key.data)
            elif isinstance(key.data, _Held):
                self._advance(key.data)
            else:
                with suppress(BlockingIOError):
                    self._wake_here.recv(4096)
        now = monotonic()
        self._waiting.extend(self._porch.look(now, self._house.is_crowded))
        self._announce()
        self._serve_the_unattended(now)
        for held in list(self._held):
            if now > held.deadline:
                self._release(held)
            elif not self._is_registered(held):
                self._advance(held)

    def _patience(self) -> float:
        if self._held or self._porch:
            return LOOK_S
        if self._waiting:
            return UNATTENDED_TICK_S if self._hangs_for(monotonic()) > TAKE_BACK_S else TAKE_BACK_S
        return REST_S if self._rests_until is not None else TICK_S

    def _hangs_for(self, now: float) -> float:
        """Return for how long the loop has not come to take connections over, in seconds."""
        asked_at = self._asked_at
        return 0.0 if asked_at is None else now - asked_at

    def _is_full(self) -> bool:
        house = self._house
        return len(self._waiting) + len(self._held) + house.occupied >= house.limit + SLACK

    def _listen_if_there_is_room(self) -> None:
        now = monotonic()
        if self._rests_until is not None and now >= self._rests_until:
            self._rests_until = None
        if self._is_full() and self._hangs_for(now) > TAKE_BACK_S:
            self._close_oldest()
        wanted = self._rests_until is None and not self._is_full()
        if wanted == self._is_listening:
            return
        self._is_listening = wanted
        for listener in self._listeners:
            if wanted:
                self._selector.register(listener.sock, selectors.EVENT_READ, listener)
            else:
                self._selector.unregister(listener.sock)

    def _accept(self, listener: Listener) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            if self._is_full():
                return
            try:
                sock, peer = listener.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # EMFILE, ENFILE, ENOBUFS, ENOMEM: the connection stays in the backlog
                log.warning("want a free descriptor to accept with, got: %s", error.strerror)
                self._rests_until = monotonic() + REST_S
                return
            sock.setblocking(False)  # noqa: FBT003 - the interface of socket
            self._admit(Visitor(sock, owner_of(peer[0]), listener.on_loopback, monotonic()))

    def _admit(self, visitor: Visitor) -> None:
        """Let *visitor* in, or onto the porch: what TLS hides cannot be peeked at."""
        if self._watched.state.context is None and self._house.is_crowded(visitor.owner):
            visitor.is_ready = visitor.peek() is not None
            if not visitor.is_ready:
                self._porch.add(visitor)
                return
        self._waiting.append(visitor)

    def _announce(self) -> None:
        if not self._waiting or self._asked_at is not None:
            return
        self._asked_at = monotonic()
        try:
            self._loop.call_soon_threadsafe(self._hand_over)
        except RuntimeError:
            # the loop has been closed without stop()
            self._is_stopping = True

    def _close_oldest(self) -> None:
        for visitor in list(self._waiting)[:SLACK]:
            if visitor.claim():
                self._forget(visitor)
                visitor.sock.close()

    def _forget(self, visitor: Visitor) -> None:
        with suppress(ValueError):
            self._waiting.remove(visitor)

    def _serve_the_unattended(self, now: float) -> None:
        context = self._watched.state.context
        if self._hangs_for(now) < (TAKE_BACK_S if context is None else TLS_TAKE_BACK_S):
            return
        for visitor in list(self._waiting):
            wanted = context is not None or self._wants_health(visitor, now)
            if wanted and visitor.claim():
                self._forget(visitor)
                self._hold(visitor, context)

    def _wants_health(self, visitor: Visitor, now: float) -> bool:
        """Return whether a plain one is to be served here: a health check, or one too late."""
        found = visitor.peek()
        if found is None:
            return now - visitor.arrived > HEADER_TIMEOUT_S
        return not isinstance(found, Refusal) and is_health_check(self._house.inner_path(found[0]))

    def _hold(self, visitor: Visitor, context: ssl.SSLContext | None) -> None:
        sock = visitor.sock
        if context is not None:
            try:
                sock = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            except OSError:
                visitor.sock.close()
                return
        config = self._watched.state.config
        allowed = config.tls.allowed_sans if config.tls else frozenset[str]()
        steps = serve(
            sock,
            lambda head: self._house.attend(head, visitor),
            lambda secured: may_enter(secured.getpeercert(), allowed),
            config.headers,
        )
        held = _Held(sock, monotonic() + HEADER_TIMEOUT_S, steps)
        self._held.add(held)
        self._advance(held)

    def _advance(self, held: _Held) -> None:
        try:
            mask = next(held.steps)
        except (StopIteration, OSError):
            self._release(held)
            return
        if self._is_registered(held):
            self._selector.unregister(held.sock)
        if mask:
            self._selector.register(held.sock, mask, held)

    def _release(self, held: _Held) -> None:
        self._held.discard(held)
        if self._is_registered(held):
            self._selector.unregister(held.sock)
        held.steps.close()
        held.sock.close()

    def _is_registered(self, held: _Held) -> bool:
        return held.sock in self._selector.get_map()

    def _wake(self) -> None:
        # a full pipe wakes as well, and a closed one belongs to a thread that has ended
        with suppress(OSError):
            self._wake_there.send(b"\0")

    def _close(self) -> None:
        self._is_stopping = True
        for listener in self._listeners:
            listener.sock.close()
        for held in list(self._held):
            self._release(held)
        for visitor in list(self._waiting):
            if visitor.claim():
                visitor.sock.close()
        self._porch.close()
        self._selector.close()
        self._wake_here.close()
        self._wake_there.close()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._tell_end)

    def _tell_end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
