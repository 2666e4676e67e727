"""The rules of chains: what promtool thinks of them, and whom they wake in which situation.

The series are what the judge and the books make of a story, run after run; nothing is written by
hand. promtool's clock begins at 0, so points in time are told from the start of the story.
"""

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exporter.generate.chains import DEFAULTS, chain_groups
from exporter.generate.rules import Alert, as_yaml
from probes.chain.books.books import Books, book, samples
from probes.chain.books.metrics import METRICS
from probes.chain.evm.dialect import EvmDialect
from probes.chain.model import Observation
from probes.chain.reasons import ChainReason
from probes.chain.talk import Dialect, Survey
from probes.kinds import find_kind
from probes.kinds.cosmos import Cosmos
from probes.kinds.evm import Evm
from probes.kinds.solana import Solana
from probes.probe import Probe
from probes.wire.websocket.heads import News, Sighting
from tests.probes.chain.judge.stage import START, Stage, group, head
from tests.servers.process import find_program

pytestmark = pytest.mark.service
URL = "https://rpc.example.org/"
NOBODY: list[str] = []
EVALUATED_S = 15.0
"""Prometheus looks more often than a slow group is asked."""
Answers = Callable[[Stage], Mapping[str, Any]]
Surveys = Callable[[Stage], Survey]


def chain(name: str, **keys: Any) -> Probe:
    kind = find_kind(keys.pop("kind", "evm"))
    settings = {"chain": name, "endpoints": [{"name": "own", "http": URL}]} | keys
    return Probe(name=name, kind=kind.model_validate(settings), target=name)


ALL = [chain("evm"), chain("sol", kind="solana"), chain("cosmos", kind="cosmos")]


@dataclass
class Story:
    """A group that is probed for some time, and what ``/metrics`` would have shown.

    Args:
        stage: the group and its true chain.
        answers: what endpoints tell at each run, by name; those left out are honest.
        survey: what is found once per group at each run.
        dialect: of the family.
        skipped: runs that an overloaded prober leaves out: its page stays as it is.
    """

    stage: Stage = field(default_factory=lambda: Stage(group("abc")))
    answers: Answers = lambda _: {}
    survey: Surveys = lambda _: Survey()
    dialect: Dialect = field(default_factory=EvmDialect)
    skipped: frozenset[int] = frozenset()

    def series(self, minutes: float) -> dict[str, str]:
        """Return the values of each series, one for each run."""
        runs = int(minutes * 60 / self.stage.every_s)
        books, found = Books(), dict[str, dict[int, float]]()
        for run in range(runs):
            if run in self.skipped:
                self.stage.elapsed_s += self.stage.every_s
                for values in found.values():
                    values.update({run: values[run - 1]} if run - 1 in values else {})
            else:
                books = self._run(books, run, found)
        return {
            name: " ".join(_text(values, run) for run in range(runs))
            for name, values in found.items()
        }

    def _run(self, books: Books, run: int, found: dict[str, dict[int, float]]) -> Books:
        stage = self.stage
        told = dict(self.answers(stage))
        seen = {
            endpoint.name: _observation(stage, endpoint.name, told.get(endpoint.name))
            for endpoint in stage.group.endpoints
        }
        survey, now = self.survey(stage), stage.now
        judgement = stage.run(**seen)
        books = book(stage.group, books, seen, judgement, stage.views, survey, now, self.dialect)
        for sample in samples(stage.group, books, judgement, now):
            labels = (("probe", "it"), *sample.labels)
            name = sample.name + "{" + ",".join(f'{k}="{v}"' for k, v in labels) + "}"
            in_time = sample.name.endswith("_timestamp_seconds")
            value = sample.value - START.wall if in_time else sample.value
            found.setdefault(name, {})[run] = value
        return books


def _observation(stage: Stage, name: str, answer: Any) -> Observation:
    if isinstance(answer, Observation):
        return answer
    return stage.honest(name) if answer is None else stage.at(name, answer)


def _text(values: Mapping[int, float], run: int) -> str:
    if run in values:
        return repr(float(values[run]))
    # as Prometheus marks a series that was there in the scrape before
    return "stale" if run - 1 in values else "_"


@pytest.fixture
def promtool() -> str:
    return find_program("promtool")


@pytest.fixture
def firing(promtool: str, tmp_path: Path) -> Callable[[Story, float, list[str]], None]:
    """Assert which alerts fire after some minutes of a story."""
    rules = tmp_path / "rules.yml"
    rules.write_text(as_yaml(chain_groups(ALL)))

    def check(story: Story, minutes: float, alerts: list[str]) -> None:
        every = f"{story.stage.every_s:g}s"
        expr = 'group by (alertname) (ALERTS{alertstate="firing"})'
        expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in alerts]
        series = story.series(minutes + 1).items()
        case = {
            "rule_files": [str(rules)],
            "evaluation_interval": f"{min(story.stage.every_s, EVALUATED_S):g}s",
            "tests": [
                {
                    "interval": every,
                    "input_series": [{"series": name, "values": text} for name, text in series],
                    "promql_expr_test": [
                        {"expr": expr, "eval_time": f"{minutes * 60:g}s", "exp_samples": expected}
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


Firing = Callable[[Story, float, list[str]], None]


def test_promtool_accepts_the_rules_of_every_family(promtool: str, tmp_path: Path) -> None:
    odd = [
        chain("a.b", gas={"factor": 5}),
        chain("c", contracts=[{"name": "Skill", "address": "0x" + "11" * 20, "min_tx": 3}]),
        chain("s", kind="solana", shred_lag=7),
        *ALL,
    ]
    for number, probes in enumerate((ALL, odd, ALL[:1])):
        rules = tmp_path / f"{number}.yml"
        rules.write_text(as_yaml(chain_groups(probes), head="of a test", runbooks="docs/chains.md"))
        done = subprocess.run(
            [promtool, "check", "rules", str(rules)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_says_what_to_do_and_no_name_comes_twice() -> None:
    alerts = [r for g in chain_groups(ALL) for r in g.rules if isinstance(r, Alert)]

    assert len({alert.name for alert in alerts}) == len(alerts) > 25
    for alert in alerts:
        told = alert.as_dict("docs/chains.md")
        assert told["annotations"]["runbook_url"] == f"docs/chains.md#{alert.name.lower()}"
        assert told["annotations"]["description"].endswith(".")
        assert told["labels"]["service"] == "blockchain"


def test_every_metric_that_a_rule_names_is_declared() -> None:
    declared = {m.name for m in METRICS}
    for kind in (Evm, Solana, Cosmos):
        declared |= {metric.name for metric in kind.metrics}
    recorded = {"chain:"}
    text = as_yaml(chain_groups(ALL))
    for line in text.split():
        word = line.strip("(){}[]").split("{")[0].split("[")[0].strip("()")
        if word.startswith(("chain_", "evm_", "solana_", "cosmos_", "indexer_")):
            assert word.removesuffix("_bucket") in declared, word
    assert recorded


def test_numbers_come_from_the_file_and_differ_by_probe() -> None:
    text = as_yaml(chain_groups([chain("a", gas={"factor": 5}), chain("b.c"), chain("d")]))

    assert 'chain:evm_gas_price_wei:median{probe=~"a"}\n        > 5 *' in text
    assert 'chain:evm_gas_price_wei:median{probe=~"b\\\\.c|d"}\n        > 3 *' in text
    assert "<" not in text.replace(" < ", "")


def test_chains_of_another_family_change_no_rule() -> None:
    text = as_yaml(chain_groups([chain("a", gas={"factor": 5}), chain("s", kind="solana")]))

    assert "chain:evm_gas_price_wei:median\n        > 5 *" in text
    assert " 3 * avg" not in text


def test_without_chains_there_are_no_rules() -> None:
    assert chain_groups([]) == []


def test_each_default_number_is_that_of_the_kinds() -> None:
    told = {**chain("a").kind.rule_numbers(), **chain("s", kind="solana").kind.rule_numbers()}

    assert {name: DEFAULTS[name] for name in told} == told


# --- chains.md 15.4


def test_nobody_is_woken_while_all_is_well(firing: Firing) -> None:
    firing(Story(), 15, NOBODY)


def test_a_node_that_stands_still_is_stale_and_the_chain_is_not_halted(firing: Firing) -> None:
    story = Story(answers=lambda stage: {"a": min(stage.height, 1020)})

    # head_age is ten blocks of 12 s; three blocks behind count for five minutes before they wake
    firing(story, 8, ["ChainHeadStale", "ChainRpcDown"])
    firing(Story(answers=story.answers), 11, ["ChainHeadLag", "ChainHeadStale", "ChainRpcDown"])


def seldom(names: str = "ab") -> Stage:
    """Return a group whose heads are older between two runs than they may be."""
    return Stage(group(names, every_s=60.0, block_time_s=2.0), block_s=2.0, every_s=60.0)


def test_runs_that_are_left_out_make_no_head_stale(firing: Firing) -> None:
    firing(Story(seldom(), skipped=frozenset({8, 9})), 9.5, NOBODY)


def test_an_endpoint_that_refuses_is_down_and_not_stale_as_well(firing: Firing) -> None:
    def answers(stage: Stage) -> Mapping[str, Any]:
        gone = stage.elapsed_s >= 300
        return {"a": stage.silent("a", ChainReason.CONNECT_REFUSED)} if gone else {}

    firing(Story(seldom("abc"), answers), 6.5, NOBODY)
    firing(Story(seldom("abc"), answers), 9, ["ChainRpcDown"])


def test_a_websocket_that_is_heard_of_seldom_is_not_silent(firing: Firing) -> None:
    def answers(stage: Stage) -> Mapping[str, Any]:
        return {"a": stage.honest("a", news=_news(stage, at_s=1e9))}

    firing(Story(seldom(), answers, skipped=frozenset({8, 9})), 9.5, NOBODY)


def test_a_whole_chain_that_stands_still_is_one_alert(firing: Firing) -> None:
    story = Story(answers=lambda stage: dict.fromkeys("abc", min(stage.height, 1020)))

    firing(story, 9, ["ChainHalted"])


def test_a_quiet_chain_is_no_alert(firing: Firing) -> None:
    stage = Stage(group("ab", block_time_s=300.0), block_s=300.0)

    firing(Story(stage), 30, NOBODY)


def _news(stage: Stage, at_s: float) -> News:
    now = stage.now
    at = min(stage.elapsed_s, at_s)
    seen = Sighting(stage.height, "0x1", "0x0", None, START.wall + at, START.mono + at)
    return News(
        is_up=True, sightings=(seen,), heads=1, up_since=now.mono, last_received=START.mono + at
    )


def test_a_websocket_that_is_silent_while_the_head_moves(firing: Firing) -> None:
    story = Story(answers=lambda stage: {"a": stage.honest("a", news=_news(stage, at_s=120.0))})

    firing(story, 8, ["ChainWsSilent"])


def _gas(price: Callable[[Stage, str], float]) -> Answers:
    def answers(stage: Stage) -> Mapping[str, Any]:
        told = {}
        for name in "abc":
            seen = stage.honest(name)
            seen.gauge("fees", "evm_gas_price_wei", price(stage, name))
            told[name] = seen
        return told

    return answers


def _floor(stage: Stage) -> Survey:
    return Survey(gauges=((("evm_gas_spike_floor_wei", ()), 1e9),))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("usual", "spike", "odd", "alerts"),
    [
        pytest.param(2e9, 7e9, "", ["AnomalousGasSpike"], id="3.5 times the mean"),
        pytest.param(1e7, 9e7, "", NOBODY, id="9 times, below the floor"),
        pytest.param(2e9, 2e9, "a", NOBODY, id="one odd oracle of three"),
    ],
)
def test_a_gas_spike(
    usual: float, spike: float, odd: str, alerts: list[str], firing: Firing
) -> None:
    def price(stage: Stage, name: str) -> float:
        if name == odd:
            return 1e12
        return spike if stage.elapsed_s >= 80 * 60 else usual

    story = Story(Stage(group("abc"), every_s=60.0), _gas(price), _floor)

    firing(story, 87, alerts)


@pytest.mark.parametrize(
    ("good", "bad", "alerts"),
    [
        pytest.param(4, 1, ["HighContractFailureRate"], id="20% of many"),
        pytest.param(0, 0.05, NOBODY, id="100% of two"),
    ],
)
def test_failed_transactions_of_a_contract(
    good: float, bad: float, alerts: list[str], firing: Firing
) -> None:
    def survey(_: Stage) -> Survey:
        name = "evm_contract_transactions_total"
        return Survey(
            counts=(
                ((name, (("contract", "Skill"), ("result", "success"))), good),
                ((name, (("contract", "Skill"), ("result", "failed"))), bad),
            )
        )

    firing(Story(survey=survey), 25, alerts)


def test_one_of_two_endpoints_left(firing: Firing) -> None:
    def answers(stage: Stage) -> Mapping[str, Any]:
        lost = stage.elapsed_s >= 120
        return {"a": stage.silent("a", ChainReason.CONNECT_REFUSED)} if lost else {}

    story = Story(Stage(group("ab")), answers)

    firing(story, 9, ["ChainRpcDown", "ChainRpcRedundancyLost"])


def test_all_endpoints_gone(firing: Firing) -> None:
    def answers(stage: Stage) -> Mapping[str, Any]:
        if stage.elapsed_s < 120:
            return {}
        return {name: stage.silent(name, ChainReason.TIMEOUT) for name in "abc"}

    firing(Story(answers=answers), 6, ["ChainAllRpcDown", "ChainRpcDown"])


def test_the_wrong_network_is_told_at_once(firing: Firing) -> None:
    def answers(stage: Stage) -> Mapping[str, Any]:
        wrong = stage.elapsed_s >= 120
        return {"a": stage.honest("a", chain_id="999")} if wrong else {}

    firing(Story(answers=answers), 3, ["ChainWrongNetwork"])


def test_an_upgrade_within_a_day(firing: Firing) -> None:
    def answers(stage: Stage) -> Mapping[str, Any]:
        seen = stage.honest("a")
        seen.tags["latest"] = head(stage.height, 6.0)
        seen.gauge("upgrade", "cosmos_upgrade_plan_height", stage.height + 10_000.0)
        return {"a": seen}

    stage = Stage(group("ab", family="cosmos", block_time_s=6.0), block_s=6.0)
    story = Story(stage, answers, dialect=Cosmos().dialect())

    firing(story, 5, ["CosmosUpgradeSoon"])


def test_an_indexer_that_is_stuck(firing: Firing) -> None:
    def survey(stage: Stage) -> Survey:
        labels = (("indexer", "subgraph"),)
        height = min(stage.height, 1010)
        lag = float(stage.height - height)
        return Survey(
            gauges=(
                (("chain_indexer_height", labels), float(height)),
                (("chain_indexer_lag_blocks", labels), lag),
                (("chain_indexer_lag_threshold_blocks", labels), 1000.0),
                (("chain_indexer_healthy", labels), 1.0),
            )
        )

    firing(Story(survey=survey), 22, ["IndexerStalled"])


def test_a_head_that_is_known_by_finalized_alone_is_stale_too(firing: Firing) -> None:
    def answers(stage: Stage) -> Mapping[str, Any]:
        told = {}
        for name in "ab":
            still = name == "a" and stage.elapsed_s >= 60
            slot = min(stage.height, 1150) if still else stage.height
            seen = stage.at(name, slot)
            assert seen.head is not None
            stamp = START.wall + (slot - 1000) * stage.block_s
            seen.head = head(slot, stage.block_s, seen=stage.now.mono, timestamp=None, hash="")
            seen.tags["finalized"] = head(slot - 32, stage.block_s, timestamp=stamp - 12.8)
            told[name] = seen
        return told

    stage = Stage(group("ab", family="solana", block_time_s=0.4), block_s=0.4)
    story = Story(stage, answers, dialect=Solana().dialect())

    firing(story, 5, ["ChainHeadStale", "ChainRpcDown"])
