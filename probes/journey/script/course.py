"""The play of a script from inside: steps that begin and end, requests, what is kept of them.

    Course ── Stage      time, cookies, evidence: the same as for a journey in YAML
           └─ Driver     sends; so policy, caps and phases are the same, too

A request is an `HttpStep` without expressions, played by the interpreter's own exchange. Knows
neither the user's code nor the process it runs in.
"""

import asyncio
import re
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from time import monotonic
from types import TracebackType

from probes.errors import CheckFailed
from probes.journey.driver import Driver
from probes.journey.language.expression import Template, Unset
from probes.journey.loading.keys import STEP_NAME
from probes.journey.model import Answer, Effect, Part, Played, Request, Response, State, StepResult
from probes.journey.playing.exchange import http
from probes.journey.playing.stage import Context, Stage
from probes.journey.playing.tally import Tally
from probes.journey.script.orders import MAX_STEPS
from probes.journey.steps import HttpStep, Journey
from probes.pattern import suggest
from probes.result import Failure, Reason
from probes.units import short
from probes.wire.url import Url

_STEP_NAME = re.compile(STEP_NAME, re.ASCII)

Blame = Callable[[BaseException], Failure]
"""Tells what an exception of the user's code says of the run."""


class _Stage(Stage):
    """A stage of which the code says itself whom it asks.

    Args:
        journey: without steps.
        context: of this play.
        origins: that are asked as freely as that of the base URL.
    """

    __slots__ = ("_origins",)

    def __init__(self, journey: Journey, context: Context, origins: Sequence[str]) -> None:
        super().__init__(journey, context)
        self._origins = frozenset(origins)

    def is_led_away(self, url: Url, written: Template) -> bool:  # noqa: ARG002 - of the base
        """Tell whether *url* may come out of an answer: any other origin may."""
        if self.base is not None and url.origin == self.base.origin:
            return False
        return url.origin not in self._origins


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The last answer of a request and where it came from."""

    request: Request
    response: Response


class Course:
    """One play.

    Args:
        journey: without steps: times, base URL, TLS.
        context: of this play.
        driver: sends.
        names: of all steps; empty: any.
        origins: as `_Stage`.
        blame: judges what the code raises.
        told: hears of every step that has ended.
    """

    def __init__(  # noqa: PLR0913 - all of a play, by keyword
        self,
        journey: Journey,
        context: Context,
        driver: Driver,
        *,
        blame: Blame,
        names: Sequence[str] = (),
        origins: Sequence[str] = (),
        told: Callable[[StepResult], None] = lambda _: None,
    ) -> None:
        self.stage: Stage = _Stage(journey, context, origins)
        self.driver = driver
        self._blame = blame
        self._names = tuple(names)
        self._told = told
        self._tallies: dict[str, Tally] = {}
        self._open: list[str] = []
        # one connection for an origin, one jar, one body of evidence: one request at a time
        self._turn = asyncio.Lock()

    @property
    def current(self) -> str | None:
        """The step that is under way; None: none is."""
        return self._open[-1] if self._open else None

    def step(self, name: str) -> "OpenStep":
        """Begin a step; the same name again is another round of it.

        Raises:
            CheckFailed: ``config``: no name of a step, or one too many.
        """
        if not _STEP_NAME.fullmatch(str(name)):
            text = (
                f"want a step's name of a-z, 0-9 and '-' such as 'add-to-cart', got {short(name)}"
            )
            raise CheckFailed(Reason.CONFIG, text)
        if self._names and name not in self._names:
            text = f"want one of steps:, got {name!r}{suggest(name, self._names)}"
            raise CheckFailed(Reason.CONFIG, text)
        if name not in self._tallies and len(self._tallies) >= MAX_STEPS:
            raise CheckFailed(Reason.CONFIG, f"want at most {MAX_STEPS} steps, got more")
        tally = self._tallies.setdefault(name, Tally(name, self.stage.part))
        return OpenStep(self, tally)

    async def ask(self, step: HttpStep, tally: Tally) -> Exchanged:
        """Play one request of a step.

        Raises:
            CheckFailed: it failed.
            CancelledError: of the run; the step has been told.
        """
        async with self._turn:
            return await self._drive(http(self.stage, step, tally))

    async def _drive(self, play: Generator[Effect, Answer, None]) -> Exchanged:
        last: Exchanged | None = None
        answer: Answer = None
        cut: asyncio.CancelledError | None = None
        try:
            while True:
                effect = play.send(answer)
                answer, cut = await self._answer(effect)
                if isinstance(effect, Request) and isinstance(answer, Response):
                    last = Exchanged(effect, answer)
        except StopIteration:
            if last is None:
                raise CheckFailed(
                    Reason.INTERNAL, "want a request that is sent, got none"
                ) from None
            return last
        except (CheckFailed, Unset, ValueError) as error:
            if cut is not None:
                raise cut from None
            if isinstance(error, CheckFailed):
                raise
            raise CheckFailed(Reason.CONFIG, str(error)) from None
        finally:
            play.close()

    async def _answer(self, effect: Effect) -> tuple[Answer, asyncio.CancelledError | None]:
        """Return an answer; of a run that is cut off one that fails the step."""
        try:
            return await self.driver.answer(effect), None
        except asyncio.CancelledError as error:
            text = "want an answer before the run was stopped, got none"
            return Response(failure=Failure(Reason.TIMEOUT, text)), error

    # --- steps

    def begun(self, tally: Tally) -> float:
        """Note that a round of a step begins; return when."""
        self.stage.count(tally)
        self._open.append(tally.step)
        return monotonic()

    def ended(self, tally: Tally, began: float, error: BaseException | None) -> None:
        """Note that a round of a step is over."""
        self._open.remove(tally.step)
        if error is not None:
            failure = self._blame(error)
            self.stage.tell(tally, failure)
            tally.failure = failure
            self.stage.prove(tally)
        tally.close(monotonic() - began)
        self._told(tally.result())

    def played(self, failure: Failure | None) -> Played:
        """Return what became of it all."""
        steps = [it.result() for it in self._tallies.values()]
        known = set(self._tallies)
        missing = [Tally(name, Part.STEPS).result() for name in self._names if name not in known]
        order = {name: at for at, name in enumerate(self._names)}
        steps = sorted([*steps, *missing], key=lambda it: order.get(it.step, 0))
        made = self.stage.played(failure)
        warnings = [warning for step in steps for warning in step.warnings]
        if failure is None:
            # the code has caught it and went on: not down, and not as good as up
            warnings += [
                replace(it.failure, message=f"step {it.step}: {it.failure.message}", phase=it.step)
                for it in steps
                if it.state is State.FAILED and it.part is Part.STEPS and it.failure is not None
            ]
        return replace(made, steps=tuple(steps), warnings=(*warnings, *made.warnings))


class OpenStep(AbstractAsyncContextManager["OpenStep"]):
    """A step that is under way; whatever is raised in it fails it."""

    def __init__(self, course: Course, tally: Tally) -> None:
        self.course = course
        self.tally = tally
        self._began = 0.0

    async def __aenter__(self) -> "OpenStep":
        self._began = self.course.begun(self.tally)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.course.ended(self.tally, self._began, error)
