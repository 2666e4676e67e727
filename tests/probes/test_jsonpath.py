"""JSON out of foreign bytes, and paths into it."""

import json
import re
from collections.abc import Callable
from typing import Any

import jsonpath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.errors import CheckFailed
from probes.jsonpath import MAX_INDEX, JsonPath, parse_json
from probes.result import Reason

DOCUMENT = {"a": {"b": [1, 2, {"c": None}]}, "x y": 1, "é": "ü", "empty": [], "0": "zero"}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        pytest.param("$", [DOCUMENT], id="root"),
        pytest.param("$.a.b[0]", [1], id="index"),
        pytest.param("$.a.b[-1].c", [None], id="null is a node"),
        pytest.param("$['x y']", [1], id="quoted"),
        pytest.param('$["a"]["b"][1]', [2], id="double quoted"),
        pytest.param("$.é", ["ü"], id="not ascii"),
        pytest.param("$ .a\n['b'] [ 0 ]", [1], id="white space between segments"),
        pytest.param("$.a.b[9]", [], id="index out of range"),
        pytest.param("$.a[0]", [], id="index on an object"),
        pytest.param("$.a.b.c", [], id="name on an array"),
        pytest.param("$.é[0]", [], id="index on a text"),
        pytest.param("$.zz", [], id="missing member"),
        pytest.param("$.a.b[*]", [1, 2, {"c": None}], id="wildcard"),
        pytest.param("$..c", [None], id="descendants"),
        pytest.param("$.a.b[?@>1]", [2], id="filter"),
        pytest.param("$.a.b[1:]", [2, {"c": None}], id="slice"),
        pytest.param("$['a\\u0062']", [], id="escaped name goes to the library"),
    ],
)
def test_a_path_selects_the_nodes_of_rfc_9535(path: str, values: list[Any]) -> None:
    assert JsonPath(path).select(DOCUMENT) == values


@pytest.mark.parametrize(
    "path",
    [
        "a.b",
        "",
        "$.",
        "$.a[",
        "$[01]",
        "$[-0]",
        "$.a b",
        "$.0",
        f"$[{MAX_INDEX + 1}]",
        "$" + "[?@" * 500,
        "$.\x7f",
        "$\x0b.a",
    ],
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"^want a JSONPath"):
        JsonPath(path)


@pytest.mark.parametrize("scalar", ["text", '{"a": 1}', 3, None, True])
def test_a_scalar_document_has_no_members(scalar: object) -> None:
    assert JsonPath("$.a").select(scalar) == []
    assert JsonPath("$..a").select(scalar) == []
    assert JsonPath("$").select(scalar) == [scalar]


names = st.text(
    st.characters(exclude_characters="'\"\\", exclude_categories=["Cs", "Cc"]), max_size=5
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
)


@given(documents, st.lists(names | st.integers(-3, 3), max_size=4))
def test_the_own_subset_selects_what_the_library_selects(
    document: Any, steps: list[str | int]
) -> None:
    text = "$" + "".join(f"[{step}]" if isinstance(step, int) else f"['{step}']" for step in steps)

    path = JsonPath(text)

    assert path.singular
    if isinstance(document, dict | list):
        library = jsonpath.JSONPathEnvironment(strict=True).findall(text, document)
        assert path.select(document) == library


@given(st.text(max_size=40))
def test_any_text_is_a_path_or_a_clear_refusal(text: str) -> None:
    try:
        assert isinstance(JsonPath(text).select({"a": [1]}), list)
    except ValueError as error:
        assert str(error).startswith("want a ")  # noqa: PT017 - either outcome is right


@given(documents)
def test_json_is_read_as_it_was_written(document: Any) -> None:
    assert parse_json(json.dumps(document).encode()) == document


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"[" * 100_000, "want JSON of at most 64 levels", id="deep"),
        pytest.param(
            b'{"a":' * 70 + b"1" + b"}" * 70, "want JSON of at most 64 levels", id="deep objects"
        ),
        pytest.param(b"1" * 1001, "want numbers of at most 1000 digits", id="long number"),
        pytest.param(
            b'["' + b"0" * 2000 + b'", ' + b"1" * 1001 + b"]",
            "want numbers of at most 1000 digits",
            id="long number behind a long text",
        ),
        pytest.param(
            b"[0." + b"1" * 1001 + b"]", "want numbers of at most 1000 digits", id="long fraction"
        ),
        pytest.param(b"NaN", "the number NaN", id="NaN"),
        pytest.param(b"[-Infinity]", "the number -Infinity", id="infinity"),
        pytest.param(b"\xff\xfe\x00", "want JSON", id="not UTF-8"),
        pytest.param(
            # in UTF-16 the letter holds the byte of a quote, which hides what follows
            ('["\u0122",' + "[" * 100_000).encode("utf-16"),
            "want JSON in UTF-8, got other bytes",
            id="deep in UTF-16",
        ),
        pytest.param(b"<html>", "want JSON, got Expecting value at byte 0: b'<html>'", id="HTML"),
        pytest.param(b"", "want JSON, got Expecting value", id="nothing"),
    ],
)
def test_a_hostile_document_is_refused_in_bounded_time(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match="want") as caught:
        parse_json(data)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    "nested",
    [
        pytest.param(lambda levels: "[" * levels + "]" * levels, id="arrays"),
        pytest.param(lambda levels: '{"a":' * levels + "1" + "}" * levels, id="objects"),
        pytest.param(
            lambda levels: f"[{'[],' * 100}{'[' * (levels - 1)}{']' * levels}", id="beside others"
        ),
    ],
)
def test_a_document_may_have_64_levels_and_no_more(nested: Callable[[int], str]) -> None:
    parse_json(nested(64).encode())

    for levels in (65, 500, 5000):
        with pytest.raises(ValueError, match="want JSON of at most 64 levels, got more"):
            parse_json(nested(levels).encode())


def test_a_text_of_brackets_is_a_text() -> None:
    assert parse_json(b'"' + b"[" * 500 + b'"') == "[" * 500


@pytest.mark.parametrize("number", [0, -5, 10**999, -(10**999), 0.5])
def test_digits_inside_texts_are_no_number(number: float) -> None:
    """As in the data of a transaction, which is mostly zeros."""
    document = ["0x" + "0" * 5000, number]

    assert parse_json(json.dumps(document).encode()) == document


def test_brackets_inside_texts_do_not_count_as_depth() -> None:
    assert parse_json(json.dumps(["[" * 500, '\\"[']).encode()) == ["[" * 500, '\\"[']


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_a_value_error(data: bytes) -> None:
    """T56: bounded, and never another error."""
    try:
        parse_json(data)
    except ValueError as error:
        assert str(error).startswith("want ")  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("path", "values"),
    [
        pytest.param("$.a[?search(@, 'b+')]", ["abb", "b"], id="somewhere"),
        pytest.param("$.a[?match(@, 'b|ab.')]", ["abb", "b"], id="all of the text"),
        pytest.param("$.a[?match(@, 'b')]", ["b"], id="not a part of it"),
        pytest.param("$.a[?search(@, $.p)]", ["abb"], id="a pattern out of the document"),
        pytest.param("$.a[?search(@, $.bad)]", [], id="no pattern in the document"),
        pytest.param("$.a[?search(@, $.a)]", [], id="no text in the document"),
    ],
)
def test_a_path_searches_texts(path: str, values: list[Any]) -> None:
    document = {"a": ["abb", "b", 7, "é"], "p": "^a", "bad": "("}

    assert JsonPath(path).select(document) == values


@pytest.mark.parametrize("function", ["search", "match"])
def test_a_pattern_in_a_path_cannot_stop_the_prober(function: str) -> None:
    """T10: with `re` this takes longer than the test may."""
    path = JsonPath(f"$[?{function}(@, '(a+)+$')]")

    assert path.select(["a" * 10_000 + "!"]) == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        pytest.param("$[?search(@, '(?=a)')]", "want an RE2 pattern, got '(?=a)'", id="look-ahead"),
        pytest.param("$[?match(@, '(')]", "want an RE2 pattern, got '('", id="syntax"),
        pytest.param("$[?search(@)]", "requires 2 arguments", id="too few arguments"),
        pytest.param("a.b", "got 'a.b' without the $", id="no root"),
    ],
)
def test_a_mistake_in_a_path_is_told_when_it_is_read(path: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        JsonPath(path)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("$..a..a..a", id="below each other"),
        pytest.param("$..*..*", id="everything of everything"),
        pytest.param("$[?count(@..*..*) > 1]", id="in a filter"),
        pytest.param("$[?count($..*) > 1]", id="from the root in a filter"),
        pytest.param("$[?@[?@[?@.a]].b].c", id="filters in filters"),
    ],
)
def test_a_document_cannot_stop_the_prober(path: str) -> None:
    """T10: the path takes minutes for 2 MiB; without a word of what is in them."""
    nested: Any = 1
    for _ in range(50):
        nested = {"a": nested}
    document = [nested] * 4_000 + [[[1] * 20] * 300] * 200

    with pytest.raises(CheckFailed, match="want at most 50000 values to look at for ") as caught:
        JsonPath(path).select(document)

    assert caught.value.reason is Reason.TOO_LARGE


def test_what_is_large_can_be_looked_through_once() -> None:
    document = [{"a": number} for number in range(20_000)]

    assert JsonPath("$[*].a").select(document) == list(range(20_000))
    assert JsonPath("$[?@.a > 19998].a").select(document) == [19_999]
