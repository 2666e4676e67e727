from typing import Any

import pytest

from probes.journey.loading.overrides import overridden


@pytest.mark.parametrize(
    ("value", "text", "wanted"),
    [
        pytest.param("EUR", "USD", "USD", id="a text"),
        pytest.param("EUR", "${secrets.x}", "$${secrets.x}", id="never an expression"),
        pytest.param(None, "x", "x", id="nothing is any text"),
        pytest.param(3, "4", 4, id="a whole number"),
        pytest.param(3, "4.5", 4.5, id="a number need not stay whole"),
        pytest.param(3.5, "4", 4.0, id="a number"),
        pytest.param(False, "true", True, id="true"),
        pytest.param(True, "false", False, id="false"),
    ],
)
def test_what_a_command_says_has_the_form_of_what_it_replaces(
    value: Any, text: str, wanted: Any
) -> None:
    found = overridden(value, text)
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("value", "text", "message"),
    [
        pytest.param(3, "many", "want a number by --var, got 'many'", id="number"),
        pytest.param(True, "yes", "want true or false by --var, got 'yes'", id="bool"),
    ],
)
def test_another_form_is_refused(value: Any, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overridden(value, text)
