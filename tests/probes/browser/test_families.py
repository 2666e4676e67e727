from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from probes.browser.families import FAMILIES, AnyBrowserStep
from probes.browser.keys import BrowserStepKeys, GotoKeys
from probes.browser.plan import Action

STEP: TypeAdapter[BrowserStepKeys] = TypeAdapter(AnyBrowserStep)


def messages(value: Any) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        STEP.validate_python(value)
    return [error["msg"].removeprefix("Value error, ") for error in refused.value.errors()]


def test_there_is_a_family_for_every_action() -> None:
    assert {family.told_by for family in FAMILIES} == set(Action)


def test_wait_beside_goto_says_until_when() -> None:
    found = STEP.validate_python({"name": "a", "goto": "/", "wait": "networkidle"})
    assert isinstance(found, GotoKeys)
    assert found.wait == "networkidle"
    assert STEP.validate_python(found) is found


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(None, "want a step such as {name: home, goto: /}, got nothing", id="nothing"),
        pytest.param("/", "want a step such as {name: home, goto: /}, got '/'", id="a text"),
        pytest.param(
            {"name": "a", "click": {}, "see": "b"},
            "want one thing to do in a step, got click and see: each is a step of its own",
            id="two",
        ),
        pytest.param(
            {"name": "a", "clikc": {}},
            "want a key such as goto, click, fill or see, got 'clikc'; did you mean 'click'?",
            id="misspelt",
        ),
        pytest.param(
            {"name": "a", "type": "x"},
            "want a key such as goto, click, fill or see, got 'type'; did you mean 'fill'?",
            id="another word",
        ),
        pytest.param(
            {"name": "a", "get": "/"},
            "want a key such as goto, click, fill or see, got 'get': a journey with browser: has no"
            " steps over HTTP",
            id="over HTTP",
        ),
        pytest.param(
            {"name": "a"}, "want a key such as goto, click, fill or see, got none", id="no action"
        ),
        pytest.param(
            {"name": "a", "goto": None}, "want a value behind goto:, got nothing", id="no value"
        ),
        pytest.param({"goto": "/"}, "Field required", id="no name"),
        pytest.param(
            {"name": "Log in", "goto": "/"},
            "want a fixed name of a-z, 0-9 and '-' such as 'add-to-cart', got 'Log in'",
            id="name",
        ),
        pytest.param(
            {"name": "a", "goto": "/", "status": "ok"},
            "want a status such as 200, 2xx or 200-299, got 'ok'",
            id="status",
        ),
        pytest.param(
            {"name": "a", "click": {}},
            "want one of role, label, text, placeholder, test_id, css to find the element by, got"
            " none",
            id="no element",
        ),
        pytest.param(
            {"name": "a", "click": {"css": "a", "text": "b"}},
            "want one of role, label, text, placeholder, test_id, css to find the element by, got"
            " text and css",
            id="two ways",
        ),
        pytest.param(
            {"name": "a", "click": {"css": "a", "name": "b"}},
            "want name beside role, got it without",
            id="name without role",
        ),
        pytest.param(
            {"name": "a", "click": {"css": "a", "exact": True}},
            "want exact beside a text, got it beside css",
            id="exact CSS",
        ),
        pytest.param(
            {"name": "a", "expect": {}},
            "want something to expect (url, title, text, console_errors, page_errors,"
            " failed_requests), got nothing",
            id="nothing expected",
        ),
        pytest.param(
            {"name": "a", "expect": {"title": {"contain": "x"}}},
            "want an operator, got 'contain'; did you mean 'contains'?",
            id="operator",
        ),
        pytest.param(
            {"name": "a", "extract": {"x": {"css": "a", "regex": "a", "group": 1}}},
            "want a group of the regex (0 to 0), got 1",
            id="group",
        ),
        pytest.param(
            {"name": "a", "extract": {"x": {"css": "a", "optional": True, "default": 1}}},
            "want optional or default, got both",
            id="optional and default",
        ),
        pytest.param(
            {"name": "a", "extract": {"x": {"css": "a", "take": "text", "attribute": "b"}}},
            "want take or attribute, got both",
            id="take and attribute",
        ),
        pytest.param(
            {"name": "a", "extract": {"x": {"css": "a", "take": "url"}}},
            "want no element for url, got one",
            id="an element of the URL",
        ),
        pytest.param(
            {"name": "a", "extract": {"x": {"css": "a", "cookie": "b"}}},
            "want no element for cookie, got one",
            id="an element of a cookie",
        ),
    ],
)
def test_what_is_no_step_is_told_in_words(value: Any, message: str) -> None:
    assert messages(value) == [message]
