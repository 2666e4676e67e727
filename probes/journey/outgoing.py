"""What goes out for a `Request` of the interpreter, and what is said when nothing came in time.

Pure. Knows no connection.
"""

import base64
import re
from dataclasses import replace
from functools import lru_cache

from probes.errors import CheckFailed
from probes.journey.model import Request
from probes.recorder import Recorder
from probes.result import Failure, Reason
from probes.units import short
from probes.wire.http import message
from probes.wire.http.headers import TOKEN, USER_AGENT
from probes.wire.url import Url, split_host_port

# What the load driver can decode too (load.md 3.3).
ACCEPT_ENCODING = "gzip, deflate"
# Longer ones are not kept: the cookies of one hostile server would fill 400 MB (2026-11).
MAX_KEPT_CHARACTERS = 2048
# A line break in a header is a second header; a lone surrogate is no text.
_UNSENDABLE = re.compile(r"[\r\n\0\ud800-\udfff]")

Lines = tuple[tuple[str, str], ...]


def outgoing(request: Request) -> message.Request:
    """Return *request* as the wire layer sends it.

    Raises:
        CheckFailed: ``config``: a header that is none.
    """
    url, headers = request.url, request.headers
    # a load sends the same lines for ever; those that hold what a target said may be long
    size = sum([len(value) for _, value in headers])
    lines, host, is_known = (_kept if size <= MAX_KEPT_CHARACTERS else _lines)(headers)
    if (url.user or url.password) and not request.hop and not is_known:
        pair = base64.b64encode(f"{url.user}:{url.password}".encode()).decode()
        lines = (*lines, ("Authorization", f"Basic {pair}"))
    return message.Request(url, request.method, lines, request.body, host)


def _lines(headers: Lines) -> tuple[Lines, str, bool]:
    """Return what goes out for *headers*, the value of Host, and whether they authorize.

    Raises:
        CheckFailed: ``config``: one that is none.
    """
    judge_lines(headers)
    host = ""
    lines: list[tuple[str, str]] = []
    names: set[str] = set()
    for name, value in headers:
        lower = name.lower()
        if lower == "host":
            host = _host(value)
            continue
        names.add(lower)
        lines.append((name, value))
    if "user-agent" not in names:
        lines.append(("User-Agent", USER_AGENT))
    if "accept-encoding" not in names:
        lines.append(("Accept-Encoding", ACCEPT_ENCODING))
    return tuple(lines), host, "authorization" in names


_kept = lru_cache(maxsize=1024)(_lines)


def _host(value: str) -> str:
    if value:
        try:
            split_host_port(value, 443)
        except ValueError as error:
            raise CheckFailed(Reason.CONFIG, f"header Host: {error}") from None
    return value


def judge_lines(headers: Lines) -> None:
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
