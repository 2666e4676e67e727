"""The plan's journeys, compiled in the child: the texts of the file, the values of the secrets.

Knows no file but those of data, and no user.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from probes.journey.flaws import Flawed
from probes.journey.loading.compile import compile_journey
from probes.journey.loading.settings import JourneyKeys, World
from probes.journey.steps import Journey
from probes.redact import Secret
from probes.units import short
from scenarios.plan import Plan
from scenarios.records import Secrets


class PlanError(ValueError):
    """The plan cannot be carried out here; why, in one line without any secret."""


def load_journeys(plan: Plan, secrets: Secrets) -> Mapping[str, Journey]:
    """Return the journeys of the mix, compiled, by name.

    Args:
        plan: with all journeys that these include.
        secrets: what the plan does not say.

    Raises:
        PlanError: one of them cannot be compiled, or its data is not that of the plan.
    """
    directory = Path(plan.directory or ".")
    context = {"environ": secrets.environ, "directory": directory}
    every = {
        name: _read(name, _with_secrets(keys, secrets.values.get(name, {})), context)
        for name, keys in plan.journeys.items()
    }
    world = World(directory, secrets.environ, plan.variables, every)
    found: dict[str, Journey] = {}
    for part in plan.mix:
        if part.locustfile:
            continue
        if part.name not in every:
            raise PlanError(f"want the journey {short(part.name)} in the plan, got none")
        try:
            journey = compile_journey(part.name, every[part.name], world)
        except Flawed as error:
            raise PlanError(f"journeys.{part.name}: {error}") from None
        _judge_data(journey, plan.data.get(part.name))
        found[part.name] = journey
    return found


def _with_secrets(keys: Any, values: Mapping[str, str]) -> Any:
    """Return the keys of a journey with the values of its secrets in their places."""
    if not isinstance(keys, Mapping) or not keys.get("secrets"):
        return keys
    return {**keys, "secrets": {name: Secret(values.get(name, "")) for name in keys["secrets"]}}


def _read(name: str, keys: Any, context: Mapping[str, Any]) -> JourneyKeys:
    try:
        return JourneyKeys.model_validate(keys, context=dict(context))
    except ValidationError as error:
        # neither the input nor what it holds: a secret may be part of it
        told = "; ".join(
            f"{'.'.join(map(str, it['loc']))}: {it['msg'].removeprefix('Value error, ')}"
            for it in error.errors(include_input=False, include_url=False, include_context=False)
        )
        raise PlanError(f"journeys.{name}: {told}") from None


def _judge_data(journey: Journey, wanted: str | None) -> None:
    if journey.feeder is None or not wanted or journey.feeder.digest == wanted:
        return
    raise PlanError(
        f"journeys.{journey.name}: want the rows of {journey.feeder.path} that the plan was made "
        f"with (sha256 {wanted[:12]}), got others ({journey.feeder.digest[:12]})"
    )
