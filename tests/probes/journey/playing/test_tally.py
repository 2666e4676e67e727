"""Sums of one step."""

from probes.journey.model import Part, State
from probes.journey.playing.tally import MAX_WARNINGS, Tally
from probes.result import Failure, Phase, Reason


def test_a_step_without_a_round_was_skipped() -> None:
    result = Tally("it", Part.SETUP).result()

    assert (result.state, result.part, result.rounds, result.requests) == (
        State.SKIPPED, Part.SETUP, 0, (0, 0),
    )  # fmt: skip


def test_phases_of_one_name_add_up_and_break_off_at_last() -> None:
    tally = Tally("it", Part.STEPS)
    tally.took((Phase("connect", 1.0), Phase("processing", 2.0, complete=False)))
    tally.took((Phase("processing", 1.0), Phase("transfer", 4.0)))

    assert tally.result().phases == (
        Phase("connect", 1.0), Phase("processing", 3.0), Phase("transfer", 4.0),
    )  # fmt: skip


def test_counts_that_all_plays_share_are_never_changed() -> None:
    shared = {("status", "passed"): 1}
    tally = Tally("it", Part.STEPS)
    for _ in range(3):
        tally.judged(shared)

    assert tally.result().expectations == {("status", "passed"): 3}
    assert shared == {("status", "passed"): 1}


def test_a_thousand_rounds_warn_in_few_words() -> None:
    tally = Tally("it", Part.STEPS)
    for number in range(100):
        for _ in range(2):
            tally.warn(Failure(Reason.LATENCY, f"want {number}"), "duration")

    assert len(tally.warnings) == MAX_WARNINGS
    assert tally.result().expectations == {("duration", "warned"): 200}


def test_a_failure_makes_it_failed_and_a_closed_round_forgets_what_came() -> None:
    tally = Tally("it", Part.STEPS)
    tally.rounds, tally.failure = 1, Failure(Reason.BODY, "want a, got b")
    tally.close(0.5)
    tally.close(0.25)

    assert tally.result().state is State.FAILED
    assert tally.result().seconds == 0.75
    assert (tally.request, tally.response) == (None, None)
