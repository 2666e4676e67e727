"""Listening addresses as people write them."""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from exporter.web import listen
from exporter.web.listen import FROM_SYSTEMD, address_text, open_listeners, split_listen


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


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch, opened: ExitStack) -> Callable[..., None]:
    """Make sockets such as those that systemd has passed."""

    def passed(sock: socket.socket, count: str = "1", pid: int = 0) -> None:
        opened.enter_context(sock)
        monkeypatch.setattr(listen, "FIRST_PASSED", sock.fileno())
        monkeypatch.setenv("LISTEN_FDS", count)
        monkeypatch.setenv("LISTEN_PID", str(pid or os.getpid()))

    return passed


@pytest.mark.parametrize(("host", "on_loopback"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_a_socket_of_systemd_is_taken_over(
    passed: Callable[..., None], opened: ExitStack, host: str, *, on_loopback: bool
) -> None:
    sock = socket.create_server((host, 0))
    address = sock.getsockname()
    passed(sock)

    (listener,) = open_listeners([FROM_SYSTEMD])
    sock.detach()
    opened.enter_context(listener.sock)

    assert listener.sock.getsockname() == address
    assert listener.on_loopback is on_loopback
    assert not listener.sock.getblocking()
    assert not listener.sock.get_inheritable()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: socket.socket(type=socket.SOCK_DGRAM), id="UDP"),
        pytest.param(lambda: socket.socket(socket.AF_UNIX), id="a unix socket"),
        pytest.param(socket.socket, id="one that does not listen"),
    ],
)
def test_another_socket_of_systemd_is_refused_and_stays_open(
    passed: Callable[..., None], make: Callable[[], socket.socket]
) -> None:
    sock = make()
    passed(sock)

    text = f"want TCP sockets that listen from systemd, got another at {sock.fileno()}"
    with pytest.raises(ValueError, match=text):
        open_listeners([FROM_SYSTEMD])

    assert sock.getsockname() is not None


@pytest.mark.parametrize(
    ("count", "pid"),
    [
        pytest.param("0", 0, id="none"),
        pytest.param("", 0, id="nothing said"),
        pytest.param("-1", 0, id="no number"),
        pytest.param("1", 1, id="for another process"),
    ],
)
def test_what_is_not_meant_for_us_is_not_taken(
    passed: Callable[..., None], count: str, pid: int
) -> None:
    passed(socket.create_server(("127.0.0.1", 0)), count, pid)

    with pytest.raises(ValueError, match=r"want sockets from systemd .*, got none"):
        open_listeners([FROM_SYSTEMD])
