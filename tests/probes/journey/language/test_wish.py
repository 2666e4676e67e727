"""Matchers with expressions: equal when written alike, bounded, comparable."""

import pytest

from probes.journey.language.expression import Unset
from probes.journey.language.wish import CssWish, DurationWish, Wish
from tests.probes.journey.memory import scope


@pytest.mark.parametrize("make", [Wish, CssWish])
def test_wishes_written_alike_are_equal(make: type[Wish]) -> None:
    assert make({"eq": "${a}"}) == make({"eq": "${a}"})
    assert make("a") != make("b")
    assert hash(make("a")) == hash(make("a"))
    assert "'a'" in repr(make("a"))
    assert Wish("a") != CssWish("a")


def test_durations_written_alike_are_equal() -> None:
    assert DurationWish("1s") == DurationWish("1s")
    assert DurationWish("1s") != DurationWish("2s")
    assert len({DurationWish("1s"), DurationWish("1s")}) == 1
    assert repr(DurationWish("1s")) == "DurationWish('1s')"


def test_constant_texts_are_read_once() -> None:
    wish = Wish({"contains": "$${a}"})

    assert wish.reads == set()
    assert wish.matcher(scope()) is wish.matcher(scope())
    assert wish.matcher(scope()).miss("x ${a}") is None
    assert wish.bound(scope()) is wish


def test_expressions_are_filled_in_each_time() -> None:
    wish = Wish({"all": [{"gt": "${low}"}, {"lt": 9}], "size": 3})

    assert wish.matcher(scope(values={"low": 1})).miss("abc") is not None
    assert Wish({"gt": "${low}"}).matcher(scope(values={"low": 1})).miss(2) is None
    with pytest.raises(Unset):
        wish.matcher(scope())


def test_an_argument_that_an_answer_made_wrong_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="want a number or a text to compare with"):
        Wish({"gt": "${low}"}).matcher(scope(values={"low": []}))


def test_depth_is_bounded() -> None:
    source: object = 1
    for _ in range(40):
        source = {"all": [source]}
    with pytest.raises(ValueError, match="want matchers of at most 16 levels"):
        Wish(source)
