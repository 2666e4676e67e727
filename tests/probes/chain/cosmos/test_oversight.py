"""What is asked once per group of a CometBFT chain, within what the budget leaves."""

from collections import Counter
from typing import Any

from probes.chain.cosmos.lcd import Contract
from probes.chain.cosmos.oversight import Notes, Oversight, durable, restored
from probes.chain.cosmos.txcount import Cursor
from probes.chain.judge.thresholds import limits
from probes.chain.judge.views import Views
from probes.chain.model import Judgement, Now, Verdict
from probes.chain.talk import Survey
from probes.result import Outcome
from tests.probes.chain.canned import Canned, group_of, status

GROUP = group_of("cosmos")
EVERY_S = 10.0
# One block after the other holds a transaction, so that each costs two calls.
CHAIN: dict[str, Any] = {
    "block_results": {"txs_results": [{"code": 0}]},
    "block": {"block": {"data": {"txs": ["YQ=="]}}},
}


def watched(*names: str) -> tuple[Contract, ...]:
    return tuple(Contract(name, f"neutron1{name}", "{}") for name in names)


class Runs:
    """A group from run to run; the chain grows by four blocks between two."""

    def __init__(self, oversight: Oversight, answer: Any = None) -> None:
        self.oversight = oversight
        told = {"data": 1} if answer is None else answer
        self.node = Canned(
            CHAIN
            | {
                f"/cosmwasm/wasm/v1/contract/{it.address}/smart/e30=": told
                for it in oversight.contracts
            }
        )
        self.notes, self.at, self.head = Notes(), 0.0, 100
        self.survey = Survey()

    def run(self, calls: float) -> list[str]:
        """Run with *calls* allowed and return what was asked."""
        before = len(self.node.asks)
        judged = Judgement(
            Outcome.UP,
            None,
            "",
            (Verdict("own", Outcome.UP, height=self.head),),
            limits(GROUP, Views()),
            1.0,
        )
        now = Now(self.at, 1.8e9)
        talk = self.oversight.survey(GROUP, judged, now, self.notes, calls)
        self.survey = self.node.talk(talk)
        assert isinstance(self.survey.memory, Notes)
        self.notes, self.at, self.head = self.survey.memory, self.at + EVERY_S, self.head + 4
        return [
            ask.path.split("/")[5].removeprefix("neutron1") if ask.path else ask.method
            for ask in self.node.asks[before:]
        ]


def test_the_first_survey_asks_every_contract() -> None:
    runs = Runs(Oversight(watched("a", "b"), 4))

    assert runs.run(30) == ["a", "b"]
    assert runs.survey.steps == (
        Verdict("contract a", Outcome.UP),
        Verdict("contract b", Outcome.UP),
    )
    assert runs.notes.saved == 28


def test_a_contract_is_asked_once_a_minute_and_says_the_same_meanwhile() -> None:
    runs = Runs(Oversight(watched("a"), 0))

    asked = [len(runs.run(30)) for _ in range(13)]

    assert asked == [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert runs.survey.steps == (Verdict("contract a", Outcome.UP),)


def test_contracts_take_turns_where_the_budget_does_not_allow_all() -> None:
    runs = Runs(Oversight(watched(*"abcde"), 0))

    assert [runs.run(2) for _ in range(3)] == [["a", "b"], ["c", "d"], ["e"]]


def test_blocks_and_contracts_share_what_there_is() -> None:
    runs = Runs(Oversight(watched(*"abcdefgh"), 4))
    runs.run(0)
    asked: Counter[str] = Counter()
    for _ in range(24):
        now = runs.run(5)
        assert len(now) <= 5
        asked.update(now)

    # 24 runs are four minutes
    assert all(3 <= asked[name] <= 4 for name in "abcdefgh")
    assert asked["block"] >= 24


def test_without_contracts_that_are_due_the_blocks_have_all() -> None:
    runs = Runs(Oversight((Contract("a", "neutron1a"),), 4))
    runs.run(0)

    assert Counter(runs.run(8)) == {"block_results": 4, "block": 4}
    assert runs.notes.saved == 0
    assert runs.notes.cursor == Cursor(103)


def test_a_contract_whose_service_fails_is_told_until_it_answers() -> None:
    runs = Runs(Oversight(watched("a"), 0), status(502))

    runs.run(5)
    runs.run(5)

    assert [step.outcome for step in runs.survey.steps] == [Outcome.DEGRADED]


def test_the_cursor_outlives_the_process() -> None:
    assert restored(durable(Notes(Cursor(7), saved=3.0)) or {}) == Notes(Cursor(7))
    assert durable(Notes()) is None
    assert durable(None) is None
    assert restored({}) == Notes()
