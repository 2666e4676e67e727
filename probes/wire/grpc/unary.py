"""One gRPC call over a connection of its own: dial, ask, read the answer, say how it ended.

    call = Call(recorder)
    await call.make(Ask(url, request, ...))       # phases resolve, connect, tls, call
    call.status, call.message                     # of an answer of gRPC
    call.code                                     # whatever happened

The shell around `probes.wire.grpc.protocol` and `probes.wire.http.h2`. Knows no service and no
expectation.
"""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import short
from probes.wire.address import ANY_IP, IpChoice
from probes.wire.grpc import protocol
from probes.wire.http.hop import with_hint
from probes.wire.http.message import Limits, Request, Response
from probes.wire.http.options import HTTP2_ALPN
from probes.wire.net import Connection, Servers, dial, resolve
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import Url, tls_name

if TYPE_CHECKING:
    from probes.wire.http.h2 import Http2

READ_BYTES = 64 * 1024
# A server that knows our deadline gives up a moment before or after we do: one verdict for both.
NEARLY_S = 0.1
_LIMITS = Limits(max_body=protocol.MAX_MESSAGE_BYTES + protocol.PREFIX_BYTES, decoding="off")
_TLS_ALERT = b"\x15\x03"


@dataclass(frozen=True, slots=True)
class Ask:
    """What is called.

    Args:
        url: where to; the method is its path.
        message: the request, encoded.
        metadata: keys in lower case, values as they go out.
        authority: to ask for; empty: that of *tls*, or of *url*.
        tls: how the server is verified; None: plain text.
        ip: which family of addresses is dialled.
        servers: as of `probes.wire.net.resolve`.
        source_ip: address or interface of this host to come from.
        scheme: for the policy; empty where the target is no URL.
    """

    url: Url
    message: bytes
    metadata: tuple[tuple[str, str], ...] = ()
    authority: str = ""
    tls: TlsOptions | None = None
    ip: IpChoice = ANY_IP
    servers: Servers = ()
    source_ip: str | None = None
    scheme: str = ""

    def request(self, timeout_s: float) -> Request:
        """Return the request that it is, with *timeout_s* left."""
        named = self.tls.server_name if self.tls is not None else ""
        headers = protocol.call_headers(self.metadata, timeout_s)
        body = protocol.frame(self.message)
        return Request(self.url, "POST", headers, body, host=self.authority or named)


class Call:
    """One call, and how it ended."""

    __slots__ = ("_recorder", "code", "is_resolved", "message", "over_tls", "status")

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.is_resolved = False
        """Whether there was an address to call."""
        self.over_tls = False
        """Whether there was a connection over TLS."""
        self.code = protocol.OK
        """Status as a client of gRPC tells it, also where no server did; 0 before there was one."""
        self.status: protocol.Status | None = None
        """What the answer says; None without one."""
        self.message = b""
        """Of an answer that is OK."""

    async def make(self, ask: Ask) -> None:
        """Connect, call, and read the answer.

        Raises:
            CheckFailed: there is no answer of gRPC or HTTP, or one that cannot be read.
        """
        recorder, url, tls = self._recorder, ask.url, ask.tls
        address = await resolve(url.host, url.port, recorder, ip=ask.ip, servers=ask.servers)
        self.is_resolved, self.code = True, protocol.UNAVAILABLE
        try:
            if tls is not None and tls.has_files:
                await tls.reread(recorder)
            async with dial(
                address,
                recorder,
                context=None if tls is None else tls.context(HTTP2_ALPN),
                server_name=None if tls is None else tls.server_name or tls_name(url.host),
                source_ip=ask.source_ip,
                scheme=ask.scheme,
            ) as connection:
                self.over_tls = tls is not None
                recorder.enter("call")
                await self._ask(connection, ask)
        except asyncio.CancelledError:
            self.code = protocol.DEADLINE_EXCEEDED
            raise

    async def _ask(self, connection: Connection, ask: Ask) -> None:
        from probes.wire.http.h2 import Http2  # noqa: PLC0415 - h2 costs 20 ms of start

        request, response = ask.request(self._remaining()), Response(ask.url, _LIMITS)
        codec = Http2(request, response)
        try:
            await _converse(codec, connection, response)
            self._read(codec, response)
        except CheckFailed as failure:
            self.code = self._code_of(failure, codec, response)
            if self.code == protocol.DEADLINE_EXCEEDED:
                raise _late() from None
            failure.phase = "call"
            raise with_hint(failure, connection.transport) from None
        if not connection.transport.is_closing():
            connection.transport.write(codec.close())

    def _read(self, codec: "Http2", response: Response) -> None:
        status = self.status = protocol.read_status(response, codec.trailers)
        self.code = status.code
        if status.code == protocol.DEADLINE_EXCEEDED and self._remaining() < NEARLY_S:
            raise _late()
        if status.code == protocol.OK:
            self.message = protocol.read_message(response)

    def _remaining(self) -> float:
        return self._recorder.remaining(asyncio.get_running_loop().time())

    def _code_of(self, failure: CheckFailed, codec: "Http2", response: Response) -> int:
        """Return the status that a client of gRPC gives to *failure*."""
        if codec.reset_code is not None:
            code = protocol.status_of_reset(codec.reset_code)
            is_late = code == protocol.CANCELLED and self._remaining() < NEARLY_S
            return protocol.DEADLINE_EXCEEDED if is_late else code
        if failure.reason is Reason.TIMEOUT:
            return protocol.DEADLINE_EXCEEDED
        if failure.reason is Reason.TOO_LARGE:
            return protocol.RESOURCE_EXHAUSTED
        if failure.reason is Reason.PROTOCOL and response.status:
            return protocol.INTERNAL
        return protocol.UNAVAILABLE


def _late() -> CheckFailed:
    return CheckFailed(Reason.TIMEOUT, "want an answer in time, got the deadline at the server")


async def _converse(codec: "Http2", connection: Connection, response: Response) -> None:
    """Let *codec* talk until it has a whole answer, or a head that is none of gRPC.

    Raises:
        CheckFailed: it has got neither.
    """
    said, codec.outgoing = codec.outgoing, b""
    connection.write(said)
    heard = judged = False
    while not codec.is_complete:
        data = await _next(codec, connection)
        if not heard:
            heard = True
            _refuse_others(data)
        await _feed(codec, data)
        failure = codec.failure or response.body.failure
        if failure is not None:
            raise failure
        if response.status and not protocol.is_grpc(response):
            return
        if not judged and response.body.size >= protocol.PREFIX_BYTES:
            judged = True
            protocol.judge_prefix(response.body.data, response)
        if codec.outgoing and not connection.transport.is_closing():
            said, codec.outgoing = codec.outgoing, b""
            connection.transport.write(said)


async def _next(codec: "Http2", connection: Connection) -> bytes:
    """Return what has come; tell *codec* how the connection ended, when it did."""
    how = "the end of the stream"
    try:
        data = await connection.read(READ_BYTES)
    except CheckFailed as failure:
        if failure.reason is not Reason.CLOSED:
            raise
        data, how = b"", "a reset of the connection"
    if not data:
        codec.eof(how)
    return data


async def _feed(codec: "Http2", data: bytes) -> None:
    if not data:
        return
    codec.feed(data)
    while codec.pending:
        await asyncio.sleep(0)
        codec.pump()


def _refuse_others(data: bytes) -> None:
    """Name the usual wrong ports at once."""
    if data.startswith(b"HTTP/1"):
        line = data.splitlines()[0]
        got = f"HTTP/1: {short(line)}"
        raise CheckFailed(Reason.PROTOCOL, f"want a gRPC server (HTTP/2), got {got}")
    if data.startswith(_TLS_ALERT):
        raise CheckFailed(Reason.PROTOCOL, "want a gRPC server (HTTP/2), got one that wants tls")
