"""The application behind a real node: its messages and levers, without a node."""

import io
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.servers.comet_app import (
    CHECK_TX,
    FINALIZE,
    INFO,
    INIT_CHAIN,
    PREPARE,
    PROCESS,
    AppServer,
    CometApp,
    bytes_field,
    kvstore_hash,
    number_field,
    read,
    read_varint,
    varint,
)

FLUSH = 2


@pytest.fixture
def app() -> CometApp:
    return CometApp()


def finalize(app: CometApp, height: int, *transactions: bytes) -> bytes:
    """Return the state after the block."""
    block = b"".join(bytes_field(1, tx) for tx in transactions) + number_field(5, height)
    return read(app.answer(FINALIZE, block))[1][5][0]


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**32, 2**63])
def test_numbers_go_there_and_back(number: int) -> None:
    assert read_varint(io.BytesIO(varint(number))) == number


def test_half_a_number_is_the_end() -> None:
    with pytest.raises(EOFError):
        read_varint(io.BytesIO(b"\x80"))


def test_a_message_is_read_by_its_fields() -> None:
    message = number_field(1, 300) + bytes_field(2, b"a") + bytes_field(2, b"") + number_field(3, 0)

    assert read(message) == ({1: 300}, {2: [b"a", b""]})


@pytest.mark.parametrize(
    ("transactions", "want"),
    [
        pytest.param(0, "0000000000000000", id="none"),
        pytest.param(1, "0200000000000000", id="zigzag"),
        pytest.param(64, "8001000000000000", id="two bytes"),
    ],
)
def test_the_state_is_that_of_kvstore(transactions: int, want: str) -> None:
    assert kvstore_hash(transactions).hex() == want


def test_blocks_change_the_state_and_the_height(app: CometApp) -> None:
    genesis = read(app.answer(INIT_CHAIN, b""))[1][3][0]

    assert genesis == finalize(app, 1) == kvstore_hash(0)
    assert finalize(app, 2, b"a=1", b"b=2") == kvstore_hash(2)
    assert read(app.answer(INFO, b"")) == ({3: 1, 4: 2}, {5: [kvstore_hash(2)]})


def test_every_transaction_is_taken(app: CometApp) -> None:
    proposal = read(app.answer(PREPARE, number_field(1, 99) + bytes_field(2, b"a=1")))

    assert proposal == ({}, {1: [b"a=1"]})
    assert read(app.answer(PROCESS, b"")) == ({1: 1}, {})
    assert app.answer(CHECK_TX, b"") == b""


def test_it_differs_from_the_next_block_on(app: CometApp) -> None:
    same = finalize(app, 1)
    app.differ()

    assert read(app.answer(INFO, b""))[1][5] == [same]
    assert finalize(app, 2) != same


def test_a_block_waits_until_it_is_released(app: CometApp) -> None:
    app.hold(2)
    finalize(app, 1)
    executing = threading.Thread(target=finalize, args=(app, 2))
    executing.start()

    executing.join(0.05)
    assert executing.is_alive()
    assert app.height == 1
    app.release()
    executing.join(5)

    assert app.height == 2
    assert finalize(app, 3) == kvstore_hash(0)


@pytest.fixture
def server() -> Iterator[AppServer]:
    server = AppServer()
    yield server
    server.stop()


def test_requests_are_answered_in_their_order(server: AppServer) -> None:
    def request(number: int) -> bytes:
        told = bytes_field(number, b"")
        return varint(len(told)) + told

    port = server.server_address[1]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request(INFO) + request(FLUSH))
        stream = connection.makefile("rb")
        answers = [read(stream.read(read_varint(stream))) for _ in range(2)]
        stream.close()

    info = number_field(3, 1) + bytes_field(5, kvstore_hash(0))
    assert answers == [({}, {INFO + 1: [info]}), ({}, {FLUSH + 1: [b""]})]
