"""The master of a run on several machines: deals the shards, relays what they say, ends them.

    join ──> plan ──> hello ──> start ──> progress, ... ──> final      of each worker
      └──────> bye: full, late, another version                        of those that are too many

    every record goes to the parent, through the same socket as that of a shard on its own machine

Knows neither Locust nor its sockets: they hand in the messages and a way to send. Nothing in here
waits for a worker. It runs in a child, in cooperative threads.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

from probes.units import short
from scenarios.afar import message
from scenarios.afar.message import Join, Message
from scenarios.child.channel import Link
from scenarios.codec import REPORTS, Decoder, encode
from scenarios.plan import Plan
from scenarios.records import Bye, Final, Left, Log, Record, Start, Stop

SHARED = ("sonde", "locust")
"""Of these master and workers have the same version."""
WATCH_S = 1.0
Send = Callable[[str, Mapping[str, Any], str], None]


@dataclass(slots=True)
class _Guest:
    """A worker with a shard."""

    client: str
    shard: int
    host: str
    decoder: Decoder = field(default_factory=lambda: Decoder(REPORTS))
    number: int = 0
    result: list[bytes] = field(default_factory=list)
    size: int = 0
    is_open: bool = True
    why: str = ""
    """It was told to leave; empty: it was not."""


class Master:
    """One run and its workers.

    Args:
        text: the plan, as it goes to the workers.
        place: where the parent looks for result files.
        parent: whom every record goes to.
        send: gives a message to a worker, by its name; must not wait.
        versions: of this machine.
    """

    def __init__(
        self, text: str, place: Path, parent: Link, send: Send, versions: Mapping[str, str]
    ) -> None:
        self.plan = Plan.from_json(text)
        self.dropped = 0
        """Messages that were no part of this run."""
        self.is_over = Event()
        self._text = text
        self._place = place
        self._parent = parent
        self._send = send
        self._versions = versions
        self._guests: dict[str, _Guest] = {}
        self._outgoing: SimpleQueue[Record | None] = SimpleQueue()
        self._has_begun = False
        self._sent = 0

    # --- from workers

    def heard(self, kind: str, client: str, data: object) -> None:
        """Take a message of whoever reaches the port; never waits."""
        try:
            it = message.unpack(data)
            if kind == message.JOIN:
                self._join(client, Join.from_bytes(it.body))
                return
        except ValueError:
            self.dropped += 1
            return
        guest = self._guests.get(client)
        if guest is None or it.run != self.plan.run_id or it.number <= guest.number:
            self.dropped += 1
            return
        guest.number = it.number
        if not guest.is_open:
            # a lost one that has come back
            self._tell(message.BYE, message.text_body(guest.why), client)
            return
        try:
            self._take(kind, guest, it)
        except (ValueError, OSError) as error:
            self._lose(guest, str(error))

    def _join(self, client: str, join: Join) -> None:
        guest = self._guests.get(client)
        if guest is not None:
            if guest.is_open:
                self._offer(guest)
            else:
                self._tell(message.BYE, message.text_body(guest.why), client)
            return
        taken = len(self._guests)
        if self._has_begun or taken >= self.plan.shards:
            late = "the run has begun" if self._has_begun else "there are as many"
            text = f"want {self.plan.shards} workers, got another: {late}"
            self._tell(message.BYE, message.text_body(text), client)
            return
        guest = self._guests[client] = _Guest(client, taken, join.host)
        other = [it for it in SHARED if join.versions.get(it) != self._versions.get(it)]
        if other:
            own, its = (_versions(other, it) for it in (self._versions, join.versions))
            self._lose(guest, f"want {own} on {short(join.host)}, got {its}")
        else:
            self._offer(guest)

    def _offer(self, guest: _Guest) -> None:
        self._tell(message.PLAN, message.plan_body(guest.shard, self._text), guest.client)

    def _take(self, kind: str, guest: _Guest, it: Message) -> None:
        """Take a message of a worker that plays.

        Raises:
            ValueError: it cannot be believed any more.
            OSError: its result cannot be written.
        """
        if kind == message.REFUSE:
            self._lose(guest, f"{guest.host} refuses: {message.read_text(it.body)}")
        elif kind == message.RESULT:
            guest.size += len(it.body)
            if guest.size > message.MAX_RESULT:
                raise ValueError(f"want a result of at most {message.MAX_RESULT} bytes, got more")
            guest.result.append(it.body)
        elif (record := guest.decoder.feed(it.body)) is not None:
            self._relay(guest, record)

    def _relay(self, guest: _Guest, record: Record) -> None:
        number = getattr(record, "shard", -1)
        if number != guest.shard or isinstance(record, Left):
            raise ValueError(f"want a record of shard {guest.shard}, got {short(record)}")
        if isinstance(record, Final):
            name = f"result-{guest.shard}.json"
            if record.file not in ("", name):
                raise ValueError(f"want the result {name}, got {short(record.file)}")
            (self._place / name).write_bytes(b"".join(guest.result))
            guest.result.clear()
            guest.is_open = False
            guest.why = "the run is over"
            # it may go: what it said was heard
            self._tell(message.BYE, b"", guest.client)
        self._outgoing.put(record)
        self._look()

    # --- from the parent

    def listen(self) -> None:
        """Take the parent's orders, to their end.

        Raises:
            ValueError: what came is no order.
        """
        for order in self._parent.listen():
            if isinstance(order, Start):
                self._has_begun = True
                self._tell_all(Start(0.0))
            elif isinstance(order, Stop):
                self.stop(order)
            elif isinstance(order, Bye):
                for guest in self._open_ones():
                    if guest.shard == order.shard:
                        self._lose(guest, order.text)

    def stop(self, order: Stop) -> None:
        """Let all workers end."""
        self._has_begun = True
        self._tell_all(order)

    # --- its life

    def pump(self) -> None:
        """Give the parent what there is to say, one after the other, until the run is over."""
        while (record := self._outgoing.get()) is not None:
            # what does not go out in time stays, and is the first of the next time
            self._parent.deliver(record)
        self.is_over.set()

    def watch(self, missing: Callable[[], Collection[str]], trouble: Callable[[], bool]) -> bool:
        """Say each second that the run goes on, and see who is gone, until it is over.

        Args:
            missing: names of workers that Locust hears no more.
            trouble: whether Locust's own listeners are dead.

        Returns:
            Whether it ended by itself; False: of trouble.
        """
        while not self.is_over.wait(WATCH_S):
            if trouble():
                self._dismiss("want messages on the port that Locust can read, got others")
                self.is_over.wait(WATCH_S)
                return False
            gone = missing()
            for guest in self._open_ones():
                if guest.client in gone:
                    self._lose(guest, f"want a sign of life of {guest.host}, got none")
                else:
                    self._tell(message.TICK, b"", guest.client)
        return True

    def _dismiss(self, text: str) -> None:
        """End the run: nobody can be heard any more."""
        done = {it.shard for it in self._guests.values() if not it.is_open}
        for guest in self._open_ones():
            guest.is_open, guest.why = False, text
            self._tell(message.BYE, message.text_body(text), guest.client)
        for number in range(self.plan.shards):
            if number not in done:
                self._outgoing.put(Left(number, text))
        self._outgoing.put(None)

    def _lose(self, guest: _Guest, text: str) -> None:
        guest.is_open, guest.why = False, text or "lost"
        guest.result.clear()
        self._tell(message.BYE, message.text_body(guest.why), guest.client)
        self._outgoing.put(Left(guest.shard, text))
        self._look()

    def _look(self) -> None:
        if len(self._guests) == self.plan.shards and not self._open_ones():
            if self.dropped:
                text = f"{self.dropped} messages on the port were no part of the run"
                self._outgoing.put(Log(0, "warning", text))
            self._outgoing.put(None)

    def _open_ones(self) -> list[_Guest]:
        return [it for it in self._guests.values() if it.is_open]

    def _tell_all(self, record: Start | Stop) -> None:
        kind = f"{message.PREFIX}{type(record).__name__.lower()}"
        for guest in self._open_ones():
            for part in encode(record):
                self._tell(kind, part, guest.client)

    def _tell(self, kind: str, body: bytes, client: str) -> None:
        self._sent += 1
        self._send(kind, Message(self.plan.run_id, self._sent, body).packed(), client)


def _versions(names: Collection[str], them: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {short(them.get(name, 'none'))}" for name in names)
