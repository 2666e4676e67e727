"""A scenario, the flags and this machine become a plan; or it is refused before anything is sent.

    ScenarioKeys, Flags ──> stages, pool, shards ──> ceilings, capacity ──> Planned(plan, secrets)

Blocks (journeys are compiled, files of data and of Locust are hashed): call it in a thread. Knows
neither addresses (`scenarios.rails.fences`) nor what a child does with a plan.
"""

import hashlib
import json
import os
import re
import secrets as chance
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from probes.config.load import Config
from probes.errors import ConfigError, Problem
from probes.journey.flaws import Flawed
from probes.journey.loading.compile import compile_journey
from probes.journey.loading.settings import JourneyKeys, World
from probes.journey.script.code import inside
from probes.journey.steps import Journey
from probes.units import format_duration, format_rate, short
from scenarios.config.playable import requests_of
from scenarios.config.settings import LoadKeys, PartKeys, ScenarioKeys
from scenarios.judging.rules import rules_of
from scenarios.plan import Fences, Part, Plan, Pool, Stage
from scenarios.planning.sizing import Machine, Profile, above_capacity, above_ceilings, shards_for
from scenarios.rails.fences import Refused, refusal
from scenarios.records import Secrets
from scenarios.thresholds import limits_of

_SEED_BITS = 48
# load.md 5.2: such a report must say so itself.
UNSEEN = (
    "users wait for their answer before they ask again: what a stall kept away is in no percentile"
    " (the model open counts from the intended start)"
)
# env('NAME'), and env(anything else): then nobody knows the name before.
_ENV = re.compile(r"\benv\(\s*(?:'([^'\\]+)'|\"([^\"\\]+)\"|([^\s)'\"]))", re.ASCII)
# What is told to people, not to the target.
_WORDS = frozenset({"description", "secrets"})


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line says, over the file.

    Args:
        users: of one stage without a warm-up; in the model ``open`` the pool at most.
        rate: a second, the same.
        duration: seconds, the same.
        shards: how many; None: as the file says.
        variables: of journeys.
        seed: of everything that is random.
    """

    users: int | None = None
    rate: float | None = None
    duration: float | None = None
    shards: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what it does not say.

    Args:
        plan: for every shard.
        secrets: for the children, through the socket alone.
        notes: for the report; they decide nothing.
    """

    plan: Plan
    secrets: Secrets
    notes: tuple[str, ...] = ()


def make_plan(  # noqa: PLR0913 - what the machine can do, by keyword
    config: Config,
    name: str,
    keys: ScenarioKeys,
    flags: Flags,
    *,
    cpus: int | None = None,
    descriptors: int | None = None,
    history: Mapping[str, float] | None = None,
) -> Planned:
    """Return the plan of the scenario *name*.

    Args:
        config: of the probe file.
        name: of the scenario.
        keys: its keys.
        flags: of the command line.
        cpus: that generate the load; None: those of this process.
        descriptors: of one child at most; None: the hard limit of this process.
        history: config hash -> requests a second of one shard, see `sizing.capacity_of`.

    Raises:
        ConfigError: flags that do not fit the model; a journey or a file that changed meanwhile.
        Refused: ``ceiling``, ``capacity``, ``untrusted``.
    """
    machine, load = Machine.here(cpus, descriptors), keys.load
    variables = {**config.variables, **flags.variables}
    own = read_own(config, keys, variables)
    profile = _profile(load, flags)
    shards, notes = shards_for(flags.shards or load.shards, profile, own.requests, machine)
    plan = Plan(
        run_id=os.urandom(8).hex(),
        scenario=name,
        target=keys.target,
        model=load.model,
        stages=profile.stages,
        mix=own.mix,
        users=profile.pool.max,
        iterations=load.iterations or 0,
        pool=profile.pool,
        pace_s=profile.pace_s,
        graceful_stop_s=load.graceful_stop,
        shards=shards,
        seed=_first(flags.seed, keys.seed, chance.randbits(_SEED_BITS)),
        variables=variables,
        journeys=own.journeys,
        directory=str(config.path.parent.resolve()),
        data=own.data,
        fences=Fences(config.safety.targets.allow, config.safety.targets.deny),
        limits=limits_of(rule.threshold for rule in rules_of(keys.thresholds)),
        requests_per_iteration=own.requests,
        locust_html=keys.reports.locust_html,
        max_seconds=0.0 if profile.stages else config.safety.load.max_duration,
    )
    plan = replace(plan, config_hash=config_hash(plan))
    whys = [
        *above_ceilings(plan, config.safety.load),
        *above_capacity(plan, machine, (history or {}).get(plan.config_hash)),
    ]
    if whys:
        raise Refused(*whys)
    odd = (*_odd(config, name), *notes, *(() if load.model == "open" else (UNSEEN,)))
    return Planned(plan, own.secrets, odd)


def _odd(config: Config, name: str) -> Iterator[str]:
    """Yield what the file was warned of when this scenario was read: not everybody runs a lint."""
    where = f"scenarios.{name}"
    for it in config.warnings:
        if f"{it.path}.".startswith(f"{where}."):
            yield f"{it.path.removeprefix('scenarios.')}: {it.message}"


@dataclass(frozen=True, slots=True)
class Own:
    """What of a plan stands in the files of this machine.

    Args:
        journeys: name -> its keys, without the values of secrets.
        mix: with the locust files of this machine.
        data: name of a journey -> sha256 of its file of data.
        requests: of an iteration.
        secrets: what a plan does not say.
    """

    journeys: Mapping[str, Any]
    mix: tuple[Part, ...]
    data: Mapping[str, str]
    requests: float
    secrets: Secrets


def read_own(config: Config, keys: ScenarioKeys, variables: Mapping[str, str]) -> Own:
    """Return what of a plan stands in the files of this machine; blocks.

    Args:
        config: of the probe file.
        keys: of the scenario.
        variables: of journeys.

    Raises:
        ConfigError: a journey or a file that changed meanwhile.
        Refused: ``untrusted``.
    """
    raw, environ = _journeys(config, keys), os.environ
    journeys = _compiled(config, keys, environ, variables)
    mix = _mix(config.path.parent, keys.mix)
    data = {it.name: it.feeder.digest for it in journeys.values() if it.feeder is not None}
    return Own(raw, mix, data, _requests(mix, journeys), _secrets(config, raw, environ))


def config_hash(plan: Plan) -> str:
    """Return the sha256 of what makes two runs comparable: load.md 10.2.

    Secrets, thresholds, reports, rails and everything drawn for one run are no part of it.
    """
    journeys = {
        name: {key: value for key, value in keys.items() if key not in _WORDS}
        for name, keys in plan.journeys.items()
    }
    whole = asdict(replace(plan, journeys={}))
    said = (
        "target", "model", "stages", "users", "iterations", "pool", "pace_s", "shards", "variables",
        "data", "graceful_stop_s",
    )  # fmt: skip
    mix = [[part.name, part.weight, part.sha256] for part in plan.mix]
    values = {"journeys": journeys, "mix": mix, **{key: whole[key] for key in said}}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _first(*numbers: int | None) -> int:
    return next(it for it in numbers if it is not None)


def _profile(load: LoadKeys, flags: Flags) -> Profile:
    """Return stages and users; flags replace all stages by one.

    Raises:
        ConfigError: a flag that means nothing in the model.
    """
    stages = tuple(Stage(it.duration, it.first, it.last, it.warmup) for it in load.stages)
    users = load.pool
    if load.model != "open" and flags.rate is not None:
        raise _misfit("--rate", f"want --users in the model {load.model}", format_rate(flags.rate))
    if load.model == "iterations" and flags.duration is not None:
        given = format_duration(flags.duration)
        raise _misfit("--duration", "want no duration in the model iterations", given)
    pool = Pool(users.start, users.max)
    if flags.users is not None:
        pool = Pool(min(users.start, flags.users), flags.users)
    if (flags.users, flags.rate, flags.duration) == (None, None, None) or not stages:
        return Profile(load.model, stages, pool, load.pace or 0.0)
    measured = sum(it.seconds for it in stages if it.is_measured)
    height = flags.rate if load.model == "open" else flags.users
    height = load.peak if height is None else float(height)
    stage = Stage(flags.duration or measured or load.seconds, height, height)
    return Profile(load.model, (stage,), pool, load.pace or 0.0)


def _misfit(flag: str, want: str, got: str) -> ConfigError:
    return ConfigError([Problem(flag, 0, 0, "", f"{want}, got {flag} {got}")])


def _journeys(config: Config, keys: ScenarioKeys) -> dict[str, Any]:
    """Return the journeys of the mix and what they include, without the values of secrets."""
    names = [part.journey for part in keys.mix if part.journey is not None]
    for name in names:
        names += [it for it in config.journeys[name].includes if it not in names]
    found: dict[str, Any] = {}
    for name in names:
        written = config.journeys[name]
        hidden = dict.fromkeys(written.secrets, "")
        found[name] = {**written.raw, "secrets": hidden} if hidden else dict(written.raw)
    return found


def _secrets(config: Config, raw: Mapping[str, Any], environ: Mapping[str, str]) -> Secrets:
    values = {
        name: {key: it.get_secret_value() for key, it in config.journeys[name].secrets.items()}
        for name in raw
    }
    names: set[str] = set()
    for text in _texts(raw):
        for single, double, other in _ENV.findall(text):
            if other:
                return Secrets(values, dict(environ))
            names.add(single or double)
    asked = {name: environ[name] for name in sorted(names) if name in environ}
    return Secrets({name: it for name, it in values.items() if it}, asked)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if "env(" in value:
            yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def _compiled(
    config: Config, keys: ScenarioKeys, environ: Mapping[str, str], variables: Mapping[str, str]
) -> dict[str, Journey]:
    over_http = {
        name: it.keys for name, it in config.journeys.items() if isinstance(it.keys, JourneyKeys)
    }
    world = World(config.path.parent, environ, variables, over_http)
    found: dict[str, Journey] = {}
    for part in keys.mix:
        if part.journey is None:
            continue
        try:
            found[part.journey] = compile_journey(part.journey, over_http[part.journey], world)
        except Flawed as flawed:
            raise ConfigError(
                [
                    Problem(
                        str(config.path), 0, 0,
                        ".".join(map(str, ("journeys", part.journey, *it.path))), it.message,
                    )
                    for it in flawed.flaws
                ]
            ) from None  # fmt: skip
    return found


def _mix(directory: Path, parts: tuple[PartKeys, ...]) -> tuple[Part, ...]:
    found: list[Part] = []
    for part in parts:
        if part.locustfile is None:
            found.append(Part(part.name, part.weight))
            continue
        if not part.trust:
            text = f"want trust: true beside {short(part.locustfile)}, which is code that will run"
            raise Refused(refusal("untrusted", f"{text}, got none"))
        try:
            path = inside(directory.resolve(), part.locustfile)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except ValueError as error:
            raise Refused(refusal("untrusted", str(error))) from None
        found.append(Part(part.name, part.weight, str(path), digest))
    return tuple(found)


def _requests(mix: tuple[Part, ...], journeys: Mapping[str, Journey]) -> float:
    """Return how many requests an iteration of the mix makes; a Locust task counts as one."""
    requests = {name: requests_of(it) for name, it in journeys.items()}
    total = sum(part.weight for part in mix)
    return sum(part.weight * requests.get(part.name, 1.0) for part in mix) / total
