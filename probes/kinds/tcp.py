"""Kind ``tcp``: open a connection, talk a few lines if asked to, and leave.

Knows how to talk; connecting, TLS and certificates are `probes.wire.net`'s business.
"""

import asyncio
import ipaddress
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from probes.errors import CheckFailed
from probes.expect import CertificateExpect, DurationBand
from probes.kind import Kind, Metric
from probes.pattern import Pattern, searchable
from probes.recorder import Recorder
from probes.redact import Secret
from probes.result import Reason
from probes.settings import Settings
from probes.units import short
from probes.wire.net import ANY_IP, Connection, IpChoice, dial
from probes.wire.tls import (
    NET_METRICS,
    TLS_METRICS,
    TlsOptions,
    judge_certificate,
    shared_metrics,
)
from probes.wire.url import split_host_port

# blackbox.md 4.3
MAX_LINE_BYTES = 64 * 1024
# A server that talks on and on without the line we want would else keep us busy until the deadline.
MAX_DIALOG_BYTES = 1024 * 1024
# P13: judging so many lines takes 40 ms of CPU; a banner has a handful.
MAX_LINES = 10_000
# Judging so many takes a millisecond; then it is others' turn.
LINES_AT_ONCE = 256
MAX_STEPS = 32
DEFAULT_TLS = TlsOptions()


def _to_bytes(value: object) -> object:
    """Read ``{hex: 00ff}``; a text is sent in UTF-8."""
    if isinstance(value, dict) and set(value) == {"hex"}:
        try:
            return bytes.fromhex(str(value["hex"]))
        except ValueError:
            raise ValueError(f"want bytes in hex, got {short(value['hex'])}") from None
    return value.encode() if isinstance(value, str) else value


def _to_tls(value: object) -> object:
    if isinstance(value, bool):
        return TlsOptions() if value else None
    return value


def _to_expect(value: object) -> object:
    return {"banner": value} if isinstance(value, str | Pattern) else value


def _judge_source(value: str) -> str:
    if value:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            raise ValueError(f"want an address of this host, got {short(value)}") from None
    return value


def _from_bytes(value: bytes | None) -> object:
    return None if value is None else {"hex": value.hex()}


Octets = Annotated[
    bytes,
    BeforeValidator(_to_bytes, json_schema_input_type=str | dict[str, str]),
    PlainSerializer(_from_bytes, when_used="json"),
    Field(min_length=1),
]
"""A text, or ``{hex: 00ff}``."""
Text = Annotated[str | Secret, Field(union_mode="left_to_right")]
"""A text, or ``{env: NAME}`` or ``{file: path}``."""


class Step(Settings):
    """One step of a dialog; what it names is done in this order."""

    expect: Pattern | None = None
    """Read lines until one matches."""
    expect_bytes: Octets | None = None
    """Read exactly these bytes."""
    send: Text | None = None
    """Send this as it is, without a line end of its own."""
    starttls: bool = False
    """Turn the connection into a TLS one."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.expect is not None and self.expect_bytes is not None:
            raise ValueError("want expect or expect_bytes, got both")
        if not (self.expect or self.expect_bytes or self.send or self.starttls):
            raise ValueError("want expect, expect_bytes, send or starttls, got none of them")
        return self


class TcpExpect(Settings):
    """What fails the run when it is missed."""

    banner: Pattern | None = None
    """Pattern of a line of the answer."""
    latency: DurationBand | None = None
    """Time of the whole run."""
    certificate: CertificateExpect | None = None
    """Time until the certificates expire; needs TLS."""


class Tcp(Kind):
    """Open a TCP connection; with ``expect`` or ``dialog``, talk and judge what comes back.

    Connecting, and with ``tls`` the handshake, is the whole check when nothing else is asked for.

    Target:
        ``host:port``

    Source:
        RFC 9293
    """

    name = "tcp"
    phases = ("resolve", "connect", "tls", "dialog")
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("tcp_banner_bytes", "Bytes read from the target after connecting"),
        *shared_metrics("failed_due_to_regex", "failed_due_to_bytes"),
        *NET_METRICS,
        *TLS_METRICS,
    )

    send: Text | None = None
    """Sent right after connecting, as it is."""
    expect: Annotated[
        TcpExpect, BeforeValidator(_to_expect, json_schema_input_type=str | TcpExpect)
    ] = TcpExpect()
    """What the answer should be; a bare text is the pattern of a line."""
    dialog: tuple[Step, ...] = Field(default=(), max_length=MAX_STEPS)
    """Steps of a longer talk, instead of ``send`` and the pattern of ``expect``."""
    tls: Annotated[
        TlsOptions | None, BeforeValidator(_to_tls, json_schema_input_type=bool | TlsOptions)
    ] = None
    """TLS from the first byte; for a ``starttls`` step, its options."""
    ip: IpChoice = ANY_IP
    """Which address of the name is dialled: any, 4, 6, prefer_4, prefer_6."""
    source: Annotated[str, AfterValidator(_judge_source)] = ""
    """Address of this host to come from."""

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        if self.dialog and (self.send is not None or self.expect.banner is not None):
            raise ValueError("want dialog, or send and a pattern, got both")
        if self.expect.certificate is not None and self.tls is None and not self._upgrades:
            raise ValueError("want tls where a certificate is expected, got none")
        return self

    @property
    def _upgrades(self) -> bool:
        return any(step.starttls for step in self.dialog)

    @property
    def _tls(self) -> TlsOptions:
        return self.tls or DEFAULT_TLS

    @cached_property
    def _steps(self) -> tuple[Step, ...]:
        if self.dialog:
            return self.dialog
        steps: list[Step] = []
        if self.send is not None:
            steps.append(Step(send=self.send))
        if self.expect.banner is not None:
            steps.append(Step(expect=self.expect.banner))
        return tuple(steps)

    def check_target(self, target: str) -> None:
        split_host_port(target)

    def prepare(self, target: str) -> None:  # noqa: ARG002 - the same for every target
        if self.tls is not None or self._upgrades:
            self._tls.prepare()

    async def run(self, target: str, recorder: Recorder) -> None:
        talk = _Talk(recorder, self._tls)
        steps = self._steps
        now = self.tls is not None and not self._upgrades
        try:
            async with dial(
                target,
                recorder,
                context=talk.tls.context() if now else None,
                server_name=talk.tls.server_name,
                ip=self.ip,
                source_ip=self.source or None,
            ) as connection:
                if steps:
                    await talk.through(steps, connection)
            judge_certificate(self.expect.certificate, recorder)
            if self.expect.latency is not None:
                self.expect.latency.judge(recorder.elapsed(), recorder)
        finally:
            talk.record()
            if self.tls is not None or self._upgrades:
                # blackbox_exporter has this family for http alone
                recorder.forget("tls_cipher_info")


class _Talk:
    """What is said over one connection, and how it failed."""

    def __init__(self, recorder: Recorder, tls: TlsOptions) -> None:
        self.tls = tls
        self._recorder = recorder
        self._bytes = self._lines = 0
        self._missed_pattern = self._missed_bytes = False

    def record(self) -> None:
        self._recorder.sample("tcp_banner_bytes", self._bytes)
        self._recorder.sample("failed_due_to_regex", float(self._missed_pattern))
        self._recorder.sample("failed_due_to_bytes", float(self._missed_bytes))

    async def through(self, steps: Sequence[Step], connection: Connection) -> None:
        self._recorder.enter("dialog")
        for step in steps:
            if step.expect is not None:
                await self._read_line(step.expect, connection)
            if step.expect_bytes is not None:
                await self._read_bytes(step.expect_bytes, connection)
            if step.send is not None:
                connection.write(_plain(step.send).encode())
            if step.starttls:
                await connection.start_tls(self.tls.context(), self.tls.server_name)
                self._recorder.enter("dialog")
        self._recorder.leave()

    async def _read_line(self, pattern: Pattern, connection: Connection) -> None:
        last: bytes | None = None
        try:
            while (line := await self._next_line(connection)) is not None:
                if pattern.search(searchable(line)) is not None:
                    last = None
                    return
                last = line
            self._missed_pattern = True
            reason = Reason.CLOSED if last is None else Reason.BODY
            got = "the end of the stream" if last is None else _shown(last)
            raise CheckFailed(reason, f"want a line that matches {short(str(pattern))}, got {got}")
        finally:
            # also when the deadline ends it: what came instead
            if last is not None:
                self._recorder.fact("last_line", last.decode("utf-8", "replace"))

    async def _next_line(self, connection: Connection) -> bytes | None:
        self._lines += 1
        if self._lines > MAX_LINES:
            raise CheckFailed(Reason.TOO_LARGE, f"want at most {MAX_LINES} lines, got more")
        if self._lines % LINES_AT_ONCE == 0:
            await asyncio.sleep(0)
        line = await connection.read_line(MAX_LINE_BYTES)
        self._count(connection)
        return line

    async def _read_bytes(self, wanted: bytes, connection: Connection) -> None:
        got = await connection.read_exactly(len(wanted))
        self._count(connection)
        if got != wanted:
            self._missed_bytes = True
            raise CheckFailed(Reason.BODY, f"want {short(wanted)}, got {short(got)}")

    def _count(self, connection: Connection) -> None:
        self._bytes = connection.bytes_read
        if self._bytes > MAX_DIALOG_BYTES:
            raise CheckFailed(
                Reason.TOO_LARGE, f"want at most {MAX_DIALOG_BYTES} bytes in all, got more"
            )


def _plain(text: str | Secret) -> str:
    return text.get_secret_value() if isinstance(text, Secret) else text


def _shown(line: bytes) -> str:
    return short(line.decode("utf-8", "replace"))
