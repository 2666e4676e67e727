"""``if``: one comparison, or a bare expression."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.journey.language.comparison import OPERATORS, is_true, parse_condition
from probes.journey.language.grammar import Join, Literal, Node, Read


@pytest.mark.parametrize(
    ("source", "parsed"),
    [
        pytest.param("${a}", Read("a"), id="bare expression"),
        pytest.param(
            "${row.can_pay} == true",
            (Read("row.can_pay"), "==", Literal(True)),
            id="example of the docs",
        ),
        pytest.param("${a}!=null", (Read("a"), "!=", Literal(None)), id="no blanks"),
        pytest.param("5 <= ${a}", (Literal(5), "<=", Read("a")), id="number first"),
        pytest.param("${a} < -1.5", (Read("a"), "<", Literal(-1.5)), id="negative number"),
        pytest.param("${a} == EUR or $", (Read("a"), "==", Literal("EUR or $")), id="bare text"),
        pytest.param("${a} == O'Hara", (Read("a"), "==", Literal("O'Hara")), id="apostrophe"),
        pytest.param("${a} == 'x < y'", (Read("a"), "==", Literal("x < y")), id="quoted"),
        pytest.param(
            '"${a}-1" == ${b}',
            (Join((Read("a"), Literal("-1"))), "==", Read("b")),
            id="quoted with an expression",
        ),
        pytest.param(
            "id-${a} == ${b}",
            (Join((Literal("id-"), Read("a"))), "==", Read("b")),
            id="bare with an expression",
        ),
        pytest.param("${a} in ['x', 2]", (Read("a"), "in", Literal(["x", 2])), id="in a list"),
        pytest.param("['x'] contains ${a}", (Literal(["x"]), "contains", Read("a")), id="contains"),
        pytest.param(
            "${a} contains begin in",
            (Read("a"), "contains", Literal("begin in")),
            id="an operator stands between blanks",
        ),
        pytest.param("${a} == inside", (Read("a"), "==", Literal("inside")), id="in as a syllable"),
        pytest.param("${a} == $${b}", (Read("a"), "==", Literal("${b}")), id="escaped"),
        pytest.param("${'a == b'} == ${c}", (Literal("a == b"), "==", Read("c")), id="inside"),
    ],
)  # fmt: skip
def test_a_condition_is_read(source: str, parsed: Node | tuple[Node, str, Node]) -> None:
    assert parse_condition(source) == parsed


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("", "want a value on both sides, got none at column 1", id="nothing"),
        pytest.param("${a} ==", "want a value on both sides, got none at column 8", id="no right"),
        pytest.param("== 5", "want a value on both sides, got none at column 1", id="no left"),
        pytest.param(
            "token == 5", "want a ${variable} in the comparison, got two fixed values", id="no ${}"
        ),
        pytest.param(
            "${a} == 5 == 6",
            "want one comparison, got more of the text at column 11",
            id="two comparisons",
        ),
        pytest.param(
            "'a' ${b}",
            "want an operator, got another text at column 5",
            id="no operator behind a quoted text",
        ),
        *(
            pytest.param(
                source,
                "want one ${expression}, or a comparison such as ${a} == 1"
                f" ({', '.join(OPERATORS)}), got another text",
                id=name,
            )
            for source, name in [
                ("token", "a bare word"),
                ("${a} = 5", "one equals sign"),
                ("${a}${b}", "two expressions"),
                ("[1]", "a list"),
                ("true", "a constant"),
            ]
        ),
        pytest.param("${a == 5}", None, id="inside the braces"),
    ],
)
def test_what_is_no_condition_is_refused(source: str, message: str | None) -> None:
    wanted = "outside of" if message is None else f"^{re.escape(message)}$"
    with pytest.raises(ValueError, match=wanted):
        parse_condition(source)


@pytest.mark.parametrize(
    ("left", "sign", "right", "holds"),
    [
        pytest.param(1, "==", 1.0, True, id="numbers by value"),
        pytest.param(True, "==", 1, False, id="true is not 1"),
        pytest.param(None, "==", None, True, id="null"),
        pytest.param("5", "==", 5, True, id="with a text both are texts"),
        pytest.param("true", "==", True, True, id="a column of a csv says true"),
        pytest.param([1], "==", "[1]", True, id="a list as text"),
        pytest.param("a", "!=", "b", True, id="differ"),
        pytest.param([1], "!=", [1.0], False, id="equal lists"),
        pytest.param("10", ">", 9, True, id="a number out of a csv"),
        pytest.param("10", ">", "9", True, id="two numbers out of a csv"),
        pytest.param("2026-11-21", "<", "2026-12-01", True, id="texts in their order"),
        pytest.param("10", "<", "9a", True, id="no number is a text"),
        pytest.param(2, "<=", 2, True, id="at most"),
        pytest.param(2, ">=", 2.5, False, id="at least"),
        pytest.param("a", "in", ["b", "a"], True, id="in a list"),
        pytest.param("1", "in", [1], True, id="a text in a list of numbers"),
        pytest.param(True, "in", [1], False, id="a boolean is in no list of numbers"),
        pytest.param("ell", "in", "hello", True, id="in a text"),
        pytest.param(4, "in", "1234", True, id="a number in a text"),
        pytest.param("k", "in", {"k": 0}, True, id="in a mapping"),
        pytest.param("hello", "contains", "ell", True, id="contains"),
        pytest.param([1, 2], "contains", 3, False, id="contains not"),
    ],
)
def test_two_values_are_compared(left: Any, sign: str, right: Any, holds: bool) -> None:
    assert OPERATORS[sign](left, right) is holds


@pytest.mark.parametrize(
    ("left", "sign", "right", "message"),
    [
        (True, "<", 1, "want numbers or texts to compare, got true and 1"),
        (None, ">", 1, "want numbers or texts to compare, got null and 1"),
        (1, "in", 5, "want a list or a text to look in, got 5"),
        (None, "contains", 5, "want a list or a text to look in, got null"),
    ],
)
def test_what_cannot_be_compared_is_told(left: Any, sign: str, right: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        OPERATORS[sign](left, right)


def test_what_says_no_is_false() -> None:
    values: list[Any] = [False, None, 0, 0.0, "", "0", "false", "null", [], {}]

    assert not any(map(is_true, values))


def test_anything_else_is_true() -> None:
    values: list[Any] = [True, 1, -1, "no", "00", " ", [0], {"a": 0}]

    assert all(map(is_true, values))


@given(st.text(alphabet="${}=!<> '\"[]abin1.\\", max_size=40) | st.text())
def test_any_text_is_a_condition_or_refused(source: str) -> None:
    message = "want "
    try:
        parse_condition(source)
    except ValueError as error:
        message = str(error)
    assert message.startswith("want ")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)


@given(SCALARS | st.lists(SCALARS, max_size=3), SCALARS | st.lists(SCALARS, max_size=3))
def test_equal_and_unequal_are_opposites(left: Any, right: Any) -> None:
    try:
        equal = OPERATORS["=="](left, right)
    except ValueError:
        return
    assert OPERATORS["!="](left, right) is not equal
    assert OPERATORS["=="](right, left) is equal
