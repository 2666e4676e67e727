"""One probe, or another entry, with every setting it ended up with: secrets starred, as YAML."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import yaml
from pydantic import BaseModel

from probes.config.journeys import Written
from probes.journey.loading.families import FAMILIES
from probes.journey.loading.keys import REFERENCE
from probes.journey.loading.overrides import overridden
from probes.probe import Probe, Slo
from probes.redact import STARS, Redactor, redact_shapes
from probes.result import TARGET_REASONS, Reason
from probes.units import format_duration

NONE: Mapping[str, Written] = {}
NOTHING: Mapping[str, str] = {}
# Lists of steps, and what comes first in one of them.
_PARTS = frozenset({"setup", "steps", "cleanup"})
_FIRST = ("name", *(key for family in FAMILIES for key in family.told_by))
# They hold names and no values, whatever they sound like.
_NAMING = frozenset({"cookie", "header"})


def explain(
    probe: Probe, journeys: Mapping[str, Written] = NONE, variables: Mapping[str, str] = NOTHING
) -> str:
    """Return *probe* as it could stand in a probe file, but for its secrets.

    Args:
        probe: to show.
        journeys: of the file; the one that the probe plays is shown behind it.
        variables: of ``--var``, which stand in place of those of the file.
    """
    keys: dict[str, Any] = {
        "name": probe.name,
        "kind": probe.kind.name,
        # an entry of `chains` holds its endpoints instead
        **({} if is_entry_of_chains(probe) else {"target": probe.display}),
        "every": format_duration(probe.every_s),
        "timeout": format_duration(probe.timeout_s),
        "retries": probe.retries,
        "retry_every": format_duration(probe.retry_every_s),
        **_must_fail(probe.must_fail),
        "tags": sorted(probe.tags),
        "labels": dict(probe.labels),
        "severity": probe.severity,
        "incident": {
            "open_after": probe.incident.open_after,
            "close_after": probe.incident.close_after,
        },
        "depends_on": list(probe.depends_on),
        "runbook": probe.runbook,
        **({"slo": _slo(probe.slo)} if probe.slo is not None else {}),
    }
    redact = probe.redact
    head = redact(f"# {probe.source}" + (f", module {probe.module}" if probe.module else ""))
    dumped = probe.kind.model_dump(mode="json", by_alias=True)
    shown = {key: _text(value, key, redact) for key, value in keys.items()}
    shown |= _settings(probe.kind, dumped, redact)
    return f"{head}\n{_yaml(shown)}" + _journeys(probe, journeys, variables)


def explain_entry(name: str, settings: BaseModel, redact: Redactor) -> str:
    """Return a named group of settings as it could stand in a probe file, but for its secrets."""
    shown = _settings(settings, settings.model_dump(mode="json", by_alias=True), redact)
    return _yaml({name: shown})


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


def _journeys(probe: Probe, journeys: Mapping[str, Written], variables: Mapping[str, str]) -> str:
    """Return the journey that *probe* plays and those that it includes, as they are in force."""
    waiting, shown = [getattr(probe.kind, "journey", "")], dict[str, str]()
    while waiting:
        name = waiting.pop(0)
        written = journeys.get(name)
        if written is None or name in shown:
            continue
        keys = written.keys.model_dump(mode="json", by_alias=True, exclude_unset=True)
        if "vars" in keys:
            given = {key: text for key, text in variables.items() if key in keys["vars"]}
            keys["vars"] |= {key: overridden(keys["vars"][key], it) for key, it in given.items()}
        redact = probe.redact | written.hidden
        text = _yaml({name: _in_journey(keys, "", redact)})
        shown[name] = probe.redact(f"\n# {written.source}") + f"\n{text}"
        waiting += written.includes
    return "".join(shown.values())


def _in_journey(value: Any, key: str, redact: Redactor) -> Any:
    """Return *value* without secrets; ``${...}`` of the run stays: it says where one is used."""
    if isinstance(value, dict):
        return {redact(name): _in_journey(item, name, redact) for name, item in value.items()}
    if isinstance(value, list):
        steps = key in _PARTS
        return [_in_journey(_verb_first(it) if steps else it, key, redact) for it in value]
    if not isinstance(value, str):
        return value
    if key in _NAMING:
        return redact(value)
    ends = [0, *(end for found in REFERENCE.finditer(value) for end in found.span()), len(value)]
    pieces = [value[begin:end] for begin, end in pairwise(ends)]
    # every other piece is a reference
    pieces[::2] = [_shown(piece, key, redact) if piece else "" for piece in pieces[::2]]
    return "".join(pieces)


def _verb_first(step: Any) -> Any:
    """Return a step as people write it: its name, what it does, and the rest."""
    if not isinstance(step, dict):
        return step
    return {key: step[key] for key in _FIRST if key in step} | step


def is_entry_of_chains(probe: Probe) -> bool:
    """Return whether *probe* holds its endpoints itself."""
    return probe.kind.is_group and probe.target == probe.name


def _settings(settings: BaseModel, dumped: Mapping[str, Any], redact: Redactor) -> dict[str, Any]:
    """Return *dumped* without the keys that hold nothing by default; a wanted null stays."""
    shown: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        value, key = getattr(settings, name), field.alias or name
        if value is not None or field.default is not None:
            shown[key] = _value(value, dumped[key], key, redact)
    return shown


def _value(value: object, dumped: Any, key: str, redact: Redactor) -> Any:
    if isinstance(value, BaseModel):
        return _settings(value, dumped, redact)
    if isinstance(value, list | tuple) and isinstance(dumped, list):
        pairs = zip(value, dumped, strict=True)
        return [_value(item, form, key, redact) for item, form in pairs]
    return _text(dumped, key, redact)


def _text(value: Any, key: str, redact: Redactor) -> Any:
    """Return *value* without secrets, and so that a text with ``${`` stays as it is when loaded.

    Text by text and not the page: stars in the middle of YAML are an alias.
    """
    if isinstance(value, dict):
        return {redact(name): _text(item, name, redact) for name, item in value.items()}
    if isinstance(value, list):
        return [_text(item, key, redact) for item in value]
    if not isinstance(value, str):
        return value
    return _shown(value, key, redact).replace("${", "$${")


def _shown(text: str, key: str, redact: Redactor) -> str:
    # the key tells of a password that no kind declared
    head = f"{key}: "
    line = redact_shapes(head + redact(text))
    return line.removeprefix(head) if line.startswith(head) else STARS


def _must_fail(reasons: frozenset[Reason]) -> dict[str, Any]:
    if not reasons:
        return {}
    return {"must_fail": reasons == TARGET_REASONS or sorted(it.value for it in reasons)}


def _slo(slo: Slo) -> dict[str, Any]:
    if slo.latency_s is None:
        return {"objective": slo.objective}
    return {"objective": slo.objective, "latency": format_duration(slo.latency_s)}
