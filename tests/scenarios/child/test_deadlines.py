import socket
from collections.abc import Iterator
from time import monotonic

import pytest

from scenarios.child.deadlines import Deadlines


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    made = [socket.socketpair() for _ in range(3)]
    yield made
    for pair in made:
        for end in pair:
            end.close()


def test_who_is_over_his_time_is_hung_up_on_and_nobody_else(
    pairs: list[tuple[socket.socket, socket.socket]],
) -> None:
    deadlines = Deadlines()
    (done, _), *others = pairs
    closed = socket.socket()
    closed.close()

    for waits, _ in others:
        # the clock has nothing to do in between
        until = monotonic() + 0.04
        for sock in (closed, done, waits):
            deadlines.begin(sock, until)
        deadlines.end(done)
        waits.settimeout(5)
        assert waits.recv(1) == b""
        assert until <= monotonic() < until + 2

    done.setblocking(False)
    with pytest.raises(BlockingIOError):
        done.recv(1)
