"""Addresses of databases: any text is an address or a ValueError without a password."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.wire.dsn import Dsn, is_loopback, parse_dsn

SCHEMES = {"redis": 6379, "rediss": 6380}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("redis://h", Dsn("redis", "h", 6379)),
        ("rediss://h", Dsn("rediss", "h", 6380)),
        ("redis://H.Example:7/3", Dsn("redis", "h.example", 7, "3")),
        ("redis://[::1]:7", Dsn("redis", "::1", 7)),
        ("redis://:p%40w@h", Dsn("redis", "h", 6379, "", "", "p@w")),
        ("redis://u:a@b@h", Dsn("redis", "h", 6379, "", "u", "a@b")),
        ("redis://u:a:b@h", Dsn("redis", "h", 6379, "", "u", "a:b")),
        ("redis://u@h/%C3%A4", Dsn("redis", "h", 6379, "ä", "u")),
        ("redis://h/d?a=1&b=x+y#c", Dsn("redis", "h", 6379, "d", options={"a": "1", "b": "x y"})),
    ],
)
def test_an_address_is_read(text: str, wanted: Dsn) -> None:
    assert parse_dsn(text, SCHEMES) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "", "h:1", "http://h", "redis:/h", "redis://", "redis://:1", "redis://u@", "redis://h:0",
        "redis://h:x", "redis://127.1", "redis://a b", "redis://h/\n", "redis://h\\x",
        "redis://u:%zz@h", "redis://h?a", "redis://h?a=1&a=2", "redis://a,b", "redis://::1", "redis://2001:db8::1:7",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^want"):
        parse_dsn(text, SCHEMES)


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    for candidate in (text, f"redis://{text}", f"redis://u:{text}@h:1/{text}"):
        with suppress(ValueError):
            found = parse_dsn(candidate, SCHEMES)
            assert found.host
            assert 0 < found.port < 65536


@pytest.mark.parametrize(
    "text",
    [
        "redis://u:hush-hush@",
        "mysql://u:hush-hush@h",
        "redis://u:hush-hush@a b",
        "redis://:hush-hush@h:x",
    ],
)
def test_no_message_shows_the_password(text: str) -> None:
    with pytest.raises(ValueError, match=r"^want") as error:
        parse_dsn(text, SCHEMES)

    assert "hush" not in str(error.value)
    assert "hush" not in repr(parse_dsn("redis://u:hush-hush@h", SCHEMES))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True), ("localhost.", True), ("127.0.0.1", True), ("127.9.9.9", True),
        ("::1", True), ("10.0.0.1", False), ("localhost.example.org", False), ("", False),
    ],
)  # fmt: skip
def test_this_machine_is_known_by_its_names(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
