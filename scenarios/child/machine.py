"""Locust around one shard: environment, runner, user classes, and its events in their order.

Locust is handed in: whoever imports it patches the process. Knows no socket and no order.
"""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from probes.units import short
from scenarios.child.crew import LocustCrew
from scenarios.child.desks import DESKS
from scenarios.child.driver import LoadDriver
from scenarios.child.hooks import Cleaned, Cleaning
from scenarios.child.loading import PlanError, load_journeys
from scenarios.child.player import CutOff, Player, Stand
from scenarios.child.pool import Desk
from scenarios.child.resolver import Resolver
from scenarios.child.shard import Shard
from scenarios.child.stock import OURS, Foreign, Stock, load_class
from scenarios.plan import Plan
from scenarios.records import Secrets, Start


class Locust(Protocol):
    """What is asked of Locust."""

    environment: Any
    """Of a runner that was there before the plan; None: there is none."""
    names: Any
    """Classes that a user of a locust file is made of, see `scenarios.child.stock`."""
    user: Any
    """The class of users that play a journey."""

    def new_environment(self) -> Any:
        """Return an environment that reads nothing of the machine."""
        ...

    def load_file(self, path: str) -> Any:
        """Import a locust file."""
        ...

    def keep_history(self, environment: Any) -> None:
        """Keep what `page` shows over time."""
        ...

    def page(self, environment: Any) -> str:
        """Return Locust's own report."""
        ...

    def is_broken(self) -> bool:
        """Return whether something that listens has ended by an exception."""
        ...


class Machine:
    """Locust around one shard: environment, runner, user classes and events.

    Args:
        plan: of the run.
        shard: whose users these are.
        secrets: what the plan does not say.
        locust: Locust.
    """

    def __init__(self, plan: Plan, shard: Shard, secrets: Secrets, locust: Locust) -> None:
        self._locust = locust
        self._plan = plan
        self._shard = shard
        self._broken = ""
        self._journeys = load_journeys(plan, secrets)
        self._secrets = secrets
        self._resolver = Resolver()
        self._found: dict[int, Any] = {}
        if any(part.locustfile for part in plan.mix) and Path(plan.directory or ".").is_dir():
            # as all paths of the configuration are; where users of Locust stand when they start it
            os.chdir(plan.directory or ".")
        for index, part in enumerate(plan.mix):
            if part.locustfile:
                self._found[index], warning = load_class(part, locust.load_file)
                # what the file imports while it runs stands beside it
                sys.path.append(str(Path(part.locustfile).parent))
                if warning:
                    shard.log("warning", warning)
        self.environment = self._environment()
        self.desk = self._desk()

    def _environment(self) -> Any:
        made: Any = self._locust.environment or self._locust.new_environment()
        counts = self._shard.counts
        made.host = self._plan.target or None
        made.events.request = Cleaning(
            made.events.request, counts.name_of, counts.method_of, counts.text_of
        )
        made.events.user_error = Cleaning(made.events.user_error)
        return made

    def _desk(self) -> Desk:
        plan, shard = self._plan, self._shard
        crew = LocustCrew(self.broke)
        desk = DESKS[plan.model](plan, shard.number, shard.counts, crew)
        parts = {index: plan.mix[index].name for index in self._found}
        stock = Stock(self._locust.names, desk, shard.counts, self.environment, parts)
        stock.ends = self._ends
        crew.left = desk.leave
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
            self.environment.events.user_error.add_listener(stock.erred)
        self._run_by(crew)
        return desk

    def _run_by(self, crew: LocustCrew) -> None:
        """Create the runner, and let the locust files know."""
        environment = self.environment
        environment.user_classes = crew.classes
        listeners = list(environment.events.user_error.listeners)
        if environment.runner is None:
            runner = environment.create_local_runner()
            # they would kill our users one by one, and arrivals would bring new ones
            runner.stop = partial(self._ends, "runner.stop()")
            runner.quit = partial(self._ends, "runner.quit()")
        crew.runner = environment.runner
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
        return type(f"journey:{name}", (self._locust.user,), values)

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
        # who is cut off before he begins cannot say that it was meant
        if not isinstance(error, CutOff):
            self._broken = _told(error)

    def _ends(self, how: str) -> None:
        """End the run because a locust file says so: it is not the one that was planned."""
        self._shard.stop(
            "internal", None, f"want the whole plan played, got {how} of a locust file"
        )

    def trouble(self) -> str:
        """Return what broke that nobody has told of; empty: nothing."""
        if self._locust.is_broken():
            return "want listeners and greenlets of the locust file to work, got an exception"
        return self._broken

    def _heed(self, error: BaseException | None) -> bool:
        """End the run with a last word when a listener of a locust file breaks, or exits."""
        if not isinstance(error, Exception | SystemExit):
            return False
        self._shard.stop("internal", None, _told(error))
        return True

    # --- its life

    def spawned(self) -> None:
        """Tell the listeners that the first users are there."""
        users = self.environment.runner.user_count
        self.environment.events.spawning_complete.fire(user_count=users)

    def run(self, start: Start) -> None:
        """Play the plan, in the order of events that locust files expect."""
        events, environment, shard = self.environment.events, self.environment, self._shard
        if self._plan.locust_html:
            self._locust.keep_history(environment)
        with Foreign(self._heed):
            events.test_start.fire(environment=environment)
            shard.run(self.desk, start, self.spawned)
        events.test_stopping.fire(environment=environment)
        shard.end(self.desk)
        events.test_stop.fire(environment=environment)
        events.quitting.fire(environment=environment, reverse=True)
        if self._plan.locust_html:
            text = self._locust.page(environment)
            path = shard.place / f"locust-{shard.number}.html"
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        shard.exit_code = environment.process_exit_code


def _told(error: BaseException) -> str:
    return f"want no exception in a user, got {type(error).__name__}: {short(str(error))}"
