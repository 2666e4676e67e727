"""The one grammar of matchers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.matcher import MISSING, OPERATORS, Matcher, Nodes


@pytest.mark.parametrize(
    ("source", "good", "bad"),
    [
        pytest.param("healthy", "healthy", "Healthy", id="bare value"),
        pytest.param(1, 1.0, True, id="true is not 1"),
        pytest.param(1, 1, "1", id="text is not a number"),
        pytest.param(True, True, 1, id="1 is not true"),
        pytest.param(None, None, MISSING, id="null is not nothing"),
        pytest.param([1, [2]], [1.0, [2]], [1, [True]], id="lists compare typed"),
        pytest.param({"eq": {"a": 1}}, {"a": 1}, {"a": True}, id="objects by eq"),
        pytest.param({"ne": 3}, 4, 3, id="ne"),
        pytest.param({"gt": 3}, 3.5, 3, id="gt"),
        pytest.param({"gte": 3}, 3, 2, id="gte"),
        pytest.param({"lt": 3}, 2, 3, id="lt"),
        pytest.param({"lte": "b"}, "b", "c", id="lte of texts"),
        pytest.param({"gt": 3}, 10**400, "4", id="a text is never greater"),
        pytest.param({"gt": 1, "lt": 3}, 2, 3, id="all of several operators"),
        pytest.param({"in": ["a", 1]}, 1, True, id="in"),
        pytest.param({"not_in": ["a", 1]}, True, "a", id="not in"),
        pytest.param({"contains": "ell"}, "hello", "world", id="contains text"),
        pytest.param({"contains": 1}, [2, 1], [True], id="contains item"),
        pytest.param({"contains": "k"}, {"k": 0}, {"j": 0}, id="contains key"),
        pytest.param({"not_contains": "err"}, "fine", "error", id="not contains"),
        pytest.param({"not_contains": "err"}, [], None, id="nothing to look into is a miss"),
        pytest.param({"matches": "^h.*o$"}, "hello", "help", id="matches"),
        pytest.param({"matches": "^.$"}, "\ud800", 7, id="a lone surrogate is one character"),
        pytest.param({"starts_with": "v1."}, "v1.2", "v2.1", id="starts with"),
        pytest.param({"ends_with": ".io"}, "a.io", "a.com", id="ends with"),
        pytest.param({"exists": True}, None, MISSING, id="exists"),
        pytest.param({"exists": True}, [], Nodes(), id="an empty list exists, no nodes do not"),
        pytest.param({"exists": False}, MISSING, 0, id="must not exist"),
        pytest.param({"type": "integer"}, 2.0, 2.5, id="integer"),
        pytest.param({"type": "integer"}, 10**400, float("inf"), id="infinity is no integer"),
        pytest.param({"type": "number"}, 2.5, True, id="a boolean is no number"),
        pytest.param({"type": "object"}, {}, [], id="object"),
        pytest.param({"size": 2}, [1, 2], "abc", id="size"),
        pytest.param({"size": {"gte": 1}}, "a", {}, id="size by a matcher"),
        pytest.param({"is": "uuid"}, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7", id="uuid"),
        pytest.param({"is": "iso_date"}, "2026-11-21T10:00:00Z", "yesterday", id="date"),
        pytest.param({"is": "url"}, "https://example.org/x", "example.org", id="url"),
        pytest.param({"is": "email"}, "a@example.org", "a@b", id="email"),
        pytest.param({"is": "ip"}, "::1", "127.1", id="ip"),
        pytest.param({"any_of": ["ok", {"gt": 3}]}, 4, 3, id="any of"),
        pytest.param({"all": [{"gt": 1}, {"lt": 3}]}, 2, 1, id="all"),
    ],
)
def test_a_matcher_tells_the_good_from_the_bad(source: Any, good: Any, bad: Any) -> None:
    matcher = Matcher(source)

    assert matcher.miss(good) is None
    assert (matcher.miss(bad) or "").startswith("want ")


@pytest.mark.parametrize(
    ("source", "value", "message"),
    [
        ("healthy", "sick", "want 'healthy', got 'sick'"),
        ({"gt": 3}, 2, "want > 3, got 2"),
        ({"in": [1, 2]}, MISSING, "want one of [1, 2], got nothing"),
        ({"size": {"gte": 2}}, [1], "want a size of >= 2, got [1]"),
        ({"any_of": ["ok", {"gt": 3}]}, 1, "want any of ('ok' or > 3), got 1"),
        ({"is": "uuid"}, "x", "want a text that is a uuid, got 'x'"),
        ({"exists": False}, 1, "want nothing, got 1"),
        ("a" * 90, "b" * 90, f"want '{'a' * 78}…, got '{'b' * 78}…"),
    ],
)
def test_a_miss_says_what_was_wanted_and_what_came(source: Any, value: Any, message: str) -> None:
    assert Matcher(source).miss(value) == message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"gtt": 1}, "want an operator, got 'gtt'; did you mean 'gt'?"),
        ({}, "want a value or an operator such as {gt: 3}, got an empty mapping"),
        ({"gt": None}, "want a number or a text to compare with, got null"),
        ({"in": []}, "want a list that is not empty, got []"),
        ({"matches": "(?=x)"}, "want an RE2 pattern, got '(?=x)': invalid perl operator: (?="),
        ({"matches": 1}, "want a text, got 1"),
        ({"exists": "yes"}, "want true or false, got 'yes'"),
        (
            {"type": "strin"},
            (
                "want a type (string, number, integer, boolean, null, array, object), got 'strin'"
                "; did you mean 'string'?"
            ),
        ),
        (
            {"is": "date"},
            "want a format (iso_date, uuid, url, email, ip), got 'date'; did you mean 'iso_date'?",
        ),
    ],
)
def test_a_bad_matcher_is_refused_with_a_remedy(source: Any, message: str) -> None:
    with pytest.raises(ValueError, match="want") as caught:
        Matcher(source)

    assert str(caught.value) == message


def test_matchers_do_not_nest_without_end() -> None:
    source: Any = 1
    for _ in range(40):
        source = {"size": source}

    with pytest.raises(ValueError, match="at most 16 levels"):
        Matcher(source)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(values)
def test_every_value_equals_itself_and_ne_is_the_opposite(value: Any) -> None:
    assert Matcher({"eq": value}).miss(value) is None
    assert Matcher({"ne": value}).miss(value) is not None


@given(st.sampled_from(sorted(OPERATORS)), values, values)
def test_no_operator_ever_raises_on_a_value(operator: str, argument: Any, value: Any) -> None:
    try:
        matcher = Matcher({operator: argument})
    except ValueError:
        return

    assert matcher.miss(value) is None or matcher.miss(value).startswith("want ")  # type: ignore[union-attr]
    assert str(matcher)
