"""Where one play of a journey stands: time left, variables, cookies, what each step has come to.

    Context    what a driver gives: scope, base URL, clock, jar, who listens
    Stage      what the interpreter knows meanwhile

Knows no step in particular and asks nobody for anything.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from probes.errors import CheckFailed
from probes.journey.language.data import Feeder
from probes.journey.language.expression import Scope, Template, Unset
from probes.journey.model import Part, Played, Request, Response, StepResult
from probes.journey.playing.evidence import (
    MAX_HIDDEN,
    MAX_HIDDEN_CHARACTERS_OF_ALL,
    evidence,
    hideable,
    looks_secret,
    secrets_in,
    secrets_of_cookie,
    texts_in,
)
from probes.journey.playing.tally import Tally
from probes.journey.steps import Journey, RepeatStep, Step, WhereLoad
from probes.matcher import MISSING
from probes.redact import ELLIPSIS
from probes.result import Failure, Reason
from probes.units import format_duration
from probes.wire.http.redirect import Cookies
from probes.wire.url import Url, parse_url

# Steps of one play, each round counted: a loop in a loop of a thousand rounds would hold the event
# loop for seconds without one request.
MAX_PLAYED_STEPS = 10_000
MAX_LOGS = 100
# A URL whose origin holds no expression, whatever stands behind it.
_FIXED_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#$]+[/?#]", re.ASCII)
MAX_LOG_CHARACTERS = 2048
MAX_RUN_WARNINGS = 100

Judged = Callable[[Request, Response, Failure | None, bool], None]
"""Told of every request: what went, what came, why it is bad (None: good), whether it was warned
of."""

ALL_PARTS = (Part.SETUP, Part.STEPS, Part.CLEANUP)


@dataclass(slots=True)
class Context:
    """What a play needs of whoever drives it. One play owns it; ``stop()`` may come any time.

    Args:
        scope: run_id, iteration, random, now, environ; the journey adds its own values.
        clock: monotonic seconds.
        base_url: overrides the journey's; empty: it does not.
        timeout_s: overrides the journey's when it is less; None: it does not.
        is_load: steps with ``load: skip`` are left out, else those with ``load: only``.
        thinks: pauses of users are made; a load makes them always.
        jar: cookies of the user so far; None: none yet.
        judged: listens to every request.
        seed: for rows of data, where the file gives none.
        parts: what is played; a load plays ``setup`` once for each user.
        brought: name -> what an earlier play has extracted: that of the user's ``setup``.
    """

    scope: Scope
    clock: Callable[[], float]
    base_url: str = ""
    timeout_s: float | None = None
    is_load: bool = False
    thinks: bool = False
    jar: Cookies | None = None
    judged: Judged | None = None
    seed: int = 0
    parts: tuple[Part, ...] = ALL_PARTS
    brought: Mapping[str, Any] = field(default_factory=dict)
    is_stopped: bool = field(default=False, init=False)

    def stop(self) -> None:
        """End the steps before the next request; the clean-up still runs."""
        self.is_stopped = True


class Stage:
    """The state of one play."""

    __slots__ = (
        "_budget",
        "_ends_at",
        "_extracted",
        "_hidden",
        "_left_out",
        "_logs",
        "_played",
        "_room",
        "_tallies",
        "_warnings",
        "base",
        "clock",
        "context",
        "jar",
        "journey",
        "part",
        "scope",
    )

    def __init__(self, journey: Journey, context: Context) -> None:
        self.journey = journey
        self.context = context
        self.scope = context.scope
        self.clock = context.clock
        self.jar = Cookies() if context.jar is None else context.jar
        self.part = Part.SETUP
        self.base: Url | None = None
        self._left_out: WhereLoad = "skip" if context.is_load else "only"
        self._ends_at = float("inf")
        self._budget = ""
        self._played = 0
        self._tallies: dict[str, Tally] = {}
        # in the order of the answers: people read them
        self._extracted: dict[str, None] = {}
        self._hidden: set[str] = set()
        self._room = MAX_HIDDEN_CHARACTERS_OF_ALL
        self._logs: dict[str, str] = {}
        self._warnings: list[Failure] = []

    # --- the beginning

    def prepare(self) -> None:
        """Fill in what the journey itself brings: secrets, a row of data, variables.

        Raises:
            CheckFailed: ``config``: no row is left, or no base URL.
            Unset, ValueError: of an expression in ``vars``.
        """
        journey, scope, context = self.journey, self.scope, self.context
        scope.secrets = {name: secret.get_secret_value() for name, secret in journey.secrets}
        values = scope.values
        if context.brought:
            values |= context.brought
            # it came out of an answer, and is trusted no more than that
            self._extracted.update(dict.fromkeys(context.brought))
        known = dict(values)
        if journey.feeder is not None:
            scope.row = self._row(journey.feeder)
        if journey.vars:
            made: dict[str, Any] = {}
            scope.vars = made
            for name, tree in journey.vars:
                made[name] = values[name] = tree.value(scope)
        # load.md 2.1: variables, then the row, then what a step has extracted
        values |= {**(scope.row or {}), **known}
        base = context.base_url or journey.base_url
        if base:
            self.base = parse_url(base)

    def _row(self, feeder: Feeder) -> Mapping[str, Any]:
        row = feeder.row(self.scope.iteration, self.context.seed)
        if row is None:
            raise CheckFailed(
                Reason.CONFIG,
                f"want a row of {feeder.path} for each play, got all {feeder.length} used "
                "(pick: unique)",
            )
        return row

    # --- time

    def begin(self, timeout_s: float, what: str) -> None:
        """Give what follows *timeout_s* from now; *what* names it in messages."""
        timeout_s = max(0.0, timeout_s)
        self._ends_at = self.clock() + timeout_s
        # what a driver gives has lost some microseconds since the run began
        self._budget = f"want {what} within {format_duration(round(timeout_s, 2))}"

    def left(self) -> float:
        """Return the seconds that are left, >= 0."""
        return max(0.0, self._ends_at - self.clock())

    @property
    def ends_at(self) -> float:
        """When the time of this part is over."""
        return self._ends_at

    def allowed(self, until: float) -> float:
        """Return the seconds that the next effect may take, > 0.

        Args:
            until: when the time of the step is over.

        Raises:
            CheckFailed: ``timeout``: none are left; ``internal``: the play was stopped.
        """
        if self.context.is_stopped and self.part is not Part.CLEANUP:
            raise CheckFailed(Reason.INTERNAL, "want all steps, got a stop of the prober")
        now = self.clock()
        if now >= self._ends_at:
            raise CheckFailed(Reason.TIMEOUT, f"{self._budget}, got no time left")
        if now >= until:
            raise CheckFailed(Reason.TIMEOUT, "want an answer in the time of the step, got none")
        return min(until, self._ends_at) - now

    def late(self, failure: Failure, until: float) -> Failure:
        """Return why there was no answer: the whole budget is named where that ran out."""
        if failure.reason is Reason.TIMEOUT and self._ends_at < until:
            return Failure(failure.reason, f"{self._budget}, got no answer", failure.phase)
        return failure

    def within(self, until: float, promise: str) -> str:
        """Return *promise*, or that of the whole part where that ends before *until*."""
        return self._budget if self._ends_at < until else promise

    # --- steps

    def is_left_out(self, step: Step) -> bool:
        """Tell whether a step is for the other player alone."""
        return step.common.load == self._left_out

    def tally(self, name: str) -> Tally:
        """Return the sum of a step, which is begun with its first round."""
        tally = self._tallies.get(name)
        if tally is None:
            tally = self._tallies[name] = Tally(name, self.part)
        return tally

    def count(self, tally: Tally | None = None) -> None:
        """Count a step that is played, or an attempt of one.

        Raises:
            CheckFailed: ``config``: too many.
        """
        if tally is not None:
            tally.rounds += 1
        self._played += 1
        if self._played > MAX_PLAYED_STEPS:
            raise CheckFailed(
                Reason.CONFIG, f"want at most {MAX_PLAYED_STEPS} steps in one play, got more"
            )

    def blame(self, error: LookupError | ValueError, reads: Iterable[str]) -> Failure:
        """Return whose fault it is that an expression gave nothing of use.

        Args:
            error: what it said.
            reads: the names that the step reads: one that an answer gave blames the target.
        """
        if isinstance(error, Unset):
            text = f"want a value for ${{{error.name}}}, got none: the step that sets it did not"
            return Failure(Reason.EXTRACT, text)
        is_foreign = self.is_told(reads)
        return Failure(Reason.VALUE if is_foreign else Reason.CONFIG, str(error))

    def is_told(self, reads: Iterable[str]) -> bool:
        """Tell whether an answer has given one of the names in *reads*."""
        return not self._extracted.keys().isdisjoint(reads)

    def is_led_away(self, url: Url, written: Template) -> bool:
        """Tell whether an answer, and not the file, says that *url* leaves the base URL's origin.

        Such an address is to be trusted no more than a redirect.
        """
        if self.base is not None and url.origin == self.base.origin:
            return False
        return self.is_told(written.reads) and not _FIXED_ORIGIN.match(written.source)

    def extracted(self, name: str, source: Any, value: Any) -> None:
        """Keep a value that an answer gave; `MISSING` forgets the one of an earlier round."""
        if value is MISSING:
            if name in self._extracted:
                self.scope.values.pop(name, None)
            return
        self._extracted[name] = None
        self.scope.values[name] = value
        if looks_secret(name) or (isinstance(source, dict) and _is_secret_source(source)):
            self.hide(texts_in(value))

    # --- what is kept for people

    def tell(self, tally: Tally, failure: Failure | None, *, is_warned: bool = False) -> None:
        """Tell how the last request of a step ended, when nobody has yet."""
        if not tally.is_pending:
            return
        tally.ended(good=failure is None)
        judged = self.context.judged
        if judged is not None and tally.request is not None and tally.response is not None:
            judged(tally.request, tally.response, failure, is_warned)

    def log(self, name: str, text: str) -> None:
        """Keep a fact of the run; the same name again replaces it."""
        if name in self._logs or len(self._logs) < MAX_LOGS:
            is_long = len(text) > MAX_LOG_CHARACTERS
            self._logs[name] = text[: MAX_LOG_CHARACTERS - 1] + ELLIPSIS if is_long else text

    def hide(self, texts: Iterable[str]) -> None:
        """Remember texts that no outlet may show."""
        for text in hideable(texts):
            has_room = len(self._hidden) < MAX_HIDDEN and len(text) <= self._room
            if has_room and text not in self._hidden:
                self._hidden.add(text)
                self._room -= len(text)

    @property
    def secrets(self) -> set[str]:
        """Every text so far that no outlet may show."""
        return self._hidden | self.scope.hidden | {*self.scope.secrets.values()}

    def prove(self, tally: Tally) -> None:
        """Keep the last exchange of a failed step as evidence."""
        if tally.request is not None and tally.response is not None:
            self.hide(secrets_in(tally.request, tally.response))
            tally.facts = evidence(tally.request, tally.response, self.secrets)

    def warn(self, failure: Failure) -> None:
        """Note what degrades the run and is no ``warn`` of a step."""
        self._warnings.append(failure)

    def played(self, failure: Failure | None) -> Played:
        """Return what became of it all."""
        for cookie in self.jar:
            self.hide(secrets_of_cookie(cookie.name, cookie.value))
        steps: list[StepResult] = []
        warnings: list[Failure] = []
        for part in self.context.parts:
            for name in self._names(self.journey.part(part)):
                tally = self._tallies.get(name) or Tally(name, part)
                steps.append(tally.result())
                warnings += tally.warnings
        warnings += self._warnings
        values = self.scope.values
        return Played(
            tuple(steps),
            failure,
            tuple(warnings[:MAX_RUN_WARNINGS]),
            tuple(self._logs.items()),
            {name: values[name] for name in self._extracted if name in values},
            frozenset(self._hidden | self.scope.hidden),
        )

    def _names(self, steps: tuple[Step, ...]) -> Iterator[str]:
        for step in steps:
            if self.is_left_out(step):
                continue
            if step.common.name:
                yield step.common.name
            if isinstance(step, RepeatStep):
                yield from self._names(step.steps)


def _is_secret_source(source: Mapping[str, Any]) -> bool:
    return "cookie" in source or looks_secret(str(source.get("header", "")))
