import socket
from collections.abc import Iterator

import pytest

from scenarios.child.channel import Channel
from scenarios.codec import MAX_BYTES, READ_BYTES, REPORTS, Decoder, encode
from scenarios.records import Log, Record, Secrets, Start, Stop


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(2)
    channel = Channel(its.detach())
    yield channel, ours
    channel.close()
    ours.close()


def heard(end: socket.socket, number: int) -> list[Record]:
    decoder = Decoder(REPORTS)
    found: list[Record] = []
    while len(found) < number:
        record = decoder.feed(end.recv(READ_BYTES))
        if record is not None:
            found.append(record)
    return found


def test_a_full_buffer_refuses_and_waits_for_nobody(ends: tuple[Channel, socket.socket]) -> None:
    channel, end = ends
    sent = 0
    while channel.offer(Log(sent, "info", "x" * 50_000)):
        sent += 1
    assert 1 < sent < 1000

    assert not channel.offer(Log(sent, "info", "late"))
    assert len(heard(end, sent)) == sent
    assert channel.offer(Log(sent, "info", "now"))
    assert heard(end, 1) == [Log(sent, "info", "now")]


def test_parts_of_a_record_stay_together(ends: tuple[Channel, socket.socket]) -> None:
    channel, end = ends
    long = Log(0, "info", "y" * 40 * MAX_BYTES)
    assert len(encode(long)) > 20

    assert channel.offer(long), "its first parts are out: it is taken"
    assert not channel.offer(Log(1, "info", "between")), "nothing comes between them"
    decoder, found = Decoder(REPORTS), None
    while found is None:
        found = decoder.feed(end.recv(READ_BYTES))
        channel._flush()

    assert found == long
    assert channel.offer(Log(1, "info", "behind"))


def test_orders_are_heard_until_the_other_end_is_closed(
    ends: tuple[Channel, socket.socket],
) -> None:
    channel, end = ends
    orders: list[Record] = [Secrets({"a": {"b": "c"}}, {}), Start(4.5), Stop("enough", 1.0)]
    for order in orders:
        for part in encode(order):
            end.send(part)
    end.shutdown(socket.SHUT_RDWR)

    assert list(channel.listen()) == orders
    assert not channel.offer(Log(0, "info", "into the void"))
    assert not channel.deliver(Log(0, "info", "into the void"), 0.05)


def test_nonsense_is_no_order(ends: tuple[Channel, socket.socket]) -> None:
    channel, end = ends
    end.send(b"nonsense")

    with pytest.raises(ValueError, match=r"want a record"):
        next(channel.listen())
