from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from probes.sourced import Sourced


class Level(Sourced):
    """Refuses what is negative."""

    __slots__ = ()

    def __init__(self, source: Any) -> None:
        super().__init__(source)
        if source == -1:
            raise ValueError("want a level, got -1")


class Other(Level):
    """The same for something else."""

    __slots__ = ()


class Page(BaseModel):
    """Holds one."""

    model_config = ConfigDict(frozen=True)
    level: Level


@pytest.mark.parametrize(
    ("one", "other", "is_equal"),
    [
        pytest.param(1, 1.0, True, id="numbers by value"),
        pytest.param(1, True, False, id="true is no number"),
        pytest.param("1", 1, False, id="a text is none either"),
        pytest.param({"a": [1], "b": 2}, {"b": 2, "a": [1]}, True, id="keys in any order"),
        pytest.param([1, 2], [2, 1], False, id="a list in its own"),
        pytest.param({"a": [{"b": True}]}, {"a": [{"b": 1}]}, False, id="however deep"),
    ],
)
def test_two_are_equal_when_json_would_say_so(one: Any, other: Any, *, is_equal: bool) -> None:
    assert (Level(one) == Level(other)) is is_equal
    assert (hash(Level(one)) == hash(Level(other))) is is_equal


def test_another_class_is_another_value() -> None:
    assert Level(1) != Other(1)
    assert repr(Other(1)) == "Other(1)"


def test_pydantic_reads_it_and_writes_its_source_back() -> None:
    page = Page.model_validate({"level": {"gt": 3}})

    assert page.level == Level({"gt": 3})
    assert Page(level=page.level).level is page.level
    assert page.model_dump() == {"level": {"gt": 3}}
    with pytest.raises(ValueError, match="want a level, got -1"):
        Page.model_validate({"level": -1})
