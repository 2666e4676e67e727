"""The body of an answer: counted, decoded, kept when somebody will judge it, never beyond its cap.

    Body.start(encoding)          once the head is known
    Body.feed(wire bytes)         counts and decodes; while `pending`, `pump` it between turns
    Body.end()                    the stream is complete; a cut-off gzip is told here

Nothing is allocated by a size the peer declared, and no single call decodes more than `TURN_BYTES`:
a bomb neither fills the memory nor freezes the loop. Knows no socket, no HTTP and no verdict but
its own.
"""

import zlib
from collections import deque
from collections.abc import Iterator
from typing import Literal, Protocol

import brotli  # type: ignore[import-untyped]

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import format_size, short

# E6: decoded in steps of this size; brotli's limit is soft, 98,272 bytes were seen for 65,536.
STEP_BYTES = 65536
# What one call may decode: 4 MiB of gzip is 10 ms of one core; the loop may be blocked 50 ms (P13).
TURN_BYTES = 4 * 1024 * 1024
# RFC 1950, 2.2: compression method 8; windows above 32 KiB do not exist.
ZLIB_DEFLATE = 8
ZLIB_MAX_WINDOW = 7
# reliability.md 4
MAX_DECODED_BYTES = 1024 * 1024

Decoding = Literal["auto", "off", "gzip", "deflate", "br"]
"""``auto`` follows Content-Encoding, ``off`` decodes nothing, a name wins over the header."""

_NAMES = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate", "br": "br"}


class Decoder(Protocol):
    """One content encoding: wire bytes in, decoded pieces out."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what *data* decodes to, in pieces of about `STEP_BYTES`."""
        ...

    def whole(self) -> bool:
        """Tell whether the stream has come to its end."""
        ...


class Inflate:
    """gzip (RFC 1952, several members too) and deflate (RFC 1951 raw, or RFC 1950 wrapped)."""

    __slots__ = ("_started", "_stream", "_window")

    def __init__(self, encoding: Literal["gzip", "deflate"]) -> None:
        self._window = 31 if encoding == "gzip" else -15
        self._stream = zlib.decompressobj(self._window)
        self._started = encoding == "gzip"

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what *data* decodes to.

        Raises:
            zlib.error: not of this encoding.
        """
        if not self._started and data:
            self._started = True
            if _is_zlib_head(data):
                self._stream = zlib.decompressobj(15)
        while data:
            if self._stream.eof:
                # a further member; what is neither a member nor padding raises zlib.error
                data = data.lstrip(b"\0")
                if not data:
                    return
                self._stream = zlib.decompressobj(self._window)
            piece = self._stream.decompress(data, STEP_BYTES)
            if piece:
                yield piece
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        while not self._stream.eof and (piece := self._stream.decompress(b"", STEP_BYTES)):
            yield piece

    def whole(self) -> bool:
        """Tell whether the last member has come to its end."""
        return self._stream.eof


def _is_zlib_head(data: bytes) -> bool:
    """Tell the zlib wrapper by its first byte: 8 = deflate, window <= 32 KiB.

    Servers send ``deflate`` both ways. The low bits ``000`` of the byte would be a stored block in
    a raw stream, and encoders leave the padding behind it zero, so that the two cannot be taken for
    each other.
    """
    return data[0] & 0x0F == ZLIB_DEFLATE and data[0] >> 4 <= ZLIB_MAX_WINDOW


class Brotli:
    """br (RFC 7932)."""

    __slots__ = ("_stream",)

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what *data* decodes to.

        Raises:
            ValueError: not of this encoding.
        """
        try:
            piece = self._stream.process(data, output_buffer_limit=STEP_BYTES)
            while piece or not self._stream.can_accept_more_data():
                if piece:
                    yield piece
                if self._stream.is_finished():
                    return
                piece = self._stream.process(b"", output_buffer_limit=STEP_BYTES)
        except brotli.error as error:
            raise ValueError(str(error)) from error

    def whole(self) -> bool:
        """Tell whether the stream has come to its end."""
        return bool(self._stream.is_finished())


class Body:
    """The body of one answer, as far as it has come.

    Args:
        keep: hold the decoded bytes for a judgement; else they are only counted.
        limit: decoded bytes at most; None: no cap but the deadline.
        decoding: see `Decoding`.
    """

    __slots__ = (
        "_backlog",
        "_decoder",
        "_decoding",
        "_encoding",
        "_keep",
        "_limit",
        "_parts",
        "_pieces",
        "failure",
        "size",
        "wire_size",
    )

    def __init__(
        self,
        *,
        keep: bool = True,
        limit: int | None = MAX_DECODED_BYTES,
        decoding: Decoding = "auto",
    ) -> None:
        self.size = 0
        self.wire_size = 0
        self.failure: CheckFailed | None = None
        self._keep = keep
        self._limit = limit
        self._decoding: Decoding = decoding
        self._encoding = ""
        self._decoder: Decoder | None = None
        self._parts: list[bytes] = []
        self._backlog: deque[bytes] = deque()
        self._pieces: Iterator[bytes] | None = None

    def start(self, encoding: str) -> None:
        """Choose the decoder by the Content-Encoding of the answer ("" when there is none)."""
        if self._decoding == "off" or (not encoding and self._decoding == "auto"):
            return
        self._encoding = encoding.strip().lower() if self._decoding == "auto" else self._decoding
        if self._encoding in ("", "identity"):
            return
        name = _NAMES.get(self._encoding)
        if name is None:
            if self._keep:
                self.failure = CheckFailed(
                    Reason.PROTOCOL,
                    f"want one content encoding of gzip, deflate and br, got {short(encoding)}",
                )
            return
        if name == "br":
            self._decoder = Brotli()
        else:
            self._decoder = Inflate("gzip" if name == "gzip" else "deflate")

    @property
    def pending(self) -> bool:
        """Whether `pump` has more to do."""
        return self._pieces is not None

    @property
    def data(self) -> bytes:
        """The decoded bytes so far; empty when nobody wanted them kept."""
        if len(self._parts) > 1:
            self._parts[:] = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""

    def feed(self, data: bytes) -> None:
        """Take wire bytes of the body. Never raises: what is wrong stands in `failure`."""
        self.wire_size += len(data)
        if self.failure is not None:
            return
        if self._decoder is None:
            self._take(data)
            return
        self._backlog.append(data)
        if self._pieces is None:
            self.pump()

    def pump(self) -> None:
        """Decode at most `TURN_BYTES` of what has been fed."""
        start = self.size
        try:
            while self._next_pieces():
                for piece in self._pieces or ():
                    self._take(piece)
                    if self.failure is not None:
                        self._stop()
                        return
                    if self.size - start >= TURN_BYTES:
                        return
                self._pieces = None
        except (zlib.error, ValueError) as error:
            self._stop()
            self.failure = CheckFailed(
                Reason.PROTOCOL,
                f"want a body in {self._encoding}, got something else: {short(str(error))}",
            )

    def end(self) -> None:
        """Judge the end of the stream: an encoded body must be whole."""
        if self._decoder is None or self.failure is not None or not self.wire_size:
            return
        if not self._decoder.whole():
            self.failure = CheckFailed(
                Reason.PROTOCOL,
                f"want a whole {self._encoding} body, got one cut off at {self.wire_size} bytes",
            )

    def _next_pieces(self) -> bool:
        if self._pieces is None and self._backlog and self._decoder is not None:
            self._pieces = self._decoder.feed(self._backlog.popleft())
        return self._pieces is not None

    def _take(self, data: bytes) -> None:
        self.size += len(data)
        if self._limit is not None and self.size > self._limit:
            kept = len(data) - (self.size - self._limit)
            self.size = self._limit
            self.failure = CheckFailed(
                Reason.TOO_LARGE,
                f"want a body of at most {format_size(self._limit)} (max_body), got more",
            )
            data = data[:kept]
        if self._keep:
            self._parts.append(data)

    def _stop(self) -> None:
        self._pieces = None
        self._backlog.clear()
