"""The child of a load run, ``python -m scenarios.worker shard``: the home of Locust and gevent.

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
import locust.stats  # noqa: TID253 - its home
import locust.util.load_locustfile  # noqa: TID253 - its home
from locust.user.task import DefaultTaskSet  # noqa: TID253 - its home

from probes.units import parse_number, short
from scenarios.child.channel import Channel, Link
from scenarios.child.crew import LocustCrew
from scenarios.child.desks import DESKS
from scenarios.child.driver import LoadDriver
from scenarios.child.fence import guard
from scenarios.child.hooks import Cleaned, Cleaning
from scenarios.child.loading import PlanError, load_journeys
from scenarios.child.player import CutOff, Player, Stand
from scenarios.child.pool import Desk, Seat
from scenarios.child.process import GONE, die_with_parent, raise_limits
from scenarios.child.resolver import Resolver
from scenarios.child.shard import Gone, LogHandler, Orders, Shard, refuse
from scenarios.child.stock import OURS, SETUP_WAIT_S, Stock, load_class
from scenarios.plan import Plan
from scenarios.rails.fences import Fence
from scenarios.records import Secrets, Start


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
            self.desk.leave(self.seat)


# --- the shard


class Machine:
    """Locust around one shard: environment, runner, user classes and events.

    Args:
        plan: of the run.
        shard: whose users these are.
        secrets: what the plan does not say.
    """

    def __init__(self, plan: Plan, shard: Shard, secrets: Secrets) -> None:
        self._plan = plan
        self._shard = shard
        self._broken = ""
        self._journeys = load_journeys(plan, secrets)
        self._secrets = secrets
        self._resolver = Resolver()
        self._found: dict[int, Any] = {}
        for index, part in enumerate(plan.mix):
            if part.locustfile:
                load = locust.util.load_locustfile.load_locustfile
                self._found[index], warning = load_class(part, load)
                # what the file imports while it runs stands beside it
                sys.path.append(str(Path(part.locustfile).parent))
                if warning:
                    shard.log("warning", warning)
        self.environment = self._environment()
        self.desk = self._desk()

    def _environment(self) -> Any:
        parser = locust.argument_parser.get_parser(default_config_files=[])
        made = locust.env.Environment(
            events=locust.events,
            host=self._plan.target or None,
            parsed_options=parser.parse_args(["--headless"]),
            catch_exceptions=True,
        )
        made.events.request = Cleaning(made.events.request, self._shard.counts.name_of)
        made.events.user_error = Cleaning(made.events.user_error)
        return made

    def _desk(self) -> Desk:
        plan, shard = self._plan, self._shard
        crew = LocustCrew(self.broke)
        desk = DESKS[plan.model](plan, shard.number, shard.counts, crew)
        parts = {index: plan.mix[index].name for index in self._found}
        stock = Stock(_NAMES, desk, shard.counts, self.environment, parts)
        crew.classes = [
            stock.subclass(self._found[index]) if index in self._found
            else self._journey(part.name, desk)
            for index, part in enumerate(plan.mix)
        ]  # fmt: skip
        if plan.target:
            for kind in crew.classes:
                kind.host = plan.target
        if parts:
            stock.install()
            self.environment.events.request.add_listener(stock.heard)
        self._run_by(crew)
        return desk

    def _run_by(self, crew: LocustCrew) -> None:
        """Create the runner, and let the locust files know."""
        environment = self.environment
        environment.user_classes = crew.classes
        listeners = list(environment.events.user_error.listeners)
        crew.runner = environment.create_local_runner()
        # it would keep and format a traceback of each error, for a page that nobody serves
        environment.events.user_error.listeners = listeners
        environment.events.init.fire(environment=environment, runner=crew.runner, web_ui=None)
        if text := self.trouble():
            raise PlanError(text)

    def _journey(self, name: str, desk: Desk) -> Any:
        plan, journey = self._plan, self._journeys[name]
        stand = Stand(
            journey,
            plan.run_id,
            plan.seed,
            plan.target,
            self._secrets.environ,
            self._shard.counts,
            self._tell if plan.locust_html or self._found else None,
        )

        def make(number: int) -> Player:
            return Player(stand, LoadDriver(journey.tls, self._resolver), number)

        values = {"desk": desk, "make": staticmethod(make), "__module__": __name__}
        return type(f"journey:{name}", (JourneyUser,), values)

    def _tell(self, method: str, step: str, seconds: float, size: int, failure: Any) -> None:
        """Let Locust's listeners know of a request that a journey has made."""
        self.environment.events.request.fire(
            request_type=method,
            name=step,
            response_time=seconds * 1000,
            response_length=size,
            exception=Cleaned(failure.message) if failure is not None else None,
            context=OURS,
        )

    # --- what goes wrong

    def broke(self, greenlet: Any) -> None:
        """Take note of a greenlet that an exception has ended."""
        error = greenlet.exception
        self._broken = (
            f"want no exception in a user, got {type(error).__name__}: {short(str(error))}"
        )

    def trouble(self) -> str:
        """Return what broke that nobody has told of; empty: nothing."""
        if locust.log.unhandled_greenlet_exception:
            return "want listeners and greenlets of the locust file to work, got an exception"
        return self._broken

    # --- its life

    def begin(self) -> None:
        """Tell the listeners that the test starts."""
        self.environment.events.test_start.fire(environment=self.environment)

    def spawned(self) -> None:
        """Tell the listeners that the first users are there."""
        users = self.environment.runner.user_count
        self.environment.events.spawning_complete.fire(user_count=users)

    def run(self, start: Start) -> None:
        """Play the plan, in the order of events that locust files expect."""
        events, environment, shard = self.environment.events, self.environment, self._shard
        if self._plan.locust_html:
            gevent.spawn(locust.stats.stats_history, environment.runner)
        self.begin()
        shard.run(self.desk, start, self.spawned)
        events.test_stopping.fire(environment=environment)
        shard.end(self.desk)
        events.test_stop.fire(environment=environment)
        events.quitting.fire(environment=environment, reverse=True)
        if self._plan.locust_html:
            report: Any = locust.html.get_html_report
            text = report(environment, show_download_link=False)
            path = shard.place / f"locust-{shard.number}.html"
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        shard.exit_code = environment.process_exit_code


_NAMES = SimpleNamespace(
    TaskSet=locust.TaskSet,
    DefaultTaskSet=DefaultTaskSet,
    StopUser=locust.exception.StopUser,
    goings_on=(
        locust.exception.StopUser,
        locust.exception.StopTest,
        locust.exception.InterruptTaskSet,
        locust.exception.RescheduleTask,
        locust.exception.RescheduleTaskImmediately,
    ),
)


# --- roles


def play(link: Link, orders: Orders, number: int, place: Path) -> None:
    """Be one shard, from the plan to the last word; the same in each role.

    Args:
        link: to whoever leads the run.
        orders: that come from there.
        number: of the shard.
        place: where the plan lies and the result goes.

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
        machine = Machine(plan, shard, orders.wait_for_secrets())
    except ValueError as error:
        refuse(link, number, str(error))
        return
    # what is here now stays: nobody looks for garbage in it while users wait
    gc.collect()
    gc.freeze()
    shard.trouble = machine.trouble
    shard.hello(text, versions(), socket.gethostname())
    start = orders.wait_for_start()
    shard.follow(orders, partial(os._exit, GONE))
    if start is not None:
        for work in (partial(shard.tell, start), shard.beat):
            gevent.spawn(work).link_exception(machine.broke)
        machine.run(start)
    else:
        shard.stop("stopped")
    shard.over()
    shard.final()


def _quiet(shard: Shard) -> None:
    logging.getLogger("locust").setLevel(logging.CRITICAL)
    logging.getLogger().addHandler(LogHandler(shard))


def as_shard(environ: Mapping[str, str]) -> None:
    """Be a shard of a parent on this machine."""
    end, parent, number = (
        int(parse_number(environ[f"SONDE_{name}"])) for name in ("FD", "PARENT", "SHARD")
    )
    die_with_parent(parent)
    raise_limits()
    link = Channel(end)
    orders = Orders(link)
    gevent.spawn(orders.listen)
    gevent.signal_handler(signal.SIGTERM, lambda: orders.on_stop("SIGTERM", None))
    play(link, orders, number, Path.cwd())


ROLES: Mapping[str, Callable[[Mapping[str, str]], None]] = {"shard": as_shard}


def main(arguments: Sequence[str]) -> int:
    """Play a role.

    Returns:
        The exit code.
    """
    role = ROLES.get(arguments[0]) if len(arguments) == 1 else None
    environ = {name: text for name, text in os.environ.items() if name.startswith("SONDE_")}
    for name in environ:
        del os.environ[name]
    if role is None or "SONDE_FD" not in environ:
        sys.stderr.write("want to be started by sonde load, got started by somebody else\n")
        return 2
    try:
        role(environ)
    except Gone:
        return GONE
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # greenlets of users and threads of theirs may still be there: nobody waits for them
    os._exit(code)
