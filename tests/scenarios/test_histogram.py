"""Durations that add up: what is exact stays so, and what nobody can have counted is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.book import Book, Key
from scenarios.histogram import Histogram

LIMIT = 400_000


def histogram(*seconds: float, limits: tuple[int, ...] = (LIMIT,)) -> Histogram:
    made = Histogram(limits)
    for it in seconds:
        made.add(it)
    return made


@given(st.lists(st.lists(st.floats(0, 1), max_size=5), max_size=5))
def test_what_lies_above_a_limit_is_exact_however_the_parts_are_cut(
    parts: list[list[float]],
) -> None:
    whole = histogram()
    for part in parts:
        whole.merge(histogram(*part))

    micros = [int(it * 1e6 + 0.5) for part in parts for it in part]
    assert whole.count_above(LIMIT) == sum(it > LIMIT for it in micros)


def test_a_part_that_did_not_count_leaves_nothing_exact() -> None:
    for parts in ([(LIMIT,), ()], [(), (LIMIT,)], [(LIMIT,), (), (LIMIT,)]):
        whole = Histogram((LIMIT,))
        for limits in parts:
            whole.merge(histogram(0.5, limits=limits))

        assert (whole.count, whole.count_above(LIMIT)) == (len(parts), None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"total": 10**400}, "durations of at most", id="a sum no float holds"),
        pytest.param({"greatest": 10**400}, "durations of at most", id="longer than an hour"),
        pytest.param({"count": 10**400, "buckets": {"5": 10**400}}, "numbers of at most",
                     id="more than can be counted"),
        pytest.param({"least": 600_000}, "add up", id="least above greatest"),
        pytest.param({"above": {str(LIMIT): 2}}, "above a limit", id="more above than there are"),
        pytest.param({"buckets": {"-1": 1}}, "want buckets", id="a bucket below nothing"),
    ],
)  # fmt: skip
def test_a_file_that_nobody_can_have_counted_is_refused(change: dict[str, Any], said: str) -> None:
    book = Book()
    book.time(Key("request.duration", "shop"), 0.5)
    data = json.loads(json.dumps(book.as_dict()))
    data["durations"][0][1] |= change

    with pytest.raises(ValueError, match=said):
        Book.from_dict(data)
    with pytest.raises(ValueError, match="numbers of at most"):
        Book.from_dict({"durations": [], "numbers": [[list(Key("iteration.due")), 10**400]]})
