"""Texts with ``${...}`` become a tree, or say where they are none."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.journey.language.functions import FUNCTIONS
from probes.journey.language.grammar import (
    MAX_TEXT_CHARACTERS,
    Call,
    Items,
    Join,
    Literal,
    Node,
    Read,
    parse,
)


def called(name: str, *arguments: Node, where: str) -> Call:
    return Call(FUNCTIONS[name], arguments, where)


def refusal(source: str) -> str:
    try:
        parse(source)
    except ValueError as error:
        return str(error)
    return "(none)"


@pytest.mark.parametrize(
    ("source", "node"),
    [
        pytest.param("", Literal(""), id="nothing"),
        pytest.param("a $b {c} $", Literal("a $b {c} $"), id="no expression"),
        pytest.param("$${a}", Literal("${a}"), id="a literal dollar brace"),
        pytest.param("$$${a}", Literal("$${a}"), id="and one more dollar"),
        pytest.param("${a}", Read("a"), id="variable"),
        pytest.param("${ cart_Id2 }", Read("cart_Id2"), id="blanks inside"),
        pytest.param("${row.User-Name}", Read("row.User-Name"), id="column"),
        pytest.param("${vars.a.b}", Read("vars.a", ("b",)), id="member of a variable"),
        pytest.param("${item.ids[-1].x}", Read("item", ("ids", -1, "x")), id="members, indices"),
        pytest.param("${5}", Literal(5), id="whole number"),
        pytest.param("${-1.5}", Literal(-1.5), id="number"),
        pytest.param("${12345678901234567890}", Literal(1.2345678901234567e19), id="long number"),
        pytest.param("${'it''s'}", None, id="two texts in a row"),
        pytest.param(r"${'it\'s\n'}", Literal("it's\n"), id="escapes"),
        pytest.param('${"a"}', Literal("a"), id="double quotes"),
        pytest.param("${[]}", Literal([]), id="empty list"),
        pytest.param("${[1,'a',[true, null]]}", Literal([1, "a", [True, None]]), id="fixed list"),
        pytest.param("${[a, 1]}", Items((Read("a"), Literal(1))), id="list with a variable"),
        pytest.param("${true}", Literal(True), id="true"),
        pytest.param("x${a}y", Join((Literal("x"), Read("a"), Literal("y"))), id="joined"),
        pytest.param("$${${a}", Join((Literal("${"), Read("a"))), id="escape and variable"),
        pytest.param("${uuid()}", called("uuid", where=" at column 3 of '${u'"), id="call"),
        pytest.param(
            "${base64('${a}:${b}')}",
            called(
                "base64",
                Join((Read("a"), Literal(":"), Read("b"))),
                where=" at column 3 of '${b'",
            ),
            id="a text in quotes may hold expressions",
        ),
        pytest.param(
            "${lower( upper(a) )}",
            called(
                "lower",
                called("upper", Read("a"), where=" at column 10 of '${lower( u'"),
                where=" at column 3 of '${l'",
            ),
            id="nested",
        ),
    ],
)
def test_a_text_is_read(source: str, node: Node | None) -> None:
    if node is None:
        with pytest.raises(ValueError, match=r"^want '}', got "):
            parse(source)
    else:
        assert parse(source) == node


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param(
            "a ${", "want a variable, a function or a value, got the end of the text at column 5"
            " of '${'", id="nothing behind",
        ),
        pytest.param("${a", "want '}', got the end of the text at column 4 of '${a'", id="open"),
        pytest.param(
            "${}", "want a variable, a function or a value, got '}' at column 3 of '${}'",
            id="empty",
        ),
        pytest.param("${a b}", "want '}', got 'b' at column 5 of '${a b'", id="two names"),
        pytest.param(
            "${a == 1}",
            "want '}', got '=' at column 5 of '${a ='; a comparison stands outside of ${}",
            id="comparison inside",
        ),
        pytest.param(
            "${Name}", "want a name of at most 64 characters that begins in lower case, got 'Name'"
            " at column 3 of '${N'", id="upper case",
        ),
        pytest.param(
            "${NAME}", "want a name of at most 64 characters that begins in lower case, got 'NAME'"
            " at column 3 of '${N'; of the environment: env('NAME')", id="of the environment",
        ),
        pytest.param(
            "${" + "a" * 65 + "}",
            "want a name of at most 64 characters that begins in lower case, got"
            f" '{'a' * 65}' at column 3 of '${{a'", id="long name",
        ),
        pytest.param("${row}", "want row.name, got 'row' at column 3 of '${r'", id="no column"),
        pytest.param(
            "${row[0]}", "want row.name, got 'row' at column 3 of '${r'", id="no row by number"
        ),
        pytest.param(
            "${a.}", "want a name behind the dot, got '}' at column 5 of '${a.}'", id="dot"
        ),
        pytest.param("${a[x]}", "want an index, got 'x' at column 5 of '${a[x'", id="no index"),
        pytest.param("${a[1}", "want ']', got '}' at column 6 of '${a[1}'", id="no bracket"),
        pytest.param("${a[1.5]}", "want an index, got '1.5' at column 5 of '${a[1'", id="half"),
        pytest.param(
            "${sha265(a)}",
            "want a function, got 'sha265' at column 3 of '${s'; did you mean 'sha256'?",
            id="misspelt function",
        ),
        pytest.param(
            "${zzz(a)}",
            f"want a function, got 'zzz' at column 3 of '${{z' ({', '.join(FUNCTIONS)})",
            id="unknown function",
        ),
        pytest.param(
            "${randint(1)}", "want randint(low, high), got 1 arguments at column 3 of '${r'",
            id="too few arguments",
        ),
        pytest.param(
            "${seq(1)}", "want seq(), got 1 arguments at column 3 of '${s'", id="too many"
        ),
        pytest.param(
            "${hmac(a, b}", "want ',' or ')', got '}' at column 12 of '${hmac(a, b}'", id="bracket"
        ),
        pytest.param(
            "x ${'abc}", 'want a variable, a function or a value, got "\'" at column 5 of'
            ' "${\'"', id="no quote at the end",
        ),
        pytest.param(
            r"${'\d'}", r"want \\ for a backslash in quotes, got '\\d'", id="unknown escape"
        ),
        pytest.param(
            "${" + "[" * 17, "want at most 16 levels of nesting, got more", id="deep list"
        ),
        pytest.param(
            "${a" + ".b" * 17 + "}", "want at most 16 levels of nesting, got more", id="long way"
        ),
        pytest.param("\ud800", r"want Unicode text, got '\ud800'", id="half a character"),
        pytest.param(
            "x" * (MAX_TEXT_CHARACTERS + 1), "want a text of at most 65536 characters, got 65537",
            id="too long",
        ),
    ],
)  # fmt: skip
def test_what_is_no_expression_is_told_with_its_column(source: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse(source)


def test_a_message_shows_no_more_than_was_read() -> None:
    """What follows may be a value of the environment."""
    with pytest.raises(ValueError, match="column") as caught:
        parse("Bearer hunter1 ${token hunter2")

    assert "hunter1" not in str(caught.value)


def test_texts_nest_no_deeper_than_expressions() -> None:
    source = "a"
    for level in range(5):
        quoted = source.replace("\\", "\\\\").replace("'", "\\'")
        source = f"${{lower('{quoted}')}}"
        parse(source)
        assert source.count("lower") == level + 1


@given(st.text(alphabet="${}()[]'\"\\,. ab1-uidrow", max_size=60) | st.text())
def test_any_text_is_read_or_refused(source: str) -> None:
    assert refusal(source).startswith(("want ", "(none)"))


@given(st.text())
def test_a_text_without_an_expression_says_itself(source: str) -> None:
    if "${" not in source:
        assert parse(source) == Literal(source)


@pytest.mark.parametrize("opening", ["${'", "${[", "${lower(", "${a.", "${'\\\\", "$${", "${${"])
def test_a_long_text_is_refused_in_no_time(opening: str) -> None:
    """At most 16 levels, and each character is looked at a few times only."""
    source = (opening * MAX_TEXT_CHARACTERS)[:MAX_TEXT_CHARACTERS]

    assert 0 < len(refusal(source)) < 400
