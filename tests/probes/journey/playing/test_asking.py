"""A step as the request it is in this play: URL, query, headers, body."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.journey.playing.asking import MAX_SENT_BYTES, Asked, address, ask, pairs_of, to_json
from probes.wire.url import parse_url
from tests.probes.journey.building import http
from tests.probes.journey.memory import scope

BASE = parse_url("http://shop.test/api/")


def asked(url: str = "/", base: Any = BASE, values: Any = None, **keys: Any) -> Asked:
    return ask(http("it", url, **keys), base, scope(values=values))


@pytest.mark.parametrize(
    ("text", "url"),
    [
        pytest.param("/items", "http://shop.test/api/items", id="path"),
        pytest.param("items", "http://shop.test/api/items", id="path-without-slash"),
        pytest.param("", "http://shop.test/api", id="nothing"),
        pytest.param("?a=b", "http://shop.test/api?a=b", id="query"),
        pytest.param("/a b/ë?q=x y#top", "http://shop.test/api/a%20b/%C3%AB?q=x%20y", id="quoted"),
        pytest.param("https://other.test:444/x", "https://other.test:444/x", id="absolute"),
        pytest.param("HTTP://Other.test", "http://other.test/", id="absolute-in-capitals"),
        pytest.param("//evil.test/x", "http://shop.test/api//evil.test/x", id="no-scheme"),
        pytest.param("@evil.test/", "http://shop.test/api/@evil.test/", id="user"),
        pytest.param(":99/", "http://shop.test/api/:99/", id="port"),
        pytest.param("\\\\evil.test", "http://shop.test/api/%5C%5Cevil.test", id="backslash"),
    ],
)
def test_a_path_stands_behind_the_base(text: str, url: str) -> None:
    assert str(address(text, BASE)) == url


@given(st.text(max_size=30))
def test_no_text_leaves_the_origin_but_a_whole_url(text: str) -> None:
    try:
        url = address(f"/{text}", BASE)
    except ValueError:
        return
    assert url.origin == BASE.origin
    assert url.path_query.startswith("/api/")


def test_a_path_without_a_base_is_told() -> None:
    with pytest.raises(ValueError, match="want an absolute URL where there is no base_url"):
        address("/items", None)
    assert str(address("http://a.test/b", None)) == "http://a.test/b"


@pytest.mark.parametrize(
    ("url", "params", "path_query"),
    [
        pytest.param("/a", {"q": "x y&z"}, "/api/a?q=x%20y%26z", id="quoted"),
        pytest.param("/a?b=1", {"q": 2}, "/api/a?b=1&q=2", id="behind-a-query"),
        pytest.param("/a", {"q": [1, "${n}", None]}, "/api/a?q=1&q=7", id="list"),
        pytest.param("/a", {"q": None}, "/api/a", id="nothing"),
        pytest.param("/a", {"q": True, "r": {"a": 1}}, "/api/a?q=true&r=%7B%22a%22%3A1%7D",
                     id="json"),
    ],
)  # fmt: skip
def test_parameters_join_the_query(url: str, params: Any, path_query: str) -> None:
    assert asked(url, params=params, values={"n": 7}).url.path_query == path_query


@pytest.mark.parametrize(
    ("keys", "body", "kind"),
    [
        pytest.param({"json": {"a": "${n}", "b": "ë"}}, '{"a":7,"b":"ë"}'.encode(),
                     "application/json", id="json"),
        pytest.param({"json": "${half}"}, b'"\\ud800"', "application/json", id="half-a-character"),
        pytest.param({"form": {"a": "x y", "b": [1, 2], "c": None}}, b"a=x+y&b=1&b=2",
                     "application/x-www-form-urlencoded", id="form"),
        pytest.param({"text": "n=${n}"}, b"n=7", "text/plain; charset=utf-8", id="text"),
    ],
)  # fmt: skip
def test_a_body_is_sent_with_what_it_is(keys: Any, body: bytes, kind: str) -> None:
    made = asked(method="POST", values={"n": 7, "half": "\ud800"}, **keys)

    assert made.body == body
    assert made.headers == [("Content-Type", kind)]


def test_a_type_of_the_journey_wins() -> None:
    made = asked(method="POST", text="<a/>", headers={"content-TYPE": "text/xml"})

    assert made.headers == [("content-TYPE", "text/xml")]


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({"text": "${v}"}, id="text"),
        pytest.param({"form": {"a": "${v}"}}, id="form"),
        pytest.param({"params": {"a": "${v}"}}, id="query"),
        pytest.param({"headers": {"X-A": "${v}"}}, id="header"),
        pytest.param({"url": "/${v}"}, id="url"),
    ],
)
def test_half_a_character_goes_nowhere_else(keys: Any) -> None:
    with pytest.raises(ValueError, match="want ") as caught:
        asked(values={"v": "\ud800"}, **keys)
    assert not isinstance(caught.value, UnicodeError)


def test_headers_and_bodies_are_bounded() -> None:
    many = {f"X-{number}": "${v}" for number in range(20)}
    with pytest.raises(ValueError, match="want headers of at most 65536 bytes"):
        asked(headers=many, values={"v": "x" * 8000})
    parts = ["${v}"] * 7
    with pytest.raises(ValueError, match=f"want a body of at most {MAX_SENT_BYTES} bytes"):
        asked(json=parts, values={"v": "\u00e9" * 1_000_000})


def test_user_and_password_of_a_url_say_who_asks() -> None:
    base = parse_url("http://me:hush@shop.test/")

    assert asked(base=base).headers == [("Authorization", "Basic bWU6aHVzaA==")]
    own = asked(base=base, headers={"authorization": "Bearer x"})
    assert own.headers == [("authorization", "Bearer x")]


def test_pairs_of_any_values_are_texts() -> None:
    assert pairs_of([("a", 1.5), ("b", False), ("c", [])]) == [("a", "1.5"), ("b", "false")]


def test_json_has_no_number_beyond_all_bounds() -> None:
    with pytest.raises(ValueError, match="want numbers that JSON can write"):
        to_json({"a": float("inf")})
