import pytest

from scenarios.fleet.roll import Lost, Roll
from scenarios.records import Final, Hello, Log, Progress

PLAN = "a" * 64


def ready(shards: int = 2) -> Roll:
    roll = Roll(shards, PLAN)
    for number in range(shards):
        roll.hear(Hello(number, 1, PLAN), 0.0)
    return roll


def test_a_roll_is_ready_when_all_have_said_hello() -> None:
    roll = Roll(2, PLAN)
    roll.hear(Hello(1, 1, PLAN), 0.0)

    assert not roll.is_ready
    roll.hear(Hello(0, 1, PLAN), 0.0)
    assert roll.is_ready


def test_records_that_follow_each_other_end_in_a_final_one() -> None:
    roll = ready()
    roll.begin(10.0)

    for seq in (1, 2, 3):
        roll.hear(Progress(0, seq, float(seq)), 10.0 + seq)
    roll.hear(Final(0, 4, "completed"), 14.0)

    assert roll.shards[0].state == "final"
    assert roll.open_ones([0, 1]) == [1]


def test_a_line_of_the_log_may_come_at_any_time() -> None:
    roll = Roll(1, PLAN)
    roll.hear(Log(0, "info", "early"), 0.0)
    roll.hear(Final(0, 1, "plan_error"), 0.0)
    roll.hear(Log(0, "info", "late"), 0.0)

    assert roll.shards[0].state == "final"


@pytest.mark.parametrize("seq", [0, 2, 3])
def test_a_final_record_with_a_gap_before_it_is_refused(seq: int) -> None:
    with pytest.raises(ValueError, match=f"want record 1, got {seq}"):
        ready().hear(Final(0, seq, "completed"), 1.0)


def test_silence_counts_from_the_start_and_from_the_last_word() -> None:
    roll = ready()
    assert roll.silent(100.0) == []

    roll.begin(100.0)
    roll.hear(Progress(1, 1, 1.0), 101.0)

    assert roll.silent(105.0) == []
    assert roll.silent(105.1) == [0]
    assert roll.silent(106.1) == [0, 1]


def test_who_has_ended_may_be_silent() -> None:
    roll = ready()
    roll.begin(100.0)
    roll.hear(Final(0, 1, "completed"), 101.0)
    roll.lose(1, "it crashed")

    assert roll.silent(200.0) == []


def test_our_own_stall_is_nobodys_silence() -> None:
    roll = ready()
    roll.begin(100.0)

    roll.excuse(7.0, 108.0)

    assert roll.silent(111.9) == []
    assert roll.silent(112.1) == [0, 1]


def test_a_stall_gives_no_credit_for_later() -> None:
    roll = ready()
    roll.begin(100.0)

    roll.excuse(60.0, 108.0)

    assert roll.silent(112.9) == []
    assert roll.silent(113.1) == [0, 1]


def test_a_lost_shard_stays_lost_and_is_told_once() -> None:
    roll = ready()

    assert roll.lose(1, "it crashed")
    assert not roll.lose(1, "again")
    with pytest.raises(ValueError, match="want no more of a shard that is lost"):
        roll.hear(Progress(1, 1, 0.0), 1.0)
    assert roll.lost == [Lost(1, "it crashed")]


def test_a_record_before_the_start_or_of_the_future_is_refused() -> None:
    roll = ready()
    with pytest.raises(ValueError, match="want a record of second 0 at most, got 1"):
        roll.hear(Progress(0, 1, 1.0), 50.0)

    roll.begin(50.0)
    with pytest.raises(ValueError, match="want a record of second 7 at most, got 8"):
        roll.hear(Progress(1, 1, 8.0), 52.0)
