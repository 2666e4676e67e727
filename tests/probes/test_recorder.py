"""The notebook of a run: phases that add up, and stay when the run dies half-way."""

import pytest

from probes.recorder import MAX_FACT_CHARACTERS, Recorder
from probes.result import Failure, Outcome, Phase, Reason, Sample
from tests.probes.test_result import result


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(clock: Clock) -> Recorder:
    return Recorder(clock=clock)


def test_a_phase_is_timed_and_complete(recorder: Recorder, clock: Clock) -> None:
    with recorder.phase("query"):
        clock.now += 2

    assert recorder.phases == (Phase("query", 2.0),)
    assert recorder.phase_name is None


def test_a_phase_that_raises_is_recorded_and_named(recorder: Recorder, clock: Clock) -> None:
    with pytest.raises(OSError, match="gone"), recorder.phase("query"):
        clock.now += 2
        raise OSError("gone")

    clock.now += 5
    assert recorder.phases == (Phase("query", 2.0, complete=False),)
    assert recorder.phase_name == "query"


def test_the_open_phase_shows_the_time_so_far(recorder: Recorder, clock: Clock) -> None:
    recorder.enter("connect")
    clock.now += 3

    assert recorder.phases == (Phase("connect", 3.0, complete=False),)
    assert recorder.phase_name == "connect"


def test_entering_a_phase_ends_the_one_before(recorder: Recorder, clock: Clock) -> None:
    recorder.enter("resolve")
    clock.now += 1
    recorder.enter("connect")
    clock.now += 2
    recorder.leave()

    assert recorder.phases == (Phase("resolve", 1.0), Phase("connect", 2.0))
    assert recorder.phase_name is None


def test_leaving_without_a_phase_does_nothing(recorder: Recorder) -> None:
    recorder.leave()

    assert recorder.phases == ()


def test_the_same_phase_twice_adds_up_in_its_first_place(recorder: Recorder, clock: Clock) -> None:
    for name, seconds in (("resolve", 1), ("connect", 2), ("resolve", 4)):
        with recorder.phase(name):
            clock.now += seconds

    assert recorder.phases == (Phase("resolve", 5.0), Phase("connect", 2.0))


def test_a_second_time_that_is_open_adds_up_too(recorder: Recorder, clock: Clock) -> None:
    recorder.add_phase("resolve", 1.0)
    recorder.add_phase("connect", 2.0)
    recorder.enter("resolve")
    clock.now += 4

    assert recorder.phases == (Phase("resolve", 5.0, complete=False), Phase("connect", 2.0))


def test_a_phase_timed_elsewhere_may_be_incomplete(recorder: Recorder) -> None:
    recorder.add_phase("tls", 0.5)
    recorder.add_phase("tls", 0.5, complete=False)

    assert recorder.phases == (Phase("tls", 1.0, complete=False),)


def test_samples_keep_their_labels_and_order(recorder: Recorder) -> None:
    recorder.sample("b", 1)
    recorder.sample("a", 2.5, mount="/", kind="x")

    assert recorder.samples == (Sample("b", 1), Sample("a", 2.5, (("mount", "/"), ("kind", "x"))))


def test_a_fact_is_cut_and_replaced(recorder: Recorder) -> None:
    recorder.fact("server", "old")
    recorder.fact("server", "x" * (MAX_FACT_CHARACTERS + 1))

    assert recorder.facts == {"server": "x" * MAX_FACT_CHARACTERS + "…"}


def test_what_was_read_out_cannot_change_the_notebook(recorder: Recorder) -> None:
    recorder.facts["x"] = "y"

    assert recorder.facts == {}


def test_a_warning_names_the_phase_it_came_up_in(recorder: Recorder) -> None:
    with recorder.phase("query"):
        recorder.warn(Reason.LATENCY, "slow")
    recorder.warn(Reason.VALUE, "low", phase="judge")

    assert recorder.warnings == (
        Failure(Reason.LATENCY, "slow", "query"),
        Failure(Reason.VALUE, "low", "judge"),
    )


def test_steps_are_kept_in_order(recorder: Recorder) -> None:
    steps = (result(probe="1"), result(probe="2", outcome=Outcome.DOWN))
    for step in steps:
        recorder.step(step)

    assert recorder.steps == steps


def test_secrets_that_came_up_are_remembered_and_empty_ones_are_not(recorder: Recorder) -> None:
    recorder.hide("token")
    recorder.hide("")

    assert recorder.secrets == ["token"]


def test_the_time_left_is_never_negative(clock: Clock) -> None:
    recorder = Recorder(deadline=10.0, clock=clock)

    assert recorder.remaining(4.0) == 6.0
    assert recorder.remaining(11.0) == 0.0


def test_elapsed_counts_from_the_beginning(recorder: Recorder, clock: Clock) -> None:
    clock.now += 1.5

    assert recorder.elapsed() == 1.5


def test_many_samples_at_once_stand_behind_the_earlier_ones() -> None:
    recorder = Recorder()
    recorder.sample("a", 1.0)
    recorder.extend((Sample("b", 2.0), Sample("c", 3.0)))
    assert [sample.name for sample in recorder.samples] == ["a", "b", "c"]


def test_a_part_of_a_run_is_as_old_as_the_run() -> None:
    """The time for its name counts for each address of it."""
    now = 10.0
    recorder = Recorder(clock=lambda: now)
    now = 12.0
    part = recorder.fresh()
    now = 13.0

    assert (part.elapsed(), part.phases, part.samples) == (3.0, (), ())
