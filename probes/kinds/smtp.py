"""Kind ``smtp``: greet a mail server, upgrade to TLS, log in, ask whether it would take a message.

The talk is `probes.wire.smtp`'s business. It stops before a message is handed over, unless ``send``
says otherwise: nobody gets mail from a check by accident. Knows no mail box and no DNS of mail.
"""

import base64
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from probes.errors import CheckFailed
from probes.expect import CertificateExpect, DurationBand
from probes.kind import Kind, Metric
from probes.pattern import Pattern, searchable
from probes.recorder import Recorder
from probes.redact import Secret
from probes.result import Reason
from probes.settings import Settings
from probes.units import parse_number, short
from probes.wire.dns.resolver import ResolverOptions
from probes.wire.net import ANY_IP, Connection, IpChoice, dial, resolve
from probes.wire.smtp import Reply, Session, capabilities
from probes.wire.source import Source
from probes.wire.tls.settings import NET_METRICS, TLS_METRICS, TlsOptions, judge_certificate
from probes.wire.url import split_host_port

# https://www.iana.org/assignments/service-names-port-numbers; 465 by RFC 8314
PORT = 25
TLS_PORT = 465
# Asking for more is delivery, not a check.
MAX_RECIPIENTS = 16
# RFC 5321, 4.5.3.1.3 and 4.5.3.1.2
_MAILBOX = re.compile(r"[!#-'*+\-./-9=?A-Z^-~]{1,64}@[A-Za-z0-9.\-\[\]:]{1,255}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9.\-\[\]:_]{1,255}", re.ASCII)
_SIZE_DIGITS = re.compile(r"[0-9]{1,15}", re.ASCII)
_ACCEPTED = (250, 251, 252)


def _judge_mailbox(value: str) -> str:
    if value and not _MAILBOX.fullmatch(value):
        raise ValueError(f"want an address such as probe@example.org, got {short(value)}")
    return value


def _judge_name(value: str) -> str:
    if value and not _NAME.fullmatch(value):
        raise ValueError(f"want a host name, got {short(value)}")
    return value


Mailbox = Annotated[str, AfterValidator(_judge_mailbox)]
"""An address of mail."""


class SmtpExpect(Settings):
    """What fails the run when it is missed."""

    banner: Pattern | None = None
    """Pattern of a line of the greeting."""
    capabilities: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """What EHLO must offer, such as ``SIZE`` or ``AUTH PLAIN``; after TLS, where there is any."""
    recipients: Literal["accepted", "refused"] = "accepted"
    """Whether the server must take or refuse each of ``rcpt_to``: a relay must refuse strangers."""
    latency: DurationBand | None = None
    """Time of the whole run."""
    certificate: CertificateExpect | None = None
    """Time until the certificates expire; needs TLS."""


class Smtp(Kind):
    """Greet a mail server; upgrade, log in, and ask for an envelope as far as the keys say.

    Nothing is delivered, unless ``send`` is true.

    Target:
        ``host[:25]``; the port is 465 with ``encryption: tls``

    Source:
        RFC 5321, RFC 3207, RFC 4954
    """

    name = "smtp"
    phases = (
        "resolve", "connect", "tls", "banner", "ehlo", "starttls", "auth", "envelope", "message",
    )  # fmt: skip
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("smtp_reply_code", "Code of the last reply; 0 if there was none"),
        Metric("smtp_starttls_offered", "1 if STARTTLS is offered; absent with TLS from the start"),
        Metric("smtp_encrypted", "1 if the session ended over TLS"),
        Metric("smtp_size_limit_bytes", "Largest message the server takes; absent if not told"),
        Metric("smtp_recipients_accepted", "Recipients that the server would take"),
        *NET_METRICS,
        *TLS_METRICS,
    )
    ends_at_once: ClassVar[bool] = True

    encryption: Literal["starttls", "tls", "if_offered", "none"] = "starttls"
    """``starttls``: it must be offered and done; ``tls``: from the first byte; ``if_offered``: as
    mail servers do among themselves; ``none``: in clear text."""
    tls: TlsOptions = TlsOptions()
    """How the server is verified, and the client certificate."""
    helo: Annotated[str, AfterValidator(_judge_name)] = ""
    """Name to greet with; empty: the address that we come from."""
    username: str = ""
    """User to log in as."""
    password: Secret | None = None
    """Password of the user; it is sent over TLS only."""
    mechanism: Literal["any", "plain", "login"] = "any"
    """How to log in; any: PLAIN if it is offered, else LOGIN."""
    mail_from: Mailbox = ""
    """Sender to ask for; empty: the null sender of bounces."""
    rcpt_to: tuple[Mailbox, ...] = Field(default=(), max_length=MAX_RECIPIENTS)
    """Recipients to ask for; without ``send`` the envelope is then dropped."""
    send: bool = False
    """Really send a short message to ``rcpt_to``, in every run."""
    ip: IpChoice = ANY_IP
    """Which address of the name is dialled: any, 4, 6, prefer_4, prefer_6."""
    source: Source = ""
    """Address of this host to come from, or the name of one of its interfaces."""
    resolver: ResolverOptions = ResolverOptions()
    """Name servers to ask instead of the system's."""
    expect: SmtpExpect = SmtpExpect()
    """What the server must be."""

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        if bool(self.username) != (self.password is not None):
            raise ValueError("want username and password, got one of them")
        if self.username and self.encryption == "none":
            raise ValueError("want TLS where a password is sent, got encryption: none")
        if self.expect.certificate is not None and self.encryption == "none":
            raise ValueError("want TLS where a certificate is expected, got encryption: none")
        if self.send and not (self.rcpt_to and self.mail_from):
            raise ValueError("want mail_from and rcpt_to to send, got none")
        if self.send and self.expect.recipients == "refused":
            raise ValueError("want send or refused recipients, got both")
        if not all(self.rcpt_to):
            raise ValueError("want recipients, got an empty one")
        return self

    def check_target(self, target: str) -> None:
        split_host_port(target, PORT)

    def advice(self, target: str) -> Iterable[str]:
        yield from super().advice(target)
        if self.send:
            yield "send: true delivers a message in every run"
        if not self.tls.verify and self.username:
            yield "tls.verify: false shows the password to whoever answers"

    def secrets(self, target: str) -> set[str]:
        found = super().secrets(target)
        if self.password is not None:
            word = self.password.get_secret_value()
            told = f"\0{self.username}\0{word}"
            found |= {base64.b64encode(text.encode()).decode() for text in (word, told)}
        return found

    def prepare(self, target: str) -> None:  # noqa: ARG002 - the same for every target
        if self.encryption != "none":
            self.tls.prepare()
        self.resolver.prepare()

    async def run(self, target: str, recorder: Recorder) -> None:
        at_once = self.encryption == "tls"
        try:
            host, port = split_host_port(target, TLS_PORT if at_once else PORT)
        except ValueError as error:
            raise CheckFailed(Reason.CONFIG, str(error)) from None
        if self.encryption != "none" and self.tls.has_files:
            await self.tls.reread(recorder)
        servers = self.resolver.addresses
        address = await resolve(host, port, recorder, ip=self.ip, servers=servers)
        async with dial(
            address,
            recorder,
            context=self.tls.context() if at_once else None,
            server_name=self.tls.server_name,
            source_ip=self.source or None,
        ) as connection:
            await _Talk(self, connection, recorder).through()
        judge_certificate(self.expect.certificate, recorder)
        if self.expect.latency is not None:
            self.expect.latency.judge(recorder.elapsed(), recorder)


class _Talk:
    """One run over an open connection."""

    def __init__(self, kind: Smtp, connection: Connection, recorder: Recorder) -> None:
        self._kind = kind
        self._expect = kind.expect
        self._connection = connection
        self._recorder = recorder
        self._session = Session(connection, recorder)
        self._is_encrypted = kind.encryption == "tls"
        self._offered: dict[str, str] = {}

    async def through(self) -> None:
        try:
            self._judge_banner(await self._session.greeting())
            await self._hello()
            if self._wants_upgrade():
                await self._upgrade()
            self._judge_capabilities()
            if self._kind.username:
                await self._log_in()
            if self._kind.rcpt_to:
                await self._envelope()
            self._session.quit()
            self._recorder.leave()
        finally:
            self._recorder.sample("smtp_reply_code", self._session.last_code)
            self._recorder.sample("smtp_encrypted", float(self._is_encrypted))

    def _judge_banner(self, greeting: Reply) -> None:
        self._recorder.fact("banner", str(greeting))
        wanted = self._expect.banner
        if wanted is None:
            return
        if not any(wanted.search(searchable(line.encode())) for line in greeting.lines):
            got = short(" / ".join(greeting.lines))
            raise CheckFailed(
                Reason.BODY, f"want a greeting that matches {short(str(wanted))}, got {got}"
            )

    async def _hello(self) -> None:
        self._offered = capabilities(await self._session.hello(self._name()))

    def _name(self) -> str:
        """Return who we are: RFC 5321, 4.1.4 wants an address of those without a name."""
        if self._kind.helo:
            return self._kind.helo
        own = str(self._connection.transport.get_extra_info("sockname")[0]).partition("%")[0]
        return f"[IPv6:{own}]" if ":" in own else f"[{own}]"

    def _wants_upgrade(self) -> bool:
        if self._is_encrypted:
            return False
        is_offered = "STARTTLS" in self._offered
        self._recorder.sample("smtp_starttls_offered", float(is_offered))
        if self._kind.encryption == "starttls" and not is_offered:
            raise CheckFailed(
                Reason.PROTOCOL,
                "want STARTTLS offered, got a server without it (encryption: none asks for none)",
            )
        if self._expect.certificate is not None and not is_offered:
            raise CheckFailed(
                Reason.PROTOCOL, "want a certificate to judge, got a server without STARTTLS"
            )
        return is_offered and self._kind.encryption != "none"

    async def _upgrade(self) -> None:
        await self._session.start_tls()
        # refuses what came ahead of it (CVE-2011-0411)
        await self._connection.start_tls(self._kind.tls.context(), self._kind.tls.server_name)
        self._is_encrypted = True
        # RFC 3207, 4.2: what was offered in clear text counts no more
        await self._hello()
        self._offered.setdefault("STARTTLS", "")

    def _judge_capabilities(self) -> None:
        self._recorder.fact("capabilities", ", ".join(f"{k} {v}".strip() for k, v in self._told()))
        size = self._offered.get("SIZE", "")
        # RFC 1870, 3: 0 is no limit
        if _SIZE_DIGITS.fullmatch(size) and parse_number(size):
            self._recorder.sample("smtp_size_limit_bytes", parse_number(size))
        for wanted in self._expect.capabilities:
            keyword, _, parameters = wanted.upper().partition(" ")
            got = self._offered.get(keyword)
            if got is None or not set(parameters.split()) <= set(got.upper().split()):
                offered = ", ".join(sorted(self._offered)) if got is None else f"{keyword} {got}"
                raise CheckFailed(
                    Reason.VALUE, f"want {short(wanted)} offered, got {short(offered)}"
                )

    def _told(self) -> list[tuple[str, str]]:
        return sorted(self._offered.items())

    async def _log_in(self) -> None:
        kind, password = self._kind, self._kind.password
        if not self._is_encrypted or password is None:
            raise CheckFailed(
                Reason.PROTOCOL, "want TLS before a password is sent, got a server without STARTTLS"
            )
        offered = self._offered.get("AUTH", "").upper().split()
        wanted = ("PLAIN", "LOGIN") if kind.mechanism == "any" else (kind.mechanism.upper(),)
        mechanism = next((word for word in wanted if word in offered), None)
        if mechanism is None:
            raise CheckFailed(
                Reason.AUTH,
                f"want AUTH {' or '.join(wanted)} offered, got {short(' '.join(offered))}",
                phase="auth",
            )
        await self._session.log_in(kind.username, password.get_secret_value(), mechanism)

    async def _envelope(self) -> None:
        kind, session, accepted = self._kind, self._session, 0
        if await self._is_turned_away():
            return
        for recipient in kind.rcpt_to:
            reply = await session.ask(f"RCPT TO:<{recipient}>", "envelope")
            accepted += reply.code in _ACCEPTED
            self._recorder.forget("smtp_recipients_accepted")
            self._recorder.sample("smtp_recipients_accepted", accepted)
            self._judge_recipient(recipient, reply)
        if kind.send:
            reply = await session.message(self._message())
            self._recorder.fact("sent", str(reply))
        else:
            await session.command("RSET", "envelope", 250)

    async def _is_turned_away(self) -> bool:
        """Name the sender; return whether that was refused where a refusal is wanted."""
        line = f"MAIL FROM:<{self._kind.mail_from}>"
        if self._expect.recipients == "accepted":
            await self._session.command(line, "envelope", 250)
            return False
        reply = await self._session.ask(line, "envelope")
        if reply.code != 250 and not reply.is_permanent:  # noqa: PLR2004 - RFC 5321, 4.2.3
            raise CheckFailed(Reason.STATUS, f"want a refusal of {line!r}, got {short(str(reply))}")
        # who asks strangers for a login refuses here already
        return reply.is_permanent

    def _judge_recipient(self, recipient: str, reply: Reply) -> None:
        is_refused = self._expect.recipients == "refused"
        if reply.is_permanent if is_refused else reply.code in _ACCEPTED:
            return
        wanted = "a refusal of" if is_refused else "250 to"
        raise CheckFailed(
            Reason.STATUS, f"want {wanted} 'RCPT TO:<{recipient}>', got {short(str(reply))}"
        )

    def _message(self) -> bytes:
        kind, name = self._kind, self._name().strip("[]").replace(":", ".")
        lines = (
            f"Date: {format_datetime(datetime.now(UTC))}",
            f"From: <{kind.mail_from}>",
            f"To: {', '.join(f'<{recipient}>' for recipient in kind.rcpt_to)}",
            "Subject: A check of this mail server",
            f"Message-ID: <{self._recorder.run_id or 'run'}@{name}>",
            # RFC 3834, 5: nobody answers by a machine
            "Auto-Submitted: auto-generated",
            "",
            "A check has sent this message to see that it is taken. Nobody needs to do anything.",
        )
        return "\r\n".join(lines).encode() + b"\r\n"
