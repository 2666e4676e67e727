"""The worker's end of the way to a master on another machine: records out, orders in.

    join      a shard of its run, or a reason to leave
    offer     never waits; what does not fit stays with whoever has it
    deliver   the last word, with the result before it, until the master has said that it came
    listen    orders; the end when the master has been silent for three seconds

Knows neither Locust nor a socket: messages are handed in, and a way to send.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from queue import Empty, Full, Queue, SimpleQueue
from threading import Event
from time import monotonic
from typing import Any

from scenarios.afar import message
from scenarios.afar.message import Join, Message
from scenarios.child.channel import DELIVERY_S, Link
from scenarios.codec import MAX_BYTES, Decoder, encode
from scenarios.records import Final, Hello, Offer, Record, Start, Stop

# load.md 8.4: what waits to be sent; beyond it the counts stay with the shard.
MAX_WAITING = 5
# A master that is there answers at once; it may have bound its port and not listen yet.
JOIN_S = 20.0
JOIN_EVERY_S = 1.0
# Our own loop may have been late: what came meanwhile is heard before the master is given up.
LATE_S = 0.2
Send = Callable[[str, Mapping[str, Any]], None]
_ORDERS = (message.START, message.STOP)


class Unwanted(Exception):
    """The master wants this worker to leave, or there is none; why, for people."""


class Remote(Link):
    """The way to one master.

    Args:
        send: gives a message to it; raises `OSError` when it cannot.
        place: where the shard writes its result.
    """

    def __init__(self, send: Send, place: Path) -> None:
        self.bye = ""
        """Why the master wants this worker to leave; empty: it does not."""
        self.is_delivered = False
        """The last word was said, and heard."""
        self._send = send
        self._place = place
        self._run = ""
        self._shard = -1
        self._digest = ""
        self._sent = 0
        self._heard = 0
        self._heard_at = monotonic()
        self._waiting: Queue[tuple[str, bytes]] = Queue(MAX_WAITING)
        self._orders: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
        self._dismissed = Event()
        self._has_said_all = False
        self._is_alone = False

    # --- in

    def heard(self, kind: str, data: object) -> None:
        """Take a message of the master; never waits."""
        try:
            it = message.unpack(data)
        except ValueError:
            return  # of a stranger: a master of ours that says no more is missed by its silence
        if self._run and (it.run != self._run or it.number <= self._heard):
            return
        self._heard, self._heard_at = it.number, monotonic()
        if kind == message.BYE:
            self.bye = message.read_text(it.body)
            self.is_delivered = self._has_said_all and not self.bye
            self._dismissed.set()
        if kind != message.TICK:
            if kind == message.PLAN and not self._run:
                self._run = it.run
            self._orders.put((kind, it.body))

    def join(self, join: Join) -> Offer:
        """Ask for a shard and return what is offered.

        Raises:
            Unwanted: there is none for this worker.
            ValueError: what came is no offer.
        """
        until = monotonic() + JOIN_S
        while monotonic() < until:
            self._say(message.JOIN, join.to_bytes())
            try:
                kind, body = self._orders.get(timeout=JOIN_EVERY_S)
            except Empty:
                continue
            if kind == message.BYE:
                raise Unwanted(self.bye or "the master wants no more workers")
            if kind == message.PLAN:
                self._shard, text = message.read_plan(body)
                self._digest = sha256(text.encode()).hexdigest()
                return Offer(self._shard, text)
        raise Unwanted(f"want an answer of the master within {JOIN_S:g} s, got none")

    def listen(self) -> Iterator[Record]:
        decoder = Decoder((Start, Stop))
        while True:
            left_s = self._heard_at + message.ALONE_S - monotonic()
            try:
                kind, body = self._orders.get(timeout=left_s if left_s > 0 else LATE_S)
            except Empty:
                if left_s > 0:
                    continue
                self._is_alone = True
                return
            if kind == message.BYE:
                if not self._has_said_all:
                    yield Stop(f"the master: {self.bye}", 0.0)
            elif kind in _ORDERS and (record := decoder.feed(body)) is not None:
                # the clock of another machine: its parent begins so much after it has said so
                yield Start(monotonic() + message.AHEAD_S) if isinstance(record, Start) else record

    # --- out

    def offer(self, record: Record) -> bool:
        parts = encode(record)
        if self._waiting.qsize() + len(parts) > max(MAX_WAITING, len(parts)):
            return False
        self._put(record, parts, DELIVERY_S)
        return True

    def deliver(self, record: Record, within_s: float = DELIVERY_S) -> bool:
        if isinstance(record, Hello):
            # the plan as the master has it; ours has the journeys of our own file
            record = replace(record, plan=self._digest)
        if not isinstance(record, Final):
            return self._put(record, encode(record), within_s)
        if self._dismissed.is_set() or self._is_alone:
            return False
        if record.file:
            self._say_result(self._place / record.file, within_s)
        self._has_said_all = True
        self._put(record, encode(record), within_s)
        self._dismissed.wait(within_s)
        return self.is_delivered

    def refuse(self, text: str) -> None:
        """Say why this worker does not play what it was offered, and wait until that is heard."""
        self._say(message.REFUSE, message.text_body(text))
        self._dismissed.wait(DELIVERY_S)

    def pump(self) -> None:
        """Send what waits, one after the other.

        Raises:
            OSError: it cannot be sent.
        """
        while True:
            self._say(*self._waiting.get())

    def _say_result(self, path: Path, within_s: float) -> None:
        with path.open("rb") as file:
            while part := file.read(MAX_BYTES):
                self._waiting.put((message.RESULT, part), timeout=within_s)

    def _put(self, record: Record, parts: list[bytes], within_s: float) -> bool:
        kind = f"{message.PREFIX}{type(record).__name__.lower()}"
        try:
            for part in parts:
                self._waiting.put((kind, part), timeout=within_s)
        except Full:
            return False
        return True

    def _say(self, kind: str, body: bytes) -> None:
        self._sent += 1
        self._send(kind, Message(self._run, self._sent, body).packed())
