"""What people see of a failed step, and what nobody may see."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.journey.model import Request, Response
from probes.journey.playing.evidence import (
    MAX_EVIDENCE_BYTES,
    clean,
    evidence,
    hideable,
    looks_secret,
    secrets_in,
    secrets_of_cookie,
    texts_in,
)
from probes.wire.url import parse_url

SECRET = "s3cr3t-" + "y" * 40


def request(body: bytes = b"", *headers: tuple[str, str]) -> Request:
    return Request("it", "POST", parse_url("http://u:p@shop.test/a?b=c"), headers, body)


@pytest.mark.parametrize(
    "name",
    ["token", "access_token", "accessToken", "X-Api-Key", "sid", "PHPSESSID_session", "csrf",
     "Authorization", "Set-Cookie", "db_password", "user_pin", "jwt", "X-Auth"],
)  # fmt: skip
def test_names_of_secrets_are_known(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    ["id", "cart_id", "keyboard", "monkey", "spinner", "inside", "Content-Type", "price", "author"],
)
def test_everybodys_names_are_no_secrets(name: str) -> None:
    assert not looks_secret(name)


def test_the_password_of_a_url_is_not_shown() -> None:
    facts = evidence(request(), Response(status=500), [])

    assert facts == {"request": "POST http://shop.test/a?b=c", "response": "status 500"}
    assert evidence(None, None, []) == {}


@given(st.integers(0, len(SECRET) + 4), st.booleans())
def test_a_secret_is_never_cut_in_two(shift: int, twice: bool) -> None:
    before = b"x" * (MAX_EVIDENCE_BYTES - len(SECRET) - 2 + shift)
    body = before + SECRET.encode() * (1 + twice) + b"z" * 100
    text = evidence(request(), Response(status=500, body=body), [SECRET])["response body"]

    rest = text.replace(SECRET, "").rstrip("…z").rstrip("x")
    assert rest == ""


def test_secrets_that_overlap_at_the_cut_are_both_left_out() -> None:
    body = b"x" * (MAX_EVIDENCE_BYTES - 10) + b"abcdefghijklmnopqrstuvwxyz" + b"q" * 50
    hidden = ["ghijklmnopq", "cdefgh"]
    text = evidence(request(), Response(status=500, body=body), hidden)["response body"]

    assert text.endswith("xxab…")


def test_a_character_is_not_cut_in_two() -> None:
    body = b"x" * (MAX_EVIDENCE_BYTES - 1) + "ë".encode() * 50
    text = evidence(request(), Response(status=500, body=body), [])["response body"]

    assert text == "x" * (MAX_EVIDENCE_BYTES - 1) + "…"


@given(st.binary(max_size=200), st.text(max_size=50))
def test_what_is_shown_is_clean_whatever_came(body: bytes, value: str) -> None:
    facts = evidence(
        request(body, ("X-A", value)),
        Response(status=200, headers=(("x-b", value),), body=body),
        [],
    )

    for text in facts.values():
        json.dumps(text, ensure_ascii=False).encode()
        assert not {*text} & {*map(chr, range(9)), "\x0b", "\x1b", "\x7f", "\x9b", "\u202e", "\r"}


def test_tabs_and_ends_of_lines_may_stay() -> None:
    assert clean("a\r\nb\tc\x1b[0m\u202e") == "a\nb\tc\\x1b[0m\\x202e"


def test_values_of_secret_headers_are_found_in_both_directions() -> None:
    sent = request(
        b"", ("Authorization", "Bearer abcdef"), ("Cookie", "sid=1234567; lang=en; big=0123456789"),
        ("Accept", "text/html"),
    )  # fmt: skip
    came = Response(
        status=200, headers=(("set-cookie", "token=xyz; Path=/"), ("x-api-key", "k-1"), ("a", "b"))
    )

    assert set(secrets_in(sent, came)) == {
        "Bearer abcdef", "abcdef", "1234567", "0123456789", "xyz", "k-1",
    }  # fmt: skip


def test_a_cookie_that_is_a_switch_is_not_hidden() -> None:
    assert list(secrets_of_cookie("lang", "en")) == []
    assert list(secrets_of_cookie("sid", "en")) == ["en"]


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        pytest.param("abc", ["abc"], id="text"),
        pytest.param(1234, ["1234"], id="number"),
        pytest.param({"a": ["x", {"b": "y"}], "c": None, "d": True}, ["x", "y"], id="nested"),
        pytest.param(None, [], id="nothing"),
    ],
)
def test_every_text_in_a_secret_value_is_one(value: Any, texts: list[str]) -> None:
    assert list(texts_in(value)) == texts


def test_only_what_can_be_hidden_without_hiding_all_is_hidden() -> None:
    assert list(hideable(["abc", "abcd"])) == ["abcd"]


def test_of_a_very_long_secret_the_beginning_is_hidden() -> None:
    """More than that is shown nowhere; `probes.redact` knows where a text was cut."""
    assert list(hideable(["x" * 5000])) == ["x" * 4096]
    came = Response(status=500, body=b"a" * 10 + b"x" * 5000)
    assert evidence(request(), came, hideable(["x" * 5000]))["response body"] == "a" * 10 + "…"
