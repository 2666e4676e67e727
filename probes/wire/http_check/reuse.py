"""A second request on the same connection: whether it may stay open, and what that saves.

    twice = Twice(required=True)
    await twice.first(request, recorder, options, response)
    ...                                       # judge the answer
    await twice.again()
    twice.close()

Over HTTP/1.1, by `probes.wire.http.session`. Knows no expectation but that the second answer has
the status of the first.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from probes.errors import CheckFailed
from probes.kind import Metric
from probes.recorder import Recorder
from probes.result import Reason
from probes.settings import Settings
from probes.units import short
from probes.wire.http.message import Request, Response
from probes.wire.http.options import DEFAULT_LIMITS, Options
from probes.wire.http.redirect import location_of
from probes.wire.http.session import Exchange, Session

PHASE = "reuse"
REUSE_METRICS = (
    Metric(
        "http_request_duration_seconds",
        "Time from a request written to its answer's last byte: of the first on a connection,"
        " and of the second",
        ("request",),
    ),
    Metric("http_connection_reused", "1 if the connection carried the second request too"),
)
# Requests that may be sent twice without an effect (RFC 9110, 9.2.1).
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class ReuseKeys(Settings):
    """Whether a second request goes over the same connection."""

    reuse: Literal["off", "told", "required"] = "off"
    """Ask a second time over the same connection, by HTTP/1.1: only ``told``, or ``required`` to
    work; both times are told, and redirects are not followed."""


def judge_reuse(method: str, versions: Sequence[int], *, follows: bool, has_proxy: bool) -> None:
    """Judge the other keys of a kind that asks twice.

    Raises:
        ValueError: they exclude a second request on the same connection.
    """
    if method not in SAFE:
        raise ValueError(f"want GET, HEAD or OPTIONS beside reuse, got {short(method)}")
    if follows:
        raise ValueError("want follow_redirects: false beside reuse, got true")
    if 1 not in versions:
        raise ValueError("want 1 among the versions beside reuse, got others alone")
    if has_proxy:
        raise ValueError("want no proxy beside reuse, got one")


class Twice:
    """Two requests, one after the other.

    Args:
        required: the connection must carry the second one.
    """

    def __init__(self, *, required: bool) -> None:
        self._required = required
        self._first: tuple[Session, Request, Recorder, Response] | None = None
        self._limits = DEFAULT_LIMITS

    async def first(
        self, request: Request, recorder: Recorder, options: Options, response: Response
    ) -> None:
        """Fill *response*, as `probes.wire.http.exchange.exchange` does; no redirect, no proxy.

        Raises:
            CheckFailed: as `Session.send` does.
        """
        session = Session(request.url, recorder, options, host=request.host, reads_redirects=True)
        self._first = session, request, recorder, response
        # nobody looks at the second body, but it may cost as much as the first
        self._limits = replace(options.limits, keep_body=False)
        found = await session.send(request, options.limits, response=response)
        _tell(found, "first", recorder)
        response.redirects += location_of(response) is not None

    async def again(self) -> None:
        """Send the same once more; phase ``reuse``. What a new dial finds is nobody's business.

        Raises:
            CheckFailed: as `Session.send` does; ``status``: another one than that of the first;
                ``closed``: the connection is required to carry it, and did not.
        """
        if self._first is None:
            raise ValueError("want a first request before the second, got none")
        session, request, recorder, first = self._first
        session.turn_to(recorder.fresh())
        recorder.enter(PHASE)
        try:
            found = await session.send(request, self._limits)
            found.response.check()
        except CheckFailed as failure:
            raise _second(failure.reason, failure.message) from None
        _tell(found, "second", recorder)
        recorder.sample("http_connection_reused", float(found.reused))
        got = found.response.status
        if got != first.status:
            raise _second(Reason.STATUS, f"want status {first.status} as of the first, got {got}")
        if self._required and not found.reused:
            raise _second(Reason.CLOSED, "want the same connection, got the end of it")
        recorder.leave()

    def close(self) -> None:
        """End the connection."""
        if self._first is not None:
            self._first[0].close()


def _tell(found: Exchange, which: str, recorder: Recorder) -> None:
    recorder.sample("http_request_duration_seconds", found.seconds, request=which)


def _second(reason: Reason, message: str) -> CheckFailed:
    return CheckFailed(reason, f"second request: {message}", phase=PHASE)
