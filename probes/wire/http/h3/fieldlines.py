"""An answer as libcurl hands it over: head line by line, then the body, into a `Response`.

    lines = FieldLines(response)
    lines.line(raw)                          # ... until the empty one, then data()
    lines.failure, lines.is_complete         # what is known so far

Counts before it keeps, as both other codecs do. Pure; knows neither curl nor QUIC.
"""

from probes.errors import CheckFailed
from probes.result import Reason
from probes.units import format_size, short
from probes.wire.http.http1 import FIRST_FINAL, is_bodiless
from probes.wire.http.message import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_INFORMATIONAL,
    MAX_LINE_BYTES,
    Response,
)

_STATUS = b"HTTP/3 "
_STATUS_DIGITS = 3


class FieldLines:
    """Reads one answer.

    Args:
        response: where it is written to.
        max_wire: bytes of head and body at most; None: no cap.
        head_only: the request was HEAD: there is no body.
    """

    __slots__ = (
        "_fields", "_head_bytes", "_head_only", "_informational", "_max_wire", "_received",
        "_response", "_status", "failure", "is_complete", "waiting",
    )  # fmt: skip

    def __init__(
        self, response: Response, max_wire: int | None = None, *, head_only: bool = False
    ) -> None:
        self.waiting = True
        """Whether the final answer has not begun."""
        self.is_complete = False
        """Whether nothing more is to be read, whatever comes."""
        self.failure: CheckFailed | None = None
        self._response = response
        self._max_wire = max_wire
        self._head_only = head_only
        self._received = 0
        self._head_bytes = 0
        self._informational = 0
        self._status = 0
        self._fields: list[tuple[bytes, bytes]] = []

    def line(self, raw: bytes) -> None:
        """Take a line of a head, or of the trailers. Never raises: see `failure`."""
        self._count(len(raw))
        self._head_bytes += len(raw)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._too_large(f"want a head of at most {MAX_HEAD_BYTES} bytes, got more")
        elif len(raw) > MAX_LINE_BYTES:
            self._too_large(
                f"want header lines of at most {MAX_LINE_BYTES} bytes, got a longer one"
            )
        elif self.failure is None and not self._response.status:
            # what comes behind the final head are trailers: nobody judges them
            self._read(raw.rstrip(b"\r\n"))

    def data(self, raw: bytes) -> None:
        """Take bytes of the body."""
        self._count(len(raw))
        if self.failure is None and not self.is_complete:
            self._response.body.feed(raw)

    def _count(self, size: int) -> None:
        self._received += size
        if self._max_wire is not None and self._received > self._max_wire:
            self._too_large(f"want at most {format_size(self._max_wire)} on the wire, got more")

    def _read(self, line: bytes) -> None:
        if line.startswith(_STATUS):
            self._begin(line[len(_STATUS) :].split(b" ", 1)[0])
        elif not line:
            self._end()
        elif len(self._fields) >= MAX_HEADERS:
            self._too_large(f"want at most {MAX_HEADERS} headers, got more")
        else:
            name, _, value = line.partition(b":")
            self._fields.append((name.lower(), value.strip()))

    def _begin(self, status: bytes) -> None:
        if not (status.isdigit() and len(status) == _STATUS_DIGITS):
            got = short(status.decode("latin-1"))
            self._refuse(f"want a status of three digits, got {got}")
            return
        self._status, self._fields = int(status), []
        self.waiting = self._status < FIRST_FINAL

    def _end(self) -> None:
        if self.waiting:
            self._informational += 1
            self._head_bytes = 0
            if self._informational > MAX_INFORMATIONAL:
                self._refuse(f"want at most {MAX_INFORMATIONAL} informational answers, got more")
            return
        response = self._response
        response.headers = self._fields
        response.take_head(self._status, "3")
        if self._head_only or is_bodiless(response):
            self.is_complete = response.is_complete = True

    def _too_large(self, message: str) -> None:
        self.failure = self.failure or CheckFailed(Reason.TOO_LARGE, message)

    def _refuse(self, message: str) -> None:
        self.failure = self.failure or CheckFailed(Reason.PROTOCOL, message)
