"""Includes: where steps come from, what comes along, and what leads nowhere."""

from typing import Any

import pytest

from probes.journey.loading.inclusion import Inclusion, headers_over, includes, over
from probes.journey.loading.settings import HttpDefaults
from probes.journey.steps import HttpStep, RepeatStep, Step
from tests.probes.journey.scopes import scope
from tests.probes.journey.written import flaws, made, read

A = {"name": "a", "get": "/"}
B = {"name": "b", "get": "/"}


def names(steps: tuple[Step, ...]) -> list[str]:
    return [it.common.name for it in steps]


def test_the_steps_of_the_other_stand_where_the_include_stood() -> None:
    other = {"setup": [A], "steps": [B], "cleanup": [A]}
    keys = {"steps": [{"name": "x", "get": "/"}, {"include": "other"}, {"name": "y", "get": "/"}]}

    assert names(made(keys, {"other": other}).steps) == ["x", "b", "y"]


@pytest.mark.parametrize("part", ["setup", "cleanup"])
def test_an_include_may_stand_in_any_part(part: str) -> None:
    journey = made({"steps": [A], part: [{"include": "other"}]}, {"other": {"steps": [B]}})

    assert names(getattr(journey, part)) == ["b"]


def test_includes_include() -> None:
    others = {"one": {"steps": [{"include": "two"}, A]}, "two": {"steps": [B]}}

    assert names(made({"steps": [{"include": "one"}]}, others).steps) == ["b", "a"]


@pytest.mark.parametrize("keys", [{"if": "${run_id} == other"}, {"load": "skip"}])
def test_an_include_with_a_condition_is_judged_once(keys: dict[str, Any]) -> None:
    (step,) = made({"steps": [{"include": "other", **keys}]}, {"other": {"steps": [A, B]}}).steps

    assert isinstance(step, RepeatStep)
    assert (step.times, names(step.steps)) == (1, ["a", "b"])
    if "if" in keys:
        assert step.common.condition is not None
        assert not step.common.condition.holds(scope())
    else:
        assert step.common.load == "skip"


def test_included_steps_keep_their_own_defaults() -> None:
    other = {"http": {"timeout": "1s", "headers": {"A": "other"}}, "steps": [B]}
    keys = {
        "http": {"timeout": "9s", "redirects": 2, "headers": {"a": "own", "C": "own"}},
        "steps": [A, {"include": "other"}],
    }

    own, included = made(keys, {"other": other}).steps

    assert isinstance(own, HttpStep)
    assert isinstance(included, HttpStep)
    assert (own.timeout_s, included.timeout_s) == (9, 1)
    assert (own.redirects, included.redirects) == (2, 2)
    headers = {name: it.text(scope()) for name, it in included.headers}
    assert headers == {"C": "own", "A": "other"}


def test_headers_of_an_inner_level_win_in_any_case() -> None:
    assert headers_over({"x": "1"}, {"X": "2", "Y": "3"}) == {"Y": "3", "x": "1"}
    inner = over(HttpDefaults(redirects=1), HttpDefaults(redirects=2, timeout="7s"))
    assert (inner.redirects, inner.timeout) == (1, 7)


def test_what_is_wrong_in_a_guest_is_told_once_where_it_stands() -> None:
    other = {"steps": [{"name": "b", "get": "${nope()}"}, {"name": "b", "get": "/"}]}

    journey = made({"steps": [{"include": "other"}, A]}, {"other": {**other, "steps": [B]}})
    assert names(journey.steps) == ["b", "a"]
    found = flaws({"steps": [{"include": "other"}, A]}, {"other": other})
    # the clash of names in the other concerns this journey too; the unknown function does not
    assert [flaw.message for flaw in found] == [
        ("steps of 'other': want a unique name of a step, got 'b' again"
        " (first at steps.0.include)")
    ]  # fmt: skip


def test_what_a_guest_lacks_here_is_told_at_the_include() -> None:
    others = {
        "one": {"steps": [{"include": "two"}]},
        "two": {"steps": [{"name": "b", "get": "/${t}"}]},
    }

    (flaw,) = flaws({"steps": [A, {"include": "one"}]}, others)

    assert (flaw.path, flaw.is_alone) == (("steps", 1, "include"), True)
    assert flaw.message == "steps of 'one': want a variable that something sets, got 't'"


def test_many_includes_end() -> None:
    # ten includes of ten includes, five deep
    others = {
        f"o{level}": {"steps": [{"include": f"o{level + 1}"}] * 10} for level in range(5)
    } | {"o5": {"steps": [B]}}  # fmt: skip
    keys = read({"steps": [{"include": "o1"}] * 10})

    inclusion = Inclusion("it", keys, {name: read(it) for name, it in others.items()})

    assert len(inclusion.part("steps", keys.steps)) < 2000


def test_the_names_of_what_is_included_are_known_before() -> None:
    keys = read(
        {
            "setup": [{"include": "a"}],
            "steps": [{"repeat": {"times": 1, "steps": [{"include": "b"}]}}, A],
            "cleanup": [{"include": "a"}],
        }
    )

    assert list(includes(keys)) == ["a", "b", "a"]
