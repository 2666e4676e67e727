"""A connection one reads from in bounded pieces: what is below kinds that speak lines and bytes.

Knows neither how it was opened nor what is said on it; every read has a limit, nothing has a
timeout of its own.
"""

import asyncio
import ssl
from typing import Any

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.address import Address
from probes.wire.failures import classify
from probes.wire.tls.peer import Peer, TlsNote, handed
from probes.wire.url import tls_name

# Later than any deadline: only `probes.run` ends a run.
HANDSHAKE_TIMEOUT_S = 3600.0
# stack.md 5.2: how long a peer may take to say goodbye, after the verdict and in the background.
SHUTDOWN_TIMEOUT_S = 1.0
# A peer that sends faster than the kind reads is stopped here.
HIGH_WATER_BYTES = 64 * 1024


class Connection(asyncio.Protocol):
    """One end of a connection; made by `probes.wire.net.dial`."""

    def __init__(self, recorder: Recorder, address: Address) -> None:
        self.address = address
        self._speaks_to: Address | None = address
        self.bytes_read = 0
        self.peer: Peer | None = None
        """Who showed up in the last `start_tls`, also when it was refused."""
        self._recorder = recorder
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._ended = False
        self._is_lost = False
        self._paused = False

    @property
    def transport(self) -> asyncio.Transport:
        """The transport in use; another one after `start_tls`."""
        if self._transport is None:
            raise CheckFailed(Reason.CLOSED, "want an open connection, got a closed one")
        return self._transport

    @property
    def unread(self) -> bytes:
        """What has come and nobody has asked for yet."""
        return bytes(self._buffer)

    def write(self, data: bytes) -> None:
        """Send *data*; never waits."""
        if self._ended:
            raise self._end()
        self.transport.write(data)

    async def read(self, limit: int) -> bytes:
        """Return what has come: 1 to *limit* bytes; empty at the end of the stream."""
        await self._fill(1)
        return self._take(limit)

    async def read_exactly(self, size: int) -> bytes:
        """Return exactly *size* bytes.

        Raises:
            CheckFailed: ``closed`` when the stream ends before.
        """
        if not await self._fill(size):
            raise self._end()
        return self._take(size)

    async def read_until(self, separator: bytes, limit: int) -> bytes:
        """Return everything up to and with *separator*.

        Raises:
            CheckFailed: ``too_large`` without a separator in *limit* bytes, ``closed`` when the
                stream ends before.
        """
        found = await self._find(separator, limit)
        if found < 0:
            raise self._end()
        return self._take(found)

    async def read_line(self, limit: int) -> bytes | None:
        """Return the next line without its LF or CR LF; the last one needs none. None: no more.

        Raises:
            CheckFailed: ``too_large`` for a line of more than *limit* bytes.
        """
        found = await self._find(b"\n", limit)
        if found < 0:
            rest = self._take(len(self._buffer))
            return rest.removesuffix(b"\r") if rest else None
        return self._take(found)[:-1].removesuffix(b"\r")

    def passes_on(self, address: Address | None) -> None:
        """Say in messages that *address* is spoken to: a proxy passes everything on.

        Args:
            address: of the target; None: the proxy alone knows it.
        """
        self._speaks_to = address

    async def start_tls(
        self, context: ssl.SSLContext, server_name: str | None = None, *, hop: int = 0
    ) -> None:
        """Turn the connection into a TLS one in place; phase ``tls``.

        Raises:
            CheckFailed: by the table of `classify`; ``protocol`` when the peer sent plain text
                ahead of it.
        """
        if self._buffer:
            # bytes read in plain text must never pass for encrypted ones
            raise CheckFailed(
                Reason.PROTOCOL, f"want nothing before TLS, got {bytes(self._buffer[:40])!r}"
            )
        name = server_name or tls_name(self.address.host)
        note = TlsNote(self._recorder, name, hop)
        try:
            with handed(note) as name:
                upgraded = await asyncio.get_running_loop().start_tls(
                    self.transport,
                    self,
                    context,
                    server_hostname=name,
                    ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
                    ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S,
                )
        except (OSError, EOFError) as error:
            note.record()
            raise classify(error, phase="tls", address=self._speaks_to) from None
        finally:
            self.peer = note.peer
        self._recorder.leave()
        note.record()
        if upgraded is None:
            raise CheckFailed(
                Reason.CLOSED, "want a TLS session, got the end of the stream", phase="tls"
            )
        self._transport = upgraded

    def hand_over(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        """Let *protocol* go on with the transport, and with what came for it already."""
        transport = self.transport
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if early := self._take(len(self._buffer)):
            protocol.data_received(early)
        if self._is_lost:
            protocol.connection_lost(self._error)
        return transport

    def close(self) -> None:
        """Close in good order, in the background."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        self.bytes_read += len(data)
        del self._buffer[:size]
        if self._paused and len(self._buffer) < HIGH_WATER_BYTES and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def _find(self, separator: bytes, limit: int) -> int:
        """Return the end of the first *separator* in the buffer; -1 at the end of the stream."""
        start = 0
        while (found := self._buffer.find(separator, start)) < 0 or found > limit:
            have = len(self._buffer)
            if have > limit:
                raise CheckFailed(
                    Reason.TOO_LARGE, f"want a line of at most {limit} bytes, got more"
                )
            start = max(0, have - len(separator) + 1)
            if not await self._fill(have + 1):
                return -1
        return found + len(separator)

    async def _fill(self, size: int) -> bool:
        """Wait for *size* bytes in the buffer; false when the stream ends before."""
        while len(self._buffer) < size and not self._ended:
            if self._paused and self._transport is not None:
                self._paused = False
                self._transport.resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if len(self._buffer) >= size:
            return True
        if self._error is not None:
            raise self._end()
        return False

    def _end(self) -> CheckFailed:
        error = self._error or EOFError()
        return classify(error, phase=None, address=self._speaks_to)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if (
            len(self._buffer) >= HIGH_WATER_BYTES
            and not self._paused
            and self._transport is not None
        ):
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        # a half-closed stream ends for us: what follows is connection_lost
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = self._is_lost = True
        self._error = self._error or exc
        self._wake()
