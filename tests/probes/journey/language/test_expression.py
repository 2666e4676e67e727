"""Texts, trees and conditions of a journey."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.journey.language.expression import (
    MAX_TREE_DEPTH,
    Scope,
    Unset,
    condition,
    literal,
    template,
    tree,
)
from probes.journey.language.functions import chance

AT = datetime(2026, 11, 21, tzinfo=UTC)


def scope(**values: Any) -> Scope:
    return Scope(run_id="r-1", iteration=3, random=chance(1, 3), now=lambda: AT, environ={},
                 values=values, row={"can_pay": "true"})  # fmt: skip


@pytest.mark.parametrize(
    ("source", "value", "text"),
    [
        pytest.param("plain", "plain", "plain", id="constant"),
        pytest.param("${n}", 5, "5", id="exactly one expression"),
        pytest.param(" ${n}", " 5", " 5", id="a blank makes it a text"),
        pytest.param("${ok}", True, "true", id="boolean"),
        pytest.param("${none}", None, "null", id="null"),
        pytest.param("${items}", [1, "a"], '[1,"a"]', id="list"),
        pytest.param("${5}", 5, "5", id="a fixed number"),
        pytest.param("/cart/${n}/${ok}", "/cart/5/true", "/cart/5/true", id="joined"),
        pytest.param("$${n}", "${n}", "${n}", id="escaped"),
    ],
)
def test_a_template_gives_value_and_text(source: str, value: Any, text: str) -> None:
    compiled = template(source)
    within = scope(n=5, ok=True, none=None, items=[1, "a"])

    assert compiled.value(within) == value
    assert compiled.text(within) == text
    assert compiled.source == source


def test_a_template_knows_whether_it_is_constant_and_what_it_reads() -> None:
    assert template("x $${").is_constant
    assert template("${upper('x')}").reads == frozenset()
    assert not template("${run_id}").is_constant
    assert template("${a}${row.b}").reads == {"a", "row.b"}


def test_a_tree_replaces_every_text_and_key() -> None:
    source = {"item": "${n}", "tags": ["a", "${tag}", {"${tag}": 1}], "qty": 1, "s": "x-${n}"}
    compiled = tree(source)

    assert compiled.value(scope(n=5, tag="t")) == {
        "item": 5, "tags": ["a", "t", {"t": 1}], "qty": 1, "s": "x-5",
    }  # fmt: skip
    assert compiled.reads == {"n", "tag"}
    assert compiled.source is source
    assert not compiled.is_constant


def test_constant_parts_of_a_tree_are_shared() -> None:
    compiled = tree({"fixed": {"a": ["$${x}"]}, "n": "${n}"})

    first, second = (compiled.value(scope(n=n)) for n in (1, 2))

    assert first["fixed"] is second["fixed"]
    assert first["fixed"] == {"a": ["${x}"]}


def test_two_keys_that_become_one_are_refused() -> None:
    with pytest.raises(ValueError, match="want keys that differ, got one twice"):
        tree({"${a}": 1, "${b}": 2}).value(scope(a="x", b="x"))


def test_a_number_as_a_key_becomes_text() -> None:
    assert tree({"${n}": 1, 2: "x"}).value(scope(n=5)) == {"5": 1, 2: "x"}


def test_a_tree_has_a_bounded_depth() -> None:
    deep: Any = "${n}"
    for _ in range(MAX_TREE_DEPTH):
        deep = [deep]

    assert tree(deep).reads == {"n"}
    with pytest.raises(ValueError, match="want a value of at most 64 levels, got more"):
        tree([deep])


@pytest.mark.parametrize(
    ("source", "holds"),
    [
        pytest.param("${row.can_pay} == true", True, id="example of the docs"),
        pytest.param("${row.can_pay}", True, id="bare text"),
        pytest.param("${n} > 3", True, id="number"),
        pytest.param("${n} in [1, 2]", False, id="list"),
        pytest.param("${tag} contains '${n}'", True, id="expression in quotes"),
        pytest.param("${missing}", False, id="no value is false"),
        pytest.param("${upper(missing)}", False, id="nor has a call one"),
        pytest.param("${zero}", False, id="zero"),
    ],
)
def test_a_condition_holds_or_not(source: str, holds: bool) -> None:
    assert condition(source).holds(scope(n=5, tag="t5", zero=0)) is holds


def test_a_comparison_with_an_unset_variable_is_no_answer() -> None:
    with pytest.raises(Unset):
        condition("${missing} == 1").holds(scope())


def test_a_condition_reads_both_sides() -> None:
    compiled = condition("${a} == ${row.b}")

    assert compiled.reads == {"a", "row.b"}
    assert compiled.source == "${a} == ${row.b}"
    assert condition("${c}").reads == {"c"}


def test_compiled_things_show_their_source() -> None:
    shown = repr([template("${a}"), tree({"a": 1}), condition("${a}")])

    assert shown == "[Template('${a}'), Tree({'a': 1}), Condition('${a}')]"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(["${a}", "${a}"], id="lists"),
        pytest.param({"x": "${a}", "y": "${a}"}, id="mappings"),
        pytest.param("${[a, a]}", id="lists of an expression"),
    ],
)
def test_values_that_hold_each_other_twice_do_not_grow_without_end(source: Any) -> None:
    """Forty such variables are 2**40 texts in the first one that is sent."""
    grown = scope(a="x")
    compiled = tree(source)

    with pytest.raises(ValueError, match="want a value of at most 8388608 characters"):
        for _ in range(40):
            grown.values["a"] = compiled.value(grown)


def test_values_that_hold_each_other_do_not_nest_without_end() -> None:
    grown = scope(a="x")
    compiled = tree(["${a}"])

    with pytest.raises(ValueError, match="want a value of at most 256 levels"):
        for _ in range(1000):
            grown.values["a"] = compiled.value(grown)
    assert json.loads(template("${json(a)}").text(grown)), "what is left can be sent"


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_a_literal_says_its_text_whatever_follows(text: str) -> None:
    """What stands in the environment is data: it is not expanded again."""
    assert template(literal(text)).text(scope()) == text
    assert template(literal(text) + "{b}").text(scope()) == f"{text}{{b}}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="$")),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="$")), inner,
                      max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(JSON)
def test_a_tree_without_expressions_is_equal_to_its_source(source: Any) -> None:
    compiled = tree(source)

    assert compiled.is_constant
    assert compiled.value(scope()) == source


WORDS = ["${", "}", "a", "n", "(", ")", "'", "[", "]", ",", ".", "row", "env", "int", "upper",
         "now", "random", "randint", "totp", "5", " ", "$${", "%Y", "json", "secrets"]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=14).map("".join), JSON)
def test_rendering_ends_in_a_value_or_in_one_of_two_exceptions(source: str, value: Any) -> None:
    try:
        compiled = template(f"${{{source}}}"), template(source)
    except ValueError:
        return
    for one in compiled:
        try:
            assert isinstance(one.text(scope(a=value, n=5)), str)
        except (Unset, ValueError):
            continue
