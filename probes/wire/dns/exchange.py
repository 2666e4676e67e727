"""One question and its answer, over UDP, TCP, TLS (RFC 7858) or HTTPS (RFC 8484).

    server = Server(host, port, way)
    answer = await server.ask(question, recorder)

Phases ``resolve``, ``connect``, ``tls``, ``request``, whatever the way. Nothing is repeated, also
when the answer is cut off: a prober is a testing tool. Knows no expectation.
"""

import asyncio
import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal, TypeVar

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import short
from probes.wire.address import ANY_IP, Address, IpChoice
from probes.wire.blocking import BlockingCalls
from probes.wire.datagram import Datagram, open_datagram
from probes.wire.dns.answer import Answer
from probes.wire.dns.question import Question, check_head, number_of
from probes.wire.http.exchange import exchange
from probes.wire.http.headers import USER_AGENT
from probes.wire.http.message import MAX_HEAD_BYTES, Limits, Request, Response
from probes.wire.http.options import BOTH_ALPN, Options
from probes.wire.net import dial, resolve
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import Url

T = TypeVar("T")

Transport = Literal["udp", "tcp", "tls", "https"]
PORTS: dict[Transport, int] = {"udp": 53, "tcp": 53, "tls": 853, "https": 443}
# RFC 8484, 4.1
DEFAULT_PATH = "/dns-query"
MEDIA_TYPE = "application/dns-message"
MAX_MESSAGE_BYTES = 65535
# Reading 8 KiB of records takes 10 ms of CPU; longer answers are read in a thread of their own.
INLINE_BYTES = 8 * 1024

_ID_NUMBERS = 1 << 16
_OK = 200
# The limits of an exchange over HTTP: nothing is packed, nothing is followed.
_LIMITS = Limits(
    max_body=MAX_MESSAGE_BYTES, max_wire=2 * MAX_MESSAGE_BYTES + MAX_HEAD_BYTES, decoding="off"
)
# What a request over HTTP does, and what it is called here.
_PHASES = {"processing": "request", "transfer": "request"}
_DEFAULT_TLS = TlsOptions()

_calls = BlockingCalls("dns")


@dataclass(frozen=True, slots=True)
class Way:
    """How a question travels.

    Args:
        transport: below the message.
        ip: which family of addresses is dialled.
        source_ip: address or interface of this host to come from.
        tls: how the server is verified.
        method: of HTTP.
        path: of the URL.
    """

    transport: Transport = "udp"
    ip: IpChoice = ANY_IP
    source_ip: str | None = None
    tls: TlsOptions = field(default=_DEFAULT_TLS)
    method: Literal["GET", "POST"] = "POST"
    path: str = DEFAULT_PATH

    options: Options = field(init=False, compare=False)
    """How an exchange over HTTP goes about it."""

    def __post_init__(self) -> None:
        options = Options(
            limits=_LIMITS, ip=self.ip, tls=self.tls, alpn=BOTH_ALPN, follow_redirects=False,
            source_ip=self.source_ip,
        )  # fmt: skip
        object.__setattr__(self, "options", options)

    def prepare(self) -> None:
        """Do now, off the loop, what the first question would wait for."""
        import_module("probes.wire.dns.message")
        if self.transport == "tls":
            self.tls.prepare()
        elif self.transport == "https":
            self.options.prepare()


@dataclass(slots=True)
class Server:
    """A name server; its name is resolved for the first question, and not again.

    Args:
        host: canonical.
        port: of the transport.
        way: to it.
        ignored: datagrams that were no answers to the last question.
    """

    host: str
    port: int
    way: Way
    ignored: int = 0
    _address: Address | None = None

    async def ask(self, question: Question, recorder: Recorder) -> Answer:
        """Ask *question*.

        Raises:
            CheckFailed: no answer, with the phase that broke; ``protocol``: none that can be read.
        """
        if self.way.transport == "https":
            wire = await self._over_https(question, recorder)
        else:
            if self._address is None:
                self._address = await resolve(self.host, self.port, recorder, ip=self.way.ip)
            if self.way.transport == "udp":
                wire = await self._over_udp(question, recorder, self._address)
            else:
                wire = await self._over_stream(question, recorder, self._address)
        return await _read(wire, recorder)

    async def ask_for_whole(self, question: Question, recorder: Recorder) -> Answer:
        """Ask *question*, over TCP again when the answer over UDP is cut off.

        For what is needed beyond the question of a probe: the answer to that stays as it is.
        """
        answer = await self.ask(question, recorder)
        if not answer.has("tc") or self.way.transport != "udp":
            return answer
        way = replace(self.way, transport="tcp")
        return await Server(self.host, self.port, way, _address=self._address).ask(
            question, recorder
        )

    async def _over_udp(self, question: Question, recorder: Recorder, address: Address) -> bytes:
        way = self.way
        async with open_datagram(address, recorder, source_ip=way.source_ip) as datagram:
            recorder.enter("request")
            number = secrets.randbelow(_ID_NUMBERS)
            datagram.send(question.encode(number))
            wire = await self._answer_among(datagram, question, number, recorder)
            check_head(wire, question)
            recorder.leave()
        return wire

    async def _answer_among(
        self, datagram: Datagram, question: Question, number: int, recorder: Recorder
    ) -> bytes:
        """Return the first datagram that may be the answer; others can be anybody's (RFC 5452)."""
        self.ignored = 0
        while True:
            wire = await datagram.receive()
            if number_of(wire) == number and question.is_answered_by(wire):
                return wire
            self.ignored += 1
            recorder.fact("ignored", f"{self.ignored} datagrams with another id or question")
            # a flood must not keep the loop from everybody else
            await asyncio.sleep(0)

    async def _over_stream(self, question: Question, recorder: Recorder, address: Address) -> bytes:
        way = self.way
        is_tls = way.transport == "tls"
        if is_tls and way.tls.has_files:
            await way.tls.reread(recorder)
        async with dial(
            address,
            recorder,
            context=way.tls.context() if is_tls else None,
            server_name=way.tls.server_name or None,
            source_ip=way.source_ip,
        ) as connection:
            recorder.enter("request")
            number = secrets.randbelow(_ID_NUMBERS)
            message = question.encode(number)
            connection.write(len(message).to_bytes(2, "big") + message)
            size = int.from_bytes(await connection.read_exactly(2), "big")
            wire = await connection.read_exactly(size)
            check_head(wire, question)
            if number_of(wire) != number:
                raise CheckFailed(
                    Reason.PROTOCOL, f"want an answer with id {number}, got {number_of(wire)}"
                )
            recorder.leave()
        return wire

    async def _over_https(self, question: Question, recorder: Recorder) -> bytes:
        request = self._request(question)
        inner = Recorder(recorder.deadline)
        response = Response(request.url, _LIMITS)
        try:
            await exchange(request, inner, self.way.options, response)
            wire = _body_of(response)
            check_head(wire, question)
        except CheckFailed as failure:
            failure.phase = _PHASES.get(failure.phase or "", failure.phase or "request")
            raise
        finally:
            _take_over(inner, recorder)
        return wire

    def _request(self, question: Question) -> Request:
        # RFC 8484, 4.1: an id of 0 lets caches know a question again
        message, way = question.encode(0), self.way
        path, headers, body = way.path, [("Accept", MEDIA_TYPE), ("User-Agent", USER_AGENT)], b""
        if way.method == "GET":
            text = base64.urlsafe_b64encode(message).decode().rstrip("=")
            path = f"{path}{'&' if '?' in path else '?'}dns={text}"
        else:
            headers.append(("Content-Type", MEDIA_TYPE))
            body = message
        url = Url("https", self.host, self.port, path)
        return Request(url=url, method=way.method, headers=tuple(headers), body=body)


def _body_of(response: Response) -> bytes:
    response.check()
    if response.status != _OK:
        raise CheckFailed(
            Reason.STATUS, f"want HTTP status {_OK}, got {response.status}", phase="request"
        )
    media_type = (response.first.get(b"content-type") or b"").decode("latin-1")
    if media_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise CheckFailed(
            Reason.PROTOCOL, f"want content of type {MEDIA_TYPE}, got {short(media_type)}",
            phase="request",
        )  # fmt: skip
    return bytes(response.body.data)


def _take_over(inner: Recorder, recorder: Recorder) -> None:
    """Write into *recorder* what an exchange over HTTP found, in the words of DNS."""
    for phase in inner.phases:
        name = _PHASES.get(phase.name, phase.name)
        recorder.add_phase(name, phase.seconds, complete=phase.complete)
    recorder.extend(inner.samples)
    for name, text in inner.facts.items():
        recorder.fact(name, text)
    recorder.phase_name = _PHASES.get(inner.phase_name or "", inner.phase_name)


async def _read(wire: bytes, recorder: Recorder) -> Answer:
    """Return the message as values; a long one is read where it holds nobody up."""
    codec: Any = import_module("probes.wire.dns.message")

    def decode() -> Answer:
        answer: Answer = codec.decode(wire)
        return answer

    return decode() if len(wire) <= INLINE_BYTES else await off_the_loop(decode, recorder)


async def off_the_loop(work: Callable[[], T], recorder: Recorder) -> T:
    """Return what *work* returns, or raise the `CheckFailed` that it raises; in a thread.

    It is bounded, but can take longer than the loop may be held up.
    """

    def caught() -> T | CheckFailed:
        try:
            return work()
        except CheckFailed as failure:
            return failure

    left = recorder.remaining(asyncio.get_running_loop().time())
    # a key of its own: it ends by itself, so an earlier one says nothing about this
    result = await _calls.call(secrets.token_hex(8), caught, left)
    if isinstance(result, CheckFailed):
        raise result
    return result
