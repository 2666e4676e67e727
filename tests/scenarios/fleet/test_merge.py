import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.book import Book, Key
from scenarios.fleet.merge import MAX_ERRORS, MAX_OPEN, Result, Tally, read_result
from scenarios.plan import Stage
from scenarios.records import Final, Progress, Told, Vitals
from scenarios.report import Generator
from tests.scenarios.conftest import small_plan

FOR_EVER = float("inf")
STAGES = (Stage(2.0, 5, 5, warmup=True), Stage(8.0, 5, 5))


def book(*seconds: float, outcome: str = "up") -> Book:
    found = Book()
    for it in seconds:
        found.time(Key("request.duration", "buy", "home", "GET", "2xx", outcome), it)
    found.count(Key("iteration.completed", "buy"), len(seconds))
    return found


def told(shard: int, second: int, *seconds: float, **fields: Any) -> Progress:
    """Return what a shard says at the end of a second."""
    return Progress(shard, second + 1, second + 1.003, book=book(*seconds), **fields)


def tally(shards: int = 2) -> Tally:
    return Tally(small_plan(shards=shards, stages=STAGES, limits={"request.duration": (250_000,)}))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 10)), max_size=60))
def test_any_number_of_shards_adds_up_to_one(samples: list[tuple[int, float]]) -> None:
    one, three = tally(1), tally(3)
    one.add(Progress(0, 1, 1.0, book=book(*[it for _, it in samples])))
    for shard in range(3):
        three.add(Progress(shard, 1, 1.0, book=book(*[it for n, it in samples if n == shard])))

    assert three.book.as_dict() == one.book.as_dict()
    assert three.settle(FOR_EVER)[0][1].as_dict() == one.settle(FOR_EVER)[0][1].as_dict()


def test_a_second_is_settled_when_every_shard_has_told_of_it_and_only_once() -> None:
    sums = tally()
    sums.add(told(0, 0, 0.1))
    sums.add(told(1, 0, 0.2))
    sums.add(told(0, 1, 0.3))

    (settled,) = sums.settle(2.1)

    assert settled[0] == 0
    assert settled[1].timed("request.duration").count == 2
    assert sums.settle(2.2) == []
    sums.add(told(1, 1, 0.4))
    assert [at for at, _ in sums.settle(2.3)] == [1]


def test_a_shard_that_is_late_is_waited_for_two_seconds_and_counts_later() -> None:
    sums = tally()
    sums.add(told(0, 0, 0.1))
    sums.add(told(1, 0, 0.1))
    sums.settle(1.1)
    sums.add(told(0, 1, 0.1))

    assert sums.settle(3.9) == []
    assert [at for at, _ in sums.settle(4.0)] == [1]
    sums.add(told(1, 1, 0.7))
    late = dict(sums.settle(FOR_EVER))

    assert late[2].timed("request.duration").greatest == 700_000


def test_a_shard_that_has_ended_or_is_lost_is_not_waited_for() -> None:
    sums = tally(3)
    for shard in range(3):
        sums.add(told(shard, 0, 0.1))
    sums.end(1, "final", "completed")
    sums.end(2, "lost", "it crashed")
    sums.add(told(0, 1, 0.1))

    assert [at for at, _ in sums.settle(2.1)] == [0, 1]


def test_what_came_after_the_last_whole_second_has_a_second_of_its_own() -> None:
    """And is too short to tell whether its generator was busy."""
    sums = tally()
    busy = Vitals(lag_p99_s=0.2, cpu=0.9)
    for at_s in (1.0, 2.0, 3.0):
        sums.add(Progress(0, int(at_s), at_s, book=book(0.1)))
    sums.add(Progress(0, 4, 3.4, vitals=busy, book=book(0.1, 0.2)))

    sums.settle(FOR_EVER)

    assert [(it.at, it.requests) for it in sums.timeline] == [(0, 1), (1, 1), (2, 1), (3, 2)]
    assert (sums.generators[0].seconds, sums.generators[0].saturated_seconds) == (3, 0)
    assert sums.generators[0].requests == 5


def test_a_second_of_silence_is_an_empty_book() -> None:
    sums = tally(1)
    sums.add(told(0, 0, 0.1))
    sums.add(told(0, 3, 0.1))

    settled = sums.settle(FOR_EVER)

    assert [bool(counted) for _, counted in settled] == [True, False, False, True]


def test_a_second_of_the_timeline_adds_up_shards_and_keeps_the_worst_generator() -> None:
    sums = tally()
    slow = Vitals(lag_p99_s=0.2, cpu=0.9)
    sums.add(told(0, 2, 0.1, 0.2, users=3, idle=1, rate=2.0, vitals=slow))
    sums.add(told(1, 2, 0.3, users=4, idle=2, rate=3.0, vitals=Vitals(0.01, 0.01, 0.1)))
    bad = book(9.0, outcome="down")
    bad.count(Key("request.failed", "buy"))
    sums.add(Progress(1, 4, 3.05, users=4, idle=2, rate=3.0, vitals=slow, book=bad))

    sums.settle(FOR_EVER)
    warmup, *_, last = sums.timeline

    assert not warmup.is_measured
    assert last.is_measured
    assert (last.at, last.requests, last.failures, last.completed) == (2, 4, 1, 4)
    assert (last.users, last.idle, last.rate) == (7, 3, 5.0)
    assert (last.lag_p99, last.cpu) == (0.2, 0.9)
    # the failed one has no part in it
    assert last.p99 == pytest.approx(0.3, rel=0.01)
    assert last.latency_p99 is None


def test_a_second_without_a_record_shows_the_users_that_were_there_before() -> None:
    sums = tally(1)
    sums.add(told(0, 0, 0.1, users=3))
    sums.add(told(0, 2, 0.1, users=5))

    sums.settle(FOR_EVER)

    assert [it.users for it in sums.timeline] == [3, 5, 5]
    assert sums.timeline[1].p99 is None


def test_a_generator_keeps_its_greatest_values_and_counts_its_busy_seconds() -> None:
    sums = tally(1)
    sums.greet(0, "here")
    for second, vitals in enumerate(
        [Vitals(0.01, 0.02, 0.86, 5, 7), Vitals(0.06, 0.09, 0.2, 9, 3), Vitals(0.05, 0.1, 0.85)]
    ):
        sums.add(told(0, second, 0.1, vitals=vitals, overflow=2))
    sums.end(0, "lost", "it crashed")
    sums.end(0, "final", "completed")

    assert sums.generators == (
        Generator(0, "here", "lost", "it crashed", 0.86, 0.06, 9, 7, saturated_seconds=2,
                  seconds=3, requests=3, overflow=6),
    )  # fmt: skip


def test_errors_of_all_shards_are_added_and_bounded() -> None:
    sums = tally()
    for shard in range(2):
        many = [Told("home", "status", f"text {number}") for number in range(1000)]
        sums.add(told(shard, 0, errors=(Told("home", "status", "often", 7), *many)))
        sums.add(told(shard, 1, errors=(Told("other", "timeout", "other", 5),)))

    first, *rest = sums.errors

    assert first == Told("home", "status", "often", 14)
    assert len({it.text for it in rest}) == MAX_ERRORS
    assert rest[-2:] == [
        Told("other", "status", "other", 2000 - 2 * (MAX_ERRORS - 1)),
        Told("other", "timeout", "other", 10),
    ]
    assert sum(it.count for it in sums.errors) == 2000 + 14 + 10


def test_seconds_that_nobody_settles_hold_their_memory_and_lose_nothing() -> None:
    sums = tally(1)
    for second in range(3 * MAX_OPEN):
        sums.add(told(0, second, 0.1))

    settled = sums.settle(FOR_EVER)

    assert sum(it.timed("request.duration").count for _, it in settled) == 3 * MAX_OPEN
    assert sum(bool(it) for _, it in settled) == MAX_OPEN


def test_result_files_replace_the_sums_of_records_of_their_shards_only() -> None:
    sums = tally()
    sums.add(told(0, 0, 0.1, errors=(Told("home", "status", "record"),)))
    sums.add(told(1, 0, 0.3, errors=(Told("home", "status", "lost"),)))

    sums.finish({0: Result(book(0.1, 0.2), (Told("home", "status", "file", 2),))})

    assert sums.book.timed("request.duration").count == 3
    assert [it.requests for it in sums.generators] == [2, 1]
    assert [it.text for it in sums.errors] == ["file", "lost"]


def test_a_threshold_is_counted_exactly_through_records_and_files() -> None:
    sums, exact = tally(), Book({"request.duration": (250_000,)})
    for it in (0.249, 0.250, 0.251):
        exact.time(Key("request.duration", "buy"), it)
    sums.add(Progress(0, 1, 1.0, book=exact))
    sums.finish({1: Result(exact, ())})

    assert sums.book.timed("request.duration").count_above(250_000) == 2


def test_a_model_without_stages_is_measured_throughout() -> None:
    sums = Tally(small_plan(model="iterations", iterations=5, stages=()))
    sums.add(told(0, 0, 0.1))
    sums.settle(FOR_EVER)

    assert sums.timeline[0].is_measured


# --- result files


def write(directory: Path, text: bytes, **changed: Any) -> Final:
    (directory / "result-0.json").write_bytes(text)
    fields: dict[str, Any] = {"file": "result-0.json", "sha256": hashlib.sha256(text).hexdigest(),
              "requests": 2, "iterations": 2}  # fmt: skip
    return Final(0, 1, "completed", **(fields | changed))


def good() -> bytes:
    errors = [["home", "status", "want 200, got 500", 3]]
    return json.dumps({"book": book(0.1, 0.2).as_dict(), "errors": errors}).encode()


def test_a_result_file_is_read(tmp_path: Path) -> None:
    result = read_result(tmp_path, write(tmp_path, good()))

    assert result.book.as_dict() == book(0.1, 0.2).as_dict()
    assert result.errors == (Told("home", "status", "want 200, got 500", 3),)


@pytest.mark.parametrize(
    ("text", "changed", "message"),
    [
        pytest.param(good(), {"sha256": "0" * 64}, "want a result with the sha256", id="sha256"),
        pytest.param(good(), {"requests": 3}, "want a result of 3 requests, got 2", id="requests"),
        pytest.param(good(), {"iterations": 9}, "of 9 iterations, got 2", id="iterations"),
        pytest.param(good(), {"file": ""}, "want a result file in", id="no name"),
        pytest.param(good(), {"file": "../x"}, "want a result file in", id="elsewhere"),
        pytest.param(good(), {"file": "/etc/passwd"}, "want a result file in", id="absolute"),
        pytest.param(good()[:-1], {}, "want a result as JSON", id="half"),
        pytest.param(b"[" * 100_000, {}, "want a result as JSON", id="deep"),
        pytest.param(b"[]", {}, "want a result with book and errors", id="no mapping"),
        pytest.param(b'{"book": 1, "errors": []}', {}, "want the durations", id="no book"),
        pytest.param(b'{"book": {"durations": [], "numbers": []}, "errors": [["a"]]}', {},
                     "want 4 values", id="no error"),
    ],
)  # fmt: skip
def test_a_result_that_contradicts_its_shard_is_refused(
    text: bytes, changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    final = write(tmp_path, text, **changed)

    with pytest.raises(ValueError, match=message):
        read_result(tmp_path, final)


def test_a_result_behind_a_link_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    final = write(tmp_path, good())
    (place / "result-0.json").symlink_to(tmp_path / "result-0.json")

    with pytest.raises(ValueError, match="want a result file in"):
        read_result(place, final)
