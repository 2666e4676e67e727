"""Connections of a load: blocking sockets with one total time, plain or TLS, and what they carry.

    line = dial(address, recorder, how)       connect, and TLS when there is a context
    exchange(line, codec, came, ...)          one request and its answer
    line.is_quiet()                           whether it can carry another

The codec, the caps, the table of failures and the TLS context are those of the checks; what blocks
here lets other users run in a child that gevent has patched, and only this thread wait in a test;
`scenarios.child.deadlines` hangs up when the time is over.
TLS runs in memory: its socket is read like any other, and a peer that drips bytes of a handshake is
cut off like one that drips an answer. Knows no journey, no redirect and no name.
"""

import socket
import ssl
import time
from dataclasses import dataclass
from time import monotonic
from typing import NoReturn

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import format_size
from probes.wire.address import Address
from probes.wire.failures import classify, hinted
from probes.wire.http.http1 import Http1Kept
from probes.wire.http.message import Response
from probes.wire.policy import judge
from scenarios.child.deadlines import DEADLINES
from scenarios.child.fence import Fenced
from scenarios.child.resolver import fenced

# What one call may return; larger ones save no time (2026-11).
READ_BYTES = 64 * 1024
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(frozen=True, slots=True)
class How:
    """How a connection is made.

    Args:
        until: on the monotonic clock; then it is given up.
        context: of `TlsOptions.context`; None stays in plain text.
        server_name: to ask for and to verify.
        hop: 0 is what the journey names, later ones an answer: judged as such.
    """

    until: float
    context: ssl.SSLContext | None = None
    server_name: str = ""
    hop: int = 0


class Line:
    """One connection in plain text."""

    __slots__ = ("address", "answers", "sock")

    def __init__(self, sock: socket.socket, address: Address) -> None:
        self.sock = sock
        self.address = address
        self.answers = 0
        """Whole ones so far."""

    @property
    def version(self) -> str | None:
        """Of TLS; None without."""
        return None

    def send(self, data: bytes, until: float) -> None:
        """Send all of *data*.

        Raises:
            OSError: by the table of `classify`; TimeoutError when the time is over.
        """
        _left(until)
        try:
            done = self.sock.send(data)
            while done < len(data):
                _left(until)
                done += self.sock.send(memoryview(data)[done:])
        except OSError:
            _left(until)
            raise

    def receive(self, until: float) -> bytes:
        """Return what has come, at least a byte; empty at the end of the stream.

        Raises:
            OSError: by the table of `classify`; TimeoutError when the time is over.
        """
        _left(until)
        try:
            data = self.sock.recv(READ_BYTES)
        except OSError:
            _left(until)
            raise
        if not data:
            # he who hung up may be our own clock
            _left(until)
        return data

    def is_quiet(self) -> bool:
        """Tell whether nothing has come since the last answer, so that the next one is ours."""
        self.sock.settimeout(0.0)
        try:
            self.sock.recv(1)
        except BlockingIOError:
            self.sock.settimeout(None)
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """End it."""
        self.sock.close()


class SecureLine(Line):
    """One connection over TLS."""

    __slots__ = ("_incoming", "_outgoing", "_talk")

    def __init__(
        self, sock: socket.socket, address: Address, context: ssl.SSLContext, name: str
    ) -> None:
        super().__init__(sock, address)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._talk = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)

    @property
    def version(self) -> str | None:
        return self._talk.version()

    def shake_hands(self, until: float) -> None:
        """Do the handshake.

        Raises:
            OSError: by the table of `classify`; TimeoutError when the time is over.
        """
        while True:
            try:
                self._talk.do_handshake()
            except ssl.SSLWantReadError:
                self._flush(until)
                self._take(until)
            except OSError:
                # the peer is told why
                self._flush(until)
                raise
            else:
                self._flush(until)
                return

    def send(self, data: bytes, until: float) -> None:
        view = memoryview(data)
        while view:
            view = view[self._talk.write(view) :]
        self._flush(until)

    def receive(self, until: float) -> bytes:
        while True:
            try:
                return self._talk.read(READ_BYTES)
            except ssl.SSLWantReadError:
                self._flush(until)
                self._take(until)
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return b""

    def is_quiet(self) -> bool:
        try:
            while True:
                try:
                    self._talk.read(1)
                except ssl.SSLWantReadError:
                    # a ticket for the next session is nobody's answer
                    self.sock.settimeout(0.0)
                    self._incoming.write(self.sock.recv(READ_BYTES) or self._gone())
                else:
                    return False
        except BlockingIOError:
            self.sock.settimeout(None)
            return True
        except OSError:
            return False

    def _gone(self) -> NoReturn:
        raise ConnectionResetError

    def _take(self, until: float) -> None:
        data = super().receive(until)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self, until: float) -> None:
        data = self._outgoing.read()
        if data:
            super().send(data, until)


def _left(until: float) -> float:
    left = until - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def dial(address: Address, recorder: Recorder, how: How) -> Line:
    """Connect to *address* and to nothing else; phases ``connect`` and, with a context, ``tls``.

    Raises:
        CheckFailed: by the table of `classify`, with the phase that broke; ``policy`` or
            ``blocked`` where the fence or the policy refuses the address.
        TimeoutError: the time is over.
    """
    judge(address, hop=how.hop)
    recorder.enter("connect")
    sock = None
    try:
        sock = socket.socket(_FAMILIES[address.family], socket.SOCK_STREAM)
        sock.settimeout(_left(how.until))
        sock.connect((address.ip, address.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(None)
        if how.context is None:
            line = Line(sock, address)
        else:
            recorder.enter("tls")
            line = secure = SecureLine(sock, address, how.context, how.server_name)
            DEADLINES.begin(sock, how.until)
            try:
                secure.shake_hands(how.until)
            finally:
                DEADLINES.end(sock)
    except BaseException as error:
        if sock is not None:
            sock.close()
        if isinstance(error, Fenced):
            raise fenced(address.literal, how.hop) from None
        if isinstance(error, OSError):
            _raise(error, recorder, address)
        raise
    recorder.leave()
    return line


def _raise(error: OSError, recorder: Recorder, address: Address) -> NoReturn:
    if _is_our_time(error):
        raise error
    raise classify(error, phase=recorder.phase_name, address=address) from None


class Exchange:
    """One request on a line, and its answer into a `Response`.

    Args:
        line: that is free.
        codec: reads the answer.
        came: what it is read into.
        max_wire: bytes from the peer at most; None: no cap.
    """

    __slots__ = ("_came", "_codec", "_line", "_max_wire", "received")

    def __init__(self, line: Line, codec: Http1Kept, came: Response, max_wire: int | None) -> None:
        self.received = 0
        """Bytes of the peer so far."""
        self._line = line
        self._codec = codec
        self._came = came
        self._max_wire = max_wire

    def run(self, request: bytes, recorder: Recorder, until: float) -> None:
        """Send *request* and wait for the verdict of the codec.

        Raises:
            CheckFailed: there is no answer; a body that broke off is noted in ``came.failure``
                instead.
            TimeoutError: the time is over.
        """
        recorder.enter("processing")
        sock = self._line.sock
        DEADLINES.begin(sock, until)
        try:
            failure = self._talk(request, recorder, until)
        finally:
            DEADLINES.end(sock)
        if failure is None:
            recorder.leave()
        elif self._came.status:
            failure.phase = failure.phase or "transfer"
            self._came.failure = failure
        else:
            failure.phase = failure.phase or recorder.phase_name
            raise hinted(failure, self._line.version)

    def _talk(self, request: bytes, recorder: Recorder, until: float) -> CheckFailed | None:
        lost = self._send(request, until)
        while True:
            try:
                data = self._line.receive(until)
            except OSError as error:
                data = b""
                failure = _lost(lost or error, recorder)
                if failure.reason is not Reason.CLOSED:
                    return failure
                self._codec.eof("a reset of the connection")
            else:
                if data:
                    self._feed(data, recorder)
                else:
                    self._codec.eof()
            verdict = self._judge(until)
            if verdict is not None or self._codec.is_complete or not data:
                return verdict

    def _send(self, request: bytes, until: float) -> OSError | None:
        """Send *request*; who refuses it at once may have said why before he hung up."""
        try:
            self._line.send(request, until)
        except OSError as error:
            if _is_our_time(error):
                raise
            return error
        return None

    def _feed(self, data: bytes, recorder: Recorder) -> None:
        self.received += len(data)
        if self._max_wire is not None and self.received > self._max_wire:
            limit = format_size(self._max_wire)
            text = f"want at most {limit} on the wire, got more"
            self._codec.failure = CheckFailed(Reason.TOO_LARGE, text)
            return
        codec = self._codec
        waiting = codec.waiting
        if waiting and codec.begins(data):
            recorder.enter("transfer")
            waiting = False
        codec.feed(data)
        if codec.waiting is not waiting:
            # not what was guessed: an informational answer
            recorder.enter("processing" if codec.waiting else "transfer")

    def _judge(self, until: float) -> CheckFailed | None:
        body = self._came.body
        if body.pending and self._codec.failure is None:
            _decode(self._came, until)
        failure = self._codec.failure or body.failure
        if failure is None and self._codec.is_complete:
            body.end()
            failure = body.failure
        return failure


def _is_our_time(error: OSError) -> bool:
    """Tell the end of our own time from what the kernel calls a timeout."""
    return isinstance(error, TimeoutError) and error.errno is None


def _lost(error: OSError, recorder: Recorder) -> CheckFailed:
    """Return the verdict about a connection that broke.

    Raises:
        TimeoutError: our own time is over.
    """
    if _is_our_time(error):
        raise error
    return classify(error, phase=recorder.phase_name or "transfer")


def _decode(came: Response, until: float) -> None:
    """Decode what is pending; a bomb may use its turns, not the child."""
    while came.body.pending and came.body.failure is None:
        time.sleep(0)
        _left(until)
        came.body.pump()
