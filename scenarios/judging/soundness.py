"""Whether a run proves anything: rules of every run that nobody can switch off (load.md 10.1).

    at least one measured iteration; enough requests
    every shard said its last word
    the generator was not too busy to measure, and few of its requests were its own fault
    something went well: where nothing did and no rule asked, nobody has judged anything

Broken ones make a run inconclusive: never a pass, never the target's fault. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence

from scenarios.book import Book
from scenarios.judging.figures import UNKNOWN, unknown_in
from scenarios.judging.rules import SETUP_FAILED, WARNING, in_words
from scenarios.report import Generator, Judged, Verdict, Why

# load.md 10.1.
MAX_UNKNOWN_SHARE = 0.01
_REQUESTS = "request.duration"
NO_ITERATIONS = Why(
    Verdict.INCONCLUSIVE, "zero_iterations", "want at least 1 measured iteration, got 0"
)

# load.md 14, data 4: all failed is a failure where a rule asks for it, else it proves nothing.
NO_SUCCESS = "no_success"
DOWN = "down"
_FAILURES = "rate(request.failed) < 1%"
# Whoever asks one of these, or Prometheus, has thought of them.
_OF_FAILURES = ("request.failed", "iteration.failed", 'outcome="down"', "promql(")


def has_no_user(book: Book) -> bool:
    """Tell whether the set-up failed for every user there was."""
    return not book.total("setup.done") and bool(book.total(SETUP_FAILED))


def has_iterations(book: Book) -> bool:
    """Tell whether at least one measured iteration ended; a failed one is one."""
    return bool(book.total("iteration.completed", measured=True))


def without_success(book: Book) -> Why | None:
    """Return the doubt about a run whose every measured iteration failed; None: one went well."""
    completed = book.total("iteration.completed", measured=True)
    went_well = completed - book.total("iteration.failed", measured=True) - unknown_in(book)
    if not completed or went_well > 0:
        return None
    return _why(NO_SUCCESS, f"want at least 1 iteration to go well, got 0 of {completed}")


def unasked(book: Book, judged: Iterable[Judged]) -> Why | None:
    """Return a warning where requests failed and no threshold looks at that; None: all is well."""
    if any(word in it.expr for it in judged for word in _OF_FAILURES):
        return None
    failed = book.total("request.failed", measured=True, outcome=DOWN)
    if not failed:
        return None
    requests = _count(book, measured_only=True) - _count(book, measured_only=True, outcome=UNKNOWN)
    text = f"want a threshold such as {_FAILURES}, got none, and {failed} of {requests} failed"
    return Why(Verdict.PASS, WARNING, text)


def doubts(
    book: Book, generators: Sequence[Generator], shards: int, min_samples: int = 1
) -> tuple[Why, ...]:
    """Return why a run that was sent proves nothing.

    Args:
        book: all that was counted.
        generators: what came of the shards.
        shards: that there should be.
        min_samples: fewer requests prove nothing.
    """
    return (
        *(_why(code, text) for code, text in _of_shards(generators, shards)),
        *(_why(code, text) for code, text in _of_samples(book, max(1, min_samples))),
        *(_why(code, text) for code, text in _of_load(generators)),
    )


def _why(code: str, text: str) -> Why:
    return Why(Verdict.INCONCLUSIVE, code, text)


def _of_shards(generators: Sequence[Generator], shards: int) -> Iterator[tuple[str, str]]:
    for it in generators:
        if it.state != "final":
            where = f" on {it.host}" if it.host else ""
            what = "was lost" if it.state == "lost" else "never began"
            yield "shard_lost", f"shard {it.shard}{where} {what}{': ' if it.why else ''}{it.why}"
    known = len({it.shard for it in generators})
    if known < max(1, shards):
        yield "shard_lost", f"want {max(1, shards)} shards, got word of {known}"


def _of_samples(book: Book, min_samples: int) -> Iterator[tuple[str, str]]:
    without_user = has_no_user(book)
    # where nobody came past the set-up, its requests are all there is
    requests = _count(book, measured_only=not without_user)
    if not _count(book, measured_only=False):
        yield "zero_requests", "want at least 1 request, got 0"
    elif requests < min_samples:
        yield "min_samples", f"want at least {min_samples} measured requests, got {requests}"
    if not without_user and not has_iterations(book):
        yield NO_ITERATIONS.code, NO_ITERATIONS.text
    unknown = _count(book, measured_only=True, outcome=UNKNOWN)
    whole = _count(book, measured_only=True)
    if whole and unknown / whole > MAX_UNKNOWN_SHARE:
        share = in_words(100 * unknown / whole, "%")
        limit = in_words(100 * MAX_UNKNOWN_SHARE, "%")
        yield (
            "unknown_requests",
            f"want at most {limit} of the requests to fail by our own fault, got {share}",
        )


def _of_load(generators: Iterable[Generator]) -> Iterator[tuple[str, str]]:
    for it in generators:
        if it.is_saturated:
            text = (
                f"shard {it.shard} was too busy to measure in {it.saturated_seconds} of "
                f"{it.seconds} seconds (CPU up to {in_words(100 * it.cpu, '%')}, "
                f"lag up to {in_words(it.lag_p99_s, 's')})"
            )
            yield "saturated", text


def _count(book: Book, *, measured_only: bool, outcome: str = "") -> int:
    return sum(
        it.count
        for key, it in book.durations.items()
        if key.metric == _REQUESTS
        and (key.measured or not measured_only)
        and (not outcome or key.outcome == outcome)
    )
