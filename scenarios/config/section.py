"""The key ``scenarios:`` of the probe file, for `probes.config.load.load`.

Light: what a scenario may say is imported for a file that has one. Knows what stands around the
scenarios of a file; what is wrong inside of one is `scenarios.config.reading`'s.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from probes.config.further import Around, Further
from probes.config.named import NAME

if TYPE_CHECKING:
    from pydantic import BaseModel

    from probes.config.load import Config
    from probes.config.mistakes import Place
    from scenarios.config.reading import Scenarios
    from scenarios.config.settings import ScenarioKeys

KEY = "scenarios"


def scenarios_of(config: "Config") -> "Mapping[str, ScenarioKeys]":
    """Return the scenarios of a file by name; none when nobody asked for them at its load."""
    found: Mapping[str, ScenarioKeys] = config.further.get(KEY, {})
    return found


def _model() -> "type[BaseModel]":
    found: type[BaseModel] = import_module("scenarios.config.settings").ScenarioKeys
    return found


def _read(pieces: "Sequence[tuple[Any, Place]]", around: Around) -> "Mapping[str, ScenarioKeys]":
    reader: Scenarios = import_module("scenarios.config.reading").Scenarios(around)
    for raw, place in pieces:
        reader.read(raw, place)
    return reader.found


SCENARIOS = Further(
    key=KEY,
    description="Load profiles over journeys by name, for sonde load.",
    model=_model,
    names=NAME,
    read=_read,
    nothing={},
)
