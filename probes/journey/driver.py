"""Plays a journey as a check: does what the interpreter asks for, over our own wire layer.

    async with Driver(options) as driver:
        played = await drive(play(journey, context), driver, context.stop)

Every `Request` is sent once (a safe one again when a kept connection died unused), every `Dialog`
is a connection of its own. Policy, caps, phases and TLS are those of all other kinds. HTTP/1.1
only: a journey is many small requests, one after the other. Knows no redirect, no cookie, no
expectation and no database: who asks one is handed in.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from time import monotonic
from types import TracebackType
from typing import Any, Self, cast

from probes.errors import CheckFailed
from probes.journey.dialog import hold
from probes.journey.model import (
    Answer,
    Dialog,
    Effect,
    Heard,
    Pause,
    Played,
    Query,
    Request,
    Response,
    Rows,
)
from probes.journey.outgoing import bare, outgoing, too_late
from probes.recorder import Recorder
from probes.redact import secrets_in_target
from probes.result import Failure, Reason
from probes.units import short
from probes.wire import message
from probes.wire.http import Options
from probes.wire.message import MAX_HEAD_BYTES, MAX_WIRE_BYTES, Limits
from probes.wire.session import Session

# A journey speaks to a shop, its login and its payment; each more costs a socket for the run.
MAX_CONNECTIONS = 4
# RFC 9110, 9.2.2: these may be sent again when a kept connection died unused; a POST goes out once.
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})

Ask = Callable[[Query, Recorder], Awaitable[tuple[Mapping[str, Any], ...]]]
"""Returns the rows of a query, or raises CheckFailed."""


async def _no_database(query: Query, _: Recorder) -> tuple[Mapping[str, Any], ...]:
    raise CheckFailed(Reason.CONFIG, f"want a database to ask, got none for {short(query.kind)}")


@dataclass(frozen=True, slots=True)
class _Place:
    """What a kept connection is kept under."""

    origin: str
    host: str
    is_foreign: bool


async def drive(
    play: Generator[Effect, Answer, Played],
    driver: "Driver",
    stop: Callable[[], None],
    salvage: Callable[[Played], None] = lambda _: None,
) -> Played:
    """Do what *play* asks for until it ends.

    A cancelled run first tidies up: the interpreter is told and goes on with its clean-up, in its
    own budget; only then the cancellation goes on. A second one cuts that off.

    Args:
        play: the interpreter, not yet begun.
        driver: does it.
        stop: tells the interpreter that the run is to end now.
        salvage: gets what there was of a cancelled run.

    Raises:
        CancelledError: of the run.
    """
    cut: asyncio.CancelledError | None = None
    try:
        answer: Answer = None
        while True:
            effect = play.send(answer)
            try:
                answer = await driver.answer(effect)
            except asyncio.CancelledError as error:
                if cut is not None:
                    raise
                cut = error
                stop()
                answer = _broken_off(effect)
    except StopIteration as end:
        if cut is None:
            return cast("Played", end.value)
        salvage(end.value)
    finally:
        play.close()
    raise cut


def _broken_off(effect: Effect) -> Answer:
    failure = Failure(Reason.TIMEOUT, "want an answer before the run was stopped, got none")
    match effect:
        case Request():
            return Response(failure=failure)
        case Dialog():
            return Heard(failure=failure)
        case Query():
            return Rows(failure=failure)
        case Pause():
            return None


class Driver(AbstractAsyncContextManager["Driver"]):
    """The connections of one run; none is left behind.

    Args:
        options: how servers are dialled and verified; made once for all runs, its redirects and
            limits are not looked at.
        ask: speaks to databases.
    """

    def __init__(self, options: Options, ask: Ask = _no_database) -> None:
        self.hidden: set[str] = set()
        """Texts that came up and that no outlet may show: passwords in targets of databases."""
        self._options = options
        self._ask = ask
        self._sessions: OrderedDict[_Place, Session] = OrderedDict()
        self._facts: dict[_Place, Mapping[str, str]] = {}
        self._own: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every connection: in good order those that are idle, at once the others."""
        while self._sessions:
            self._sessions.popitem()[1].close()

    async def answer(self, effect: Effect) -> Answer:
        """Do one thing and tell what came of it; never raises but when cancelled."""
        match effect:
            case Request():
                return await self.fetch(effect)
            case Dialog():
                return await hold(effect, self._options)
            case Query():
                return await self.query(effect)
            case Pause():
                await asyncio.sleep(effect.seconds)
                return None

    # --- HTTP

    async def fetch(self, request: Request) -> Response:
        """Send *request* once and return what came, within its timeout."""
        recorder = Recorder(asyncio.get_running_loop().time() + request.timeout_s)
        started = monotonic()
        limits = Limits(
            max_body=request.max_body,
            max_wire=max(MAX_WIRE_BYTES, request.max_body + MAX_HEAD_BYTES),
        )
        came = message.Response(request.url, limits)
        failure: Failure | None = None
        place, reused = None, False
        try:
            wanted = outgoing(request)
            place, session = self._session(request, wanted.host)
            async with asyncio.timeout(request.timeout_s):
                session.turn_to(recorder, request.hop)
                repeats = request.method in REPEATABLE
                exchange = await session.send(wanted, limits, response=came, repeats=repeats)
            reused = exchange.reused
            if came.failure is not None:
                raise came.failure
        except TimeoutError:
            failure = too_late(request.timeout_s, recorder)
        except CheckFailed as error:
            failure = Failure(error.reason, error.message, error.phase or recorder.phase_name)
        ended, phases = monotonic(), recorder.phases
        has_left = any(phase.name in _ASKED for phase in phases)
        return Response(
            status=came.status,
            headers=tuple([(name.decode("latin-1"), message.text(v)) for name, v in came.headers]),
            body=came.body.data,
            seconds=ended - started,
            phases=phases,
            sent=len(request.body) if has_left else 0,
            received=came.body.wire_size,
            failure=failure,
            reused=reused,
            facts=self._about(place, recorder),
        )

    def _session(self, request: Request, host: str) -> tuple[_Place, Session]:
        """Return the connection for *request*; the one that was longest unused makes room."""
        url = request.url
        if not request.hop:
            self._own.add(url.origin)
        # a client certificate and a pinned name are for whom the journey names, not for whom an
        # answer names (reliability.md E14)
        is_foreign = url.origin not in self._own
        place = _Place(url.origin, host, is_foreign)
        session = self._sessions.get(place)
        if session is None:
            while len(self._sessions) >= MAX_CONNECTIONS:
                oldest, idle = self._sessions.popitem(last=False)
                self._facts.pop(oldest, None)
                idle.close()
            session = self._sessions[place] = Session(
                bare(url),
                Recorder(),
                self._options_for(is_foreign=is_foreign),
                host=host,
                reads_redirects=True,
            )
        self._sessions.move_to_end(place)
        return place, session

    def _options_for(self, *, is_foreign: bool) -> Options:
        options = self._options
        if is_foreign and options.foreign_tls is not options.tls:
            return replace(options, tls=options.foreign_tls)
        return options

    def _about(self, place: _Place | None, recorder: Recorder) -> Mapping[str, str]:
        """Return facts about the connection: those of its dial, also when it is used again."""
        facts = recorder.facts
        if place is None:
            return facts
        if facts:
            self._facts[place] = facts
        return facts or self._facts.get(place, facts)

    # --- SQL

    async def query(self, query: Query) -> Rows:
        """Ask a database."""
        recorder = Recorder(asyncio.get_running_loop().time() + query.timeout_s)
        self.hidden |= secrets_in_target(query.target)
        started = monotonic()
        rows: tuple[Mapping[str, Any], ...] = ()
        failure: Failure | None = None
        try:
            async with asyncio.timeout(query.timeout_s):
                rows = await self._ask(query, recorder)
        except TimeoutError:
            failure = too_late(query.timeout_s, recorder)
        except CheckFailed as error:
            failure = Failure(error.reason, error.message, error.phase or recorder.phase_name)
        return Rows(
            rows=rows,
            seconds=monotonic() - started,
            phases=recorder.phases,
            failure=failure,
            facts=recorder.facts,
        )


# Phases that stand behind the request: it has gone out.
_ASKED = frozenset({"processing", "transfer"})
