"""Plays a journey as a load does: what the interpreter asks for, over blocking sockets.

    driver = LoadDriver(tls, resolver)        one for each virtual user
    played = play_through(play(journey, context), driver)
    driver.close()

What `probes.journey.driver.Driver` is to a check: each request is sent once (a safe one again when
a kept connection died unused), nothing is followed, kept or judged here. A user keeps his
connections from one iteration to the next. Knows no Locust and no gevent: in a patched child what
blocks lets the others run.
"""

import time
from collections.abc import Generator
from dataclasses import dataclass
from time import monotonic
from typing import cast

from probes.errors import CheckFailed
from probes.journey.incoming import blamed, incoming, limits_of
from probes.journey.keeping import REPEATABLE, Keeping, Place
from probes.journey.model import (
    Answer,
    Dialog,
    Effect,
    Heard,
    Pause,
    Played,
    Request,
    Response,
    Rows,
)
from probes.journey.outgoing import outgoing, too_late
from probes.recorder import Recorder
from probes.result import Failure, Reason
from probes.wire.address import ANY_IP, IpChoice
from probes.wire.http import message
from probes.wire.http.http1 import Http1Kept, encode_kept
from probes.wire.http.message import Limits
from probes.wire.policy import judge
from probes.wire.tls.settings import TlsOptions, server_name
from scenarios.child.resolver import Resolver
from scenarios.child.transport import Exchange, How, Line, dial

# A journey is many small requests, one after the other.
_ALPN = ("http/1.1",)


def play_through(play: Generator[Effect, Answer, Played], driver: "LoadDriver") -> Played:
    """Do what *play* asks for until it ends.

    Args:
        play: the interpreter, not yet begun.
        driver: does it.
    """
    answer: Answer = None
    try:
        while True:
            answer = driver.answer(play.send(answer))
    except StopIteration as end:
        return cast("Played", end.value)
    finally:
        play.close()


class LoadDriver:
    """The connections of one virtual user; `close` ends them.

    Args:
        tls: how servers are verified.
        resolver: of all users of this process.
        ip: which address of a name is dialled.
    """

    __slots__ = ("_ip", "_keeping", "_others_tls", "_resolver", "_tls")

    def __init__(self, tls: TlsOptions, resolver: Resolver, ip: IpChoice = ANY_IP) -> None:
        self._tls = tls
        self._others_tls = tls.for_others()
        self._resolver = resolver
        self._ip: IpChoice = ip
        self._keeping: Keeping[Line] = Keeping(Line.close)

    def close(self) -> None:
        """End every connection."""
        self._keeping.close()

    def answer(self, effect: Effect) -> Answer:
        """Do one thing and tell what came of it; raises only what is thrown in from outside."""
        if isinstance(effect, Request):
            return self.fetch(effect)
        if isinstance(effect, Pause):
            time.sleep(effect.seconds)
            return None
        if isinstance(effect, Dialog):
            return Heard(failure=_refused("ws"))
        return Rows(failure=_refused("sql"))

    def fetch(self, request: Request) -> Response:
        """Send *request* once and return what came, within its timeout."""
        started = monotonic()
        recorder = Recorder()
        limits = limits_of(request.max_body)
        came = message.Response(request.url, limits)
        failure: Failure | None = None
        place, reused = None, False
        try:
            wanted = outgoing(request)
            place = self._keeping.place(request, wanted.host)
            asked = _Asked(request, wanted, came, limits, started + request.timeout_s, recorder)
            reused = self._ask(place, asked)
            came.check()
        except TimeoutError:
            failure = too_late(request.timeout_s, recorder)
        except CheckFailed as error:
            failure = blamed(error, recorder)
        facts = recorder.facts
        return incoming(
            request,
            came,
            monotonic() - started,
            recorder.phases,
            failure,
            self._keeping.about(place, facts) if place is not None else facts,
            reused=reused,
        )

    def _ask(self, place: Place, asked: "_Asked") -> bool:
        """Send what is *asked*; return whether over a connection that was used before.

        Raises:
            CheckFailed: no whole head came.
            TimeoutError: the time is over.
        """
        line = self._keeping.find(place)
        if line is not None and not line.is_quiet():
            self._keeping.drop(place)
            line = None
        if line is None:
            line = self._dial(place, asked)
        elif asked.request.hop:
            judge(line.address, hop=asked.request.hop)
        if line.answers and asked.request.method in REPEATABLE:
            if self._exchange(place, line, asked, repeats=True):
                return True
            line = self._dial(place, asked)
        reused = line.answers > 0
        self._exchange(place, line, asked)
        return reused

    def _dial(self, place: Place, asked: "_Asked") -> Line:
        url, hop, recorder = asked.request.url, asked.request.hop, asked.recorder
        recorder.enter("resolve")
        address = self._resolver.resolve(url.host, url.port, asked.until, ip=self._ip, hop=hop)
        recorder.leave()
        recorder.fact("address", address.literal)
        context, name = None, ""
        if url.is_tls:
            tls = self._others_tls if place.is_foreign else self._tls
            context, name = tls.context(_ALPN), server_name(url, tls, place.host)
        line = dial(address, recorder, How(asked.until, context, name, hop))
        self._keeping.keep(place, line)
        return line

    def _exchange(
        self, place: Place, line: Line, asked: "_Asked", *, repeats: bool = False
    ) -> bool:
        """Send over *line* and drop it unless it can carry another answer.

        Returns:
            False: it had died unused and, as *repeats* allows, the request may go out again.

        Raises:
            CheckFailed: no whole head came.
            TimeoutError: the time is over.
        """
        came, request = asked.came, asked.request
        codec = Http1Kept(came, head_only=request.method == "HEAD", reads_redirects=True)
        exchange = Exchange(line, codec, came, asked.limits.max_wire)
        keeps = False
        try:
            exchange.run(encode_kept(asked.wanted), asked.recorder, asked.until)
            keeps = codec.keeps and came.failure is None
            line.answers += 1
        except CheckFailed as failure:
            if not repeats or exchange.received or failure.reason is not Reason.CLOSED:
                raise
            asked.recorder.break_off()
            came.begin(request.url, asked.limits)
            return False
        finally:
            codec.close()
            if not keeps:
                self._keeping.drop(place)
        return True


@dataclass(slots=True)
class _Asked:
    """A request on its way.

    Args:
        request: of the interpreter.
        wanted: as the wire sends it.
        came: what its answer is read into.
        limits: of the answer.
        until: its time is over, on the monotonic clock.
        recorder: of its phases.
    """

    request: Request
    wanted: message.Request
    came: message.Response
    limits: Limits
    until: float
    recorder: Recorder


def _refused(step: str) -> Failure:
    return Failure(Reason.CONFIG, f"want a step that a load plays, got {step}")
