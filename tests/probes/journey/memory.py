"""Plays a journey in memory: a handler answers each request, a clock that only pauses move.

    played = run(journey, handler)

What it does with an effect is what every driver must do: send once, answer once. Unit tests and the
suite that compares the drivers share it.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from probes.journey.language.expression import Scope
from probes.journey.language.functions import chance
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
from probes.journey.playing.play import Context, play
from probes.journey.steps import Journey
from probes.result import Failure, Reason

Handler = Callable[[Request], Response]
BASE = "http://shop.test"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class Clock:
    """Monotonic seconds that stand still until somebody moves them."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Memory:
    """What was asked in one play, and what answers.

    An answer takes its ``seconds``; one that takes longer than its request allows is cut off there.
    """

    handler: Handler
    talk: Callable[[Dialog], Heard] = lambda _: Heard()
    database: Callable[[Query], Rows] = lambda _: Rows()
    clock: Clock = field(default_factory=Clock)
    effects: list[Effect] = field(default_factory=list)

    @property
    def requests(self) -> list[Request]:
        return [effect for effect in self.effects if isinstance(effect, Request)]

    @property
    def pauses(self) -> list[Pause]:
        return [effect for effect in self.effects if isinstance(effect, Pause)]

    def answer(self, effect: Effect) -> Answer:
        self.effects.append(effect)
        if isinstance(effect, Pause):
            self.clock.now += effect.seconds
            return None
        if isinstance(effect, Request):
            response = self.handler(effect)
            if response.seconds > effect.timeout_s:
                late = f"want an answer within {effect.timeout_s:.3g} s, got none"
                failure = Failure(Reason.TIMEOUT, late, "processing")
                response = Response(seconds=effect.timeout_s, failure=failure)
            self.clock.now += response.seconds
            return replace(response, sent=len(effect.body), received=len(response.body))
        answer = self.talk(effect) if isinstance(effect, Dialog) else self.database(effect)
        self.clock.now += answer.seconds
        return answer

    def play(self, journey: Journey, context: Context) -> Played:
        return drive(play(journey, context), self.answer)


def drive(game: Generator[Effect, Answer, Played], respond: Callable[[Effect], Answer]) -> Played:
    answer: Answer = None
    while True:
        try:
            effect = game.send(answer)
        except StopIteration as end:
            played: Played = end.value
            return played
        answer = respond(effect)


def scope(iteration: int = 0, values: Mapping[str, Any] | None = None) -> Scope:
    return Scope(
        run_id="run-1",
        iteration=iteration,
        random=chance(7, iteration),
        now=lambda: NOW,
        environ={},
        values=dict(values or {}),
    )


def run(
    journey: Journey, handler: Handler | Memory, *, iteration: int = 0, **context: Any
) -> Played:
    """Play *journey* once; keywords are those of `Context`."""
    memory = handler if isinstance(handler, Memory) else Memory(handler)
    base = context.pop("base_url", "" if journey.base_url else BASE)
    return memory.play(
        journey,
        Context(scope=scope(iteration), clock=memory.clock, base_url=base, **context),
    )
