"""SMTP as a client speaks it: replies, capabilities, logins, envelopes; one command at a time.

    Reply           code, lines
    Session         the talk over one connection, with a limit on everything that comes
    parse_line      the codec of one line, pure

A server that speaks before it was asked is no peer to talk to: what it sent ahead would be taken
for the answer to the next command, and in front of TLS for an encrypted one. Knows no verdict but
that of the protocol.
"""

import base64
import re
from dataclasses import dataclass

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import short
from probes.wire.stream import Connection

# RFC 5321, 4.5.3.1.5: 512 with the CRLF; some servers greet with more.
MAX_LINE_BYTES = 4096
# EHLO of a large server lists two dozen.
MAX_REPLY_LINES = 128
# What people are shown of a reply.
MAX_SHOWN_LINES = 3

# RFC 5321, 4.2: the first digit is 2 to 5, the second 0 to 5 and any later one; a text may be
# missing.
_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])([^\r\n]*))?", re.ASCII)
_CODE_DIGITS = 100
_PERMANENT = 5


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: its code, and its lines without it."""

    code: int
    lines: tuple[str, ...]

    @property
    def is_permanent(self) -> bool:
        """Whether the server says that the same again will be refused again."""
        return self.code // _CODE_DIGITS == _PERMANENT

    def __str__(self) -> str:
        return f"{self.code} {' / '.join(self.lines[:MAX_SHOWN_LINES])}".strip()


def parse_line(line: bytes) -> tuple[int, bool, str]:
    """Return code, whether it is the last line, and text of one line of a reply.

    Raises:
        CheckFailed: ``protocol``.
    """
    found = _LINE.fullmatch(line)
    if found is None:
        raise CheckFailed(Reason.PROTOCOL, f"want a reply of SMTP, got {short(line)}")
    text = (found[3] or b"").decode("utf-8", "replace")
    return int(found[1]), found[2] != b"-", text


def capabilities(reply: Reply) -> dict[str, str]:
    """Return what the server offers, by keyword in upper case, with its parameters.

    Source:
        RFC 5321, 4.1.1.1
    """
    found: dict[str, str] = {}
    for line in reply.lines[1:]:
        # AUTH=LOGIN is what servers told Outlook before there was a standard
        keyword, _, parameters = line.strip().partition(" ")
        if keyword:
            found[keyword.upper()] = parameters.strip()
    return found


class Session:
    """What is said over one connection."""

    def __init__(self, connection: Connection, recorder: Recorder) -> None:
        self.last_code = 0
        self._connection = connection
        self._recorder = recorder

    async def greeting(self) -> Reply:
        """Return the greeting of the server; phase ``banner``."""
        self._recorder.enter("banner")
        return self._judged(await self._reply(), (220,), "as the greeting")

    async def hello(self, name: str) -> Reply:
        """Say who we are and return what is offered; phase ``ehlo``."""
        return await self.command(f"EHLO {name}", "ehlo", 250)

    async def start_tls(self) -> None:
        """Ask for TLS; phase ``starttls``. The handshake is the caller's."""
        await self.command("STARTTLS", "starttls", 220)

    async def log_in(self, user: str, password: str, mechanism: str) -> None:
        """Log in by PLAIN or LOGIN; phase ``auth``.

        Raises:
            CheckFailed: ``auth``: the login is refused.

        Source:
            RFC 4954, RFC 4616, https://datatracker.ietf.org/doc/html/draft-murchison-sasl-login
        """
        self._recorder.enter("auth")
        if mechanism == "PLAIN":
            words = [f"AUTH PLAIN {_base64(f'{chr(0)}{user}{chr(0)}{password}')}"]
        else:
            words = ["AUTH LOGIN", _base64(user), _base64(password)]
        for word in words[:-1]:
            self._login_reply(await self._ask(word), 334, f"AUTH {mechanism}")
        self._login_reply(await self._ask(words[-1]), 235, f"AUTH {mechanism}")

    def _login_reply(self, reply: Reply, code: int, command: str) -> None:
        if reply.code != code:
            reason = Reason.AUTH if reply.is_permanent else Reason.STATUS
            raise CheckFailed(reason, f"want {code} to {command}, got {short(str(reply))}")

    async def command(self, line: str, phase: str, *codes: int) -> Reply:
        """Send *line* and return its reply, which has one of *codes*.

        Raises:
            CheckFailed: ``status``: another code; ``protocol``; ``closed``; ``too_large``.
        """
        self._recorder.enter(phase)
        return self._judged(await self._ask(line), codes, f"to {short(line)}")

    async def ask(self, line: str, phase: str) -> Reply:
        """Send *line* and return its reply, whatever its code."""
        self._recorder.enter(phase)
        return await self._ask(line)

    async def message(self, data: bytes) -> Reply:
        """Send a message after DATA was accepted, and return the reply; phase ``message``."""
        await self.command("DATA", "message", 354)
        # RFC 5321, 4.5.2: a line that begins with a dot gets one more
        body = re.sub(rb"(?m)^\.", b"..", data)
        self._connection.write(body.removesuffix(b"\r\n") + b"\r\n.\r\n")
        return self._judged(await self._reply(), (250,), "to the message")

    def quit(self) -> None:
        """Say goodbye, and wait for no answer: the verdict is known."""
        self._connection.write(b"QUIT\r\n")

    async def _ask(self, line: str) -> Reply:
        ahead = self._connection.unread
        if ahead:
            raise CheckFailed(
                Reason.PROTOCOL, f"want silence until the next command, got {short(ahead)}"
            )
        self._connection.write(line.encode() + b"\r\n")
        return await self._reply()

    async def _reply(self) -> Reply:
        lines: list[str] = []
        code, is_last = 0, False
        while not is_last:
            line = await self._connection.read_line(MAX_LINE_BYTES)
            if line is None:
                raise CheckFailed(Reason.CLOSED, "want a reply, got the end of the stream")
            before, (code, is_last, text) = code, parse_line(line)
            if before not in (0, code):
                raise CheckFailed(
                    Reason.PROTOCOL, f"want {before} on each line of a reply, got {short(line)}"
                )
            lines.append(text)
            if len(lines) > MAX_REPLY_LINES:
                raise CheckFailed(
                    Reason.TOO_LARGE, f"want a reply of at most {MAX_REPLY_LINES} lines, got more"
                )
        self.last_code = code
        return Reply(code, tuple(lines))

    def _judged(self, reply: Reply, codes: tuple[int, ...], what: str) -> Reply:
        if reply.code not in codes:
            wanted = " or ".join(map(str, codes))
            raise CheckFailed(Reason.STATUS, f"want {wanted} {what}, got {short(str(reply))}")
        return reply


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
