"""What goes out for a `Request` of the interpreter, and what is said when nothing came in time.

Pure. Knows no connection.
"""

import base64
import re
from dataclasses import replace

from probes.errors import CheckFailed
from probes.journey.model import Request
from probes.recorder import Recorder
from probes.result import Failure, Reason
from probes.units import short
from probes.wire import message
from probes.wire.headers import TOKEN, USER_AGENT
from probes.wire.url import Url, split_host_port

# What the load driver can decode too (load.md 3.3).
ACCEPT_ENCODING = "gzip, deflate"
# A line break in a header is a second header; a lone surrogate is no text.
_UNSENDABLE = re.compile(r"[\r\n\0\ud800-\udfff]")


def outgoing(request: Request) -> message.Request:
    """Return *request* as the wire layer sends it.

    Raises:
        CheckFailed: ``config``: a header that is none.
    """
    judge_lines(request.headers)
    host = ""
    headers: list[tuple[str, str]] = []
    names: set[str] = set()
    for name, value in request.headers:
        lower = name.lower()
        if lower == "host":
            host = _host(value)
            continue
        names.add(lower)
        headers.append((name, value))
    if "user-agent" not in names:
        headers.append(("User-Agent", USER_AGENT))
    if "accept-encoding" not in names:
        headers.append(("Accept-Encoding", ACCEPT_ENCODING))
    url = request.url
    if (url.user or url.password) and not request.hop and "authorization" not in names:
        pair = base64.b64encode(f"{url.user}:{url.password}".encode()).decode()
        headers.append(("Authorization", f"Basic {pair}"))
    return message.Request(request.url, request.method, tuple(headers), request.body, host)


def _host(value: str) -> str:
    if value:
        try:
            split_host_port(value, 443)
        except ValueError as error:
            raise CheckFailed(Reason.CONFIG, f"header Host: {error}") from None
    return value


def judge_lines(headers: tuple[tuple[str, str], ...]) -> None:
    """Judge header lines that a journey has made.

    Raises:
        CheckFailed: ``config``: one that is none.
    """
    for name, value in headers:
        if not TOKEN.fullmatch(name):
            raise CheckFailed(Reason.CONFIG, f"want a header name, got {short(name)}")
        if _UNSENDABLE.search(value):
            text = f"want a value of one line for the header {name}, got line breaks or NUL"
            raise CheckFailed(Reason.CONFIG, text)


def bare(url: Url) -> Url:
    """Return *url* without user and password."""
    return replace(url, user="", password="") if url.user or url.password else url


def too_late(timeout_s: float, recorder: Recorder) -> Failure:
    """Return why an answer did not come in time, with the phase that waited."""
    phase = recorder.phase_name
    reason = Reason.DNS_TIMEOUT if phase == "resolve" else Reason.TIMEOUT
    where = f" in phase {phase}" if phase else ""
    return Failure(reason, f"want an answer within {timeout_s:.3g} s, got none{where}", phase)
