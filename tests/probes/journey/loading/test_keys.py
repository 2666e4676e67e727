"""Keys of steps: names, pauses, fixed texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from probes.journey.loading.keys import HttpKeys, Pause, StepName, VariableName, static, static_tree


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        pytest.param("x", "x", id="plain"),
        pytest.param("$${x}", "${x}", id="escaped"),
        pytest.param("$x {y} $", "$x {y} $", id="no expression"),
    ],
)
def test_a_fixed_text_has_no_expressions(text: str, fixed: str) -> None:
    assert static(text) == fixed
    assert static_tree({"a": [text, 1], "b": None}) == {"a": [fixed, 1], "b": None}


@pytest.mark.parametrize("text", ["${x}", "a${x}b", "$${a}${x}", "$${a${x}}", "${", "${x"])
def test_an_expression_in_a_fixed_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="want a fixed text, got"):
        static(text)


@given(st.text(alphabet="${}ax", max_size=12))
def test_a_fixed_text_says_what_a_template_of_it_says(text: str) -> None:
    from probes.journey.language.expression import template
    from tests.probes.journey.scopes import scope

    try:
        fixed = static(text)
    except ValueError:
        return
    assert template(text).text(scope()) == fixed


@pytest.mark.parametrize("name", ["a", "add-to-cart", "x1", "a" * 63])
def test_names_of_steps(name: str) -> None:
    assert TypeAdapter(StepName).validate_python(name) == name


@pytest.mark.parametrize("name", ["", "A", "1a", "a_b", "a b", "a" * 65, "é", "a\n", "${x}"])
def test_no_names_of_steps(name: str) -> None:
    with pytest.raises(ValidationError, match=r"want a (fixed )?name of"):
        TypeAdapter(StepName).validate_python(name)


@pytest.mark.parametrize("name", ["vars", "row", "secrets", "run_id", "true", "in", "A", "a-b", ""])
def test_no_names_of_variables(name: str) -> None:
    with pytest.raises(ValidationError, match="want a name"):
        TypeAdapter(VariableName).validate_python(name)


@pytest.mark.parametrize("text", ["1s", "500ms..3s", "1s..1m30s"])
def test_a_pause_is_shown_as_it_is_read(text: str) -> None:
    adapter = TypeAdapter(Pause)

    ends = adapter.validate_python(text)
    assert adapter.dump_python(ends, mode="json") == text
    assert adapter.validate_python(ends) == ends


def test_the_body_of_a_step_may_be_null() -> None:
    assert HttpKeys.model_validate({"name": "a", "post": "/", "json": None}).bodies == ["json"]
    assert HttpKeys.model_validate({"name": "a", "post": "/"}).bodies == []


def test_the_name_of_a_parameter_is_fixed() -> None:
    step = HttpKeys.model_validate({"name": "a", "get": "/", "params": {"$${x}": 1}})

    assert step.params == {"${x}": 1}
    with pytest.raises(ValidationError, match=r"want a fixed text, got '\$\{x\}'"):
        HttpKeys.model_validate({"name": "a", "get": "/", "params": {"${x}": 1}})
