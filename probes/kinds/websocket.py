"""Kind ``websocket``: upgrade a new connection, talk a few messages if asked to, and leave.

Knows what to ask for and what should come back; the upgrade, frames and messages are the business
of `probes.wire.websocket.connection`.
"""

import asyncio
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from probes.errors import CheckFailed
from probes.expect import CertificateExpect, DurationBand
from probes.kind import Kind, Metric
from probes.pattern import Pattern, searchable
from probes.recorder import Recorder
from probes.redact import SECRET_HEADER, Secret
from probes.result import Reason
from probes.settings import Settings, is_blackbox
from probes.units import Size, short
from probes.wire.address import ANY_IP, IpChoice
from probes.wire.credentials import Credential, LateText, SecretFile
from probes.wire.dialog.steps import Text, expand
from probes.wire.http.headers import (
    RESERVED,
    TOKEN,
    Authorization,
    HeaderName,
    Login,
    judge_line,
    plain,
)
from probes.wire.http.message import MAX_REDIRECTS, Request, Response
from probes.wire.http.options import HTTP1_ALPN, Options
from probes.wire.http_check.travel import TravelKeys
from probes.wire.tls.settings import (
    NET_METRICS,
    TLS_METRICS,
    TlsOptions,
    judge_certificate,
    shared_metrics,
)
from probes.wire.url import Url, split_host_port
from probes.wire.websocket.connection import MAX_MESSAGE_BYTES, Socket, load_library
from probes.wire.websocket.upgrade import (
    NO_BODY,
    basic_pair,
    header_lines,
    login_line,
    open_following,
    read_socket_url,
)

MAX_STEPS = 256
# Messages of others before the one that is meant; each is searched for the pattern.
MAX_SKIP = 10_000
# Words of a server may come back in what we send many times over.
MAX_SEND_BYTES = MAX_MESSAGE_BYTES
# RFC 6455, 7.4.2: what an endpoint may send.
FIRST_CLOSE_CODE, LAST_CLOSE_CODE = 1000, 4999
_OWN_HEADER = "sec-websocket-"


def _to_tuple(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


Lines = Annotated[
    tuple[LateText, ...],
    BeforeValidator(_to_tuple, json_schema_input_type=LateText | list[LateText]),
]
"""The value of a header, or several: one line each."""


def _hide(headers: dict[str, tuple[str | Secret | SecretFile, ...]]) -> dict[str, Any]:
    """Take for a secret what stands in a header that is known to hold one."""
    return {
        name: tuple(Secret(v) if isinstance(v, str) and v else v for v in values)
        if SECRET_HEADER.search(name)
        else values
        for name, values in headers.items()
    }


class Step(Settings):
    """One step of a talk; what it names is done in this order."""

    expect: Pattern | None = None
    """The next message must match."""
    skip: int = Field(default=0, ge=0, le=MAX_SKIP)
    """Messages that need not match and may come before the one that does."""
    send: Text | None = None
    """Send this: a text, or ``{hex: 00ff}`` as a binary message. In a text beside ``expect``,
    ``$1``, ``${1}`` and ``${name}`` are groups of it and ``$$`` is a dollar; a secret is sent as it
    is."""

    @model_validator(mode="after")
    def _does_something(self, info: ValidationInfo) -> Self:
        if self.expect is None and not self.send and not is_blackbox(info):
            raise ValueError("want expect or send, got neither")
        if self.skip and self.expect is None:
            raise ValueError("want expect beside skip, got skip alone")
        return self


class WebsocketExpect(Settings):
    """What fails the run when it is missed."""

    subprotocol: str | None = None
    """The subprotocol that the server must choose; empty: none."""
    close_code: int | None = Field(default=None, ge=FIRST_CLOSE_CODE, le=LAST_CLOSE_CODE)
    """The server must end the talk by itself, with this code."""
    ping: DurationBand | None = None
    """Time until a ping is answered."""
    latency: DurationBand | None = None
    """Time of the whole run."""
    certificate: CertificateExpect | None = None
    """Time until the certificates expire; needs wss://."""


class Websocket(TravelKeys, Kind):
    """Upgrade a new connection to a websocket; with ``dialog``, talk and judge what comes back.

    Target:
        ``ws://host[:port]/path`` or ``wss://...``; ``user:password@`` becomes basic auth.

    Source:
        RFC 6455
    """

    name = "websocket"
    phase_family = "websocket_duration_seconds"
    phases = ("resolve", "connect", "tls", "upgrade", "transfer")
    parameters = ("ip",)
    phase_folds = MappingProxyType({"tls": "processing", "upgrade": "processing"})
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("websocket_ping_seconds", "Time until a ping was answered, in seconds"),
        *shared_metrics(
            "websocket_status_code",
            "websocket_connection_upgraded",
            "websocket_failed_due_to_regex",
        ),
        *NET_METRICS,
        *TLS_METRICS,
    )

    headers: Annotated[dict[HeaderName, Lines], AfterValidator(_hide)] = Field(default={})
    """Headers of the upgrade: name -> one value, or several; they never follow a redirect to
    another origin."""
    basic_auth: Login | None = None
    """User name and password."""
    bearer: Credential | None = None
    """Bearer token."""
    authorization: Authorization | None = None
    """Header Authorization of another type."""
    subprotocols: tuple[str, ...] = Field(default=(), max_length=16)
    """Subprotocols to offer, the preferred one first."""
    dialog: tuple[Step, ...] = Field(default=(), max_length=MAX_STEPS)
    """What is said after the upgrade, step by step."""
    ping: bool = False
    """Send a ping after the dialog and wait for its answer."""
    max_message: Size = MAX_MESSAGE_BYTES
    """Size of one message at most; more is a failure."""
    follow_redirects: bool = False
    """Follow 301, 302, 303, 307 and 308; otherwise any answer but 101 is a failure."""
    max_redirects: int = Field(default=MAX_REDIRECTS, ge=0, le=MAX_REDIRECTS)
    """Redirects at most; one more is a failure."""
    ip: IpChoice = ANY_IP
    """Which address of the name is dialled: any, 4, 6, prefer_4, prefer_6."""
    tls: TlsOptions = TlsOptions()
    """How the server is verified, and the client certificate."""
    expect: WebsocketExpect = WebsocketExpect()
    """What fails the run when it is missed; by default no more than the upgrade and the dialog."""

    @model_validator(mode="before")
    @classmethod
    def _speak_blackbox(cls, data: Any, info: ValidationInfo) -> Any:
        """Give a module of a blackbox.yml the defaults that blackbox_exporter has."""
        if not is_blackbox(info) or not isinstance(data, Mapping):
            return data
        # what the upgrade writes itself is left out there too
        given = (data.get("headers") or {}).items()
        headers = {name: value for name, value in given if name.lower() not in RESERVED}
        return {"trust": "host", **data, "headers": headers}

    @model_validator(mode="after")
    def _make_sense(self, info: ValidationInfo) -> Self:
        names = {name.lower() for name in self.headers}
        ways = len(self._logins) + ("authorization" in names) + (self.oauth2 is not None)
        if ways > 1:
            raise ValueError(
                "want one of basic_auth, bearer, authorization, oauth2 and an Authorization header,"
                " got several"
            )
        if not is_blackbox(info):
            _judge_headers(self.headers)
        for name in self.subprotocols:
            if not TOKEN.fullmatch(name):
                raise ValueError(f"want a subprotocol such as graphql-ws, got {short(name)}")
        chosen = self.expect.subprotocol
        if chosen and chosen not in self.subprotocols:
            raise ValueError(f"want {short(chosen)} among the subprotocols, got it expected only")
        return self

    @property
    def _logins(self) -> list[Login | Secret | SecretFile | Authorization]:
        given = (self.basic_auth, self.bearer, self.authorization)
        return [login for login in given if login is not None]

    @property
    def login(self) -> Login | Secret | SecretFile | Authorization | None:
        """Who asks; None: nobody says."""
        return next(iter(self._logins), None)

    def check_target(self, target: str) -> None:
        url = read_socket_url(target)
        if self.expect.certificate is not None and not url.is_tls:
            raise ValueError(f"want a wss:// URL to judge a certificate, got {short(str(url))}")

    def secrets(self, target: str) -> set[str]:
        found = super().secrets(target) | self.travel_secrets()
        if self.basic_auth is not None:
            user, password = self.basic_auth.username, self.basic_auth.password
            # what stands in a file is hidden when it is read
            if isinstance(password, Secret) and not isinstance(user, SecretFile):
                found.add(basic_pair(plain(user), password.get_secret_value()))
        return found

    def prepare(self, target: str) -> None:
        load_library()
        self.prepare_travel()
        if target.lower().startswith("wss:") or self.follow_redirects:
            self._options.prepare()

    async def run(self, target: str, recorder: Recorder) -> None:
        url = read_socket_url(target)
        visit = _Visit(self, recorder, Response(url, NO_BODY))
        try:
            socket = await visit.open(url, self._options)
            try:
                await visit.talk(socket)
            except asyncio.CancelledError:
                socket.abort()
                raise
            finally:
                # whoever misses something says goodbye too; behind abort() it does nothing
                socket.leave()
            judge_certificate(self.expect.certificate, recorder)
            if self.expect.latency is not None:
                self.expect.latency.judge(recorder.elapsed(), recorder)
        finally:
            visit.record()

    @cached_property
    def _options(self) -> Options:
        return self.travelling(
            Options(
                ip=self.ip,
                tls=self.tls,
                alpn=HTTP1_ALPN,
                follow_redirects=self.follow_redirects,
                max_redirects=self.max_redirects,
            )
        )


def _judge_headers(headers: dict[str, Any]) -> None:
    for name, values in headers.items():
        if name.lower().startswith(_OWN_HEADER):
            raise ValueError(f"want a header that sonde does not write itself, got {name}")
        for value in values:
            if not isinstance(value, SecretFile):
                judge_line(value)
                if name.lower() == "host":
                    split_host_port(plain(value), 443)


class _Visit:
    """One run: the way to the socket, what is said on it, and what there is to tell."""

    def __init__(self, kind: Websocket, recorder: Recorder, response: Response) -> None:
        self._kind = kind
        self._recorder = recorder
        self._response = response
        self._is_upgraded = self._missed = False

    def record(self) -> None:
        """Write down how it went, whatever ended it."""
        sample = self._recorder.sample
        sample("websocket_status_code", self._response.status)
        sample("websocket_connection_upgraded", float(self._is_upgraded))
        sample("websocket_failed_due_to_regex", float(self._missed))

    async def open(self, url: Url, options: Options) -> Socket:
        """Connect and upgrade, over redirects where they are followed.

        Raises:
            CheckFailed: as `open_following`.
        """
        kind, recorder = self._kind, self._recorder
        lines = await header_lines(kind.headers, recorder)
        if kind.login is not None:
            lines = (*lines, ("Authorization", await login_line(kind.login, recorder)))
        host = next((value for name, value in lines if name.lower() == "host"), "")
        others = tuple((name, value) for name, value in lines if name.lower() != "host")
        proven = await kind.prove(Request(url, headers=others, host=host), recorder)
        try:
            socket = await open_following(
                proven.request,
                recorder,
                options,
                response=self._response,
                max_message=kind.max_message,
                subprotocols=kind.subprotocols,
            )
        finally:
            proven.answered(self._response)
        self._is_upgraded = True
        if socket.subprotocol:
            recorder.fact("subprotocol", socket.subprotocol)
        return socket

    async def talk(self, socket: Socket) -> None:
        """Say and hear what is wanted, in phase ``transfer``.

        Raises:
            CheckFailed: ``body``, ``closed``, ``status``: not what was expected.
        """
        kind, expect, recorder = self._kind, self._kind.expect, self._recorder
        if expect.subprotocol is not None and socket.subprotocol != expect.subprotocol:
            wanted = f"want subprotocol {short(expect.subprotocol)}"
            got = f"got {short(socket.subprotocol)}"
            raise CheckFailed(Reason.PROTOCOL, f"{wanted}, {got}", phase="upgrade")
        pings = kind.ping or expect.ping is not None
        if not (kind.dialog or pings or expect.close_code is not None):
            return
        recorder.enter("transfer")
        # blackbox.md 4.7: any step that does not come to its end counts
        self._missed = bool(kind.dialog)
        for step in kind.dialog:
            match = None if step.expect is None else await self._hear(step, step.expect, socket)
            if step.send:
                await socket.send(_outgoing(step.send, match))
        self._missed = False
        if pings:
            await self._ping(socket, expect.ping)
        if expect.close_code is not None:
            await _end(socket, expect.close_code)
        recorder.leave()

    async def _hear(self, step: Step, pattern: Pattern, socket: Socket) -> Any:
        """Return the match of the message that is meant."""
        got: str | bytes = b""
        for _ in range(step.skip + 1):
            got = await socket.receive()
            raw = got.encode() if isinstance(got, str) else searchable(got)
            match = pattern.search(raw)
            if match is not None:
                return match
        shown = got if isinstance(got, str) else got.decode("utf-8", "replace")
        self._recorder.fact("last_message", shown)
        among = f" among {step.skip + 1}" if step.skip else ""
        wanted = f"want a message{among} that matches {short(str(pattern))}"
        raise CheckFailed(Reason.BODY, f"{wanted}, got {short(shown)}")

    async def _ping(self, socket: Socket, band: DurationBand | None) -> None:
        seconds = await socket.round_trip()
        self._recorder.sample("websocket_ping_seconds", seconds)
        if band is not None:
            band.judge(seconds, self._recorder, what="the answer to a ping")


async def _end(socket: Socket, wanted: int) -> None:
    """Wait for the server's goodbye and judge it."""
    code, end = await socket.ended()
    if code == wanted:
        return
    if code is None and end.reason is not Reason.CLOSED:
        raise end
    if code is None:
        message = end.message.partition(", got ")[2]
        raise CheckFailed(end.reason, f"want close code {wanted}, got {message}")
    raise CheckFailed(Reason.STATUS, f"want close code {wanted}, got {code}")


def _outgoing(text: str | Secret | bytes, match: Any) -> str | bytes:
    if isinstance(text, bytes):
        return text
    if isinstance(text, Secret):
        # a dollar in a password is no reference
        return text.get_secret_value()
    if match is None:
        return text
    if text.count("$") * (match.end() - match.start()) > MAX_SEND_BYTES:
        want = f"want at most {MAX_SEND_BYTES} bytes out of a message"
        raise CheckFailed(Reason.TOO_LARGE, f"{want}, got more")
    return expand(text, match)
