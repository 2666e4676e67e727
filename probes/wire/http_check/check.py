"""One HTTP check as its runs see it: what is sent and how, who judges the answer, what is told.

    check = Check(keys, options, ...)         # once, of the settings
    await check.run(target, recorder)         # for each run

Plain objects, made once: to read a field of a settings model costs a run five times as much.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from probes.errors import CheckFailed
from probes.measure import Answer, Measure, record_measures
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.http.exchange import exchange
from probes.wire.http.message import REDIRECTS, Request, Response, text
from probes.wire.http.options import Options
from probes.wire.http_check.answer import (
    Flag,
    Judge,
    Miss,
    RunJudge,
    first_miss,
    flag_of_silence,
    judges_of,
    judges_of_run,
)
from probes.wire.http_check.expect import HttpExpect, HttpWarn
from probes.wire.http_check.record import VERSION_NUMBERS, record
from probes.wire.http_check.request import Late
from probes.wire.url import Url, parse_url

Fetch = Callable[[Request, Recorder, Options, Response], Awaitable[object]]
# Targets of one module come from outside through /probe; it keeps as many
# (exporter/on_demand/plans.py). A plan is remade in microseconds.
MAX_PLANS = 4096
# Enough of a wrong answer to recognise an error page.
SHOWN_BODY_BYTES = 512


class Sender(Protocol):
    """Who makes the requests: `probes.wire.http_check.request.RequestKeys`."""

    @property
    def is_late(self) -> bool:
        """Whether files are read before each request."""
        ...

    def request(self, url: Url, late: Late = ...) -> Request:
        """Return the request to *url*."""
        ...

    async def read(self, recorder: Recorder) -> Late:
        """Read what files hold now."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What all runs against one target share; no request when files have a part in it."""

    url: Url
    request: Request | None


class Check:
    """What all runs of one check share, and its plans by target.

    Args:
        sender: makes the requests.
        options: how they are sent.
        versions: of HTTP that may answer.
        expect: what fails the run when it is missed.
        warn: what degrades it.
        measure: numbers out of the answer.
        before_body: judge of the answer, asked before anybody looks at its body.
    """

    __slots__ = (
        "_asks_cel", "_expect", "_judges", "_measure", "_run_judges", "_sender", "_soft",
        "_versions", "_wanted", "options", "plans",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - what a run needs, all but two by keyword
        self,
        sender: Sender,
        options: Options,
        *,
        versions: Sequence[int],
        expect: HttpExpect,
        warn: HttpWarn | None,
        measure: Sequence[Measure],
        before_body: Judge | None = None,
    ) -> None:
        self.options = options
        self.plans: dict[str, Plan] = {}
        self._sender = sender
        self._versions = frozenset(it for it, n in VERSION_NUMBERS.items() if int(n) in versions)
        self._wanted = " or ".join(f"HTTP/{version}" for version in versions)
        self._expect = expect
        self._asks_cel = expect.asks_cel
        self._judges = judges_of(expect, *([] if before_body is None else [before_body]))
        self._run_judges = judges_of_run(expect)
        self._soft: tuple[tuple[Judge, ...], tuple[RunJudge, ...]] | None = None
        if warn is not None:
            self._soft = judges_of(warn), judges_of_run(warn)
        self._measure = measure

    def plan(self, target: str) -> Plan:
        """Return the plan for *target*, made with its first run."""
        plan = self.plans.get(target)
        if plan is None:
            if len(self.plans) >= MAX_PLANS:
                self.plans.clear()
            url, sender = parse_url(target), self._sender
            plan = self.plans[target] = Plan(url, None if sender.is_late else sender.request(url))
        return plan

    async def run(self, target: str, recorder: Recorder, fetch: Fetch = exchange) -> None:
        """Ask *target* and judge the answer.

        Raises:
            CheckFailed: there is none, or it is not what it should be.
        """
        plan, options = self.plan(target), self.options
        request = plan.request
        if request is None:
            request = self._sender.request(plan.url, await self._sender.read(recorder))
        response = Response(plan.url, options.limits)
        flag: Flag = ""
        over: CheckFailed | None = None
        try:
            try:
                await fetch(request, recorder, options, response)
            except CheckFailed as failure:
                over = self._beyond(failure, response)
            miss = self._miss(response)
            flag = "" if miss is None else miss.flag
            self._judge(response, recorder, None if miss is None else over or miss.failure)
        except asyncio.CancelledError:
            flag = flag_of_silence(self._expect, response)
            raise
        finally:
            self._record(response, recorder, flag)

    def _beyond(self, failure: CheckFailed, response: Response) -> CheckFailed:
        """Return *failure* when it is a redirect too many, which is an answer to be judged.

        Raises:
            CheckFailed: it is another one.
        """
        if (
            failure.reason is not Reason.REDIRECT
            or response.redirects <= self.options.max_redirects
        ):
            raise failure
        return failure

    def _miss(self, response: Response) -> Miss | None:
        """Judge as blackbox_exporter does."""
        miss = first_miss(self._judges, response)
        if miss is not None and miss.failure.reason is Reason.STATUS:
            lost = self.options.follow_redirects and response.status in REDIRECTS
            if lost and response.location is None:
                got = f"got none with status {response.status}"
                failure = CheckFailed(
                    Reason.REDIRECT, f"want a Location, {got}", phase="processing"
                )
                return Miss(failure)
        if miss is None and response.version not in self._versions:
            message = f"want {self._wanted}, got HTTP/{response.version}"
            return Miss(CheckFailed(Reason.PROTOCOL, message, phase="processing"))
        return miss

    def _judge(self, response: Response, recorder: Recorder, miss: CheckFailed | None) -> None:
        """Raise what is missed, the answer first; else warn of what is missed softly."""
        if self._measure and response.failure is None:
            answer = Answer(response.values, response.body.data)
            unmeasured = record_measures(self._measure, answer, recorder)
            miss = miss or unmeasured
        if miss is not None:
            raise miss
        for judge in self._run_judges:
            judge(recorder, response)
        if self._soft is not None:
            self._warn(*self._soft, response, recorder)

    def _warn(
        self,
        judges: Sequence[Judge],
        run_judges: Sequence[RunJudge],
        response: Response,
        recorder: Recorder,
    ) -> None:
        soft = first_miss(judges, response)
        misses = [] if soft is None else [soft.failure]
        for judge in run_judges:
            try:
                judge(recorder, response)
            except CheckFailed as failure:
                misses.append(failure)
        for miss in misses:
            recorder.warn(miss.reason, miss.message, phase=miss.phase)

    def _record(self, response: Response, recorder: Recorder, flag: Flag) -> None:
        record(response, recorder, missed=flag == "regex")
        if self._asks_cel:
            recorder.sample("failed_due_to_cel", 1.0 if flag == "cel" else 0.0)
        if flag and response.body.data:
            recorder.fact("body", text(response.body.data[:SHOWN_BODY_BYTES]))
