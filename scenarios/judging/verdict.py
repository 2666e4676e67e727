"""What a run proves: one pure function over everything that was found (load.md 10.3).

    refused        nothing was sent                                       4
    aborted        by a signal                                    130 / 143
    inconclusive   a rule of every run is broken, or something of ours    3
    aborted        by a threshold or a guard                              1
    fail           a threshold, a regression, the preflight               1
    inconclusive   a threshold without data, no iteration that went well  3
    pass                                                                  0

The first that holds wins; every reason is listed, those that decided first. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from scenarios.book import Book
from scenarios.judging.rules import NO_DATA, why_of
from scenarios.judging.soundness import (
    NO_ITERATIONS,
    NO_SUCCESS,
    doubts,
    has_iterations,
    unasked,
    without_success,
)
from scenarios.report import EXIT_CODES, Generator, Judged, Verdict, Why

SIGNAL = "signal"
# POSIX shells: a process that a signal ended exits with 128 and its number.
_SIGNAL_EXIT = 128
_NAMES = {2: "SIGINT", 15: "SIGTERM"}


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is known of a run when it is over.

    Args:
        found: refusals, preflight, guards, regressions, trouble of runner and plan, the exit code
            of a locust file: each with the verdict that it would mean by itself.
        signal: number of the one that ended it; 0: none.
        was_sent: whether load was begun; then the rules of every run are asked.
        book: what was counted.
        generators: what came of the shards.
        shards: that there should be.
        min_samples: requests below which it proves nothing.
        judged: thresholds.
    """

    found: tuple[Why, ...] = ()
    signal: int = 0
    was_sent: bool = True
    book: Book = field(default_factory=Book)
    generators: tuple[Generator, ...] = ()
    shards: int = 1
    min_samples: int = 1
    judged: tuple[Judged, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What it comes to.

    Args:
        verdict: the one that won.
        exit_code: of ``sonde load``.
        reasons: all of them, what decided first; of a pass only warnings.
    """

    verdict: Verdict
    exit_code: int
    reasons: tuple[Why, ...] = ()


def judge(findings: Findings) -> Judgement:
    """Return the verdict."""
    whys = sorted(set(_all(findings)), key=_order)
    passes = not whys or whys[0].verdict is Verdict.PASS
    if passes and not has_iterations(findings.book):
        # no user came past the set-up, and nobody called that a failure
        whys.insert(0, NO_ITERATIONS)
    ended = next((why for why in whys if why.verdict is Verdict.ABORTED), None)
    if ended is not None and NO_ITERATIONS in whys:
        # the one line that a terminal shows: not only what is missing, also why
        text = f"{NO_ITERATIONS.text} when the run was ended: {ended.text}"
        whys[whys.index(NO_ITERATIONS)] = replace(NO_ITERATIONS, text=text)
    verdict = whys[0].verdict if whys else Verdict.PASS
    code = EXIT_CODES[verdict]
    if findings.signal and whys[0].code == SIGNAL:
        code = _SIGNAL_EXIT + findings.signal
    return Judgement(verdict, code, tuple(whys))


def _all(findings: Findings) -> Iterable[Why]:
    yield from findings.found
    if findings.signal:
        name = _NAMES.get(findings.signal, f"signal {findings.signal}")
        yield Why(Verdict.ABORTED, SIGNAL, f"{name} ended the run")
    for judged in findings.judged:
        if (why := why_of(judged, findings.book)) is not None:
            yield why
    if findings.was_sent:
        yield from doubts(findings.book, findings.generators, findings.shards, findings.min_samples)
        yield from filter(
            None, (without_success(findings.book), unasked(findings.book, findings.judged))
        )
    elif all(why.verdict is Verdict.PASS for why in findings.found) and not findings.signal:
        yield Why(Verdict.INCONCLUSIVE, "not_sent", "want load to be sent, got none, and no reason")


_RANKS = (
    Verdict.REFUSED,
    SIGNAL,
    Verdict.INCONCLUSIVE,
    Verdict.ABORTED,
    Verdict.FAIL,
    NO_DATA,
    Verdict.PASS,
)
_SPECIAL = {
    (Verdict.ABORTED, SIGNAL): SIGNAL,
    (Verdict.INCONCLUSIVE, NO_DATA): NO_DATA,
    (Verdict.INCONCLUSIVE, NO_SUCCESS): NO_DATA,
}


def _order(why: Why) -> tuple[int, str, str]:
    """Order by what wins; among equals by text, so that who found it first does not matter."""
    rank = _SPECIAL.get((why.verdict, why.code), why.verdict)
    return _RANKS.index(rank), why.code, why.text
