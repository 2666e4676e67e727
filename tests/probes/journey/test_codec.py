from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_network
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.journey.codec import MAX_DEPTH, decode, encode


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    number: int
    share: float = 0.5


@dataclass(frozen=True)
class Outer:
    text: str
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    pair: tuple[str, int] = ("", 0)
    words: frozenset[str] = frozenset()
    ports: range = range(1, 2)
    colour: Colour = Colour.RED
    size: Literal["s", "l"] = "s"
    anything: Any = None
    by_name: Mapping[str, float] = field(default_factory=dict)


WHOLE = Outer("x", Inner(1), (Inner(2, 1.0),), ("a", 3), frozenset({"b"}), range(3, 9),
              anything=[1, {"a": None}], by_name={"c": 1.5})  # fmt: skip


def test_a_value_comes_back_equal() -> None:
    assert decode(Outer, encode(WHOLE)) == WHOLE
    assert decode(Outer, encode(Outer("y"))) == Outer("y")


def test_a_network_is_a_text() -> None:
    assert encode(ip_network("10.0.0.0/8")) == "10.0.0.0/8"


def test_what_has_no_form_in_json_is_an_error_of_ours() -> None:
    with pytest.raises(TypeError, match="want a value that has a form in JSON, got object"):
        encode(object())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"text": 1}, "want str at text, got 1", id="type"),
        pytest.param({"inner": []}, "want a mapping at inner, got []", id="dataclass"),
        pytest.param(
            {"inner": {"number": True, "share": 0}}, "want int at inner.number", id="bool"
        ),
        pytest.param({"inner": {"number": 1}}, "want the keys of Inner at inner, odd", id="key"),
        pytest.param({"many": {}}, "want a list at many, got {}", id="list"),
        pytest.param({"pair": ["a"]}, "want 2 values at pair, got 1", id="pair"),
        pytest.param({"colour": "blue"}, "want Colour at colour, got 'blue'", id="enum"),
        pytest.param({"colour": []}, "want Colour at colour", id="unhashable"),
        pytest.param({"size": "m"}, "want one of ('s', 'l') at size, got 'm'", id="literal"),
        pytest.param({"by_name": {"c": "1"}}, "want float at by_name.'c', got '1'", id="mapping"),
        pytest.param({"by_name": {"c": 10**400}}, "want a finite number", id="huge"),
        pytest.param({"by_name": {"c": float("nan")}}, "want a finite number", id="nan"),
    ],
)
def test_another_form_is_refused_with_its_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="want") as refused:
        decode(Outer, {**encode(WHOLE), **change})
    assert message in str(refused.value)


@dataclass(frozen=True)
class Chain:
    next: "Chain | None"


def test_depth_is_bounded() -> None:
    data: Any = None
    for _ in range(MAX_DEPTH + 2):
        data = {"next": data}
    with pytest.raises(ValueError, match=f"want at most {MAX_DEPTH} levels"):
        decode(Chain, data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    # a value stands for one of several fields: nothing is found in a large one that is in no small
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(list(Outer.__dataclass_fields__)), JSON))
def test_any_data_is_a_value_or_a_value_error(change: dict[str, Any]) -> None:
    try:
        found = decode(Outer, {**encode(WHOLE), **change})
    except ValueError:
        return
    assert decode(Outer, encode(found)) == found or change
