"""Looks at a load run once a second: what is broken, what ends it, and how it stands.

    Tally ── settled seconds ──> Watch ──> aborted?
    Guards ── tripped? ─────────────────┤ stop
    Plan ── the ceiling of its time? ───┤
    Prometheus ── answers ──> Watch ────┘
          └── Live ──> whoever looks on

Knows neither a child nor a file; the clock is the run's own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from probes.units import format_duration
from scenarios.arrivals import stage_at
from scenarios.course.guards import Guards
from scenarios.fleet.merge import Tally, count_requests
from scenarios.judging.watch import Watch
from scenarios.outlets.live import Live
from scenarios.plan import Plan
from scenarios.report import Verdict, Why

TICK_S = 1.0
# A little after the second: the records of a second come at its end.
PHASE_S = 0.05
# load.md 10.1: with `abort` Prometheus is asked so often.
ASK_S = 5.0
# Without stages nothing ends a run whose users never come past their set-up. Each tries once a
# second, so a target that restarts has this long.
SETUP_TRIES = 5
CEILING = "ceiling"
SETUP = "setup"

Ask = Callable[[str], Awaitable[float | None]]


class Vigil:
    """Watches one run from its first second until its children have ended.

    Args:
        plan: of the run.
        tally: what the children have counted.
        watch: the thresholds.
        guards: the probes that watch.
        stop: ends the load; called once.
        tell: gets each `Live`.
    """

    def __init__(
        self,
        plan: Plan,
        tally: Tally,
        watch: Watch,
        guards: Guards,
        stop: Callable[[str], None],
        tell: Callable[[Live], None],
    ) -> None:
        self._plan = plan
        self._tally = tally
        self._watch = watch
        self._guards = guards
        self._halt = stop
        self._tell = tell
        self._requests = self._failures = self._dropped = 0
        self._questions: set[asyncio.Task[None]] = set()
        self._next_question_s = 0.0
        self._t0 = 0.0
        self._stopped_s: float | None = None
        self.stopped_for = ""
        """Why the load was ended before its time; empty: it was not."""

    async def keep(self, ended: "asyncio.Future[None]", t0: float, ask: Ask | None) -> None:
        """Watch until *ended*.

        Args:
            ended: the children have.
            t0: monotonic; when the load began.
            ask: puts a query to Prometheus; None: there is nothing to ask.
        """
        self._t0 = t0
        while not ended.done():
            now_s = monotonic() - t0
            next_s = (int(max(now_s, 0.0)) + 1) * TICK_S + PHASE_S
            await asyncio.wait({ended}, timeout=next_s - now_s)
            self._look(monotonic() - t0, ask)
        self.settle(float("inf"))
        for question in self._questions:
            question.cancel()
        if self._questions:
            await asyncio.wait(self._questions)

    def stop(self, why: str) -> None:
        """End the load: no new iterations, those under way have their grace."""
        if not self.stopped_for:
            self.stopped_for = why
            self._stopped_s = max(0.0, monotonic() - self._t0)
            self._halt(why)

    def ended_s(self, gone_s: float) -> float:
        """Return how long the load took: until its last stage was over, or it was stopped.

        Args:
            gone_s: when the last child was gone.
        """
        until = self._plan.seconds if self._plan.stages else gone_s
        return min(until, gone_s, until if self._stopped_s is None else self._stopped_s)

    def settle(self, now_s: float) -> None:
        """Give the thresholds every second that is complete."""
        for at, book in self._tally.settle(now_s):
            self._watch.add(at, book)
            self._requests += count_requests(book)
            self._failures += book.total("request.failed")
            self._dropped += book.total("iteration.dropped")

    def _look(self, now_s: float, ask: Ask | None) -> None:
        self.settle(now_s)
        self._watch.tick(now_s)
        if ask is not None and now_s >= self._next_question_s:
            self._next_question_s = now_s + ASK_S
            for rule in self._watch.asked:
                self._question(ask, rule.threshold.metric, rule.threshold.expr, now_s)
        if self._watch.aborted is not None:
            self.stop("threshold")
        elif self._guards.tripped.is_set():
            self.stop("guard")
        elif not self._plan.stages and (why := self._is_endless(now_s)):
            self.stop(why)
        self._tell(self._live(now_s))

    def _is_endless(self, now_s: float) -> str:
        """Return why a run that no stage ends must be ended; empty: it need not."""
        plan, book = self._plan, self._tally.book
        if plan.max_seconds and now_s >= plan.max_seconds:
            return CEILING
        tries = SETUP_TRIES * min(plan.users, plan.iterations)
        is_futile = book.total("setup.failed") >= tries and not book.total("setup.done")
        # a locust file may play without having set anything up
        return SETUP if is_futile and not book.total("iteration.started") else ""

    @property
    def whys(self) -> tuple[Why, ...]:
        """Why the load was ended, where no threshold and no guard tells it."""
        if self.stopped_for != CEILING:
            return ()
        plan, done = self._plan, self._tally.book.total("iteration.completed")
        limit = f"{format_duration(plan.max_seconds)} (safety.load.max_duration)"
        text = f"want {plan.iterations} iterations within {limit}, got {done}"
        return (Why(Verdict.ABORTED, CEILING, text),)

    def _question(self, ask: Ask, query: str, expr: str, now_s: float) -> None:
        async def put() -> None:
            self._watch.answer(expr, await ask(query), now_s)

        task = asyncio.get_running_loop().create_task(put())
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)

    def _live(self, now_s: float) -> Live:
        now = self._tally.latest
        return Live(
            name=self._plan.scenario,
            phase=self._phase(now_s),
            at_s=max(now_s, 0.0),
            of_s=self._plan.seconds,
            wanted=now.rate,
            rate=float(now.started),
            unit="/s" if self._plan.model == "open" else "users",
            users=now.users,
            busy=now.users - now.idle,
            requests=float(now.requests),
            p50=now.p50,
            p95=now.p95,
            p99=now.p99,
            latency_p99=now.latency_p99,
            errors=float(now.failures),
            failed_share=self._failures / self._requests if self._requests else None,
            dropped=self._dropped,
            cpu=now.cpu,
            lag_s=now.lag_p99,
            shards=self._plan.shards,
            broken=tuple(it.expr for it in self._watch.broken),
        )

    def _phase(self, now_s: float) -> str:
        if self.stopped_for:
            return f"stopping ({self.stopped_for})"
        if not self._plan.stages:
            return "load"
        stage = stage_at(self._plan.stages, now_s)
        if stage is None:
            return "draining"
        return "warm-up" if stage.warmup else "load" if stage.is_measured else "draining"
