"""A request served step by step, without a loop."""

import selectors
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.web.answers import Answer
from exporter.web.attendant import Steps, serve
from exporter.web.head import Head
from tests.exporter.web.support import request

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    here, there = socket.socketpair()
    here.setblocking(False)
    yield here, there
    here.close()
    there.close()


def attend(head: Head) -> Steps[Answer]:
    yield 0
    return Answer.text(200, f"you asked for {head.path}")


def start(here: socket.socket, *, enters: bool = True) -> Steps[None]:
    return serve(here, attend, lambda _: enters, (("X-Frame-Options", "sameorigin"),))


def test_each_step_says_what_it_waits_for(pair: Pair) -> None:
    here, there = pair
    steps = start(here)

    assert next(steps) == selectors.EVENT_READ
    there.sendall(request("GET", "/a")[:10])
    assert next(steps) == selectors.EVENT_READ
    there.sendall(request("GET", "/a")[10:])
    assert next(steps) == 0, "the password is being judged"
    with pytest.raises(StopIteration):
        next(steps)

    received = there.recv(65536)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nX-Frame-Options: sameorigin\r\n" in received
    assert b"\r\nConnection: close\r\n" in received
    assert received.endswith(b"\r\n\r\nyou asked for /a")
    assert there.recv(1) == b""


def test_a_head_is_answered_without_a_body(pair: Pair) -> None:
    here, there = pair
    there.sendall(request("HEAD", "/a"))

    assert list(start(here)) == [0]

    assert there.recv(65536).endswith(b"Content-Length: 16\r\nConnection: close\r\n\r\n")


def test_a_bad_request_is_refused(pair: Pair) -> None:
    here, there = pair
    there.sendall(b"nonsense\r\n\r\n")

    assert list(start(here)) == []

    assert there.recv(65536).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_client_that_leaves_gets_nothing(pair: Pair) -> None:
    here, there = pair
    there.shutdown(socket.SHUT_WR)

    assert list(start(here)) == []

    assert here.fileno() != -1


def test_a_client_that_does_not_read_is_waited_for(pair: Pair) -> None:
    here, there = pair
    try:
        while True:
            here.send(b"x" * 65536)
    except BlockingIOError:
        there.sendall(request("GET", "/a"))
    steps = start(here)
    assert next(steps) == 0
    assert next(steps) == selectors.EVENT_READ

    there.setblocking(False)
    with pytest.raises(BlockingIOError):
        while there.recv(2**20):
            pass
    with pytest.raises(StopIteration):
        next(steps)


@pytest.mark.parametrize("enters", [True, False])
def test_tls_is_agreed_on_step_by_step(
    pair: Pair, certificates: Path, ca_file: Path, server_context: ssl.SSLContext, *, enters: bool
) -> None:
    here, there = pair
    secured = server_context.wrap_socket(here, server_side=True, do_handshake_on_connect=False)
    there.setblocking(False)
    context = ssl.create_default_context(cafile=str(ca_file))
    client = context.wrap_socket(there, server_hostname="localhost", do_handshake_on_connect=False)
    steps, received = start(secured, enters=enters), b""
    is_agreed = False
    for _ in range(100):
        try:
            if not is_agreed:
                client.do_handshake()
                is_agreed = True
                client.send(request("GET", "/a"))
            received += client.recv(65536)
        except ssl.SSLWantReadError:
            pass
        try:
            next(steps)
        except StopIteration:
            break

    if enters:
        received += client.recv(65536)
        assert received.endswith(b"you asked for /a")
    else:
        assert received == b""
    client.close()
    secured.close()
