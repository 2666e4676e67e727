"""Listening addresses as people write them."""

import errno
import socket

import pytest

from exporter.web.listen import address_text, open_listeners, split_listen


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("127.0.0.1:9115", ("127.0.0.1", 9115)),
        ("[::1]:9115", ("::1", 9115)),
        ("localhost:0", ("localhost", 0)),
        (":9115", ("", 9115)),
    ],
)
def test_an_address_is_split(text: str, parts: tuple[str, int]) -> None:
    assert split_listen(text) == parts
    assert address_text(*parts) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9115", "want an address to listen on such as 127.0.0.1:9115, got '9115'"),
        ("::1:9115", "want an address to listen on such as 127.0.0.1:9115, got '::1:9115'"),
        (
            "127.0.0.1:99999",
            "want an address to listen on such as 127.0.0.1:9115, got '127.0.0.1:99999'",
        ),
        (
            "vsock://:9115",
            "want an address to listen on such as 127.0.0.1:9115, got 'vsock://:9115'",
        ),
        ("example.org:80", "want an IP address or localhost before the port, got 'example.org:80'"),
    ],
)
def test_what_is_no_address_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="want an") as caught:
        split_listen(text)

    assert str(caught.value) == message


def test_a_port_in_use_is_named_and_nothing_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(OSError, match="want to listen") as caught:
            open_listeners(["127.0.0.1:0", f"127.0.0.1:{port}"])

    assert caught.value.errno == errno.EADDRINUSE
    assert (
        caught.value.strerror == f"want to listen on 127.0.0.1:{port}, got: Address already in use"
    )


def test_f51_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(OSError, match="9115, got: Cannot assign requested address"):
        open_listeners(["192.0.2.1:9115"])


@pytest.mark.parametrize(
    ("text", "on_loopback"),
    [
        ("127.0.0.1:0", True),
        ("localhost:0", True),
        ("[::1]:0", True),
        (":0", False),
        ("0.0.0.0:0", False),
    ],
)
def test_a_loopback_listener_is_known_as_one(text: str, *, on_loopback: bool) -> None:
    (listener,) = open_listeners([text])
    with listener.sock:
        assert listener.on_loopback is on_loopback


def test_no_host_means_all_interfaces_of_both_families() -> None:
    (listener,) = open_listeners([":0"])
    with listener.sock, socket.create_connection(("127.0.0.1", listener.sock.getsockname()[1])):
        pass
