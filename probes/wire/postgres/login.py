"""How a PostgreSQL driver reaches its server: our dial, our TLS rules, a gate before the login.

    DialLoop          looks like the event loop a driver connects with, and dials our way
    LoginGate         between transport and driver: sees each request before the driver answers it

The gate refuses to answer a server that asks for the password in clear text over a plain
connection, wants endless hashing, speaks another protocol, or sends without end. Knows no driver,
no query and no setting of a probe.

Source:
    https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import asyncio
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import short
from probes.wire.net import Address, Connection, open_connection
from probes.wire.tls.peer import RecordingContext

# SSLRequest: length 8, code 80877103 (1234 << 16 | 5679).
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
# Every message of a login fits easily; a longer one is another protocol or an attack.
MAX_LOGIN_MESSAGE_BYTES = 64 * 1024
# reliability.md 4 caps rows, not bytes: 100 rows of 40 KiB are more than any check reads.
MAX_ANSWER_BYTES = 4 * 1024 * 1024
# Authentication, error, notice, negotiated version, parameter, cancel key, ready.
_LOGIN_MESSAGES = b"RENvSKZ"
_AUTH_OK, _CLEAR, _MD5, _SASL = 0, 3, 5, 10
_METHODS = {_AUTH_OK: "trust", _CLEAR: "clear", _MD5: "md5", _SASL: "scram"}
# SASLContinue and SASLFinal belong to a login that began with SASL.
_SASL_STEPS = (11, 12)
# A message: type (1), size (4, counts itself), payload.
_HEAD_BYTES, _SIZE_BYTES = 5, 4
_SASL_CONTINUE = 11
_ITERATIONS = re.compile(rb",i=([0-9]{1,10})(?:,|$)")
# The driver hashes on the loop, 2.5 us a round: this many block it for 50 ms (P13). PostgreSQL's
# own default is 4,096.
MAX_SCRAM_ITERATIONS = 20_000
_STRENGTH = {"trust": 0, "clear": 1, "md5": 2, "scram": 3}

# What a driver's parser raises over bytes that no server of its kind sends.
BROKEN_DRIVER = (
    ArithmeticError, AssertionError, AttributeError, BufferError, LookupError, RecursionError,
    TypeError, ValueError,
)  # fmt: skip

Login = Literal["clear", "md5", "scram"]


@dataclass(frozen=True, slots=True)
class Transit:
    """How to get to the server.

    Args:
        context: for TLS; None stays in plain text without asking.
        required: whether a server without TLS is a failure; else the login goes on in plain text.
        server_name: to verify; empty: the host of the address.
        weakest: login method that is still answered over a plain connection.
        source_ip: address or interface of this host to come from; empty: the system's choice.
    """

    context: RecordingContext | None = None
    required: bool = True
    server_name: str = ""
    weakest: Login = "md5"
    source_ip: str = ""


class LoginGate(asyncio.Protocol):
    """Passes bytes to the driver's protocol, until one of them is not to be answered."""

    def __init__(self, driver: Any, *, weakest: Login | None, strict: bool) -> None:
        self._driver = driver
        self._weakest = weakest
        self._strict = strict
        self._head = bytearray()
        self._received = 0
        self._transport: asyncio.Transport | None = None
        self.login = ""
        self.is_ready = False
        self.failure: CheckFailed | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._driver.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self.failure is not None:
            return
        self._received += len(data)
        if not self.is_ready:
            self._read_login(data)
        if self._received > MAX_ANSWER_BYTES:
            self._refuse(
                Reason.TOO_LARGE, f"want at most {MAX_ANSWER_BYTES} bytes of answers, got more"
            )
        if self.failure is None:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        try:
            self._driver.data_received(data)
        except BROKEN_DRIVER as error:
            got = f"{type(error).__name__}: {short(str(error))}"
            self._refuse(
                Reason.PROTOCOL, f"want messages in their order, got some that broke it: {got}"
            )

    def eof_received(self) -> bool | None:
        keep: bool | None = self._driver.eof_received()
        return keep

    def connection_lost(self, exc: Exception | None) -> None:
        self._driver.connection_lost(exc)

    def pause_writing(self) -> None:
        self._driver.pause_writing()

    def resume_writing(self) -> None:
        self._driver.resume_writing()

    def _refuse(self, reason: Reason, message: str) -> None:
        self.failure = CheckFailed(reason, message)
        if self._transport is not None:
            self._transport.abort()

    def _read_login(self, data: bytes) -> None:
        self._head += data
        while len(self._head) >= _HEAD_BYTES and not self.is_ready and self.failure is None:
            kind, size = struct.unpack_from("!cI", self._head)
            if kind not in _LOGIN_MESSAGES or not _SIZE_BYTES <= size <= MAX_LOGIN_MESSAGE_BYTES:
                got = bytes(self._head[:20])
                self._refuse(Reason.PROTOCOL, f"want a PostgreSQL server, got {got!r}")
                return
            if len(self._head) < 1 + size:
                return
            if kind == b"R":
                self._judge(bytes(self._head[_HEAD_BYTES : 1 + size]))
            self.is_ready = kind == b"Z"
            del self._head[: 1 + size]

    def _judge(self, request: bytes) -> None:
        code = int.from_bytes(request[:_SIZE_BYTES], "big") if request else -1
        if code == _SASL_CONTINUE:
            self._judge_iterations(request)
        if code in _SASL_STEPS or (code == _AUTH_OK and self.login):
            return
        method = _METHODS.get(code)
        if method is None:
            self._refuse(
                Reason.AUTH,
                f"want a server that asks for a password, got one that asks for method {code}",
            )
            return
        self.login = method
        if self._weakest is None or (method == "trust" and not self._strict):
            return
        if _STRENGTH[method] < _STRENGTH[self._weakest]:
            asked = {"clear": "the password in clear text", "md5": "an MD5 of the password"}
            self._refuse(
                Reason.AUTH,
                f"want a login by {self._weakest} or better without TLS, "
                f"got a server that asks for {asked.get(method, 'no password at all')}",
            )

    def _judge_iterations(self, request: bytes) -> None:
        found = _ITERATIONS.search(request)
        if found and int(found[1]) > MAX_SCRAM_ITERATIONS:
            got = int(found[1])
            self._refuse(
                Reason.TOO_LARGE, f"want at most {MAX_SCRAM_ITERATIONS} rounds of SCRAM, got {got}"
            )


class DialLoop:
    """The part of an event loop that a driver dials through; all else is the real loop's.

    A driver that takes ``loop=`` connects to the judged address, with phases ``connect``, ``tls``
    and ``auth``.
    Only the first connection is made: a second one (to cancel a query) would outlive the run.
    """

    def __init__(
        self, address: Address, recorder: Recorder, transit: Transit, *, scheme: str
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._address = address
        self._scheme = scheme
        self._recorder = recorder
        self._transit = transit
        self.gate: LoginGate | None = None
        self.is_encrypted = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    @property
    def failure(self) -> CheckFailed | None:
        """Why the gate closed, if it did."""
        return self.gate.failure if self.gate is not None else None

    async def create_connection(
        self, factory: Callable[[], Any], *_where: object, **_how: object
    ) -> tuple[asyncio.Transport, Any]:
        """Dial as `Transit` says and put the driver's protocol behind the gate."""
        if self.gate is not None:
            raise ConnectionRefusedError("one connection a run")
        transit, recorder = self._transit, self._recorder
        _, wire = await open_connection(
            lambda: Connection(recorder, self._address),
            self._address,
            recorder,
            source_ip=transit.source_ip or None,
            scheme=self._scheme,
        )
        try:
            if transit.context is not None:
                await self._start_tls(wire, transit.context)
            recorder.enter("auth")
            return self._hand_over(wire, factory())
        except BaseException:
            wire.abort()
            raise

    async def _start_tls(self, wire: Connection, context: RecordingContext) -> None:
        self._recorder.enter("tls")
        wire.write(SSL_REQUEST)
        answer = await wire.read_exactly(1)
        if answer == b"S":
            await wire.start_tls(context, self._transit.server_name or None)
            self.is_encrypted = True
        elif answer != b"N":
            # an error text before TLS may be anybody's: it is not shown (CVE-2024-10977)
            raise CheckFailed(
                Reason.PROTOCOL, f"want S or N to the question for TLS, got {answer!r}"
            )
        elif self._transit.required:
            raise CheckFailed(Reason.TLS, "want a server with TLS, got one that refuses it")

    def _hand_over(self, wire: Connection, driver: Any) -> tuple[asyncio.Transport, Any]:
        transit = self._transit
        gate = LoginGate(
            driver,
            weakest=None if self.is_encrypted else transit.weakest,
            strict=transit.weakest == "scram",
        )
        self.gate = gate
        transport = wire.transport
        transport.set_protocol(gate)
        gate.connection_made(transport)
        return transport, driver
