"""The child of a load run, ``python -m scenarios.worker ROLE``: the home of Locust and gevent.

    shard             of a parent on this machine
    master ADDRESS    relays between its parent and workers on other machines
    worker ADDRESS    a shard of a master there

    plan.json     in the working directory
    SONDE_FD      its end of the socket pair; secrets come first
    SONDE_PARENT  who must be its parent; without it there is no load
    SONDE_SHARD   which shard it is

Everything else here uses the standard library, which is cooperative from the first statement on.
Exit codes: 0 the last word was said, 3 nobody is left to say it to.
"""
# pyright: basic, reportMissingTypeStubs=false

from gevent import monkey

monkey.patch_all()

import gc
import logging
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import gevent.socket

# load.md 5.5: nothing of ours or of the user's environment changes what Locust does
for _name in [name for name in os.environ if name.startswith("LOCUST_")]:
    del os.environ[_name]

import locust  # noqa: TID253 - its home
import locust.argument_parser  # noqa: TID253 - its home
import locust.env  # noqa: TID253 - its home
import locust.exception  # noqa: TID253 - its home
import locust.html  # noqa: TID253 - its home
import locust.log  # noqa: TID253 - its home
import locust.runners  # noqa: TID253 - its home
import locust.stats  # noqa: TID253 - its home
import locust.util.load_locustfile  # noqa: TID253 - its home
from locust.exception import RPCError  # noqa: TID253 - its home
from locust.user.task import DefaultTaskSet  # noqa: TID253 - its home

from probes.units import parse_number, short
from scenarios.afar.roles import PLAN_ERROR, Engine, follow, lead
from scenarios.child.channel import Channel, Link
from scenarios.child.fence import guard
from scenarios.child.machine import Locust, Machine
from scenarios.child.player import CutOff, Player
from scenarios.child.pool import Desk, Seat
from scenarios.child.process import GONE, die_with_parent, raise_limits
from scenarios.child.shard import Gone, LogHandler, Orders, Shard, refuse
from scenarios.child.stock import SETUP_WAIT_S
from scenarios.plan import Plan
from scenarios.rails.fences import Fence

# load.md 8.2: Locust alone tries for five minutes.
CONNECT_S = 60.0
NEVER_S = 86400.0


def versions() -> Mapping[str, str]:
    """Return what this child is made of."""
    python = ".".join(map(str, sys.version_info[:3]))
    return {"sonde": version("sonde"), "locust": locust.__version__, "python": python}


# --- users


class JourneyUser(locust.User):
    """A virtual user that plays a journey; Locust's runner starts it, the desk tells it what."""

    abstract = True
    seat: Seat
    desk: Desk
    make: Callable[[int], Player]

    def run(self) -> None:  # type: ignore[misc] # final for users, not for their like
        player = self.make(self.seat.number)
        try:
            while not player.prepare():
                if self.desk.rest(self.seat, SETUP_WAIT_S):
                    return
            while (ticket := self.desk.take(self.seat)) is not None:
                player.play(ticket)
                self.desk.played(self.seat, is_idle=player.is_idle)
        except CutOff:
            return
        finally:
            player.close()


_NAMES = SimpleNamespace(
    TaskSet=locust.TaskSet,
    DefaultTaskSet=DefaultTaskSet,
    StopUser=locust.exception.StopUser,
    StopTest=locust.exception.StopTest,
    goings_on=(
        locust.exception.StopUser,
        locust.exception.StopTest,
        locust.exception.InterruptTaskSet,
        locust.exception.RescheduleTask,
        locust.exception.RescheduleTaskImmediately,
    ),
)


# --- Locust


class Machinery(Engine, Locust):
    """Locust, as a shard and the roles past one machine ask for it."""

    def __init__(self) -> None:
        self.versions = versions()
        self.environment: Any = None
        self.names = _NAMES
        self.user = JourneyUser

    def new_environment(self) -> Any:
        """Return one that reads nothing of the machine."""
        parser = locust.argument_parser.get_parser(default_config_files=[])
        return locust.env.Environment(
            events=locust.events,
            parsed_options=parser.parse_args(["--headless"]),
            catch_exceptions=True,
        )

    def load_file(self, path: str) -> Any:
        return locust.util.load_locustfile.load_locustfile(path)

    def keep_history(self, environment: Any) -> None:
        gevent.spawn(locust.stats.stats_history, environment.runner)

    def page(self, environment: Any) -> str:
        report: Any = locust.html.get_html_report
        text: str = report(environment, show_download_link=False)
        return text

    def lead(self, host: str, port: int) -> Any:
        # without options: with them it ends when its last worker does
        environment = locust.env.Environment(events=locust.events)
        try:
            return environment.create_master_runner(host, port)
        except SystemExit:
            raise OSError("it in use") from None
        except RPCError as error:
            text = str(error)
            raise OSError("it in use" if "in use" in text else short(text)) from None

    def follow(self, host: str, port: int) -> Any:
        # load.md 8.4: its statistics and its log are nothing that a master of ours reads
        locust.runners.WORKER_LOG_REPORT_INTERVAL = -1
        locust.runners.WORKER_REPORT_INTERVAL = NEVER_S
        self.environment = self.new_environment()
        hooks = (locust.events.user_error, locust.events.quitting)
        before = [list(hook._handlers) for hook in hooks]  # noqa: SLF001 - as in Cleaning
        quiet: Any = False  # gevent: it ends the block, and nothing else
        with gevent.Timeout(CONNECT_S, quiet):
            self.environment.create_worker_runner(host, port)
        if self.environment.runner is None:
            raise OSError(f"want a master at {host}:{port} within {CONNECT_S:g} s, got none")
        # it would tell the master of each error, and have it quit before the last word
        for hook, listeners in zip(hooks, before, strict=True):
            hook._handlers[:] = listeners  # noqa: SLF001 - as in Cleaning
        return self.environment.runner

    def spawn(self, work: Callable[[], object]) -> None:
        handler = locust.runners.locust_exception_handler(self.environment)
        gevent.spawn(work).link_exception(handler)

    def is_broken(self) -> bool:
        return locust.log.unhandled_greenlet_exception

    def send(self, runner: Any, kind: str, data: Mapping[str, Any], client: str | None) -> None:
        try:
            runner.send_message(kind, data, client)
        except RPCError as error:
            raise ConnectionError(short(str(error))) from None

    def on_stop(self, told: Callable[[], object]) -> None:
        gevent.signal_handler(signal.SIGTERM, told)


ENGINE = Machinery()


# --- roles


def play(
    link: Link, orders: Orders, number: int, place: Path, die: Callable[[Shard], object]
) -> int:
    """Be one shard, from the plan to the last word; the same in each role.

    Args:
        link: to whoever leads the run.
        orders: that come from there.
        number: of the shard.
        place: where the plan lies and the result goes.
        die: called when nobody is left who leads, while it runs.

    Returns:
        The exit code: of a plan that cannot be played here, or 0.

    Raises:
        Gone: nobody is left who leads.
    """
    text = (place / "plan.json").read_text(encoding="utf-8")
    try:
        plan = Plan.from_json(text)
        guard(Fence(plan.fences), socket, gevent.socket)
        random.seed(f"{plan.seed}:{number}")
        shard = Shard(plan, number, link, place)
        _quiet(shard)
        machine = Machine(plan, shard, orders.wait_for_secrets(), ENGINE)
    except ValueError as error:
        refuse(link, number, str(error))
        return PLAN_ERROR
    # what is here now stays: nobody looks for garbage in it while users wait
    gc.collect()
    gc.freeze()
    shard.trouble = machine.trouble
    shard.hello(text, versions(), socket.gethostname())
    start = orders.wait_for_start()
    shard.follow(orders, partial(die, shard))
    if start is not None:
        for work in (partial(shard.tell, start), shard.beat):
            gevent.spawn(work).link_exception(machine.broke)
        machine.run(start)
    else:
        shard.stop("stopped")
    shard.over()
    shard.final()
    return 0


def _quiet(shard: Shard) -> None:
    logging.getLogger("locust").setLevel(logging.CRITICAL)
    logging.getLogger().addHandler(LogHandler(shard))


def as_shard(link: Channel, number: int, place: Path) -> int:
    """Be a shard of a parent on this machine."""
    orders = Orders(link)
    gevent.spawn(orders.listen)
    ENGINE.on_stop(lambda: orders.on_stop("SIGTERM", None))
    play(link, orders, number, place, lambda _: os._exit(GONE))
    return 0


def main(arguments: Sequence[str]) -> int:
    """Play a role: ``shard``, ``master ADDRESS`` or ``worker ADDRESS``.

    Returns:
        The exit code.
    """
    environ = {name: text for name, text in os.environ.items() if name.startswith("SONDE_")}
    for name in environ:
        del os.environ[name]
    role, *rest = arguments or [""]
    if role not in ("shard", "master", "worker") or "SONDE_FD" not in environ:
        sys.stderr.write("want to be started by sonde load, got started by somebody else\n")
        return 2
    end, parent, number = (
        int(parse_number(environ[f"SONDE_{name}"])) for name in ("FD", "PARENT", "SHARD")
    )
    die_with_parent(parent)
    raise_limits()
    link, place = Channel(end), Path.cwd()
    try:
        if role == "shard":
            return as_shard(link, number, place)
        logging.getLogger("locust").setLevel(logging.CRITICAL)
        if role == "master":
            return lead(link, rest[0], place, ENGINE)
        return follow(link, rest[0], place, ENGINE, play)
    except Gone:
        return GONE


if __name__ == "__main__":
    code = main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # greenlets of users and threads of theirs may still be there: nobody waits for them
    os._exit(code)
