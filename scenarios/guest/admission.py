"""Whether a worker plays what a master of another machine offers: its own file and rails decide.

    plan of the master ──> own scenario, own journeys, files and secrets ──> own rails ──> Admitted
                              └── Declined: config ───────────────────────────┴── Declined: rail

The plan names journeys; what they are stands in the file of this machine. A master can only be
stricter than it. Knows neither a process nor a message.
"""

import json
from dataclasses import dataclass, replace

from probes.config.load import Config
from probes.errors import ConfigError
from probes.journey.codec import decode
from probes.units import short
from scenarios.config.section import scenarios_of
from scenarios.plan import SCHEMA, Fences, Plan
from scenarios.planning.make import Own, config_hash, read_own
from scenarios.planning.sizing import Machine, above_capacity, above_ceilings
from scenarios.rails.fences import Refused, resolve_and_judge
from scenarios.records import Secrets

# load.md 8.3
CONFIG, MASTER, RAIL = 2, 3, 4
_SHOWN = 12


class Declined(Exception):
    """This worker does not play it.

    Args:
        text: why.
        code: exit code of ``sonde load-worker``.
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Admitted:
    """What this worker plays: a plan with its own journeys, and its own secrets."""

    plan: Plan
    secrets: Secrets
    confirmed: frozenset[str]


def read_offer(text: str) -> Plan:
    """Return the plan of a master.

    Raises:
        Declined: it is none, or one of another version.
    """
    try:
        values = json.loads(text)
        schema = values.pop("schema", None) if isinstance(values, dict) else None
        found = decode(Plan, values)
    except (ValueError, RecursionError) as error:
        raise Declined(f"want a plan of a load run, got {short(str(error))}", MASTER) from None
    if schema != SCHEMA:
        raise Declined(f"want a plan of schema {SCHEMA}, got another", MASTER)
    return found


def take_own(config: Config, offered: Plan) -> Admitted:
    """Return the plan with what stands in the files of this machine; blocks.

    Raises:
        Declined: they are others than those of the master; own ceilings.
    """
    keys = scenarios_of(config).get(offered.scenario)
    if keys is None:
        text = f"want the scenario {short(offered.scenario)} in {config.path.name}, got none"
        raise Declined(text, CONFIG)
    if offered.journeys:
        raise Declined("want a plan without journeys, got some", MASTER)
    try:
        own = read_own(config, keys, offered.variables)
    except (ConfigError, OSError) as error:
        raise Declined(str(error), CONFIG) from None
    except Refused as refused:
        raise Declined(str(refused), RAIL) from None
    _compare_files(offered, own)
    targets = config.safety.targets
    plan = replace(
        offered,
        target=keys.target,
        journeys=own.journeys,
        mix=own.mix,
        data=own.data,
        directory=str(config.path.parent.resolve()),
        fences=Fences(
            targets.allow,
            tuple(dict.fromkeys((*targets.deny, *offered.fences.deny))),
            offered.fences.allow,
        ),
    )
    its, ours = offered.config_hash, config_hash(plan)
    if its != ours:
        text = f"want the scenario {offered.scenario} as the master has it (config hash"
        raise Declined(f"{text} {short(its[:_SHOWN])}), got {short(ours[:_SHOWN])}", CONFIG)
    whys = [
        *above_ceilings(plan, config.safety.load),
        *above_capacity(plan, Machine.here(cpus=plan.shards), None),
    ]
    if whys:
        raise Declined(whys[0].text, RAIL)
    return Admitted(plan, own.secrets, frozenset(keys.confirm))


def _compare_files(offered: Plan, own: Own) -> None:
    """Compare what was hashed, by name.

    Raises:
        Declined: a file is another one.
    """
    its_mix, our_mix = ([(it.name, it.weight) for it in mix] for mix in (offered.mix, own.mix))
    if its_mix != our_mix:
        raise Declined(f"want the mix {short(its_mix)}, got {short(our_mix)}", CONFIG)
    for its, ours in zip(offered.mix, own.mix, strict=True):
        if its.sha256 != ours.sha256:
            name = its.locustfile or ours.locustfile
            raise Declined(_other(f"the locust file {name}", its.sha256, ours.sha256), CONFIG)
    for name in sorted({*offered.data, *own.data}):
        its_sum, our_sum = (data.get(name, "") for data in (offered.data, own.data))
        if its_sum != our_sum:
            raise Declined(_other(f"the data file of {name}", its_sum, our_sum), CONFIG)


def _other(what: str, its: str, ours: str) -> str:
    wanted, got = (f"sha256 {short(it[:_SHOWN])}" if it else "none" for it in (its, ours))
    return f"want {what} as the master has it ({wanted}), got {got}"


async def admit(config: Config, admitted: Admitted, confirmed: frozenset[str]) -> Admitted:
    """Judge every host of the plan by the rails of this machine.

    Args:
        config: of the probe file of this machine.
        admitted: what `take_own` has made.
        confirmed: protected hosts that may be loaded.

    Raises:
        Declined: one may not be loaded from here.
    """
    agreed = confirmed | admitted.confirmed
    try:
        resolved = await resolve_and_judge(admitted.plan, config.safety.load, agreed)
    except Refused as refused:
        raise Declined(str(refused), RAIL) from None
    except ValueError as error:
        raise Declined(str(error), MASTER) from None
    return replace(admitted, plan=resolved.plan)
