"""The rules of load runs: what promtool thinks of them, and whom they wake in which story.

The series are what the board shows, minute by minute; nothing is written by hand.
"""

import json
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter.exposition.load_families import LOAD
from exporter.exposition.scrape import PageQuery
from exporter.generate.loads import LONGEST_S, load_groups
from exporter.generate.rules import Alert, as_yaml
from exporter.loads.board import Board
from exporter.loads.sheet import Known
from scenarios.config.settings import ScenarioKeys
from scenarios.report import Generator, LoadReport, Verdict, Why
from tests.exporter.pages import parsed
from tests.servers.process import find_program

START = datetime(2026, 3, 1, tzinfo=UTC)
SCENARIOS = {
    "hourly": ScenarioKeys(journey="a", schedule="0 * * * *"),
    "weekdays": ScenarioKeys(journey="a", schedule="17 3 * * 1-5", timezone="Europe/Berlin"),
    "by-hand": ScenarioKeys(journey="a"),
}
Story = dict[int, tuple[Verdict, str]]
"""Minute -> verdict of the run that ended then, and the code of its reason."""
PASS, FAIL = (Verdict.PASS, ""), (Verdict.FAIL, "threshold")
UNSURE = (Verdict.INCONCLUSIVE, "shard_lost")


def report(minute: int, verdict: Verdict, code: str) -> LoadReport:
    at = START + timedelta(minutes=minute)
    whys = (Why(verdict, code, "want x, got y"),) if code else ()
    busy = 60 if code == "saturated" else 0
    generators = (Generator(0, state="final", seconds=60, saturated_seconds=busy),)
    return LoadReport("hourly", "r", verdict, 1, whys, at, at, generators=generators)


def told(story: Story, minutes: int, begins: int = 0) -> dict[str, str]:
    """Return the values of each series, one a minute; the service begins at minute *begins*."""
    board = Board(clock=lambda: 0.0)
    board.set_scenarios({"hourly": Known(("a",), 1)}, frozenset())
    found: dict[str, dict[int, float]] = {}
    for minute in range(begins, minutes):
        if minute in story:
            board.begin("hourly")
            board.end("hourly", report(minute, *story[minute]))
        for family in parsed(board.text(PageQuery()).decode(), openmetrics=False).values():
            for it in family.samples:
                labels = ",".join(f'{k}="{v}"' for k, v in it.labels.items())
                found.setdefault(f"{it.name}{{{labels}}}", {})[minute] = it.value
    return {
        name: " ".join(repr(them[at]) if at in them else "_" for at in range(minutes))
        for name, them in found.items()
        if name.startswith(("loadtest_runs", "loadtest_last", "loadtest_refused", "loadtest_gen"))
    }


@pytest.fixture
def firing(tmp_path: Path) -> Callable[[Story, int, list[str]], None]:
    """Assert which alerts fire at some minute of a story."""
    promtool = find_program("promtool")
    rules = tmp_path / "rules.yml"
    rules.write_text(as_yaml(load_groups(SCENARIOS)))

    def check(story: Story, minute: int, alerts: list[str], begins: int = 0) -> None:
        series = told(story, minute + 1, begins).items()
        case = {
            "rule_files": [str(rules)],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [{"series": name, "values": text} for name, text in series],
                    "promql_expr_test": [
                        {
                            "expr": 'group by (alertname) (ALERTS{scenario="hourly"})',
                            "eval_time": f"{minute}m",
                            "exp_samples": [
                                {"labels": f'{{alertname="{name}"}}', "value": 1} for name in alerts
                            ],
                        }
                    ],
                }
            ],
        }
        test = tmp_path / "test.yml"
        test.write_text(json.dumps(case))  # JSON is YAML
        done = subprocess.run(
            [promtool, "test", "rules", str(test)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return check


@pytest.mark.service
@pytest.mark.parametrize(
    ("story", "minute", "alerts"),
    [
        pytest.param({5: PASS, 65: PASS, 125: PASS, 185: PASS}, 200, [], id="all is well"),
        pytest.param({5: PASS, 65: FAIL}, 70, ["LoadRunFailed"], id="a failure"),
        pytest.param({5: FAIL, 65: PASS}, 70, [], id="a failure that is over"),
        pytest.param({}, 100, [], id="no run yet, and that is no wonder"),
        pytest.param({}, 130, ["LoadNoPass"], id="never run"),
        pytest.param({5: PASS}, 110, [], id="one was missed"),
        pytest.param({5: PASS}, 140, ["LoadNoPass"], id="two were missed"),
        pytest.param({5: PASS, 65: UNSURE}, 70, [], id="inconclusive once"),
        pytest.param(
            {45: PASS, 65: UNSURE, 125: UNSURE}, 126, ["LoadInconclusiveTwice"], id="twice"
        ),
        pytest.param({5: UNSURE, 65: PASS, 125: UNSURE}, 126, [], id="twice, not in a row"),
        pytest.param(
            {5: PASS, 65: (Verdict.REFUSED, "busy")}, 70, ["LoadRunRefused"], id="refused"
        ),
        pytest.param(
            {5: PASS, 65: (Verdict.REFUSED, "incident_open")}, 70, [], id="skipped on purpose"
        ),
        pytest.param(
            {5: (Verdict.INCONCLUSIVE, "saturated")}, 10, ["LoadGeneratorSaturated"], id="saturated"
        ),
    ],
)
def test_a_story_wakes_whom_it_should(
    firing: Callable[[Story, int, list[str]], None], story: Story, minute: int, alerts: list[str]
) -> None:
    firing(story, minute, alerts)


@pytest.mark.service
def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(as_yaml(load_groups(SCENARIOS), runbooks="docs/load.md"))

    done = subprocess.run(
        [find_program("promtool"), "check", "rules", str(rules)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr


def windows(**scenarios: ScenarioKeys) -> list[int]:
    (group,) = load_groups(scenarios)
    rule = next(
        rule for rule in group.rules if isinstance(rule, Alert) and rule.name == "LoadNoPass"
    )
    return [int(found) for found in re.findall(r"pass.}.(\d+)s", rule.expr)]


def test_two_periods_are_those_of_the_schedule_and_the_length_of_a_run() -> None:
    stage = {"rate": "1/s", "duration": "10m"}
    around = 20 + 60

    assert windows(a=SCENARIOS["hourly"]) == [2 * 3600 + around]
    # over a weekend on which the clock is put back
    assert windows(a=SCENARIOS["weekdays"]) == [2 * 73 * 3600 + around]
    assert windows(a=ScenarioKeys(journey="a", schedule="0 * * * *", **stage)) == [7800 + around]
    assert windows(a=ScenarioKeys(journey="a", schedule="0 0 29 2 *")) == [2 * LONGEST_S + around]
    assert len(windows(**{n: SCENARIOS[n] for n in ("hourly", "weekdays")})) == 2


def test_without_a_schedule_only_rules_without_a_period_are_left() -> None:
    (group,) = load_groups({"by-hand": SCENARIOS["by-hand"]})

    names = {rule.name for rule in group.rules if isinstance(rule, Alert)}
    assert names == {"LoadRunFailed", "LoadRunRefused", "LoadGeneratorSaturated"}
    assert load_groups({}) == []


def test_every_metric_that_a_rule_names_is_declared() -> None:
    named = set(re.findall(r"loadtest_[a-z_]+", as_yaml(load_groups(SCENARIOS))))

    assert {"loadtest_runs_total", "loadtest_last_run_verdict"} <= named
    assert named <= {family.name for family in LOAD}
