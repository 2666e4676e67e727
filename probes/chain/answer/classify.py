"""What an answer of an RPC endpoint is: one function for all kinds, by one order of questions.

    transport -> status that decides alone -> size -> JSON -> shape -> error object -> ok

The family is asked for because the same error code means different things in each; None is a family
that nobody knows (kind ``jsonrpc``). Pure: knows no connection, no clock, and not what an answer
means for a verdict.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from probes.chain.answer.rpcerror import (
    clean,
    error_class,
    error_code,
    error_message,
    error_text,
    told,
)
from probes.chain.model import Family
from probes.chain.reasons import ChainReason
from probes.chain.talk import Answer, Ask, Class
from probes.errors import CheckFailed
from probes.jsonpath import parse_json
from probes.result import Reason
from probes.units import parse_number, short
from probes.wire.http.redirect import http_date

if TYPE_CHECKING:
    from probes.wire.jsonrpc import Reply

# chains.md 4: longer than that nobody leaves an endpoint alone.
MAX_RETRY_AFTER_S = 300.0

FIRST_REDIRECT, FIRST_CLIENT_ERROR, FIRST_SERVER_ERROR = 300, 400, 500
NOT_FOUND, NOT_IMPLEMENTED = 404, 501
# https://grpc.io/docs/guides/status-codes/, as the REST gateway of the Cosmos SDK writes them.
GATEWAY_NOT_FOUND, GATEWAY_UNIMPLEMENTED = 5, 12

# They decide whatever the body says.
_STATUSES: Mapping[int, Class] = {
    401: "auth_failed",
    402: "plan_exhausted",
    403: "auth_failed",
    405: "unsupported",
    415: "unsupported",
    429: "rate_limited",
}
_OUTCOMES: Mapping[Class, str] = {
    "ok": "ok",
    "rate_limited": "rate_limited",
    "auth_failed": "auth",
    "unsupported": "unsupported",
    "missing_data": "missing_data",
    "http_error": "http_error",
    "too_large": "invalid",
    "invalid": "invalid",
}
"""Class -> label ``outcome``; every other is an ``rpc_error``."""
_REASONS: Mapping[Class, ChainReason] = {
    "rate_limited": ChainReason.RATE_LIMITED,
    "plan_exhausted": ChainReason.PLAN_EXHAUSTED,
    "auth_failed": ChainReason.AUTH_FAILED,
    "node_unhealthy": ChainReason.UNHEALTHY,
    "too_large": ChainReason.TOO_LARGE,
    "invalid": ChainReason.INVALID_RESPONSE,
}
"""Class -> what it means when a core method is answered so; every other is `RPC_CORE_ERROR`."""

_TRANSPORT: Mapping[Reason, tuple[ChainReason, str]] = {
    Reason.DNS_NXDOMAIN: (ChainReason.DNS_FAILED, "connect"),
    Reason.DNS_NO_ADDRESS: (ChainReason.DNS_FAILED, "connect"),
    Reason.DNS_SERVFAIL: (ChainReason.DNS_FAILED, "connect"),
    Reason.DNS_TIMEOUT: (ChainReason.DNS_FAILED, "timeout"),
    Reason.REFUSED: (ChainReason.CONNECT_REFUSED, "connect"),
    Reason.UNREACHABLE: (ChainReason.CONNECT_FAILED, "connect"),
    Reason.TIMEOUT: (ChainReason.TIMEOUT, "timeout"),
    Reason.CLOSED: (ChainReason.CONNECTION_RESET, "connect"),
    Reason.TLS: (ChainReason.TLS_INVALID, "tls"),
    Reason.CERTIFICATE_EXPIRED: (ChainReason.TLS_INVALID, "tls"),
    Reason.CERTIFICATE_UNTRUSTED: (ChainReason.TLS_INVALID, "tls"),
    Reason.CERTIFICATE_NAME: (ChainReason.TLS_INVALID, "tls"),
}
_OTHER_TRANSPORT = (ChainReason.CONNECT_FAILED, "connect")
# Of the prober's own (`Reason.is_own_fault`): unknown, never down; the cause says which.
_OWN_FAULT = (ChainReason.PROBE_NETWORK, "connect")
# chains.md 6.3 speaks of response and body.
_PHASES: Mapping[str, str] = {"processing": "response", "transfer": "body"}


@dataclass(frozen=True, slots=True)
class _Came:
    """One answer of HTTP, and what is needed to read it."""

    family: Family | None
    reply: "Reply"
    now_wall: float | None

    def answer(self, kind: Class, detail: str = "", **more: Any) -> Answer:
        reply = self.reply
        reason = _REASONS.get(kind, ChainReason.RPC_CORE_ERROR)
        if kind == "http_error":
            is_theirs = reply.status >= FIRST_SERVER_ERROR
            reason = ChainReason.HTTP_5XX if is_theirs else ChainReason.HTTP_4XX
        if kind == "rate_limited":
            more["retry_after_s"] = retry_after(reply.headers, self.now_wall)
        return Answer(
            kind,
            outcome=_OUTCOMES.get(kind, "rpc_error"),
            reason=None if kind == "ok" else reason,
            detail=detail,
            seconds=reply.seconds,
            ended=reply.ended,
            headers=reply.headers,
            **more,
        )

    def unreadable(self, why: str) -> Answer:
        """Return what a body is that cannot be read: its status outranks it."""
        status = self.reply.status
        if status >= FIRST_CLIENT_ERROR:
            return self.answer("http_error", f"want status 200, got {status}")
        if status >= FIRST_REDIRECT:
            why = f"want an answer, got a redirect ({status})"
        return self.answer("invalid", clean(why))

    def before_body(self) -> Answer | None:
        """Return what is decided without reading the body: by transport, status, size."""
        failure, status = self.reply.failure, self.reply.status
        # too large or of a broken encoding: the status still says more
        if failure is not None and failure.reason not in (Reason.TOO_LARGE, Reason.PROTOCOL):
            return self._transport(failure)
        kind = _STATUSES.get(status)
        if kind is not None:
            answer = self.answer(kind, f"want status 200, got {status}")
            # no error object said so
            is_plan = kind == "plan_exhausted"
            return replace(answer, outcome="http_error") if is_plan else answer
        if failure is None:
            return None
        if failure.reason is Reason.TOO_LARGE:
            return self.answer("too_large", clean(failure.message))
        return self.unreadable(failure.message)

    def _transport(self, failure: CheckFailed) -> Answer:
        other = _OWN_FAULT if failure.reason.is_own_fault else _OTHER_TRANSPORT
        reason, outcome = _TRANSPORT.get(failure.reason, other)
        phase = _PHASES.get(failure.phase or "", failure.phase)
        if reason is ChainReason.CONNECTION_RESET and phase == "tls":
            outcome = "tls"
        reply = self.reply
        return Answer(
            "transport",
            outcome=outcome,
            reason=reason,
            detail=clean(failure.message),
            phase=phase,
            cause=failure.reason,
            ended=reply.ended,
            headers=reply.headers,
        )


def classify(
    family: Family | None, ask: Ask, reply: "Reply", now_wall: float | None = None
) -> Answer:
    """Return what came of one call.

    Args:
        family: of the chain; None: any.
        ask: what was asked.
        reply: of one request.
        now_wall: Unix time, to read a ``Retry-After`` that is a date; None leaves it unread.
    """
    came = _Came(family, reply, now_wall)
    decided = came.before_body()
    if decided is not None:
        return decided
    try:
        return _one(came, ask, parse_json(reply.body), reply.ids[0])
    except ValueError as error:
        return came.unreadable(str(error))


def classify_batch(
    family: Family | None, asks: Sequence[Ask], reply: "Reply", now_wall: float | None = None
) -> tuple[Answer, ...]:
    """Return what came of several calls that travelled as one, in their order.

    An error without an id, in the array or instead of it, answers whatever has no answer.
    """
    came = _Came(family, reply, now_wall)
    decided = came.before_body()
    if decided is not None:
        return (decided,) * len(asks)
    try:
        document = parse_json(reply.body)
    except ValueError as error:
        return (came.unreadable(str(error)),) * len(asks)
    if isinstance(document, dict) and document.get("error") is not None:
        document = [document]
    if not isinstance(document, list):
        return (came.unreadable(f"want an array of answers, got {short(document)}"),) * len(asks)
    parts = [part for part in document if isinstance(part, dict)]
    return tuple(
        _part(came, ask, parts, number) for ask, number in zip(asks, reply.ids, strict=True)
    )


def classify_get(reply: "Reply", now_wall: float | None = None) -> Answer:
    """Return what came of a plain GET: its document, or its text where it is no JSON.

    The REST gateway of the Cosmos SDK tells errors as ``{code, message}`` below their status.
    """
    came = _Came(None, reply, now_wall)
    decided = came.before_body()
    if decided is not None:
        return decided
    document: Any
    try:
        document = parse_json(reply.body)
    except ValueError:
        document = reply.body.decode("utf-8", "replace")
    if reply.status >= FIRST_CLIENT_ERROR:
        return _gateway(came, document if isinstance(document, dict) else {})
    if reply.status >= FIRST_REDIRECT:
        return came.unreadable("")
    return came.answer("ok", result=document)


def _gateway(came: _Came, error: Mapping[str, Any]) -> Answer:
    status = came.reply.status
    code, message = error_code(error), error_message(error)
    kind: Class = "http_error"
    if code == GATEWAY_NOT_FOUND:
        kind = "missing_data"
    elif code == GATEWAY_UNIMPLEMENTED or status in (NOT_FOUND, NOT_IMPLEMENTED):
        kind = "unsupported"
    got = f"{status}: {short(message)}" if message else str(status)
    return came.answer(kind, f"want status 200, got {got}", code=code, message=message)


# --- the shape of a response object


def _part(came: _Came, ask: Ask, parts: Sequence[Mapping[str, Any]], number: int) -> Answer:
    own = [part for part in parts if _is_id(part.get("id"), number)]
    if len(own) > 1:
        return came.unreadable(f"want one answer with the id {number}, got {len(own)}")
    anonymous = (part for part in parts if part.get("id") is None and part.get("error"))
    found = own[0] if own else next(anonymous, None)
    if found is None:
        return came.unreadable(f"want an answer with the id {number}, got none")
    try:
        return _one(came, ask, found, number)
    except ValueError as error:
        return came.unreadable(str(error))


def _one(came: _Came, ask: Ask, document: Any, number: int) -> Answer:
    """Return what one response object is.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(document, dict):
        raise ValueError(f"want an object of JSON-RPC, got {short(document)}")
    # JSON-RPC 1.0 writes null for the one that is not there
    error, result, own = document.get("error"), document.get("result"), document.get("id")
    if error is not None and result is not None:
        raise ValueError("want a result or an error, got both")
    if not _is_id(own, number) and (error is None or own is not None):
        raise ValueError(f"want the id {number}, got {short(own)}")
    if error is not None:
        return _error(came, ask, error)
    if "result" not in document:
        raise ValueError("want a result or an error, got neither")
    if result is None and not ask.allows_null:
        raise ValueError("want a result, got null")
    return came.answer("ok", result=result)


def _is_id(value: object, number: int) -> bool:
    """Return whether *value* is *number*; languages with one type of numbers write it as 1.0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == number


def _error(came: _Came, ask: Ask, error: Any) -> Answer:
    code = error_code(error) if isinstance(error, dict) else None
    text = error_text(error) if isinstance(error, dict) else ""
    if code is None and not text:
        raise ValueError(f"want an error object of JSON-RPC, got {short(error)}")
    return came.answer(
        error_class(came.family, ask.method, code, text),
        f"want a result, got {told(code, text)}",
        code=code,
        message=error_message(error),
        data=error.get("data"),
    )


def retry_after(headers: Iterable[tuple[bytes, bytes]], now_wall: float | None) -> float:
    """Return the seconds of ``Retry-After``, at most 300; 0 when it does not say.

    Source:
        RFC 9110, 10.2.3
    """
    value = next((value for name, value in headers if name == b"retry-after"), b"")
    text = value.decode("latin-1").strip()
    try:
        seconds = parse_number(text)
    except ValueError:
        seconds = _until(text, now_wall)
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _until(text: str, now_wall: float | None) -> float:
    moment = None if now_wall is None else http_date(text)
    return 0.0 if moment is None or now_wall is None else moment.timestamp() - now_wall
