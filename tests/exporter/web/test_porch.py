"""Where connections wait in a storm until their request is whole."""

import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from exporter.web.limits import HEADER_TIMEOUT_S
from exporter.web.porch import LOOK_S, Porch
from exporter.web.visitor import Visitor
from tests.exporter.web.support import request


class Street:
    """Pairs of a client and the visitor that it is to the server."""

    def __init__(self) -> None:
        self.rejected: Counter[str] = Counter()
        self.socks: list[socket.socket] = []

    def come(self, sent: bytes = b"GET", at: float = 0.0) -> Visitor:
        here, there = socket.socketpair()
        self.socks += [here, there]
        here.setblocking(False)
        there.sendall(sent)
        return Visitor(here, "10.0.0.1", on_loopback=False, arrived=at)

    def reject(self, reason: str) -> None:
        self.rejected[reason] += 1


@pytest.fixture
def street() -> Iterator[Street]:
    street = Street()
    yield street
    for sock in street.socks:
        sock.close()


def test_the_oldest_leaves_when_there_are_too_many(street: Street) -> None:
    porch = Porch(2, street.reject)
    first, second, third = street.come(), street.come(), street.come()

    for visitor in (first, second, third):
        porch.add(visitor)

    assert first.sock.fileno() == -1
    assert len(porch) == 2
    assert street.rejected == {"limit": 1}


def test_a_whole_or_a_wrong_request_goes_in(street: Street) -> None:
    porch = Porch(9, street.reject)
    whole, wrong, part = (
        street.come(sent) for sent in (request("GET", "/"), b"\x16\x03", b"GET / HTTP/1.1\r\n")
    )
    for visitor in (whole, wrong, part):
        porch.add(visitor)

    assert porch.look(LOOK_S, lambda _: True) == [whole, wrong]
    assert whole.is_ready
    assert porch.look(LOOK_S * 1.5, lambda _: False) == [], "looked at a moment ago"
    assert porch.look(LOOK_S * 2, lambda _: False) == [part], "the storm is over"
    assert not part.is_ready


def test_who_takes_too_long_is_sent_away_and_the_rest_at_the_end(street: Street) -> None:
    porch = Porch(9, street.reject)
    late, early = street.come(), street.come(at=5.0)
    porch.add(late)
    porch.add(early)

    assert porch.look(HEADER_TIMEOUT_S + 0.1, lambda _: True) == []
    assert late.sock.fileno() == -1
    assert street.rejected == {"header_timeout": 1}
    porch.close()
    assert early.sock.fileno() == -1
    assert len(porch) == 0


def test_a_visitor_is_claimed_once(street: Street) -> None:
    visitor = street.come()

    assert visitor.claim()
    assert not visitor.claim()


def test_a_visitor_that_has_gone_has_nothing_to_say(street: Street) -> None:
    visitor = street.come(b"")
    visitor.sock.close()

    assert visitor.peek() is None
