"""Plays a journey as a check: does what the interpreter asks for, over our own wire layer.

    async with Driver(options) as driver:
        played = await drive(play(journey, context), driver, context.stop)

Every `Request` is sent once (a safe one again when a kept connection died unused), every `Dialog`
is a connection of its own. Policy, caps, phases and TLS are those of all other kinds. HTTP/1.1
only: a journey is many small requests, one after the other. Knows no redirect, no cookie, no
expectation and no database: who asks one is handed in.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from time import monotonic
from types import TracebackType
from typing import Any, Self, cast

from probes.errors import CheckFailed
from probes.journey.dialog import hold
from probes.journey.incoming import blamed, broken_off, incoming, limits_of
from probes.journey.keeping import REPEATABLE, Keeping, Place
from probes.journey.model import (
    Answer,
    Dialog,
    Effect,
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
from probes.wire.http import message
from probes.wire.http.options import Options
from probes.wire.http.session import Session

Ask = Callable[[Query, Recorder], Awaitable[tuple[Mapping[str, Any], ...]]]
"""Returns the rows of a query, or raises CheckFailed."""


async def _no_database(query: Query, _: Recorder) -> tuple[Mapping[str, Any], ...]:
    raise CheckFailed(Reason.CONFIG, f"want a database to ask, got none for {short(query.kind)}")


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
                answer = broken_off(effect)
    except StopIteration as end:
        if cut is None:
            return cast("Played", end.value)
        salvage(end.value)
    finally:
        play.close()
    raise cut


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
        self._keeping: Keeping[Session] = Keeping(Session.close)

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
        self._keeping.close()

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
        limits = limits_of(request.max_body)
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
            failure = blamed(error, recorder)
        facts: Mapping[str, str] = recorder.facts
        if place is not None:
            facts = self._keeping.about(place, facts)
        seconds = monotonic() - started
        return incoming(request, came, seconds, recorder.phases, failure, facts, reused=reused)

    def _session(self, request: Request, host: str) -> tuple[Place, Session]:
        place = self._keeping.place(request, host)
        session = self._keeping.find(place)
        if session is None:
            session = Session(
                bare(request.url),
                Recorder(),
                self._options_for(is_foreign=place.is_foreign),
                host=host,
                reads_redirects=True,
            )
            self._keeping.keep(place, session)
        return place, session

    def _options_for(self, *, is_foreign: bool) -> Options:
        options = self._options
        if is_foreign and options.foreign_tls is not options.tls:
            return replace(options, tls=options.foreign_tls)
        return options

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
            failure = blamed(error, recorder)
        return Rows(
            rows=rows,
            seconds=monotonic() - started,
            phases=recorder.phases,
            failure=failure,
            facts=recorder.facts,
        )
