"""Journeys for tests as a file writes them: plain values in, compiled journeys or flaws out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from probes.journey.flaws import Flaw, Flawed
from probes.journey.loading.compile import compile_journey
from probes.journey.loading.settings import JourneyKeys, World
from probes.journey.steps import HttpStep, Journey, Step

ENVIRON = {"PW": "s3cretpw", "HOME": "/root"}


def read(values: Mapping[str, Any]) -> JourneyKeys:
    """Return the keys of a journey."""
    context = {"environ": ENVIRON, "directory": Path()}
    return JourneyKeys.model_validate(dict(values), context=context)


def made(
    values: Mapping[str, Any],
    others: Mapping[str, Mapping[str, Any]] | None = None,
    directory: Path = Path(),
    **variables: str,
) -> Journey:
    """Return the journey ``it``, compiled."""
    keys = read(values)
    every = {"it": keys, **{name: read(other) for name, other in (others or {}).items()}}
    world = World(directory, ENVIRON, variables, every)
    return compile_journey("it", keys, world)


def made_step(step: Mapping[str, Any], **journey: Any) -> Step:
    """Return the one step of a journey."""
    return made({"steps": [step], **journey}).steps[0]


def made_request(step: Mapping[str, Any], **journey: Any) -> HttpStep:
    """Return the one step of a journey, which is a request."""
    found = made_step({"name": "a", **step}, **journey)
    assert isinstance(found, HttpStep)
    return found


def flaws(
    values: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Flaw]:
    """Return what is wrong with a journey that has flaws."""
    with pytest.raises(Flawed) as caught:
        made(values, others)
    return list(caught.value.flaws)
