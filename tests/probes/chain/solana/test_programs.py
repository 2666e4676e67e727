"""Counting the transactions of Solana programs by a cursor over signatures."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.chain.model import Verdict
from probes.chain.reasons import ChainReason
from probes.chain.solana.programs import (
    MAX_SIGNATURES,
    METHOD,
    Mark,
    Marks,
    Program,
    count_programs,
    durable,
    restored,
)
from probes.chain.talk import Survey
from probes.result import Outcome
from tests.probes.chain.canned import TIMEOUT, Canned, Turns, refused

VOTING = Program("voting", "Vote111")
FAILED = {"InstructionError": [0, {"Custom": 1}]}


def entry(slot: int, name: str = "", err: Any = None) -> dict[str, Any]:
    return {"signature": name or f"sig{slot}", "slot": slot, "err": err, "blockTime": 1}


def survey(answer: Any, memory: object = None, commitment: str = "confirmed") -> Survey:
    node = Canned({METHOD: answer}, "solana")
    return node.talk(count_programs((VOTING,), commitment, memory, 1))


def counts(found: Survey) -> tuple[float, float]:
    by_result = {dict(labels)["result"]: number for (_, labels), number in found.counts}
    return by_result["success"], by_result["failed"]


def mark(found: Survey) -> Mark | None:
    assert isinstance(found.memory, Marks)
    return found.memory.programs.get("voting")


def known(signature: str = "sig5", slot: int = 5) -> Marks:
    return Marks({"voting": Mark(signature, slot)})


def test_the_first_survey_only_remembers_the_newest() -> None:
    node = Canned({METHOD: [entry(9)]}, "solana")

    found = node.talk(count_programs((VOTING,), "confirmed", None, 1))

    assert node.params(METHOD) == [("Vote111", {"commitment": "confirmed", "limit": 1})]
    assert counts(found) == (0, 0)
    assert mark(found) == Mark("sig9", 9)


def test_later_all_since_the_mark_is_counted_by_result() -> None:
    node = Canned({METHOD: [entry(9), entry(8, err=FAILED), entry(7)]}, "solana")

    found = node.talk(count_programs((VOTING,), "finalized", known(), 1))

    assert node.params(METHOD) == [
        ("Vote111", {"commitment": "finalized", "limit": MAX_SIGNATURES, "until": "sig5"})
    ]
    assert counts(found) == (2, 1)
    assert mark(found) == Mark("sig9", 9)
    assert found.steps == (Verdict("program voting", Outcome.UP),)


def test_a_program_that_was_never_used_counts_from_its_first_transaction() -> None:
    first = survey([])

    node = Canned({METHOD: [entry(9, err=FAILED)]}, "solana")
    second = node.talk(count_programs((VOTING,), "confirmed", first.memory, 1))

    assert mark(first) == Mark()
    assert "until" not in node.params(METHOD)[0][1]
    assert counts(second) == (0, 1)
    assert mark(second) == Mark("sig9", 9)


def test_when_nothing_came_the_mark_stays() -> None:
    found = survey([], known())

    assert counts(found) == (0, 0)
    assert mark(found) == Mark("sig5", 5)


def test_a_node_that_does_not_know_the_mark_counts_nothing_old() -> None:
    found = survey([entry(9), entry(4), entry(3)], known())

    assert counts(found) == (1, 0)
    assert mark(found) == Mark("sig9", 9)


def test_a_node_that_lags_does_not_take_the_mark_back() -> None:
    found = survey([entry(4), entry(3)], known())

    assert counts(found) == (0, 0)
    assert mark(found) == Mark("sig5", 5)


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        pytest.param(refused(-32011, "no history"), "no history", id="error"),
        pytest.param({}, "want a list of signatures, got {}", id="no list"),
        pytest.param([{"signature": 5}], "want signature as text, got 5", id="nonsense"),
        pytest.param([{"signature": "a", "slot": 9}], "want err in the result", id="no result"),
    ],
)
def test_a_node_that_cannot_tell_is_told(answer: Any, detail: str) -> None:
    found = survey(answer, known())

    assert counts(found) == (0, 0)
    assert mark(found) == Mark("sig5", 5)
    assert found.steps[0].outcome is Outcome.DEGRADED
    assert found.steps[0].findings[0].reason is ChainReason.METHOD_ERRORS
    assert detail in found.steps[0].findings[0].detail


@pytest.mark.parametrize("answer", [TIMEOUT, refused(429, "Too many requests")])
def test_what_the_endpoint_tells_itself_is_not_told_again(answer: Any) -> None:
    found = survey(answer, known())

    assert found.steps == ()
    assert mark(found) == Mark("sig5", 5)


def test_a_program_that_left_the_file_is_forgotten() -> None:
    memory = Marks({"gone": Mark("x", 1), "voting": Mark("sig5", 5)})

    found = survey([], memory)

    assert isinstance(found.memory, Marks)
    assert set(found.memory.programs) == {"voting"}


def test_marks_survive_a_restart() -> None:
    kept = durable(known())

    assert kept == {"voting": ["sig5", 5]}
    assert restored(kept) == known()
    assert durable(Marks()) is None
    assert durable(None) is None


def test_what_cannot_be_marks_is_left_out() -> None:
    kept = {"a": 5, "b": ["x"], "c": ["x", "y"], "d": ["x" * 91, 1], "e": ["ok", 7]}

    assert restored(kept) == Marks({"e": Mark("ok", 7)})


@given(st.lists(st.integers(0, 3), max_size=12))
def test_every_transaction_counts_once(pieces: list[int]) -> None:
    """A node that gives what came since the mark, in pieces of any size."""
    history: list[dict[str, Any]] = [entry(1)]
    memory: object = survey(history).memory
    total = 0.0
    for piece in pieces:
        fresh = [entry(len(history) + number + 1) for number in range(piece)]
        history = fresh[::-1] + history
        found = survey(fresh[::-1], memory)
        memory, total = found.memory, total + sum(counts(found))

    assert total == len(history) - 1


# --- more programs than the budget has calls

SEVERAL = tuple(Program(name, f"{name}111") for name in "abcde")


def test_programs_take_turns_where_the_budget_does_not_allow_all() -> None:
    node = Canned({METHOD: [entry(9)]}, "solana")
    memory: object = None
    for _ in range(3):
        memory = node.talk(count_programs(SEVERAL, "confirmed", memory, 2)).memory

    assert [params[0] for params in node.params(METHOD)] == [
        "a111", "b111", "c111", "d111", "e111", "a111",
    ]  # fmt: skip


def test_a_program_whose_turn_it_is_not_says_what_it_said_before() -> None:
    node = Canned({METHOD: Turns(refused(-32603, "boom"), [entry(9)])}, "solana")

    first = node.talk(count_programs(SEVERAL[:2], "confirmed", None, 1))
    second = node.talk(count_programs(SEVERAL[:2], "confirmed", first.memory, 1))

    assert [step.outcome for step in first.steps] == [Outcome.DEGRADED]
    assert [step.outcome for step in second.steps] == [Outcome.DEGRADED, Outcome.UP]


def test_what_was_not_spent_is_saved() -> None:
    found = Canned({METHOD: []}, "solana").talk(count_programs(SEVERAL, "confirmed", None, 7.5))
    idle = Canned({}, "solana").talk(count_programs(SEVERAL, "confirmed", found.memory, 0.5))

    assert isinstance(found.memory, Marks)
    assert isinstance(idle.memory, Marks)
    assert (found.memory.saved, idle.memory.saved) == (2.5, 0.5)
    assert idle.memory.last == "e"
    assert len(idle.counts) == 10


def test_the_mark_itself_is_not_counted_again_by_a_node_that_gives_it() -> None:
    found = survey([entry(9), entry(5), entry(4)], known())

    assert counts(found) == (1, 0)
