"""Where a master listens: read, or refused."""

import pytest

from scenarios.fleet.address import format_address, is_loopback, parse_address, parse_bind


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        pytest.param("10.0.0.5", "10.0.0.5", 5557, "10.0.0.5:5557", id="without a port"),
        pytest.param("10.0.0.5:7000", "10.0.0.5", 7000, "10.0.0.5:7000", id="with one"),
        pytest.param("a-b.example", "a-b.example", 5557, "a-b.example:5557", id="a name"),
        pytest.param("::1", "::1", 5557, "[::1]:5557", id="bare IPv6"),
        pytest.param("[::1]", "::1", 5557, "[::1]:5557", id="IPv6 in brackets"),
        pytest.param("[::1]:7000", "::1", 7000, "[::1]:7000", id="IPv6 with a port"),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int, shown: str) -> None:
    assert parse_address(text) == (host, port)
    assert format_address(host, port) == shown


@pytest.mark.parametrize(
    "text",
    ["", ":5557", "host:", "host:0", "host:65536", "host:x", "a b", "[::1", "[::1]x", "[a]:1",
     "tcp://a:1", "h:1:2", "fe80::1%lo", "h:\u0661"],
)  # fmt: skip
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="want HOST"):
        parse_address(text)


def test_who_listens_has_an_address() -> None:
    assert parse_bind("localhost:1") == ("127.0.0.1", 1)
    with pytest.raises(ValueError, match="want an IP address to listen on"):
        parse_bind("example.org")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
