"""The rule pack ``load``: which scenario needs somebody now.

The rules stand in ``load.yml`` beside this module; how long a period is comes from the schedules of
the file. Knows neither a file of its user nor a Prometheus.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import yaml

from exporter.generate.rules import Alert, Group
from scenarios.config.cron import Cron, parse_cron

if TYPE_CHECKING:
    from scenarios.config.settings import LoadKeys, ScenarioKeys

# A fixed point, so that the same file gives the same bytes; a year of a daily schedule, and the
# weekends, months and clock changes of it.
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
MAX_TIMES = 400
# What comes more seldom than this is taken for yearly.
ENOUGH = timedelta(days=3 * 366)
LONGEST_S = 366 * 86400
# Of a run, before its first stage and after its last.
AROUND_S = 60
# A scrape or two must lie within a window.
SHORTEST_S = 300


def load_groups(scenarios: "Mapping[str, ScenarioKeys]") -> list[Group]:
    """Return the rules for *scenarios*; none without one. Periods are those of a schedule."""
    if not scenarios:
        return []
    windows = {
        name: _windows(parse_cron(keys.schedule), ZoneInfo(keys.timezone), keys.load)
        for name, keys in scenarios.items()
        if keys.schedule is not None
    }
    return [
        Group(group["name"], [made for rule in group["rules"] if (made := _rule(rule, windows))])
        for group in _pack()["groups"]
    ]


@cache
def _pack() -> Any:
    text = (files("exporter.generate") / "load.yml").read_text("utf-8")
    return yaml.safe_load(text)


def _windows(cron: Cron, zone: ZoneInfo, load: "LoadKeys") -> tuple[int, int]:
    """Return the least time between two runs, and within which one of two should have passed."""
    times: list[datetime] = []
    now = cron.next_after(FIRST, zone)
    while now is not None and len(times) < MAX_TIMES and now - FIRST < ENOUGH:
        times.append(now)
        now = cron.next_after(now, zone)
    gaps = [round((after - before).total_seconds()) for before, after in pairwise(times)]
    shortest, longest = (min(gaps), max(gaps)) if gaps else (LONGEST_S, LONGEST_S)
    run_s = ceil(load.seconds + load.graceful_stop) + AROUND_S
    return max(shortest, SHORTEST_S), 2 * max(longest, SHORTEST_S) + run_s


def _rule(rule: Mapping[str, Any], windows: Mapping[str, tuple[int, int]]) -> Alert | None:
    expr: str = rule["expr"]
    if "<own>" in expr:
        if not windows:
            return None
        expr = _expression(expr, windows)
    return Alert(
        name=rule["alert"],
        expr=expr,
        lasts=rule.get("for", ""),
        severity=rule["severity"],
        summary=rule["summary"],
        description=rule["description"],
    )


def _expression(text: str, windows: Mapping[str, tuple[int, int]]) -> str:
    """Return an expression with its windows: one for each that differs, joined by or."""
    by_windows: dict[tuple[int, int], list[str]] = {}
    for name, found in windows.items():
        by_windows.setdefault(found, []).append(name)
    parts = [_filled(text, names, *found) for found, names in by_windows.items()]
    return parts[0] if len(parts) == 1 else "\nor\n".join(f"(\n{it}\n)" for it in parts)


def _filled(text: str, names: Iterable[str], shortest: int, periods: int) -> str:
    # names of scenarios need no quoting: letters, digits and dashes
    own = f'scenario=~"{"|".join(names)}"'
    return (
        text.rstrip()
        .replace("<own>{", "{" + own + ",")
        .replace("<own>", "{" + own + "}")
        .replace("<shortest>", f"{shortest}s")
        .replace("<periods>", f"{periods}s")
    )
