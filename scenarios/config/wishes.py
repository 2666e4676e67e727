"""Whether the thresholds and the baseline of a scenario can be judged at all. Pure.

A threshold that can never have a sample would make every run inconclusive: it is a mistake of the
file. Reads no expression itself: `scenarios.thresholds` does.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from probes.journey.flaws import Flaw, Path
from probes.journey.steps import HttpStep, Journey
from probes.result import Outcome, Reason
from probes.units import format_duration, short
from scenarios.config.playable import played
from scenarios.config.settings import LoadKeys, RegressionKeys, ScenarioKeys, ThresholdKeys
from scenarios.thresholds import Threshold, misfits, parse, parse_amount, parse_stat

# Only arrivals have an intended start.
_OF_ARRIVALS: Mapping[str, str] = {
    "iteration.latency": "iteration.duration",
    "iteration.dropped": "",
    "start.delay": "",
}
_CODE_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx", "none")
_OUTCOMES = (Outcome.UP, Outcome.DEGRADED, Outcome.DOWN)
_INTERRUPTED = "interrupted"
_BROWSER = "browser."
_SETUP = "setup.failed"


@dataclass(frozen=True, slots=True)
class Mix:
    """What the labels of a scenario can say.

    Args:
        names: of its parts.
        journeys: those over HTTP that have no mistake.
        is_whole: whether there is nothing else in it: no Locust file, no journey with a mistake.
        browsers: probes of kind ``browser`` among its guards.
    """

    names: Collection[str]
    journeys: Mapping[str, Journey]
    is_whole: bool
    browsers: Collection[str] = ()


def judge_wishes(keys: ScenarioKeys, mix: Mix) -> Iterator[Flaw]:
    """Yield what is wrong with thresholds and baseline."""
    first: dict[object, int] = {}
    for at, wish in enumerate(keys.thresholds):
        path = ("thresholds", at, "expr")
        try:
            threshold = parse(wish.expr)
        except ValueError as error:
            yield Flaw(path, str(error))
            continue
        yield from _threshold(threshold, path, keys.load, mix)
        yield from _times(wish, ("thresholds", at), keys.load)
        yield from _source(wish, threshold, ("thresholds", at))
        same = (threshold.expr, wish.level, wish.abort, wish.window, wish.after)
        if first.setdefault(same, at) != at:
            text = f"want each threshold once, got {short(threshold.expr)} again"
            yield Flaw(path, f"{text} (first at thresholds.{first[same]})")
    for at, regression in enumerate(keys.baseline.fail_on if keys.baseline else ()):
        yield from _regression(regression, ("baseline", "fail_on", at), keys.load, mix)


def _threshold(threshold: Threshold, path: Path, load: LoadKeys, mix: Mix) -> Iterator[Flaw]:
    if threshold.asks_prometheus:
        return
    metric = threshold.metric
    if metric in _OF_ARRIVALS and load.model != "open":
        instead = f"; did you mean {_OF_ARRIVALS[metric]}?" if _OF_ARRIVALS[metric] else ""
        text = f"want {metric} in the model open alone, got it in {load.model}{instead}"
        yield Flaw(path, text)
    if metric.startswith(_BROWSER) and not mix.browsers:
        yield Flaw(path, f"want a guard of kind browser for {metric}, got none")
    if metric == _SETUP and mix.is_whole and not any(it.setup for it in mix.journeys.values()):
        yield Flaw(path, f"want a journey with setup for {metric}, got none")
    for text in misfits(threshold, _labels(threshold, mix)):
        yield Flaw(path, f"{text}{_never(threshold, mix)}")


def _labels(threshold: Threshold, mix: Mix) -> dict[str, Collection[str]]:
    """Return every value that each label of *threshold* can have."""
    outcomes = [*_OUTCOMES, *([_INTERRUPTED] if threshold.metric == "iteration.latency" else ())]
    known: dict[str, Collection[str]] = {
        "journey": mix.names,
        "code_class": _CODE_CLASSES,
        "outcome": [str(it) for it in outcomes],
        "reason": [str(it) for it in Reason if not it.is_own_fault],
        "probe": mix.browsers,
    }
    asked = {it.value for it in threshold.labels if it.name == "journey" and it.is_equal}
    if mix.is_whole or (asked and asked <= mix.journeys.keys()):
        meant = [it for name, it in mix.journeys.items() if not asked or name in asked]
        # requests of a set-up are not measured
        parts = [it.setup if threshold.metric == _SETUP else (*it.steps, *it.cleanup)
                 for it in meant]  # fmt: skip
        steps = [step for part in parts for step, _ in played(part) if isinstance(step, HttpStep)]
        known["step"] = {it.common.name for it in steps}
        known["method"] = {it.method for it in steps}
    return known


def _never(threshold: Threshold, mix: Mix) -> str:
    """Return why a step that is there has no samples: its requests are those of a set-up."""
    asked = {it.value for it in threshold.labels if it.name == "step"}
    names = {step.common.name for it in mix.journeys.values() for step, _ in played(it.setup)}
    if threshold.metric == _SETUP or asked.isdisjoint(names):
        return ""
    return f"; requests of setup are not measured, {_SETUP} counts them"


def _times(wish: ThresholdKeys, path: Path, load: LoadKeys) -> Iterator[Flaw]:
    if not load.stages:
        return
    length = format_duration(load.seconds)
    if wish.window is not None and wish.window > load.seconds:
        text = f"want a window of at most the run's {length}, got {format_duration(wish.window)}"
        yield Flaw((*path, "window"), text)
    if wish.after is not None and wish.after >= load.seconds:
        text = f"want a time within the run's {length}, got {format_duration(wish.after)}"
        yield Flaw((*path, "after"), text)
    if wish.for_ > max(1, load.seconds):
        text = f"want at most one for each second of the run's {length}, got {wish.for_}"
        yield Flaw((*path, "for"), text)


def _source(wish: ThresholdKeys, threshold: Threshold, path: Path) -> Iterator[Flaw]:
    if wish.source is not None:
        meant = "prometheus" if threshold.asks_prometheus else "load"
        if wish.source != meant:
            shown = "promql(...)" if threshold.asks_prometheus else "a metric of the run"
            yield Flaw((*path, "source"), f"want {meant} for {shown}, got {wish.source}")


def _regression(wish: RegressionKeys, path: Path, load: LoadKeys, mix: Mix) -> Iterator[Flaw]:
    try:
        stat = parse_stat(wish.stat)
    except ValueError as error:
        yield Flaw((*path, "stat"), str(error))
        return
    yield from _threshold(stat, (*path, "stat"), load, mix)
    if wish.and_at_least is not None:
        try:
            parse_amount(wish.and_at_least, stat.unit)
        except ValueError as error:
            yield Flaw((*path, "and_at_least"), str(error))
