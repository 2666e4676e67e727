"""The rule pack ``chain``: which RPC endpoint, chain, contract or indexer needs somebody now.

The rules stand in ``chain.yml`` beside this module; numbers that no metric carries come from the
config. Knows neither a file of its user nor a Prometheus.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import yaml

from exporter.generate.rules import Alert, Group, Recording
from probes.probe import Probe

# Existing routes match on it (chains.md 15).
SERVICE = {"service": "blockchain"}
DEFAULTS: Mapping[str, float] = MappingProxyType(
    {"gas_factor": 3.0, "gas_samples": 60, "failure_ratio": 0.1, "min_tx": 10, "shred_lag": 100}
)
"""Numbers of the rules that no metric carries: the defaults of the kinds."""
_OWN = "<own>"
_WORD = re.compile(r"<([a-z_]+)>")
# Groups of one family alone; the others serve all.
_FAMILIES = {"evm", "solana", "cosmos"}


def chain_groups(probes: Iterable[Probe]) -> list[Group]:
    """Return the rules for the chain groups among *probes*; none without one."""
    chains = [probe for probe in probes if probe.kind.is_group]
    if not chains:
        return []
    return [
        Group(group["name"], [_rule(rule, _numbers(watched)) for rule in group["rules"]])
        for group in _pack()["groups"]
        if (watched := [probe for probe in chains if _serves(group["name"], probe.kind.name)])
    ]


@cache
def _pack() -> Any:
    text = (files("exporter.generate") / "chain.yml").read_text("utf-8")
    return yaml.safe_load(text)


def _serves(name: str, family: str) -> bool:
    last = name.rpartition(".")[2]
    return last not in _FAMILIES or last == family


def _numbers(watched: Iterable[Probe]) -> dict[str, dict[str, float]]:
    """Return by probe the numbers that its rules hold."""
    return {probe.name: {**DEFAULTS, **probe.kind.rule_numbers()} for probe in watched}


def _rule(rule: Mapping[str, Any], numbers: Mapping[str, Mapping[str, float]]) -> Alert | Recording:
    expr = _expression(rule["expr"], numbers)
    if "record" in rule:
        return Recording(rule["record"], expr)
    return Alert(
        name=rule["alert"],
        expr=expr,
        lasts=rule.get("for", ""),
        severity=rule["severity"],
        summary=rule["summary"],
        description=rule["description"],
        labels=SERVICE,
    )


def _expression(text: str, numbers: Mapping[str, Mapping[str, float]]) -> str:
    """Return an expression with its numbers; where probes differ, one for each, joined by or."""
    words = tuple(dict.fromkeys(found for found in _WORD.findall(text) if found != "own"))
    if not words:
        return text
    by_values: dict[tuple[float, ...], list[str]] = {}
    for name, known in numbers.items():
        by_values.setdefault(tuple(known[word] for word in words), []).append(name)
    if len(by_values) == 1:
        return _filled(text, "", dict(zip(words, next(iter(by_values)), strict=True)))
    parts = [
        _filled(text, _selector(names), dict(zip(words, values, strict=True)))
        for values, names in by_values.items()
    ]
    return "\nor\n".join(f"(\n{part.rstrip()}\n)" for part in parts)


def _filled(text: str, own: str, values: Mapping[str, float]) -> str:
    for word, value in values.items():
        text = text.replace(f"<{word}>", f"{value:g}")
    return text.replace(_OWN, own)


def _selector(names: Iterable[str]) -> str:
    """Return ``{probe=~"a|b"}`` for exactly these names."""
    quoted = "|".join(re.sub(r"[.+*?()|\[\]{}^$\\]", r"\\\g<0>", name) for name in names)
    return '{probe=~"' + quoted.replace("\\", "\\\\").replace('"', '\\"') + '"}'
