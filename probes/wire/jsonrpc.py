"""JSON-RPC over HTTP: a codec of requests, and the line on which one run asks one endpoint.

    line = Line(url, recorder, options, call_timeout_s=5)
    reply = await line.call(Call("eth_blockNumber"))      # never raises for what the peer did
    line.close()

Owns the deadline of a call and its retries. What an answer means, or whether it is JSON at all, is
`probes.chain.answer.classify`'s business: bodies pass through unread. Knows no chain.
"""

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.redact import SECRET_HEADER
from probes.result import Reason
from probes.wire.http.decode import MAX_DECODED_BYTES
from probes.wire.http.headers import USER_AGENT
from probes.wire.http.message import MAX_HEAD_BYTES, MAX_WIRE_BYTES, Limits, Request
from probes.wire.http.options import Options
from probes.wire.http.session import Session
from probes.wire.url import Url

# What is kept back of the run's time, so that what was found can still be judged and told.
MARGIN_S = 0.02
# chains.md 4: concurrent calls charge each other's TLS and JSON work to the latency.
MAX_TIMED = 8
# Nor may eight peers that hang hold up everybody: after this long a disturbance of a millisecond no
# longer shows in the latency, and the slot is given back.
SLOT_S = 0.1
FIRST_SERVER_ERROR, LAST_SERVER_ERROR = 500, 599
# What may be gone a moment later. A name that does not exist, a certificate, a refused address and
# whatever is our own fault are not.
PASSING = frozenset(
    {
        Reason.DNS_SERVFAIL,
        Reason.DNS_TIMEOUT,
        Reason.REFUSED,
        Reason.UNREACHABLE,
        Reason.TIMEOUT,
        Reason.CLOSED,
    }
)
_NEVER = float("inf")
_TIMEOUTS = frozenset({Reason.TIMEOUT, Reason.DNS_TIMEOUT})
_OWN_HEADERS = {
    "User-Agent": USER_AGENT,
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate, br",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Args:
        method: its name.
        params: positional, or by name.
        max_body: decoded bytes of the answer at most.
        timed: its latency is judged, so few others may run beside it.
    """

    method: str
    params: tuple[Any, ...] | Mapping[str, Any] = ()
    max_body: int = MAX_DECODED_BYTES
    timed: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a call.

    Args:
        status: of the HTTP answer; 0 when there was none.
        body: decoded, as far as it came.
        headers: names in lower case.
        ids: of the requests that were sent, in order.
        failure: why there is no whole answer.
        seconds: from the request written to the last byte of the body.
        started: when it was written, on the clock of `time.monotonic`.
        ended: when the last byte had come.
        earlier: the other tries of the same call, in order.
    """

    status: int = 0
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    ids: tuple[int, ...] = ()
    failure: CheckFailed | None = None
    seconds: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    earlier: tuple["Reply", ...] = ()

    @property
    def is_server_error(self) -> bool:
        """Whether the server says that it is its own fault."""
        return FIRST_SERVER_ERROR <= self.status <= LAST_SERVER_ERROR


def encode_call(call: Call, number: int, version: str = "2.0") -> dict[str, Any]:
    """Return *call* as the object that is sent; ``params`` is always there (chains.md 14.1)."""
    params = call.params
    return {
        "jsonrpc": version,
        "id": number,
        "method": call.method,
        "params": dict(params) if isinstance(params, Mapping) else list(params),
    }


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Line:
    """The JSON-RPC endpoint of one run: one connection, calls one after the other.

    Args:
        url: of the endpoint; ``user:password@`` becomes basic auth.
        recorder: of this endpoint alone; its deadline bounds every call.
        options: how to connect.
        headers: of the user; they win over ours.
        call_timeout_s: deadline of one try, connection included.
        retries: tries more, after a failure that may have passed (`PASSING`) and a status of 5xx.
        version: ``1.0`` for the family of Bitcoin.
        margin_s: what is kept back of the run's time.
    """

    def __init__(  # noqa: PLR0913 - all but three by keyword
        self,
        url: Url,
        recorder: Recorder,
        options: Options,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        call_timeout_s: float,
        retries: int = 1,
        version: str = "2.0",
        margin_s: float = MARGIN_S,
    ) -> None:
        self._url = url
        self._margin_s = margin_s
        self._recorder = recorder
        self._timeout_s = call_timeout_s
        self._retries = retries
        self._version = version
        self._numbers = count(1)
        self._headers, self._host, secrets = _merged(url, headers)
        for secret in secrets:
            # a peer that mirrors what it was sent must not make us tell it
            recorder.hide(secret)
        self._session = Session(url, recorder, options, host=self._host)
        self._turn = asyncio.Lock()

    @property
    def session(self) -> Session:
        """The connection: `Session.dials` and `Session.peer`."""
        return self._session

    async def call(self, call: Call) -> Reply:
        """Send one call."""
        number = next(self._numbers)
        document = encode_call(call, number, self._version)
        request = self._post(_encode(document).encode())
        return await self._ask(request, (number,), call.max_body, timed=call.timed)

    async def batch(self, calls: Sequence[Call]) -> Reply:
        """Send several calls as one request; the largest body of them may come."""
        numbers = tuple(next(self._numbers) for _ in calls)
        document = [
            encode_call(call, number, self._version)
            for call, number in zip(calls, numbers, strict=True)
        ]
        request = self._post(_encode(document).encode())
        max_body = max((call.max_body for call in calls), default=MAX_DECODED_BYTES)
        timed = any(call.timed for call in calls)
        return await self._ask(request, numbers, max_body, timed=timed)

    async def post(self, body: bytes, *, max_body: int = MAX_DECODED_BYTES) -> Reply:
        """Send *body* as it is; JSON that is no call."""
        return await self._ask(self._post(body), (), max_body, timed=False)

    async def get(self, path: str, *, max_body: int = MAX_DECODED_BYTES) -> Reply:
        """Get *path* below the URL, with the query of both; without a path the URL itself."""
        headers = tuple(header for header in self._headers if header[0].lower() != "content-type")
        request = Request(below(self._url, path), headers=headers, host=self._host)
        return await self._ask(request, (), max_body, timed=False)

    def close(self) -> None:
        """End the connection. A call under way fails; may be called twice."""
        self._session.close()

    def _post(self, body: bytes) -> Request:
        return Request(self._url, "POST", self._headers, body, self._host)

    async def _ask(
        self, request: Request, ids: tuple[int, ...], max_body: int, *, timed: bool
    ) -> Reply:
        async with self._turn:
            earlier: list[Reply] = []
            while True:
                has_all, reply = await self._try(request, ids, _limits(max_body), timed=timed)
                if earlier and not has_all and _is_timeout(reply):
                    # it had what the others left of the run: that it got no answer proves less
                    return replace(earlier[-1], earlier=(*earlier[:-1], reply))
                if len(earlier) >= self._retries or not _may_pass(reply) or not self._left():
                    return replace(reply, earlier=tuple(earlier)) if earlier else reply
                earlier.append(reply)

    def _left(self) -> float:
        """Return the seconds of the run that a try may use."""
        now = asyncio.get_running_loop().time()
        return max(0.0, self._recorder.remaining(now) - self._margin_s)

    async def _try(
        self, request: Request, ids: tuple[int, ...], limits: Limits, *, timed: bool
    ) -> tuple[bool, Reply]:
        """Make one request; return whether it had all of its time, and what came."""
        left = self._left()
        allowed = min(self._timeout_s, left)
        if not allowed:
            # who was never dialled is not to blame
            reason = Reason.TIMEOUT if self._session.dials else Reason.EVIDENCE
            text = "want time for a call, got none left of the run"
            return False, Reply(ids=ids, failure=CheckFailed(reason, text))
        slot = _Slot() if timed else None
        try:
            async with asyncio.timeout(allowed) as clock:
                if not self._session.is_open:
                    await self._session.open()
                if slot is not None:
                    await slot.take(clock, self._recorder.deadline - self._margin_s)
                return True, await self._send(request, ids, limits)
        except TimeoutError:
            failure = _too_late(slot, self._recorder.phase_name, allowed)
        except CheckFailed as found:
            failure = found
            # it leads to frames that hold it: each failed call would be work for the collector
            failure.__traceback__ = failure.__context__ = None
        finally:
            if slot is not None:
                slot.give_back()
        self._recorder.break_off()
        return allowed == self._timeout_s, Reply(ids=ids, failure=failure)

    async def _send(self, request: Request, ids: tuple[int, ...], limits: Limits) -> Reply:
        exchange = await self._session.send(request, limits)
        response = exchange.response
        if response.failure is not None:
            self._recorder.break_off()
        return Reply(
            status=response.status,
            body=response.body.data,
            headers=tuple(response.headers),
            ids=ids,
            failure=response.failure,
            seconds=exchange.seconds,
            started=exchange.started,
            ended=exchange.ended,
        )


def below(url: Url, path: str) -> Url:
    """Return *path* (and its query) below the path of *url*, with what *url* asks besides."""
    if not path:
        return url
    base, _, asked = url.path_query.partition("?")
    path, _, query = path.partition("?")
    queries = "&".join(filter(None, (asked, query)))
    whole = f"{base.rstrip('/')}/{path.lstrip('/')}"
    return replace(url, path_query=f"{whole}?{queries}" if queries else whole)


@lru_cache(maxsize=64)
def _limits(max_body: int) -> Limits:
    return Limits(max_body=max_body, max_wire=max(MAX_WIRE_BYTES, max_body + MAX_HEAD_BYTES))


@lru_cache(maxsize=1024)
def _merged(
    url: Url, headers: tuple[tuple[str, str], ...]
) -> tuple[tuple[tuple[str, str], ...], str, tuple[str, ...]]:
    """Return all headers but Host, the value of Host, and what of them no text may show."""
    named = {name.lower() for name, _ in headers}
    own = dict(_OWN_HEADERS)
    if url.user or url.password:
        pair = base64.b64encode(f"{url.user}:{url.password}".encode()).decode()
        own["Authorization"] = f"Basic {pair}"
    merged = (
        *((name, value) for name, value in own.items() if name.lower() not in named),
        *((name, value) for name, value in headers if name.lower() != "host"),
    )
    host = next((value for name, value in headers if name.lower() == "host"), "")
    hidden = [value for name, value in merged if SECRET_HEADER.search(name)]
    # "Bearer x" is a secret, and so is "x"
    return merged, host, tuple(part for value in hidden for part in (value, value.split(" ")[-1]))


def _may_pass(reply: Reply) -> bool:
    if reply.failure is not None:
        return reply.failure.reason in PASSING
    return reply.is_server_error


def _is_timeout(reply: Reply) -> bool:
    return reply.failure is not None and reply.failure.reason in _TIMEOUTS


def _too_late(slot: "_Slot | None", phase: str | None, seconds: float) -> CheckFailed:
    if slot is not None and slot.is_waiting:
        return CheckFailed(
            Reason.OVERLOAD, f"want one of {MAX_TIMED} slots for timed calls, got none in time"
        )
    reason = Reason.DNS_TIMEOUT if phase == "resolve" else Reason.TIMEOUT
    where = f" in phase {phase}" if phase else ""
    return CheckFailed(
        reason, f"want an answer within {seconds:.3g} s, got none{where}", phase=phase
    )


_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class _Slot:
    """One of the `MAX_TIMED` slots of this loop, held for `SLOT_S` at most."""

    __slots__ = ("_slots", "_timer", "is_waiting")

    def __init__(self) -> None:
        self.is_waiting = False
        self._slots: asyncio.Semaphore | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, clock: asyncio.Timeout, end: float) -> None:
        """Wait for a slot, until *end* of the run: that is no fault of the peer.

        *clock*, which runs for the peer, stands still meanwhile.
        """
        loop = asyncio.get_running_loop()
        slots = _slots.get(loop)
        if slots is None:
            slots = _slots[loop] = asyncio.Semaphore(MAX_TIMED)
        if slots.locked():
            self.is_waiting = True
            began, due = loop.time(), clock.when()
            clock.reschedule(end if end < _NEVER else None)
            await slots.acquire()
            self.is_waiting = False
            if due is not None:
                clock.reschedule(min(due + loop.time() - began, end))
        else:
            await slots.acquire()
        self._slots = slots
        self._timer = loop.call_later(SLOT_S, self.give_back)

    def give_back(self) -> None:
        """Let another call have it; again and without one it does nothing."""
        slots, self._slots = self._slots, None
        if slots is not None and self._timer is not None:
            self._timer.cancel()
            slots.release()
