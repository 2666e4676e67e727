# pyright: basic, reportMissingTypeStubs=false
"""One request on its way through libcurl: its callbacks, its phases and its verdict.

Opens the sockets of libcurl, after one more judgement of the address. Knows no loop's readers and
no options of TLS.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from math import isfinite
from typing import TYPE_CHECKING, Any

import pycurl  # type: ignore[import-untyped]

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.address import Address
from probes.wire.datagram import bind_source
from probes.wire.failures import classify, verify_failure
from probes.wire.http.h3.fieldlines import FieldLines
from probes.wire.http.h3.settings import Setting, settings_of
from probes.wire.http.message import Request, Response
from probes.wire.tls.peer import Shown
from probes.wire.tls.settings import server_name
from probes.wire.url import literal_host

if TYPE_CHECKING:
    from probes.wire.http.options import Options

# The deadline is the caller's; libcurl gets one behind it, in case nobody is left to cancel.
BELT_S = 1.0
_GO_ON: int = pycurl.PREREQFUNC_OK
_PAUSE: int = pycurl.WRITEFUNC_PAUSE
_NO_SOCKET: int = pycurl.SOCKET_BAD
_BREAK_OFF = -1
# libcurl judges the name first; then the verdict on the chain is still what it was set to.
_NOT_REACHED = 1
_SUITE = re.compile(rb"SSL connection using TLSv1\.3 / (\w+)")
_ERRNO = re.compile(rb"\(errno (\d+)")

# https://curl.se/libcurl/c/libcurl-errors.html: what is meant by it, what was got
_REASONS: dict[int, tuple[Reason, str]] = {
    pycurl.E_COULDNT_CONNECT: (
        Reason.TLS,
        "a refusal in the handshake (no common protocol, or no certificate for that name?)",
    ),
    # with an errno it is what that means; without one ngtcp2 has waited long enough
    pycurl.E_SEND_ERROR: (Reason.TIMEOUT, "no answer in time"),
    pycurl.E_RECV_ERROR: (Reason.CLOSED, "the end of the connection"),
    pycurl.E_PARTIAL_FILE: (Reason.CLOSED, "the end of the stream"),
    pycurl.E_GOT_NOTHING: (Reason.CLOSED, "the end of the stream"),
    pycurl.E_OPERATION_TIMEDOUT: (Reason.TIMEOUT, "no answer in time"),
    pycurl.E_SSL_CONNECT_ERROR: (Reason.TLS, "a handshake that failed"),
    pycurl.E_OUT_OF_MEMORY: (Reason.RESOURCE, "no memory left"),
    # CURLE_HTTP3 and CURLE_QUIC_CONNECT_ERROR; pycurl has no names for them
    95: (Reason.PROTOCOL, "an error of HTTP/3"),
    96: (Reason.PROTOCOL, "an error of QUIC"),
}
# The handshake is over when these come: then they tell of the connection.
_LATER = {
    pycurl.E_COULDNT_CONNECT: (Reason.CLOSED, "the end of the connection"),
    pycurl.E_SEND_ERROR: (Reason.CLOSED, "the end of the connection"),
}


class Transfer:
    """One request on its way: the callbacks of libcurl, and the verdict."""

    def __init__(
        self,
        request: Request,
        address: Address,
        recorder: Recorder,
        options: "Options",
        response: Response,
    ) -> None:
        self.easy = pycurl.Curl()
        self.done = asyncio.get_running_loop().create_future()
        self.name = server_name(request.url, options.tls, request.host)
        self.is_connected = False
        """Whether the handshake is over, and the peer who it should be."""
        self.judge: Callable[[], None] = lambda: None
        self._request = request
        self._address = address
        self._recorder = recorder
        self._source_ip = options.source_ip or ""
        self._response = response
        head_only = request.method == "HEAD"
        self._lines = FieldLines(response, options.limits.max_wire, head_only=head_only)
        self._sockets: list[socket.socket] = []
        self._refusal: CheckFailed | None = None
        self._errno = 0
        self._cipher = ""
        self._is_paused = False
        self._has_ended = False

    def set_up(self, further: Iterable[Setting]) -> None:
        """Tell libcurl what to do, and *further* settings."""
        for option, value in (*self._settings(), *settings_of(self._request), *further):
            self.easy.setopt(option, value)

    def _settings(self) -> list[Setting]:
        url, address = self._request.url, self._address
        left_s = self._recorder.remaining(asyncio.get_running_loop().time())
        belt_ms = int((left_s + BELT_S) * 1000) if isfinite(left_s) else 0
        there = f"::{literal_host(address.ip)}:{address.port}"
        where = f"https://{literal_host(self.name)}:{url.port}{url.path_query}"
        return [
            (pycurl.URL, where),
            (pycurl.PATH_AS_IS, 1),
            # 3 alone would fall back to TCP without a word
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_3ONLY),
            # not RESOLVE: libcurl keeps its entries, and two runs may want two addresses
            (pycurl.CONNECT_TO, [there]),
            (pycurl.OPENSOCKETFUNCTION, self._open),
            (pycurl.PREREQFUNCTION, self._connected),
            (pycurl.HEADERFUNCTION, self._line),
            (pycurl.WRITEFUNCTION, self._data),
            (pycurl.DEBUGFUNCTION, self._heard),
            (pycurl.VERBOSE, 1),
            (pycurl.OPT_CERTINFO, 1),
            (pycurl.FRESH_CONNECT, 1),
            (pycurl.FORBID_REUSE, 1),
            (pycurl.SSL_SESSIONID_CACHE, 0),
            (pycurl.NOSIGNAL, 1),
            (pycurl.PROXY, ""),
            (pycurl.FOLLOWLOCATION, 0),
            # without this one the handshake ends after 10 s, whatever TIMEOUT_MS says
            (pycurl.CONNECTTIMEOUT_MS, belt_ms),
            (pycurl.TIMEOUT_MS, belt_ms),
        ]

    def _open(self, _purpose: int, peer: Any) -> "socket.socket | int":
        """Open the socket that libcurl wants, for the judged address and no other."""
        try:
            self._judge_again(peer.addr[0])
            own = socket.socket(peer.family, peer.socktype, peer.protocol)
            self._sockets.append(own)
            bind_source(own, self._source_ip)
        except CheckFailed as failure:
            self._refusal = failure
        except OSError as error:
            self._refusal = classify(error, phase="connect", address=self._address)
        else:
            return own
        return _NO_SOCKET

    def _judge_again(self, ip: str) -> None:
        self.judge()
        if ip_address(ip) != ip_address(self._address.ip.partition("%")[0]):
            raise CheckFailed(Reason.INTERNAL, "want the address that was judged, got another")

    def _connected(self, *_: object) -> int:
        """Take the end of the handshake: the request goes out now."""
        self.is_connected = True
        self._recorder.leave()
        self._recorder.add_phase("tls", 0.0)
        self._recorder.enter("processing")
        return _GO_ON

    def _line(self, raw: bytes) -> int | None:
        lines = self._lines
        was_waiting = lines.waiting
        lines.line(raw)
        if was_waiting and not lines.waiting:
            self._recorder.enter("transfer")
        return self._go_on()

    def _data(self, raw: bytes) -> int | None:
        if self._is_decoding():
            self._is_paused = True
            return _PAUSE
        self._lines.data(raw)
        if self._is_decoding():
            asyncio.get_running_loop().call_soon(self._pump)
        return self._go_on()

    def _is_decoding(self) -> bool:
        return self._response.body.pending

    def _go_on(self) -> int | None:
        """Return what libcurl takes for "go on", or for "break off"."""
        failure = self._lines.failure or self._response.body.failure
        if failure is not None:
            self._settle(failure)
            return _BREAK_OFF
        if self._lines.is_complete:
            self._settle(None)
        return None

    def _pump(self) -> None:
        """Decode on: a bomb may use its turn of the loop, not the loop."""
        body = self._response.body
        if self.done.done():
            return
        body.pump()
        if body.failure is not None:
            self._settle(body.failure)
        elif body.pending:
            asyncio.get_running_loop().call_soon(self._pump)
        elif self._has_ended:
            self._end()
        elif self._is_paused:
            self._is_paused = False
            self.easy.pause(pycurl.PAUSE_CONT)

    def _heard(self, kind: int, text: bytes) -> None:
        """Listen to what libcurl tells people: it has no other way to tell these."""
        if kind != pycurl.INFOTYPE_TEXT:
            return
        if suite := _SUITE.match(text):
            self._cipher = suite[1].decode()
        elif error := _ERRNO.search(text):
            self._errno = int(error[1])

    def ended(self, code: int) -> None:
        """Take the verdict of libcurl."""
        if self.done.done():
            return
        if code:
            self._settle(self._failure(code))
            return
        self._has_ended = True
        if not self._response.body.pending:
            self._end()

    def _end(self) -> None:
        body = self._response.body
        self._response.is_complete = True
        body.end()
        self._settle(body.failure)

    def _settle(self, failure: CheckFailed | None) -> None:
        if self.done.done():
            return
        if failure is None:
            self._recorder.leave()
        elif self._response.status:
            failure.phase = failure.phase or "transfer"
            self._response.failure = failure
        else:
            failure.phase = failure.phase or self._recorder.phase_name
            self.done.set_exception(failure)
            return
        self.done.set_result(None)

    def _failure(self, code: int) -> CheckFailed:
        there = self._address.literal
        if self._refusal is not None:
            return self._refusal
        if code == pycurl.E_PEER_FAILED_VERIFICATION:
            verdict = self.easy.getinfo(pycurl.SSL_VERIFYRESULT)
            return verify_failure(0 if verdict == _NOT_REACHED else verdict, self._address)
        number = self.easy.getinfo(pycurl.OS_ERRNO) or self._errno
        if number and not self._response.status:
            return classify(OSError(number, ""), phase=None, address=self._address)
        reason, got = _REASONS.get(code, (Reason.INTERNAL, f"libcurl's error {code}"))
        if self.is_connected:
            reason, got = _LATER.get(code, (reason, got))
        return CheckFailed(reason, f"want an HTTP/3 answer of {there}, got {got}")

    def shown(self) -> Shown:
        """Return what the peer has shown, as far as it came."""
        told = self.easy.getinfo(pycurl.INFO_CERTINFO) or ()
        pems = [text for fields in told for name, text in fields if name == "Cert"]
        chain = tuple(map(ssl.PEM_cert_to_DER_cert, pems))
        return Shown(chain, verified=False, version="TLS 1.3" if chain else "", cipher=self._cipher)

    def close(self) -> None:
        """Leave nothing behind."""
        self.easy.close()
        for own in self._sockets:
            own.close()
