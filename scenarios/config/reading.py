"""Scenarios out of the files: each read by itself, then judged by what stands around it.

Knows where a mistake stands and not what makes one.
"""

from collections.abc import Iterator
from typing import Any, cast

from pydantic import ValidationError

from probes.config.further import Around
from probes.config.mistakes import Layered, Place
from probes.config.named import Named
from probes.journey.flaws import Flaw, Path
from probes.wire.url import parse_url
from scenarios.config.advice import advice
from scenarios.config.profile import as_written, judge_profile
from scenarios.config.references import journeys_of, judge_references
from scenarios.config.settings import PoolKeys, ScenarioKeys
from scenarios.config.wishes import Mix, judge_wishes

# A file with more comes from a program.
MAX_SCENARIOS = 500


class Scenarios:
    """Reads the scenarios of all files.

    Args:
        around: what else the files say, and where mistakes go.
    """

    def __init__(self, around: Around) -> None:
        self.found: dict[str, ScenarioKeys] = {}
        """Every scenario whose keys have no mistake."""
        self._around = around
        self._named = Named(
            around.mistakes, "scenario", example="nightly", content="mix and load",
            most=MAX_SCENARIOS,
        )  # fmt: skip

    def read(self, raw: Any, place: Place) -> None:
        """Read what one file holds at *place*."""
        for name, values, at in self._named.entries(raw, place):
            self._validated(name, values, at)

    def _validated(self, name: str, values: dict[str, Any], place: Place) -> None:
        mistakes = self._around.mistakes
        try:
            keys = ScenarioKeys.model_validate(values)
        except ValidationError as error:
            mistakes.refuse(error, Layered(values, (place,)), ScenarioKeys)
            return
        self._around.secrets.update(filter(None, [parse_url(keys.prometheus.url).password]))
        self.found[name] = _bounded(keys, self._around.sections.safety.load.max_users)
        flaws = list(_flaws(keys, self._around))
        for flaw in flaws:
            at = _place(place, _in_data(as_written(keys, flaw.path), values))
            mistakes.add(at, flaw.message, at_key=flaw.at_key)
        if flaws:
            return  # what is odd about a plan that is none helps nobody
        for flaw in advice(keys, self._around):
            at = _place(place, _in_data(as_written(keys, flaw.path), values))
            mistakes.warn(at, flaw.message, at_key=flaw.at_key)


def _bounded(keys: ScenarioKeys, most: int) -> ScenarioKeys:
    """Return *keys* with a pool that nobody has written as large as the ceiling lets it be."""
    load = keys.load
    if load.model != "open" or load.users is not None or load.pool.max <= most:
        return keys
    pool = PoolKeys(start=min(load.pool.start, most), max=most)
    return keys.model_copy(update={"load_": load.model_copy(update={"users": pool})})


def _flaws(keys: ScenarioKeys, around: Around) -> Iterator[Flaw]:
    yield from judge_profile(keys, around.sections.safety.load)
    yield from judge_references(keys, around)
    yield from judge_wishes(keys, _mix(keys, around))


def _mix(keys: ScenarioKeys, around: Around) -> Mix:
    journeys = journeys_of(keys, around)
    guards = {guard.probe for guard in keys.guards}
    return Mix(
        names=[part.name for part in keys.mix],
        journeys=journeys,
        is_whole=all(part.journey in journeys for part in keys.mix),
        browsers=[
            it.name for it in around.probes if it.name in guards and it.kind.name == "browser"
        ],
    )


def _place(place: Place, path: Path) -> Place:
    return Place(place.document, (*place.path, *path))


def _in_data(path: Path, data: Any) -> Path:
    """Return as much of *path* as is written: a short form has fewer steps."""
    for at, step in enumerate(path):
        inside = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if not inside and not (isinstance(data, dict) and step in data):
            return path[:at]
        data = cast("Any", data)[step]
    return path
