"""What a run proves: every row of load.md 10.3 in its order, and what never passes."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scenarios.book import Book, Key
from scenarios.judging.figures import Windows
from scenarios.judging.rules import implicit, judge_all
from scenarios.judging.soundness import doubts
from scenarios.judging.verdict import Findings, judge
from scenarios.report import EXIT_CODES, Generator, Judged, Verdict, Why

FINAL = Generator(0, state="final", seconds=100)
BUSY = replace(FINAL, saturated_seconds=11, cpu=0.97, lag_p99_s=0.08)
LIMIT = "p95(request.duration) < 400ms"
OK = Judged(LIMIT, "fail", 0.1, 0.4, "s", "ok")
BREACH = replace(OK, value=0.5, result="breach")
NO_DATA = replace(OK, value=None, result="no_data")
WARNED = replace(BREACH, level="warn")
ABORTED = replace(BREACH, aborted=True)
REFUSED = Why(Verdict.REFUSED, "denied", "want no load there")
GUARD = Why(Verdict.ABORTED, "guard", "guard signup: down")
DOWN = Why(Verdict.FAIL, "preflight", "preflight shop: down")
DOUBT = Why(Verdict.INCONCLUSIVE, "preflight", "preflight shop: unknown")


def book_of(requests: int = 10, iterations: int = 10, unknown: int = 0) -> Book:
    book = Book()
    key = Key("request.duration", "shop", "a", "GET", "2xx", "up")
    for at in range(requests):
        book.time(key._replace(outcome="unknown" if at < unknown else "up"), 0.1)
    book.count(Key("iteration.completed", "shop"), iterations)
    return book


WELL = Findings(book=book_of(), generators=(FINAL,), judged=(OK,))


def test_a_run_without_a_finding_passes() -> None:
    judgement = judge(WELL)

    assert (judgement.verdict, judgement.exit_code, judgement.reasons) == (Verdict.PASS, 0, ())


# each row beats all below it
ORDER = [
    pytest.param({"found": (REFUSED,)}, Verdict.REFUSED, 4, id="refused"),
    pytest.param({"signal": 2}, Verdict.ABORTED, 130, id="Parent 1 SIGINT"),
    pytest.param({"generators": (Generator(0, state="lost", why="signal 9"),)},
                 Verdict.INCONCLUSIVE, 3, id="an always-rule"),
    pytest.param({"judged": (OK, ABORTED)}, Verdict.ABORTED, 1, id="an abort threshold"),
    pytest.param({"judged": (OK, BREACH)}, Verdict.FAIL, 1, id="a threshold"),
    pytest.param({"judged": (OK, NO_DATA)}, Verdict.INCONCLUSIVE, 3, id="Thresholds 1 no data"),
    pytest.param({"judged": (OK, WARNED)}, Verdict.PASS, 0, id="Thresholds 5 only warnings"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "verdict", "code"), ORDER)
def test_each_row_of_the_order(changes: dict[str, object], verdict: Verdict, code: int) -> None:
    judgement = judge(replace(WELL, **changes))  # type: ignore[arg-type]

    assert (judgement.verdict, judgement.exit_code) == (verdict, code)
    assert judgement.reasons[0].text


def test_whoever_stands_higher_wins_and_the_others_are_listed() -> None:
    every = Findings(
        found=(DOWN, GUARD, REFUSED, DOUBT), signal=15, book=book_of(), shards=2,
        generators=(Generator(0, state="lost", why="signal 9", host="eu-1"), FINAL),
        judged=(WARNED, NO_DATA, BREACH, ABORTED),
    )  # fmt: skip

    reasons = judge(every).reasons

    assert [(it.verdict.value, it.code) for it in reasons] == [
        ("refused", "denied"),
        ("aborted", "signal"),
        ("inconclusive", "preflight"),
        ("inconclusive", "shard_lost"),
        ("inconclusive", "shard_lost"),
        ("aborted", "guard"),
        ("aborted", "threshold"),
        ("fail", "preflight"),
        ("fail", "threshold"),
        ("inconclusive", "no_data"),
        ("pass", "warning"),
    ]
    assert reasons[1].text == "SIGTERM ended the run"
    assert "shard 0 on eu-1 was lost: signal 9" in {it.text for it in reasons}


@pytest.mark.parametrize(
    ("number", "code"), [pytest.param(2, 130, id="SIGINT"), pytest.param(15, 143, id="SIGTERM")]
)
def test_parent_1_a_signal_says_its_number(number: int, code: int) -> None:
    # beats a lost shard and a broken threshold
    judgement = judge(Findings(signal=number, judged=(BREACH,), book=book_of(0, 0)))

    assert (judgement.verdict, judgement.exit_code) == (Verdict.ABORTED, code)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param({"book": book_of(0, 0)}, "want at least 1 request, got 0",
                     id="Data 1 zero requests"),
        pytest.param({"book": book_of(5, 0)}, "want at least 1 measured iteration, got 0",
                     id="Data 1 zero iterations"),
        pytest.param({"min_samples": 11}, "want at least 11 measured requests, got 10",
                     id="Data 3 too few"),
        pytest.param({"generators": (replace(FINAL, state="lost"),)}, "shard 0 was lost",
                     id="Child 3, Child 4, Child 5: lost"),
        pytest.param({"generators": (replace(FINAL, state="never", why="exit code 1"),)},
                     "shard 0 never began: exit code 1", id="Child 2 no hello"),
        pytest.param({"generators": ()}, "want 1 shards, got word of 0", id="no word at all"),
        pytest.param({"shards": 2}, "want 2 shards, got word of 1", id="Control 5 one of two"),
        pytest.param({"generators": (BUSY,)},
                     "shard 0 was too busy to measure in 11 of 100 seconds (CPU up to 97%, lag up "
                     "to 80ms)", id="Control 2 saturated"),
        pytest.param({"book": book_of(99, unknown=1)},
                     "want at most 1% of the requests to fail by our own fault, got 1.01%",
                     id="Control 6 own fault"),
    ],
)  # fmt: skip
def test_what_makes_a_run_inconclusive(changes: dict[str, object], text: str) -> None:
    findings = replace(WELL, **changes)  # type: ignore[arg-type]

    judgement = judge(findings)

    assert (judgement.verdict, judgement.exit_code) == (Verdict.INCONCLUSIVE, 3)
    assert text in [it.text for it in judgement.reasons]


def test_data_3_one_request_is_a_run_and_limits_may_be_reached() -> None:
    # one request suffices, and so does what stands exactly at a limit
    assert doubts(book_of(1, 1), [FINAL], 1) == ()
    assert doubts(book_of(100, unknown=1), [replace(FINAL, saturated_seconds=10)], 1, 100) == ()


def test_data_2_nobody_could_log_in_is_a_failure_not_a_doubt() -> None:
    book = Book()
    key = Key("request.duration", "shop", "login", "POST", "4xx", "down", measured=False)
    for _ in range(3):
        book.time(key, 0.1)
    book.count(Key("setup.failed", "shop", "login"), 3)
    judged = judge_all(implicit((), "closed", book), book, Windows(), 10.0)

    judgement = judge(Findings(book=book, generators=(FINAL,), judged=judged))

    assert (judgement.verdict, judgement.exit_code) == (Verdict.FAIL, 1)
    assert judgement.reasons[0].text.endswith("the set-up failed at 'login'")
    # whoever switches the rule to a warning still gets no pass for nothing
    silent = judge(Findings(book=book, generators=(FINAL,)))
    assert (silent.verdict, silent.exit_code) == (Verdict.INCONCLUSIVE, 3)


@pytest.mark.parametrize(
    ("found", "verdict", "code"),
    [
        pytest.param((REFUSED,), Verdict.REFUSED, 4, id="refused"),
        pytest.param((DOWN,), Verdict.FAIL, 1, id="Target 1 target down at start"),
        pytest.param((DOUBT, DOWN), Verdict.INCONCLUSIVE, 3, id="preflight unknown"),
        pytest.param((), Verdict.INCONCLUSIVE, 3, id="for no reason"),
    ],
)
def test_zero_load_never_passes(found: tuple[Why, ...], verdict: Verdict, code: int) -> None:
    judgement = judge(Findings(found, was_sent=False))

    assert (judgement.verdict, judgement.exit_code) == (verdict, code)


whys = st.builds(
    Why,
    st.sampled_from([it for it in Verdict if it is not Verdict.PASS]),
    st.sampled_from(["guard", "no_data", "signal"]),
    st.sampled_from("ab"),
)
judgeds = st.builds(
    Judged, st.just(LIMIT), st.sampled_from(["fail", "warn"]), st.sampled_from([None, 0.5]),
    st.just(0.4), st.just("s"), st.sampled_from(["ok", "breach", "no_data"]),
)  # fmt: skip
generators = st.builds(
    Generator, st.integers(0, 2), state=st.sampled_from(["final", "lost", "never"]),
    seconds=st.integers(0, 9), saturated_seconds=st.integers(0, 9),
)  # fmt: skip
findings = st.builds(
    Findings,
    found=st.lists(whys, max_size=3).map(tuple),
    signal=st.sampled_from([0, 2, 15]),
    was_sent=st.booleans(),
    book=st.builds(book_of, st.integers(0, 3), st.integers(0, 3), st.integers(0, 1)),
    generators=st.lists(generators, max_size=3).map(tuple),
    shards=st.integers(1, 3),
    judged=st.lists(judgeds, max_size=3).map(tuple),
)


@given(findings)
def test_what_was_aborted_lost_or_empty_never_passes(it: Findings) -> None:
    """P: zero requests, a lost shard, a saturated generator: never exit 0 (load.md 13)."""
    is_lost = any(them.state != "final" for them in it.generators)
    is_empty = not it.book.total("iteration.completed")
    assume(it.signal or is_lost or is_empty or not it.was_sent or it.found)

    judgement = judge(it)

    assert judgement.verdict is not Verdict.PASS
    assert judgement.exit_code != 0
    assert judgement.reasons


@given(findings)
def test_the_order_of_findings_does_not_matter(it: Findings) -> None:
    shuffled = replace(
        it,
        found=it.found[::-1],
        generators=it.generators[::-1],
        judged=it.judged[::-1],
    )

    assert judge(shuffled) == judge(it)


def _rank(it: Findings) -> int:
    """Return how high in the order of load.md 10.3 the winner stands; a pass is the lowest."""
    judgement = judge(it)
    first = judgement.reasons[0] if judgement.reasons else None
    if judgement.verdict is Verdict.PASS or first is None:
        return 0
    if first.code == "no_data" and first.verdict is Verdict.INCONCLUSIVE:
        return 1
    if first.code == "signal" and first.verdict is Verdict.ABORTED:
        return 5
    order = [Verdict.FAIL, Verdict.ABORTED, Verdict.INCONCLUSIVE]
    return 6 if first.verdict is Verdict.REFUSED else 2 + order.index(first.verdict)


@given(findings, whys, judgeds)
def test_a_further_bad_finding_never_makes_it_better(
    it: Findings, why: Why, judged: Judged
) -> None:
    # without load some reason must be there already: that there is none is a doubt of its own
    assume(it.was_sent or it.found)
    more = (
        replace(it, found=(*it.found, why)),
        replace(it, judged=(*it.judged, judged)),
        replace(it, signal=it.signal or 2),
        replace(it, shards=it.shards + 1),
    )
    for worse in more if it.was_sent else more[:1]:
        assert _rank(worse) >= _rank(it)
        assert EXIT_CODES[judge(worse).verdict] != 0 or judge(it).exit_code == 0


def test_the_rows_of_the_table_are_in_its_order() -> None:
    ranks = [_rank(replace(WELL, **row.values[0])) for row in ORDER]  # type: ignore[arg-type]

    assert all(higher > lower for higher, lower in pairwise(ranks))
