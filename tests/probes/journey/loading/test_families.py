"""Families of steps: told apart by their key, before any class judges them."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from probes.journey.loading.families import FAMILIES, AnyStep, RepeatKeys
from probes.journey.loading.keys import HttpKeys, StepKeys

STEP: TypeAdapter[Any] = TypeAdapter(AnyStep)
EXAMPLES: dict[str, dict[str, Any]] = {
    "get": {"name": "a", "get": "/"},
    "graphql": {"name": "a", "graphql": {"query": "{a}"}},
    "rpc": {"name": "a", "rpc": {"method": "m"}},
    "ws": {"name": "a", "ws": {"dialog": [{"send": "x"}]}},
    "sql": {"name": "a", "sql": {"target": "x", "query": "select 1"}},
    "wait": {"wait": "1s"},
    "think": {"think": "1s"},
    "log": {"log": "x"},
    "include": {"include": "other"},
    "repeat": {"repeat": {"times": 1, "steps": [{"wait": "1s"}]}},
}


@pytest.mark.parametrize(("key", "example"), EXAMPLES.items())
def test_a_step_is_of_the_family_of_its_key(key: str, example: dict[str, Any]) -> None:
    step = STEP.validate_python(example)

    (family,) = [it for it in FAMILIES if key in it.told_by]
    assert type(step) is family
    assert family.claims(example)
    assert STEP.validate_python(step) is step


def test_each_key_tells_one_family() -> None:
    told = [key for family in FAMILIES for key in family.told_by]

    assert len(told) == len(set(told))
    assert EXAMPLES.keys() <= set(told)
    assert StepKeys.told_by == ()


def test_only_the_class_of_its_family_judges_a_step() -> None:
    with pytest.raises(ValidationError) as caught:
        STEP.validate_python({"repeat": {"times": 1, "steps": [{"name": "A", "get": "/"}]}})

    (error,) = caught.value.errors()
    assert error["loc"][-1] == "name"
    assert "want a fixed name" in error["msg"]


@pytest.mark.parametrize(
    ("odd", "meant"),
    [("gett", "get"), ("url", "get"), ("sleep", "wait"), ("loop", "repeat"), ("websocket", "ws"),
     ("pst", "post"), ("includes", "include")],
)  # fmt: skip
def test_a_misspelt_key_has_a_hint(odd: str, meant: str) -> None:
    with pytest.raises(ValidationError, match=f"got '{odd}'; did you mean '{meant}'"):
        STEP.validate_python({"name": "a", odd: "/"})


def test_a_step_in_a_step_is_of_its_own_family() -> None:
    step = STEP.validate_python({"repeat": {"times": 2, "steps": [EXAMPLES["get"]]}})

    assert isinstance(step, RepeatKeys)
    assert isinstance(step.repeat.steps[0], HttpKeys)
