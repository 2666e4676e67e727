"""A real SMTP server (aiosmtpd), in a thread with a loop of its own.

| server | offers |
|---|---|
| `open_relay` | nothing but SIZE and 8BITMIME, takes every recipient |
| `submission` | STARTTLS, behind it AUTH for probe / pw-probe |
| `over_tls` | the same, over TLS from the first byte |
"""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers.process import free_port

USER, PASSWORD = "probe", "pw-probe"


class Mailroom:
    """Takes messages, and remembers what was asked."""

    def __init__(self, domain: str = "") -> None:
        self.domain = domain
        self.messages: list[bytes] = []
        self.senders: list[str] = []
        self.resets = 0

    async def handle_MAIL(  # noqa: N802 - the name aiosmtpd calls
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.senders.append(address)
        envelope.mail_from = address
        return "250 2.1.0 sender taken"

    async def handle_RCPT(  # noqa: N802 - as above
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not address.endswith(self.domain):
            return "554 5.7.1 relay access denied"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 recipient taken"

    async def handle_RSET(  # noqa: N802 - as above
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        self.resets += 1
        return "250 2.0.0 forgotten"

    async def handle_DATA(  # noqa: N802 - as above
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        self.messages.append(envelope.original_content or b"")
        return "250 2.0.0 queued as 42"


def authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    good = isinstance(data, LoginPassword) and data == LoginPassword(
        USER.encode(), PASSWORD.encode()
    )
    return AuthResult(success=good, handled=False)


class Quiet(Controller):
    """Ends with its connections, and not behind them."""

    def _run(self, ready_event: Any) -> None:
        # a test counts as an error what a client's leaving makes aiosmtpd say
        self.loop.set_exception_handler(lambda *_: None)
        super()._run(ready_event)


@contextmanager
def smtp_server(
    mailroom: Mailroom, *, context: ssl.SSLContext | None = None, at_once: bool = False
) -> Iterator[int]:
    """Serve *mailroom*; with a *context* over STARTTLS or, *at_once*, TLS. Gives the port."""
    options: dict[str, Any] = {"ident": "aiosmtpd here", "timeout": 30, "data_size_limit": 1000000}
    if context is not None:
        options |= {"authenticator": authenticate, "auth_require_tls": not at_once}
        options["ssl_context" if at_once else "tls_context"] = context
    loop = asyncio.new_event_loop()
    controller = Quiet(mailroom, hostname="127.0.0.1", port=free_port(), loop=loop, **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()
