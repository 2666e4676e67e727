"""An application behind a real CometBFT node (ABCI over a socket), with two levers.

    app.hold(5)             block 5 is not executed before `release`: the node waits for it
    app.differ()            from the next block on another state than the other nodes have
    app.height              blocks that it executed

Its state is that of the ``kvstore`` built into CometBFT, a count of the transactions, so that both
can stand in one network. Knows the few messages that a node without snapshots sends, and no node.
It lives in threads: a starter blocks the loop of its test until the node has shaken hands with it.

Source:
    https://github.com/cometbft/cometbft/blob/v0.38.25/proto/tendermint/abci/types.proto
"""

import io
import threading
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import IO

# Numbers of the requests; an answer has the next one.
INFO, INIT_CHAIN, QUERY, CHECK_TX, PREPARE, PROCESS, FINALIZE = 3, 5, 6, 8, 16, 17, 20
VARINT, BYTES = 0, 2
ACCEPT = 1
HASH_BYTES = 8
# Longer than any test waits.
HELD_S = 60.0


def varint(number: int) -> bytes:
    """Return *number* in groups of seven bits."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def read_varint(stream: IO[bytes] | io.BufferedIOBase) -> int:
    """Return the next number of *stream*.

    Raises:
        EOFError: it is at its end.
    """
    number = shift = 0
    while byte := stream.read(1):
        number |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            return number
    raise EOFError


def number_field(number: int, value: int) -> bytes:
    """Return a field; as in Go, a zero is left out."""
    return varint(number << 3 | VARINT) + varint(value) if value else b""


def bytes_field(number: int, value: bytes) -> bytes:
    """Return a field that is there even when it is empty."""
    return varint(number << 3 | BYTES) + varint(len(value)) + value


def read(message: bytes) -> tuple[dict[int, int], dict[int, list[bytes]]]:
    """Return the fields of *message* by their numbers: numbers, and lists of bytes."""
    numbers: dict[int, int] = {}
    texts: dict[int, list[bytes]] = {}
    stream = io.BytesIO(message)
    while stream.tell() < len(message):
        key = read_varint(stream)
        value = read_varint(stream)
        if key & 7 == VARINT:
            numbers[key >> 3] = value
        else:
            texts.setdefault(key >> 3, []).append(stream.read(value))
    return numbers, texts


def kvstore_hash(transactions: int, *, differs: bool = False) -> bytes:
    """Return the state after so many *transactions*: their zigzag varint, filled up."""
    other = b"\xff" if differs else b"\x00"
    return varint(transactions * 2).ljust(HASH_BYTES, other)


class CometApp:
    """See the module.

    Attributes:
        height: of the last block that was executed.
    """

    def __init__(self) -> None:
        self.height = 0
        self._transactions = 0
        self._differs = False
        self._state = kvstore_hash(0)
        self._held_at: int | None = None
        self._released = threading.Event()

    def hold(self, height: int) -> None:
        """Execute no block from *height* on before `release`."""
        self._released.clear()
        self._held_at = height

    def release(self) -> None:
        """Execute all blocks again."""
        self._held_at = None
        self._released.set()

    def differ(self) -> None:
        """Come to another state than the others by the next block."""
        self._differs = True

    def answer(self, number: int, request: bytes) -> bytes:
        """Return the answer to request *number*; what is not named here is answered empty."""
        numbers, texts = read(request)
        if number == INFO:
            known = number_field(4, self.height) + bytes_field(5, self._state)
            return number_field(3, 1) + known
        if number == INIT_CHAIN:
            return bytes_field(3, self._state)
        if number == PREPARE:
            return b"".join(bytes_field(1, tx) for tx in texts.get(2, []))
        if number == PROCESS:
            return number_field(1, ACCEPT)
        if number == FINALIZE:
            return self._finalize(numbers[5], len(texts.get(1, [])))
        return b""

    def _finalize(self, height: int, transactions: int) -> bytes:
        if self._held_at is not None and height >= self._held_at:
            self._released.wait(HELD_S)
        self._transactions += transactions
        self._state = kvstore_hash(self._transactions, differs=self._differs)
        self.height = height
        return bytes_field(2, b"") * transactions + bytes_field(5, self._state)


class Connection(StreamRequestHandler):
    """One of the four connections of a node: requests and answers with their sizes before them."""

    def handle(self) -> None:
        assert isinstance(self.server, AppServer)
        while size := self._size():
            _, texts = read(self.rfile.read(size))
            for number, (request, *_) in texts.items():
                told = bytes_field(number + 1, self.server.app.answer(number, request))
                self.wfile.write(varint(len(told)) + told)

    def _size(self) -> int:
        try:
            return read_varint(self.rfile)
        except (EOFError, ConnectionError):
            # the node was ended
            return 0


class AppServer(ThreadingTCPServer):
    """An application that listens on a free port."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.app = CometApp()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Return what ``--proxy_app`` wants."""
        return f"tcp://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        """Listen no more, and let nothing wait."""
        self.app.release()
        self.shutdown()
        self.server_close()
