"""Values taken out of an answer."""

import re
from typing import Any

import pytest

from probes.errors import CheckFailed
from probes.journey.language.extract import ExtractKeys, extract
from probes.journey.language.view import View
from probes.matcher import MISSING
from probes.result import Reason

VIEW = View(
    status=200,
    headers=(("content-type", "application/json"), ("x-trace-id", "t-1"), ("x-trace-id", "t-2")),
    body=b'{"token": "abc", "none": null, "items": [{"id": 1}, {"id": 2}], "s": "k=v"}',
    cookies={"sid": "s-1"},
)
PAGE = View(body=b'<form action=/pay><input name=csrf value="c-1"><p> a <b>b</b></form>')


@pytest.mark.parametrize(
    ("source", "value"),
    [
        pytest.param("$.token", "abc", id="short form"),
        pytest.param({"json": "$.items[1].id"}, 2, id="a number stays one"),
        pytest.param("$.none", None, id="null is a value"),
        pytest.param("$.items[*].id", [1, 2], id="several nodes are a list"),
        pytest.param({"regex": '"token": "([a-z]+)"'}, "abc", id="first group by default"),
        pytest.param({"regex": "k=."}, "k=v", id="all without a group"),
        pytest.param({"regex": "(k)=(.)", "group": 2}, "v", id="group by number"),
        pytest.param({"regex": "(k)=(.)", "group": 0}, "k=v", id="all of it"),
        pytest.param({"regex": "k=(?P<v>.)", "group": "v"}, "v", id="group by name"),
        pytest.param({"header": "X-Trace-Id"}, "t-1", id="first header"),
        pytest.param({"cookie": "sid"}, "s-1", id="cookie"),
        pytest.param({"header": "X-B", "default": "none"}, "none", id="default"),
        pytest.param({"header": "X-B", "default": None}, None, id="null as default"),
        pytest.param({"regex": "(zz)?k", "optional": True}, MISSING, id="group that is not there"),
        pytest.param({"json": "$.zz", "optional": True}, MISSING, id="optional"),
        pytest.param({"json": "$.zz[*]", "default": []}, [], id="no nodes are nothing"),
    ],
)
def test_a_value_is_taken(source: Any, value: Any) -> None:
    assert extract("x", source).take(VIEW) == value


@pytest.mark.parametrize(
    ("source", "value"),
    [
        pytest.param({"css": "form", "attribute": "action"}, "/pay", id="attribute"),
        pytest.param({"css": "form > p"}, "a b", id="text"),
        pytest.param({"css": "em", "optional": True}, MISSING, id="optional"),
        pytest.param({"json": "$.a", "default": 1}, 1, id="a page where JSON was hoped for"),
    ],
)
def test_a_value_is_taken_out_of_a_page(source: Any, value: Any) -> None:
    assert extract("x", source).take(PAGE) == value


@pytest.mark.parametrize(
    ("source", "view", "message"),
    [
        pytest.param(
            "$.tokn", VIEW,
            "want a value at $.tokn, got an object with 'token', 'none', 'items', 's'",
            id="member: keys, no values",
        ),
        pytest.param("$.a", View(body=b"[1]"), "want a value at $.a, got a list of 1", id="list"),
        pytest.param("$.a", View(body=b"7"), "want a value at $.a, got a number", id="number"),
        pytest.param("$.a", View(body=b"true"), "want a value at $.a, got a boolean", id="boolean"),
        pytest.param("$.a", View(body=b"null"), "want a value at $.a, got null", id="null"),
        pytest.param("$.a", View(body=b'"s3cret"'), "want a value at $.a, got a text",
                     id="a value is not shown"),
        pytest.param("$.a", View(body=b"{}"), "want a value at $.a, got an object with nothing",
                     id="empty object"),
        pytest.param("$.a", View(), "want JSON, got an empty body", id="204"),
        pytest.param(
            {"regex": "csrf=(.)"}, View(body=b"<html>" + b"x" * 500),
            "want a match of 'csrf=(.)', got '<html>" + "x" * 72 + "…", id="pattern: the beginning",
        ),
        pytest.param(
            {"header": "X-B"}, VIEW, "want the header 'X-B', got 'content-type', 'x-trace-id'",
            id="header: names",
        ),
        pytest.param({"cookie": "csrf"}, VIEW, "want the cookie 'csrf', got 'sid'", id="cookie"),
        pytest.param({"cookie": "csrf"}, PAGE, "want the cookie 'csrf', got nothing", id="none"),
        pytest.param(
            {"css": "#csrf"}, PAGE, "want an element '#csrf', got none in 68 bytes of HTML",
            id="element",
        ),
        pytest.param(
            {"css": "form", "attribute": "id"}, PAGE,
            "want an element 'form' with 'id', got none in 68 bytes of HTML", id="attribute",
        ),
    ],
)  # fmt: skip
def test_a_value_that_is_not_there_fails_the_step(source: Any, view: View, message: str) -> None:
    with pytest.raises(CheckFailed) as caught:
        extract("cart_id", source).take(view)

    assert caught.value.message == f"want cart_id, {message.removeprefix('want ')}"
    assert caught.value.reason is Reason.EXTRACT


def test_names_of_a_large_object_are_cut() -> None:
    body = b"{%s}" % b",".join(b'"a_rather_long_name_%d": 1' % n for n in range(500))

    with pytest.raises(CheckFailed) as caught:
        extract("x", "$.y").take(View(body=body))

    assert len(caught.value.message) < 130
    assert caught.value.message.endswith("…")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("token", "want a JSONPath such as $.a.b, got 'token' without the $", id="$"),
        pytest.param(5, "want $.path or one of {json, regex, header, cookie, css}, got 5", id="5"),
        pytest.param({}, "want exactly one of json, regex, header, cookie, css, got none",
                     id="nothing"),
        pytest.param({"json": "$.a", "css": "p"},
                     "want exactly one of json, regex, header, cookie, css, got json and css",
                     id="two"),
        pytest.param({"jsn": "$.a"},
                     "want one of json, regex, group, header, cookie, css, attribute, optional,"
                     " default, got 'jsn'; did you mean 'json'?", id="misspelt"),
        pytest.param({"json": "a"}, "json: want a JSONPath such as $.a.b, got 'a' without the $",
                     id="bad path"),
        pytest.param({"regex": "(a)", "group": 2}, "want a group of the pattern (0, 1), got 2",
                     id="no such group"),
        pytest.param({"regex": "(?P<n>a)", "group": "m"},
                     "want a group of the pattern (0, 1, n), got 'm'", id="no such name"),
        pytest.param({"header": "X", "group": 1}, "want group beside regex, got it without",
                     id="group without regex"),
        pytest.param({"header": "X", "attribute": "a"},
                     "want attribute beside css, got it without", id="attribute without css"),
        pytest.param({"header": "X", "optional": True, "default": 1},
                     "want optional or default, got both", id="both"),
        pytest.param({"header": "X", "default": {"a": ["${b}"]}},
                     "want a default without ${...}, got one", id="expression as default"),
        pytest.param({"css": "p["}, "want a CSS selector, got 'p['", id="bad selector"),
        pytest.param({"header": ""}, "header: String should have at least 1 character",
                     id="empty name"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused(source: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        extract("x", source)


def test_a_bad_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^regex: want an RE2 pattern, got '\(\?=a\)'"):
        extract("x", {"regex": "(?=a)"})


@pytest.mark.parametrize("name", ["Token", "a.b", "a-b", "", "row", "run_id", "true", "ä"])
def test_a_variable_has_a_name_of_its_own(name: str) -> None:
    message = f"want a name such as cart_id that begins in lower case, got {name!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        extract(name, "$.a")


def test_what_was_read_from_the_file_already_is_taken_as_it_is() -> None:
    keys = ExtractKeys.model_validate({"json": "$.token"})
    taken = extract("token", keys)

    assert taken.take(VIEW) == "abc"
    assert (taken.name, taken.source, taken.is_optional, taken.default) == (
        "token", keys, False, MISSING,
    )  # fmt: skip
    assert repr(extract("a", "$.b")) == "Extract('a', '$.b')"
