"""What is odd about a scenario and no mistake: what will be refused, and what will prove nothing.

Each is a warning of ``sonde lint``: another flag, host or row may make it right. Knows no mistake.
"""

import math
from collections.abc import Iterator

from probes.config.further import Around
from probes.journey.flaws import Flaw
from probes.units import short
from scenarios.arrivals import count
from scenarios.config.playable import requests_of
from scenarios.config.references import hosts_of, journeys_of
from scenarios.config.settings import LoadKeys, ScenarioKeys, ThresholdKeys
from scenarios.plan import Fences, Stage
from scenarios.rails.fences import Fence
from scenarios.thresholds import Threshold, parse

# They narrow both sides of a rate, and say how a request went: their share is of themselves.
_OF_THE_END = ("code_class", "outcome")


def advice(keys: ScenarioKeys, around: Around) -> Iterator[Flaw]:
    """Yield what is odd about *keys*, none of which is a mistake."""
    yield from _rails(keys, around)
    yield from _samples(keys, around)
    yield from _rows(keys, around)
    for at, wish in enumerate(keys.thresholds):
        try:
            threshold = parse(wish.expr)
        except ValueError:
            continue  # told as a mistake
        yield from _share(threshold, at)
        yield from _without_abort(wish, at)


# ---------------------------------------------------------------- what will be refused
def _rails(keys: ScenarioKeys, around: Around) -> Iterator[Flaw]:
    safety = around.sections.safety
    if not safety.targets.allow:
        text = "want safety.targets.allow to say where loads may go, got none"
        yield Flaw((), f"{text}: this scenario will be refused", at_key=True)
    else:
        yield from _outside(keys, around)
    for host in hosts_of(keys, around):
        if keys.schedule and host in safety.load.protected and host not in keys.confirm:
            text = f"want confirm: [{host}] beside a schedule, got none for the protected host"
            yield Flaw(("schedule",), f"{text}: its runs will be refused", at_key=True)


def _outside(keys: ScenarioKeys, around: Around) -> Iterator[Flaw]:
    targets = around.sections.safety.targets
    fence = Fence(Fences(targets.allow, targets.deny))
    for host in hosts_of(keys, around):
        if not fence.admits_name(host):
            text = f"want a host of safety.targets.allow, got {short(host)}"
            path = ("target",) if keys.target else ("mix",)
            yield Flaw(path, f"{text}: this scenario will be refused")


# ---------------------------------------------------------------- what will prove nothing
def _samples(keys: ScenarioKeys, around: Around) -> Iterator[Flaw]:
    journeys = journeys_of(keys, around)
    if any(part.journey not in journeys for part in keys.mix):
        return  # nobody knows how many requests the others make
    iterations = _iterations(keys.load, measured_only=True)
    if iterations is None:
        return
    most = math.ceil(iterations * max(map(requests_of, journeys.values()), default=0.0))
    if keys.min_samples > most:
        text = f"want at most the {most} requests that are planned, got {keys.min_samples}"
        yield Flaw(("min_samples",), f"{text}: its runs will be inconclusive")


def _rows(keys: ScenarioKeys, around: Around) -> Iterator[Flaw]:
    iterations = _iterations(keys.load, measured_only=False)
    if iterations is None:
        return
    journeys = journeys_of(keys, around)
    for at, part in enumerate(keys.mix):
        journey = journeys.get(part.journey or "")
        feeder = journey.feeder if journey else None
        if feeder is not None and feeder.pick == "unique" and feeder.length < iterations:
            text = f"want a row of {feeder.path} for each of {iterations} iterations"
            less = f"{text} (pick: unique), got {feeder.length}"
            yield Flaw(("mix", at, "journey"), f"{less}: the others will fail by our own fault")


def _iterations(load: LoadKeys, *, measured_only: bool) -> int | None:
    """Return how many are planned; None: as many as users come to."""
    if load.model == "iterations":
        return load.iterations
    if load.model == "closed":
        return None
    stages = [Stage(it.duration, it.first, it.last, it.warmup) for it in load.stages]
    return count([it for it in stages if it.is_measured or not measured_only])


def _share(threshold: Threshold, at: int) -> Iterator[Flaw]:
    for label in threshold.labels:
        if threshold.aggregate == "rate" and label.is_equal and label.name in _OF_THE_END:
            text = f"want count({threshold.metric}{{...}}) to ask how many, got their share among"
            alone = f"{text} the requests with {label}: no data while there is none"
            yield Flaw(("thresholds", at, "expr"), alone)


def _without_abort(wish: ThresholdKeys, at: int) -> Iterator[Flaw]:
    """Yield what says when a rule is looked at while the run goes on, and the rule ends none."""
    for name in ("window", "after", "for_"):
        if name in wish.model_fields_set and not wish.abort:
            key = name.rstrip("_")
            text = f"want abort: true beside {key}, got none: at its end all of a run is judged"
            yield Flaw(("thresholds", at, key), text, at_key=True)
