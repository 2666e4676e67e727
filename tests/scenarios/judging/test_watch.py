"""Thresholds while the run goes on: windows, `after`, `for`, what ends it, and what it costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.book import Book, Key
from scenarios.judging.figures import Windows
from scenarios.judging.rules import Rule, judge
from scenarios.judging.watch import Watch
from scenarios.plan import Stage
from scenarios.thresholds import limits_of, parse

STAGES = (Stage(5, 1, 10, warmup=True), Stage(600, 10, 10))
FAILED = "rate(request.failed) < 20%"
SLOW = "p95(request.duration) < 400ms"


def second(
    good: int = 0, bad: int = 0, seconds: float = 0.1, completed: int = 0, *, measured: bool = True
) -> Book:
    """Return what one second counted."""
    book = Book(limits_of([parse(SLOW)]))
    key = Key("request.duration", "shop", "a", "GET", "2xx", "up", measured=measured)
    for _ in range(good):
        book.time(key, seconds)
    for _ in range(bad):
        book.time(key._replace(outcome="down"), seconds)
    if bad:
        failed = key._replace(metric="request.failed", outcome="down", reason="status")
        book.count(failed, bad)
    if completed:
        book.count(Key("iteration.completed", "shop"), completed)
    return book


def play(rule: Rule, *seconds: Book) -> int | None:
    """Let the run go on; return the second in which it was ended."""
    watch = Watch([rule], STAGES)
    for at, delta in enumerate(seconds):
        watch.add(at, delta)
        watch.tick(at + 1.05)
        if watch.aborted:
            assert watch.aborted.aborted
            return at
    return None


GOOD, BAD, NONE = second(good=10), second(good=5, bad=5), Book()


@pytest.mark.parametrize(
    ("rule", "seconds", "ended"),
    [
        pytest.param(Rule(parse(FAILED)), [BAD] * 9, None, id="without abort"),
        pytest.param(Rule(parse(FAILED), abort=True), [GOOD, GOOD, BAD], None,
                     id="all so far: 5 of 30"),
        pytest.param(Rule(parse(FAILED), abort=True), [GOOD, BAD], 1, id="all so far: 5 of 20"),
        pytest.param(Rule(parse(FAILED), abort=True, window_s=1.0), [GOOD] * 50 + [BAD], 50,
                     id="a window forgets the good past"),
        pytest.param(Rule(parse(FAILED), abort=True, window_s=5.0), [GOOD] * 9 + [BAD] * 3, 10,
                     id="a window of 5 s"),
        pytest.param(Rule(parse(FAILED), abort=True, window_s=1.0, after_s=4.0), [BAD] * 9, 3,
                     id="Thresholds 2 after holds it back"),
        pytest.param(Rule(parse(FAILED), abort=True, window_s=1.0, times=3),
                     [BAD, BAD, GOOD, BAD, BAD, GOOD, BAD, BAD, BAD], 8,
                     id="Thresholds 4 breaches in a row"),
        pytest.param(Rule(parse(FAILED), abort=True, window_s=1.0, times=3, after_s=6.0),
                     [BAD] * 12, 7, id="Thresholds 2 broken before `after`"),
        pytest.param(Rule(parse(FAILED), abort=True, window_s=1.0, times=2), [BAD, NONE, BAD], 2,
                     id="no data proves nothing"),
        pytest.param(Rule(parse(FAILED), abort=True), [second(bad=9, measured=False)] * 5, None,
                     id="Thresholds 2 a warm-up never counts"),
        pytest.param(Rule(parse(SLOW), abort=True, window_s=2.0),
                     [GOOD, GOOD, second(good=10, seconds=0.5)], 2, id="a percentile of a window"),
        pytest.param(Rule(parse(SLOW), abort=True), [NONE] * 5, None, id="Thresholds 1 no samples"),
        pytest.param(Rule(parse("avg(throughput) >= 10/s"), abort=True, window_s=3.0),
                     [second(completed=10)] * 8 + [NONE] * 3, 8, id="throughput of a window"),
        pytest.param(Rule(parse("avg(throughput) >= 10/s"), abort=True, window_s=3.0),
                     [second(completed=1)] * 7, None, id="Thresholds 2 a window into the warm-up"),
        pytest.param(Rule(parse("min(throughput) >= 10/s"), abort=True),
                     [second(completed=10)] * 25 + [NONE] * 11, 34,
                     id="throughput so far: the window from 25 to 35"),
        pytest.param(Rule(parse("min(throughput) >= 10/s"), abort=True),
                     [NONE] * 6 + [second(completed=20)] + [second(completed=10)] * 28, None,
                     id="a window that has only begun says nothing"),
    ],
)  # fmt: skip
def test_when_a_rule_ends_the_run(rule: Rule, seconds: list[Book], ended: int | None) -> None:
    assert play(rule, *seconds) == ended


def test_what_is_broken_now_is_told_and_forgotten_when_it_holds_again() -> None:
    watch = Watch([Rule(parse(FAILED), window_s=1.0, times=2), Rule(parse(SLOW))], STAGES)
    told = []
    for at, delta in enumerate([BAD, BAD, BAD, GOOD]):
        watch.add(at, delta)
        watch.tick(at + 1.0)
        told.append([it.expr for it in watch.broken])

    assert told == [[], [FAILED], [FAILED], []]
    assert watch.aborted is None


def test_the_parts_of_several_shards_are_one_second() -> None:
    watch = Watch([Rule(parse(FAILED), abort=True, window_s=1.0)], STAGES)
    watch.add(0, second(bad=1))
    watch.add(0, second(good=9))

    (judged,) = watch.tick(1.0)

    assert (judged.value, judged.result, watch.aborted) == (10.0, "ok", None)


@pytest.mark.parametrize("rule", [
    Rule(parse(FAILED), abort=True, window_s=2.0, times=2),
    Rule(parse(FAILED), abort=True, after_s=3.0, times=2),
    Rule(parse("avg(throughput) >= 10/s"), abort=True, window_s=1.0, after_s=4.0),
])  # fmt: skip
def test_parent_4_after_a_stall_it_decides_as_if_there_had_been_none(
    rule: Rule,
) -> None:
    seconds = [GOOD, BAD, BAD, BAD, GOOD, GOOD, second(good=99, completed=50)]
    steady, stalled = Watch([rule], STAGES), Watch([rule], STAGES)
    for at, delta in enumerate(seconds):
        steady.add(at, delta)
        steady.tick(at + 1.0)
        stalled.add(at, delta)

    stalled.tick(60.0)

    assert steady.aborted is not None
    assert stalled.aborted == steady.aborted


@pytest.mark.parametrize(("window_s", "value"), [(0.5, 50.0), (1.0, 50.0), (1.5, 25.0)])
def test_a_window_is_whole_seconds(window_s: float, value: float) -> None:
    watch = Watch([Rule(parse(FAILED), window_s=window_s)], STAGES)
    for at, delta in enumerate([GOOD, GOOD, BAD]):
        watch.add(at, delta)

    (judged,) = watch.tick(3.0)

    assert judged.value == value


def test_a_second_is_judged_once_and_when_it_is_over() -> None:
    watch = Watch([Rule(parse(FAILED), abort=True, times=2)], STAGES)
    ended: list[bool] = []
    for at, now_s in ((0, 1.0), (0, 1.1), (0, 1.9), (1, 1.95), (1, 2.0)):
        watch.add(at, BAD)
        watch.tick(now_s)
        ended.append(watch.aborted is not None)

    assert ended == [False, False, False, False, True]


def test_answers_of_prometheus_count_as_they_come() -> None:
    rule = Rule(parse("promql(errors) < 1"), abort=True, times=2, after_s=3.0)
    watch = Watch([rule, Rule(parse("promql(other) < 1"))], STAGES)
    ended: list[float | None] = []
    for at, value in enumerate((9.0, 9.0, None, 0.0, 9.0, 8.0)):
        watch.answer("promql(errors) < 1", value, at * 5.0)
        ended.append(watch.aborted.value if watch.aborted else None)

    # the first is before `after`; none proves nothing; 0 interrupts
    assert ended == [None, None, None, None, None, 8.0]
    assert watch.asked == (rule,)


def test_a_day_of_load_keeps_no_more_than_its_windows() -> None:
    watch = Watch([Rule(parse(SLOW), window_s=10.0), Rule(parse(FAILED))], (Stage(86400, 1, 1),))
    for at in range(2000):
        watch.add(at, BAD)
        watch.tick(at + 1.0)

    kept = [(len(track.coming), len(track.inside)) for track in watch._tracks]

    assert kept == [(0, 10), (0, 0)]


@given(
    st.lists(st.lists(st.floats(0, 5), max_size=3), min_size=1, max_size=12),
    st.integers(1, 5),
    st.sampled_from(["p90", "min", "max", "avg", "sum", "count"]),
)
def test_a_window_is_what_its_seconds_hold(
    story: list[list[float]], window: int, aggregate: str
) -> None:
    unit = "" if aggregate == "count" else "s"
    text = f"{aggregate}(request.duration) < 1{unit}"
    watch = Watch([Rule(parse(text), window_s=float(window))], STAGES)
    for at, durations in enumerate(story):
        delta = Book(limits_of([parse(text)]))
        for it in durations:
            delta.time(Key("request.duration", "shop", "a", "GET", "2xx", "up"), it)
        watch.add(at, delta)

    (judged,) = watch.tick(len(story))

    whole = Book(limits_of([parse(text)]))
    for it in (it for durations in story[-window:] for it in durations):
        whole.time(Key("request.duration", "shop", "a", "GET", "2xx", "up"), it)
    assert judged == judge(Rule(parse(text)), whole, Windows(), len(story))
