import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.book import MAX_STEPS, OTHER
from scenarios.child.counting import MAX_CHARACTERS, MAX_ERRORS, Asked, Counts, clean


@given(st.text(st.characters(), max_size=300))
def test_any_text_becomes_a_label(text: str) -> None:
    found = clean(text)

    assert found.encode().decode() == found
    assert len(found) <= MAX_CHARACTERS
    assert not any(sign in found for sign in "\n\r\t\0\x7f\x85\u2028")
    assert clean(found) == found


def asked(step: str = "a", **keys: object) -> Asked:
    return Asked("shop", step, "GET", 200, "up")._replace(**keys)  # type: ignore[arg-type]


def test_names_are_bounded_and_the_rest_is_told() -> None:
    """Data 10: what comes after is `other`."""
    counts = Counts()
    for number in range(MAX_STEPS + 25):
        counts.request(asked(f"/page?{number}"), 0.01)
        counts.request(asked(f"/page?{number}"), 0.01)
    taken = counts.take()
    steps = {key.step for key in taken.book.durations}

    assert len(steps) == MAX_STEPS + 1
    assert taken.book.timed("request.duration", step=OTHER).count == 50
    assert taken.overflow > 0
    assert counts.requests == taken.book.timed("request.duration").count


def test_errors_are_bounded_the_most_frequent_first() -> None:
    counts = Counts()
    for number in range(MAX_ERRORS + 10):
        counts.error("a", "status", f"got {number}")
    counts.error("a", "status", "got 3")
    told = counts.take().errors

    assert told[0].text == OTHER
    assert (told[0].count, told[1].text, told[1].count) == (10, "got 3", 2)
    assert counts.take().errors == ()
    assert sum(it.count for it in counts.everything()[1]) >= MAX_ERRORS


def test_what_is_taken_adds_up_to_everything() -> None:
    counts = Counts({"request.duration": (5000,)})
    sums = []
    for _ in range(3):
        for outcome, reason in (("up", ""), ("down", "timeout"), ("unknown", "resource")):
            counts.request(asked(outcome=outcome, reason=reason), 0.01, sent=2, received=3)
        counts.ended("shop", "down", 0.1, 0.2, measured=True)
        sums.append(counts.take().book)
    added = sums[0]
    for book in sums[1:]:
        added.merge(book)

    everything = counts.everything()[0]
    assert everything.as_dict() == added.as_dict()
    assert everything.total("request.failed", reason="timeout") == 3
    assert everything.total("data.received", step="a") == 27
    assert everything.timed("request.duration").count_above(5000) == 9
    assert everything.total("iteration.failed") == counts.iterations == 3


@pytest.mark.parametrize(
    ("status", "code"),
    [(0, "none"), (204, "2xx"), (599, "5xx"), (1000, "none"), (-5, "none")],
)
def test_a_status_is_told_by_its_class(status: int, code: str) -> None:
    counts = Counts()
    counts.request(asked(status=status), 0.01)

    assert [key.code for key in counts.book.durations] == [code]
