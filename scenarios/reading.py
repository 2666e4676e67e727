"""Scenarios out of the files: each read by itself, then judged by what stands around it.

Knows where a mistake stands and not what makes one.
"""

import re
from typing import Any

from pydantic import ValidationError

from probes.config.further import Around
from probes.config.mistakes import Layered, Place
from probes.config.wording import got
from probes.units import short
from scenarios.section import NAME
from scenarios.settings import ScenarioKeys

_NAME = re.compile(NAME, re.ASCII)
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
        self._places: dict[str, Place] = {}

    def read(self, raw: Any, place: Place) -> None:
        """Read what one file holds at *place*."""
        if not isinstance(raw, dict):
            text = f"want a mapping of names to scenarios, got {got(raw)}"
            self._around.mistakes.add(place, text)
            return
        for name, values in raw.items():
            self._one(name, values, place / name)

    def _one(self, name: str, values: Any, place: Place) -> None:
        mistakes = self._around.mistakes
        if not _NAME.fullmatch(name):
            text = f"want a name of a-z, 0-9 and '-' such as 'nightly', got {short(name)}"
            mistakes.add(place, text, at_key=True)
        if name in self._places:
            text = f"want a unique name of a scenario, got {short(name)} again"
            mistakes.add(place, f"{text} (first at {self._places[name]})", at_key=True)
            return
        self._places[name] = place
        if len(self._places) > MAX_SCENARIOS:
            if len(self._places) == MAX_SCENARIOS + 1:
                text = f"want at most {MAX_SCENARIOS} scenarios, got more"
                mistakes.add(place, text, at_key=True)
            return
        if not isinstance(values, dict):
            mistakes.add(place, f"want a mapping with mix and load, got {got(values)}")
            return
        try:
            self.found[name] = ScenarioKeys.model_validate(values)
        except ValidationError as error:
            mistakes.refuse(error, Layered(values, (place,)), ScenarioKeys)
