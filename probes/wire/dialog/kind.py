"""What the kinds of a line dialog share: their settings, and the course of a run.

Talking
├── send, expect, dialog, line_end   what is said, and what should come back
├── tls                              from the first byte, or for a step ``starttls``
└── judge                            opens, talks, judges; how it opens is the kind's business
"""

import ssl
import typing
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import Annotated, ClassVar, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from probes.expect import CertificateExpect, DurationBand
from probes.kind import Kind
from probes.pattern import Pattern
from probes.recorder import Recorder
from probes.redact import Redactor
from probes.settings import Settings, is_blackbox
from probes.wire.dialog.starttls import Protocol, negotiate
from probes.wire.dialog.steps import DIALOG_METRICS, MAX_STEPS, Step, Talk, Text
from probes.wire.stream import Connection
from probes.wire.tls.settings import TLS_METRICS, TlsOptions, judge_certificate

DEFAULT_TLS = TlsOptions()
# blackbox_exporter has this family for http alone.
_CIPHER = "tls_cipher_info"
TALKING_METRICS = (*DIALOG_METRICS, *(m for m in TLS_METRICS if m.name != _CIPHER))


class Opening(typing.Protocol):
    """Gives the open connection; with a context, TLS is spoken from its first byte."""

    def __call__(
        self, *, context: ssl.SSLContext | None
    ) -> AbstractAsyncContextManager[Connection]: ...


def _to_tls(value: object) -> object:
    if isinstance(value, bool):
        return TlsOptions() if value else None
    return value


def _to_expect(value: object) -> object:
    return {"banner": value} if isinstance(value, str | Pattern) else value


TlsSwitch = Annotated[
    TlsOptions | None, BeforeValidator(_to_tls, json_schema_input_type=bool | TlsOptions)
]
"""``true``, ``false``, or the options of TLS."""


class TalkExpect(Settings):
    """What fails the run when it is missed."""

    banner: Pattern | None = None
    """Pattern of a line of the answer."""
    latency: DurationBand | None = None
    """Time of the whole run."""
    certificate: CertificateExpect | None = None
    """Time until the certificates expire; needs TLS."""


class Talking(Kind):
    """Settings of a talk by lines and bytes."""

    send: Text | None = None
    """Sent right after connecting, as it is."""
    expect: Annotated[
        TalkExpect, BeforeValidator(_to_expect, json_schema_input_type=str | TalkExpect)
    ] = TalkExpect()
    """What the answer should be; a bare text is the pattern of a line."""
    dialog: tuple[Step, ...] = Field(default=(), max_length=MAX_STEPS)
    """Steps of a longer talk, instead of ``send`` and the pattern of ``expect``. Each has, in the
    order in which they are done: ``expect`` (read lines until this pattern matches) with ``labels``
    (name -> text with ``${1}``, told as ``probe_expect_info``), or ``expect_bytes``; ``send``, in
    which ``$1`` and ``${name}`` are groups of that pattern and ``$$`` is a dollar; ``starttls``."""
    line_end: str = ""
    """Appended to everything that is sent, such as ``"\\r\\n"``."""
    tls: TlsSwitch = None
    """TLS from the first byte; with ``starttls``, here or in a step, its options."""
    starttls: Protocol | None = None
    """Upgrade to TLS before anything else is said, as this protocol does it."""

    ends_at_once: ClassVar[bool] = True

    @model_validator(mode="after")
    def _make_sense(self, info: ValidationInfo) -> Self:
        if self.dialog and (self.send is not None or self.expect.banner is not None):
            raise ValueError("want dialog, or send and a pattern, got both")
        if self.starttls is not None and any(step.starttls for step in self.dialog):
            raise ValueError("want starttls once, got it in a step too")
        if self.expect.certificate is not None and not self.is_secured:
            raise ValueError("want tls where a certificate is expected, got none")
        if not is_blackbox(info):
            self.check_name()
        return self

    def check_name(self) -> None:
        """Judge whether there is a name to verify.

        Raises:
            ValueError: there is none.
        """

    @property
    def upgrades(self) -> bool:
        """Whether the connection is turned into a TLS one on the way."""
        return self.starttls is not None or any(step.starttls for step in self.dialog)

    @property
    def is_secured(self) -> bool:
        """Whether TLS is spoken, sooner or later."""
        return self.tls is not None or self.upgrades

    @property
    def tls_or_default(self) -> TlsOptions:
        """Options of TLS, whether the file gives any or not."""
        return self.tls or DEFAULT_TLS

    @cached_property
    def _steps(self) -> tuple[Step, ...]:
        if self.dialog:
            return self.dialog
        steps: list[Step] = []
        if self.send:
            steps.append(Step(send=self.send))
        if self.expect.banner is not None:
            steps.append(Step(expect=self.expect.banner))
        return tuple(steps)

    def secrets(self, target: str) -> set[str]:
        found = super().secrets(target)
        # what is sent with its line end comes back without
        return found | {line for text in found for line in text.splitlines()}

    @cached_property
    def _hide(self) -> Redactor:
        return Redactor(self.secrets(""))

    def prepare(self, target: str) -> None:  # noqa: ARG002 - the same for every target
        if self.is_secured:
            self.tls_or_default.prepare()

    async def judge(self, opening: Opening, recorder: Recorder, *, server_name: str = "") -> None:
        """Open, talk, and judge what came back.

        Args:
            opening: gives the open connection.
            recorder: of the run.
            server_name: to verify when a step upgrades; empty: the host of the connection.

        Raises:
            CheckFailed: as *opening* and `Talk.through` do; ``certificate_expiring``, ``latency``.
        """
        talk = Talk(
            recorder,
            self.tls_or_default,
            server_name=server_name,
            line_end=self.line_end,
            hide=self._hide,
        )
        at_once = self.tls is not None and not self.upgrades
        if self.is_secured and self.tls_or_default.has_files:
            await self.tls_or_default.reread(recorder)
        try:
            context = self.tls_or_default.context() if at_once else None
            async with opening(context=context) as connection:
                if self.starttls is not None:
                    await self._upgrade(self.starttls, connection, recorder, server_name)
                if self._steps:
                    await talk.through(self._steps, connection)
            judge_certificate(self.expect.certificate, recorder)
            if self.expect.latency is not None:
                self.expect.latency.judge(recorder.elapsed(), recorder)
        finally:
            recorder.sample(f"{self.name}_banner_bytes", talk.bytes_read)
            talk.record()
            if self.is_secured:
                recorder.forget(_CIPHER)

    async def _upgrade(
        self, protocol: Protocol, connection: Connection, recorder: Recorder, server_name: str
    ) -> None:
        recorder.enter("dialog")
        await negotiate(protocol, server_name or connection.address.host, connection)
        await connection.start_tls(self.tls_or_default.context(), server_name)
