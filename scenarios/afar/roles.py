"""The two roles of a child past one machine: it leads a run's workers, or is one of them.

    lead     the port, the workers, the socket to ``sonde load``
    follow   the master, the socket to ``sonde load-worker``, one shard

Locust is handed in as an `Engine`: whoever imports it patches the process.
"""

import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Timer
from time import sleep
from typing import Any, Protocol

from scenarios.afar import message
from scenarios.afar.master import Master
from scenarios.afar.message import Join
from scenarios.afar.remote import Remote, Unwanted
from scenarios.child.channel import Channel, Link
from scenarios.child.process import GONE
from scenarios.child.shard import Gone, Orders, Shard
from scenarios.records import Bye, Left, Secrets, Stop

PLAN_ERROR = 2
# What was said last leaves the process in a thread of its own.
LINGER_S = 0.3
# load.md 8.3: three seconds of silence, and no load after five.
ALONE_GRACE_S = 0.7
ALONE_END_S = 1.2
SILENCE = "want the master to be there to the end, got silence"
MAX_NAME = 256


class Engine(Protocol):
    """What is asked of Locust."""

    versions: Mapping[str, str]

    def lead(self, host: str, port: int) -> Any:
        """Return a runner that listens.

        Raises:
            OSError: it cannot.
        """
        ...

    def follow(self, host: str, port: int) -> Any:
        """Return a runner that is connected.

        Raises:
            OSError: there is no master.
        """
        ...

    def spawn(self, work: Callable[[], object]) -> None:
        """Do *work* beside; when it breaks, `is_broken`."""
        ...

    def is_broken(self) -> bool:
        """Return whether something that listens has ended by an exception."""
        ...

    def send(self, runner: Any, kind: str, data: Mapping[str, Any], client: str | None) -> None:
        """Send a message, to the master or to a worker.

        Raises:
            OSError: it cannot be sent.
        """
        ...

    def on_stop(self, told: Callable[[], object]) -> None:
        """Call *told* when this process is asked to end."""
        ...


Play = Callable[[Link, Orders, int, Path, Callable[[Shard], object]], int]


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def lead(link: Channel, address: str, place: Path, engine: Engine) -> int:
    """Lead the workers that come to *address*, and return the exit code.

    Args:
        link: to ``sonde load``.
        address: to listen on; IPv6 in brackets.
        place: where the plan lies and results go.
        engine: Locust.
    """
    try:
        runner = engine.lead(*_address(address))
    except OSError as error:
        link.deliver(Left(0, f"want to listen on {address} for workers, got {error}"))
        return GONE
    text = (place / "plan.json").read_text(encoding="utf-8")

    def send(kind: str, data: Mapping[str, Any], client: str) -> None:
        engine.send(runner, kind, data, client)

    master = Master(text, place, link, send, engine.versions)

    def heard(msg: Any, **_: Any) -> None:
        if isinstance(msg.node_id, str) and 0 < len(msg.node_id) <= MAX_NAME:
            master.heard(msg.type, msg.node_id, msg.data)

    for kind in message.OF_WORKER:
        runner.register_message(kind, heard)

    def listen() -> None:
        master.listen()
        os._exit(GONE)  # sonde load is gone: workers that hear nothing stop

    engine.spawn(listen)
    engine.spawn(master.pump)
    engine.on_stop(lambda: master.stop(Stop("SIGTERM")))
    is_well = master.watch(lambda: {it.id for it in runner.clients.missing}, engine.is_broken)
    if is_well:
        runner.quit()
    sleep(LINGER_S)
    return 0 if is_well else GONE


def follow(link: Channel, address: str, place: Path, engine: Engine, play: Play) -> int:
    """Play a shard of the master at *address*, and return the exit code.

    Args:
        link: to ``sonde load-worker``.
        address: of the master; IPv6 in brackets.
        place: where ``sonde load-worker`` puts the plan, and the result goes.
        engine: Locust.
        play: is a shard, from the plan to the last word.
    """
    try:
        runner = engine.follow(*_address(address))

        def send(kind: str, data: Mapping[str, Any]) -> None:
            engine.send(runner, kind, data, None)

        remote = Remote(send, place)
        for kind in message.OF_MASTER:
            runner.register_message(kind, lambda msg, **_: remote.heard(msg.type, msg.data))
        offer = remote.join(Join(socket.gethostname(), engine.versions))
    except (Unwanted, ValueError, OSError) as error:
        link.deliver(Left(0, str(error)))
        return GONE
    link.deliver(offer)
    orders = Orders(remote)
    for work in (orders.listen, remote.pump, lambda: _obey(link, orders, remote)):
        engine.spawn(work)
    # the parent passes a signal on, with the time that it leaves us
    engine.on_stop(lambda: None)
    try:
        orders.wait_for_secrets()
        code = play(remote, orders, offer.shard, place, partial(_alone, link))
    except Gone:
        code = GONE  # told below, with what the master said at last
    if code or not remote.is_delivered:
        link.deliver(Left(0, remote.bye or orders.wrong or SILENCE))
        return code or GONE
    return 0


def _alone(link: Channel, shard: Shard) -> None:
    """End the load of a shard whose master is silent; at the latest with the process."""
    shard.stop("parent_gone", ALONE_GRACE_S)

    def end() -> None:
        link.deliver(Left(0, SILENCE))
        os._exit(GONE)

    timer = Timer(ALONE_END_S, end)
    timer.daemon = True
    timer.start()


def _obey(link: Channel, orders: Orders, remote: Remote) -> None:
    """Do what ``sonde load-worker`` says, and end when it is gone."""
    for order in link.listen():
        if isinstance(order, Bye):
            remote.refuse(order.text)
            os._exit(0)
        elif isinstance(order, Secrets):
            orders.take(order)
        elif isinstance(order, Stop):
            # of this machine, not of the run: what it lacks must not look like less load
            orders.wrong = f"want a worker to the end, got it stopped by {order.why}"
            orders.on_stop("wrong", 0.0)
    os._exit(GONE)
