"""A virtual user of a journey: set up once, then one iteration after the other.

    prepare    the steps of ``setup``: values and cookies stay with the user
    play       ``steps`` and ``cleanup``, with a row, a number and a chance of its own

Each request is counted as it ends. A play that is cut off tidies up in the time it is given. Never
raises but when it is cut off in its clean-up too. Knows neither threads nor Locust: who answers is
handed in.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Protocol

from probes.journey.incoming import broken_off
from probes.journey.language.closures import Scope
from probes.journey.language.functions import chance
from probes.journey.model import (
    Answer,
    Effect,
    Part,
    Played,
    Request,
    Response,
)
from probes.journey.playing.play import Context, play
from probes.journey.steps import Journey
from probes.redact import NOTHING_KNOWN, Redactor
from probes.result import Failure, Outcome
from probes.wire.http.redirect import Cookies
from scenarios.child.counting import INTERRUPTED, Asked, Counts, outcome_of

Listener = Callable[[str, str, float, int, Failure | None], None]
"""Told of each request beside the counts: method, step, seconds, bytes, why it failed."""


class CutOff(BaseException):
    """Raised inside whatever a user waits for, when its time is over."""


class Driver(Protocol):
    """Does what a journey asks for."""

    def answer(self, effect: Effect) -> Answer:
        """Do one thing and tell what came of it; only `CutOff` gets out."""
        ...

    def close(self) -> None:
        """End every connection."""
        ...


@dataclass(frozen=True, slots=True)
class Ticket:
    """One iteration that is to be played.

    Args:
        n: its number in the whole run.
        due_at: monotonic seconds at which it was to begin; None: nobody intended a time.
        is_measured: whether thresholds count it.
    """

    n: int
    due_at: float | None = None
    is_measured: bool = True


@dataclass(frozen=True, slots=True)
class Stand:
    """What all users of one journey share.

    Args:
        journey: compiled.
        run_id: of the run.
        seed: of everything that is random.
        target: base URL; empty: the journey's own.
        environ: for ``${env(...)}``.
        counts: of the shard.
        heard: told of each request too; None: nobody is.
    """

    journey: Journey
    run_id: str
    seed: int
    target: str
    environ: Mapping[str, str]
    counts: Counts
    heard: Listener | None = None
    redact: Redactor = field(init=False)

    def __post_init__(self) -> None:
        secrets = [value.get_secret_value() for _, value in self.journey.secrets]
        object.__setattr__(self, "redact", Redactor(secrets) if secrets else NOTHING_KNOWN)


class Player:
    """One virtual user.

    Args:
        stand: of its journey.
        driver: its connections; they are closed with it.
        number: of the user in the whole run, for the row and the chance of its set-up.
    """

    __slots__ = (
        "_brought",
        "_cut",
        "_driver",
        "_hidden",
        "_jar",
        "_measured",
        "_number",
        "_stand",
        "_told",
        "asked",
        "failure",
        "is_answered",
    )

    def __init__(self, stand: Stand, driver: Driver, number: int) -> None:
        self._stand = stand
        self._driver = driver
        self._number = number
        self._jar = Cookies()
        self._brought: Mapping[str, Any] = {}
        self._hidden: frozenset[str] = frozenset()
        self._measured = False
        self._cut: Answer = None
        self._told: Failure | None = None
        self.failure: Failure | None = None
        """Of the last play."""
        self.asked = 0
        """Requests of the last play."""
        self.is_answered = False
        """Whether any of them got an answer."""

    @property
    def is_idle(self) -> bool:
        """Whether the last play got no answer at all."""
        return not self.is_answered

    # --- what is played

    def prepare(self) -> bool:
        """Play the set-up; False: it failed, what it had made is tidied up, the user is as new.

        Raises:
            CutOff: in its clean-up.
        """
        journey = self._stand.journey
        if not journey.setup:
            return True
        self._jar, self._hidden, self._measured = Cookies(), frozenset(), False
        # a chance that no iteration has
        context = self._play_context(self._number, -1 - self._number, (Part.SETUP,), {})
        played, is_cut = self._through(context)
        self._brought, self._hidden = played.values, played.hidden
        if played.failure is None and not is_cut:
            self._stand.counts.setup(journey.name, None)
            return True
        if not is_cut:
            self._stand.counts.setup(journey.name, _failed_step(played))
        if journey.cleanup:
            # what the steps before have made is left behind otherwise, once for each try
            context = self._play_context(
                self._number, -1 - self._number, (Part.CLEANUP,), self._brought
            )
            self._through(context, is_cut=is_cut)
        return False

    def play(self, ticket: Ticket) -> None:
        """Play one iteration, and count it."""
        stand, counts = self._stand, self._stand.counts
        name, measured = stand.journey.name, ticket.is_measured
        began = monotonic()
        delay = None if ticket.due_at is None else began - ticket.due_at
        counts.started(name, measured=measured, delay_s=delay)
        self._measured = measured
        jar = self._jar if stand.journey.keeps_cookies else deepcopy(self._jar)
        context = self._play_context(
            ticket.n, ticket.n, (Part.STEPS, Part.CLEANUP), self._brought, jar
        )
        reached: list[float] = []
        outcome = INTERRUPTED
        try:
            played, is_cut = self._through(context, reached)
            if not is_cut:
                outcome = outcome_of(played)
        except CutOff:
            return
        finally:
            # whoever kills a user by other means gets no iteration lost either
            ended = reached[0] if reached else monotonic()
            latency = None if ticket.due_at is None else ended - ticket.due_at
            counts.ended(name, outcome, ended - began, latency, measured=measured)

    def close(self) -> None:
        """End its connections."""
        self._driver.close()

    # --- how

    def _play_context(
        self,
        iteration: int,
        chance_of: int,
        parts: tuple[Part, ...],
        brought: Mapping[str, Any],
        jar: Cookies | None = None,
    ) -> Context:
        stand = self._stand
        scope = Scope(
            run_id=stand.run_id,
            iteration=iteration,
            random=chance(stand.seed, chance_of),
            now=_now,
            environ=stand.environ,
        )
        return Context(
            scope,
            monotonic,
            base_url=stand.target,
            is_load=True,
            jar=self._jar if jar is None else jar,
            judged=self._judged,
            seed=stand.seed,
            parts=parts,
            brought=brought,
        )

    def _through(
        self, context: Context, reached: list[float] | None = None, *, is_cut: bool = False
    ) -> tuple[Played, bool]:
        """Do what the journey asks for until it ends.

        Args:
            context: of this play.
            reached: gets when it was cut off.
            is_cut: it was cut off before.

        Returns:
            What became of it, and whether it was cut off.

        Raises:
            CutOff: in its clean-up too.
        """
        self.asked, self.is_answered, self.failure, self._told = 0, False, None, None
        played = play(self._stand.journey, context)
        answer: Answer = None
        try:
            while True:
                effect = played.send(answer)
                try:
                    answer = self._driver.answer(effect)
                except CutOff:
                    if is_cut:
                        raise
                    is_cut = True
                    if reached is not None:
                        reached.append(monotonic())
                    context.stop()
                    self._cut = answer = broken_off(effect)
        except StopIteration as end:
            found: Played = end.value
            self.failure = found.failure
            if found.failure not in (None, self._told) and not is_cut:
                # it asked nobody: an expression without a value, a file without rows
                self._tell(found.failure, _failed_step(found), found.hidden)
            return found, is_cut
        finally:
            played.close()

    def _judged(
        self,
        request: Request,
        response: Response,
        failure: Failure | None,
        is_warned: bool,  # noqa: FBT001 - of the interface
    ) -> None:
        """Count a request, but one that the end of the run has cut off: it had no answer yet."""
        if response is self._cut:
            return
        stand = self._stand
        self.asked += 1
        if response.status:
            self.is_answered = True
        outcome, reason = _UP, ""
        if failure is not None:
            outcome = _UNKNOWN if failure.reason.is_own_fault else _DOWN
            reason = failure.reason.value
            self._tell(failure, request.step, frozenset())
        elif is_warned:
            outcome = _DEGRADED
        asked = Asked(
            stand.journey.name,
            request.step,
            request.method,
            response.status,
            outcome,
            reason,
            self._measured,
        )
        stand.counts.request(asked, response.seconds, response.sent, response.received)
        if stand.heard is not None:
            stand.heard(request.method, request.step, response.seconds, response.received, failure)

    def _tell(self, failure: Failure, step: str, hidden: frozenset[str]) -> None:
        text = (self._stand.redact | (self._hidden | hidden))(failure.message)
        self._stand.counts.error(step, failure.reason.value, text)
        self._told = failure


_UP, _DEGRADED = Outcome.UP.value, Outcome.DEGRADED.value
_DOWN, _UNKNOWN = Outcome.DOWN.value, Outcome.UNKNOWN.value


def _now() -> datetime:
    return datetime.now(UTC)


def _failed_step(played: Played) -> str:
    """Return the name of the first step that failed; empty: it has none."""
    return next((step.step for step in played.steps if step.failure is not None), "")
