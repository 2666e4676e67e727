"""All that a run needs before its first rail: how it is made, its plan, and the probes around it.

Options     of whoever starts it
Ready       plan, secrets, what must be up before, what watches meanwhile
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from probes.config.load import Config
from probes.errors import ConfigError, Problem
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.run import prepare
from scenarios.config.settings import GuardKeys, ScenarioKeys
from scenarios.course.capacities import read_capacities
from scenarios.course.filing import FILES, Wish
from scenarios.course.guards import Guard
from scenarios.course.preflight import of_journeys, watching
from scenarios.course.workers import Workers, enough_work
from scenarios.plan import Plan
from scenarios.planning.make import Flags, make_plan
from scenarios.records import Secrets

NO_FILES = Wish()
# load.md 7.1: the children's time to say that they are ready.
READY_S = 30.0
# The page is made where Locust's statistics are, and what it sends of those to a master is not
# trusted (load.md 1, 8.4): two reports of one run that contradict each other help nobody.
NO_PAGE = (
    "reports.locust_html: want Locust's own page, got none of a run on other machines: report.html "
    "has the sums of all workers"
)


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is made; what it does is the scenario's.

    Args:
        data: directory of the lock, the baselines and by default the reports.
        wish: which reports go where.
        confirmed: protected hosts that may be loaded.
        is_dry: nothing is sent: the report holds the plan and the addresses.
        standing: says which of the states of ``skip_if`` hold; nobody knows outside of the
            service.
        workers: of other machines, that play instead of children of ours.
        health: of the service that makes the run beside its probes, whose kinds and resolvers stay
            open after it; None: the run has the process to itself.
    """

    data: Path
    wish: Wish = NO_FILES
    confirmed: frozenset[str] = frozenset()
    is_dry: bool = False
    standing: Callable[[], frozenset[str]] | None = None
    health: ProberHealth | None = None
    workers: Workers | None = None

    @property
    def ready_s(self) -> float:
        """How long to wait for whoever plays."""
        return READY_S if self.workers is None else self.workers.wait_s


def wish_of(keys: ScenarioKeys, directory: Path, files: Mapping[str, Path]) -> Wish:
    """Return which reports a scenario wants below *directory*, and which *files* beside."""
    wanted = keys.reports
    asked = {
        "json": wanted.json_, "junit": wanted.junit,
        "markdown": wanted.markdown, "html": wanted.html,
    }  # fmt: skip
    return Wish(directory, tuple(form for form in FILES if asked[form]), wanted.keep, files)


@dataclass(frozen=True, slots=True)
class Ready:
    """What is ready.

    Args:
        plan: of the children.
        secrets: that it does not say.
        before: what must be up before any load is sent.
        guards: what watches while it is.
        notes: for the report.
    """

    plan: Plan
    secrets: Secrets
    before: tuple[Probe, ...]
    guards: tuple[Guard, ...]
    notes: tuple[str, ...] = ()


def make_ready(
    config: Config, name: str, keys: ScenarioKeys, flags: Flags, options: Options
) -> Ready:
    """Return what is ready; blocks (files of data, compiled journeys, contexts of TLS).

    Args:
        config: of the probe file.
        name: of the scenario.
        keys: its keys.
        flags: of the command line.
        options: how it is made.

    Raises:
        Refused: a ceiling, the capacity.
        ConfigError: a flag or a file of data that cannot be.
        OSError: a file cannot be read.
    """
    workers, history = options.workers, read_capacities(options.data)
    if workers is not None:
        flags = replace(flags, shards=workers.count)
    cpus = None if workers is None else workers.count
    planned = make_plan(config, name, keys, flags, cpus=cpus, history=history)
    if workers is not None:
        enough_work(planned.plan, workers)
    target = planned.plan.target
    try:
        before = _before(config, keys, target)
        guards = tuple(_guard(config, it, target) for it in keys.guards)
    except ValueError as error:
        where = f"scenarios.{name}.target"
        raise ConfigError([Problem(str(config.path), 0, 0, where, str(error))]) from None
    prepare((*before, *(it.probe for it in guards)))
    has_no_page = workers is not None and keys.reports.locust_html
    notes = (*planned.notes, NO_PAGE) if has_no_page else planned.notes
    return Ready(planned.plan, planned.secrets, before, guards, notes)


def _before(config: Config, keys: ScenarioKeys, target: str) -> tuple[Probe, ...]:
    if keys.preflight.probe is not None:
        return (watching(config, keys.preflight.probe, target),)
    journeys = [part.journey for part in keys.mix if part.journey is not None]
    return of_journeys(config, dict.fromkeys(journeys), target)


def _guard(config: Config, keys: GuardKeys, target: str) -> Guard:
    probe = watching(config, keys.probe, target)
    return Guard(probe, keys.failures, keys.action, keys.every or probe.every_s)
