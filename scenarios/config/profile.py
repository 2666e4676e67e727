"""Whether the profile of a scenario makes sense: its forms, its model, its ceilings. Pure.

Each mistake has its path below the scenario, as it is written out: a short form has none of
``load``, and `as_written` says where its mistakes stand. Knows no section but ``safety.load``.
"""

from collections.abc import Callable, Iterator, Mapping

from probes.journey.flaws import Flaw, Path
from probes.journey.safety import LoadSafety
from probes.units import format_duration, format_rate
from scenarios.config.settings import LoadKeys, ScenarioKeys, StageKeys
from scenarios.plan import Model

_SHORT = ("users", "rate", "duration")
# What a stage of each model is made of.
_HEIGHTS: Mapping[Model, str] = {"open": "rate", "closed": "users"}
_LOAD = "load"


def judge_profile(keys: ScenarioKeys, ceilings: LoadSafety) -> Iterator[Flaw]:
    """Yield what is wrong with the profile of a scenario."""
    forms = list(_profile_forms(keys))
    yield from forms
    yield from _mix_forms(keys)
    if forms and keys.load_ is None:
        return
    load = keys.load
    flaws = [*_keys_of_model(load), *_STAGES[load.model](load)]
    yield from flaws
    if not flaws:
        yield from _users(load)
        yield from _ceilings(load, ceilings)


def as_written(keys: ScenarioKeys, path: Path) -> Path:
    """Return where *path* stands in a scenario of the short form."""
    if keys.load_ is None and path[:1] == (_LOAD,):
        return path[-1:] if path[-1] in _SHORT else ("duration",)
    if "mix_" not in keys.model_fields_set and path[:1] == ("mix",):
        return ("journey",)
    return path


def _profile_forms(keys: ScenarioKeys) -> Iterator[Flaw]:
    given = [key for key in _SHORT if getattr(keys, key) is not None]
    if keys.load_ is not None:
        for key in given:
            yield Flaw((key,), f"want {key} in load.stages, got it beside load", at_key=True)
    elif keys.users is not None and keys.rate is not None:
        yield Flaw(("rate",), "want users or rate, got both", at_key=True)
    elif not given:
        yield Flaw((), "want load:, or duration: with users: or rate:, got none")
    elif keys.duration is None:
        yield Flaw((given[0],), f"want duration: beside {given[0]}:, got none", at_key=True)
    elif len(given) == 1:
        yield Flaw(("duration",), "want users: or rate: beside duration:, got none", at_key=True)


def _mix_forms(keys: ScenarioKeys) -> Iterator[Flaw]:
    if keys.journey is not None and "mix_" in keys.model_fields_set:
        yield Flaw(("mix",), "want journey: or mix:, got both", at_key=True)
    elif keys.journey is None and "mix_" not in keys.model_fields_set:
        yield Flaw((), "want mix:, or the short form journey:, got neither")
    elif keys.journey is None and not keys.mix:
        yield Flaw(("mix",), "want at least one journey or Locust file, got none")


def _keys_of_model(load: LoadKeys) -> Iterator[Flaw]:
    """Yield the keys that mean nothing in the model of a profile."""
    needs: tuple[tuple[str, bool, str], ...] = (
        ("iterations", load.model == "iterations", "want iterations in the model iterations alone"),
        ("pace", load.model != "open", "want pace in the models closed and iterations alone"),
        ("users", load.model != "closed", "want users in each of load.stages"),
        ("stages", load.model != "iterations", "want stages in the models open and closed alone"),
    )
    for key, fits, want in needs:
        if getattr(load, key) and not fits:
            yield Flaw((_LOAD, key), f"{want}, got it in the model {load.model}", at_key=True)


def _staged(load: LoadKeys) -> Iterator[Flaw]:
    height = _HEIGHTS[load.model]
    if not load.stages:
        text = f"want stages: with duration and {height} in the model {load.model}, got none"
        yield Flaw((_LOAD,), text)
        return
    flaws = [it for at, stage in enumerate(load.stages) for it in _stage(load.model, at, stage)]
    yield from flaws
    if not flaws and not any(not it.warmup and max(it.first, it.last) for it in load.stages):
        text = f"want a stage that is measured, with a {height} > 0 and no warm-up, got none"
        yield Flaw((_LOAD, "stages"), text)


def _stage(model: Model, at: int, stage: StageKeys) -> Iterator[Flaw]:
    height = _HEIGHTS[model]
    path = (_LOAD, "stages", at)
    other = "users" if height == "rate" else "rate"
    if getattr(stage, other) is not None:
        text = f"want {height} in a stage of the model {model}, got {other}"
        yield Flaw((*path, other), text, at_key=True)
    elif getattr(stage, height) is None:
        yield Flaw(path, f"want the key {height!r} in the model {model}, got none")


def _counted(load: LoadKeys) -> Iterator[Flaw]:
    if load.iterations is None:
        yield Flaw((_LOAD,), "want the key 'iterations' in the model iterations, got none")
    if load.users is not None and load.users.start != load.users.max:
        text = "want one number of users in the model iterations, got a pool"
        yield Flaw((_LOAD, "users"), text)


_STAGES: Mapping[Model, Callable[[LoadKeys], Iterator[Flaw]]] = {
    "open": _staged,
    "closed": _staged,
    "iterations": _counted,
}


def _users(load: LoadKeys) -> Iterator[Flaw]:
    pool = load.pool
    if load.model == "open" and pool.start > pool.max:
        text = f"want at most the {pool.max} of users.max, got {pool.start}"
        yield Flaw((_LOAD, "users", "start"), text)
    if load.shards > pool.max:
        text = f"want at most one shard for each of {pool.max} users, got {load.shards}"
        yield Flaw((_LOAD, "shards"), text)


def _ceilings(load: LoadKeys, ceilings: LoadSafety) -> Iterator[Flaw]:
    if load.model == "open":
        for at, stage in enumerate(load.stages):
            if (most := max(stage.first, stage.last)) > ceilings.max_rate:
                wants = f"want at most {format_rate(ceilings.max_rate)} (safety.load.max_rate)"
                path = (_LOAD, "stages", at, "rate")
                yield Flaw(path, f"{wants}, got {format_rate(most)}")
    # a pool that nobody has written is as large as may be
    if load.pool.max > ceilings.max_users and (load.users is not None or load.model == "closed"):
        yield from _too_many(load, ceilings.max_users)
    if load.seconds > ceilings.max_duration:
        wants = f"want at most {format_duration(ceilings.max_duration)} (safety.load.max_duration)"
        text = f"{wants}, got {format_duration(load.seconds)}"
        yield Flaw((_LOAD, "stages", "duration"), text)


def _too_many(load: LoadKeys, most: int) -> Iterator[Flaw]:
    want = f"want at most {most} users (safety.load.max_users), got"
    if load.model == "closed":
        for at, stage in enumerate(load.stages):
            if max(stage.first, stage.last) > most:
                path = (_LOAD, "stages", at, "users")
                yield Flaw(path, f"{want} {max(stage.first, stage.last):.0f}")
    else:
        yield Flaw((_LOAD, "users", "max"), f"{want} {load.pool.max}")
