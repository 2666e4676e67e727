"""The course of one sample of a chain group: ask all at once, compare, judge, remember.

    round 1    every endpoint on a connection of its own: what is due (`plan`, the dialect's `look`)
    round 2    what only makes sense when all have answered: settled blocks (`confirm`)
    judgement  `evaluate`
    survey     once per group, of the first usable primary: calls, contracts, gas
    memory     views, quotas, books, health

One endpoint that hangs keeps its own part of the deadline busy and nobody else's. The I/O shell of
the chain room; what an answer means is decided elsewhere.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Protocol, TypeVar

from probes.chain.books.books import book
from probes.chain.indexer.judge import Tip
from probes.chain.indexer.readings import Readings
from probes.chain.judge.evaluate import common, conclude, evaluate, health, trouble
from probes.chain.memory import Memory
from probes.chain.model import Endpoint, Judgement, Now, Observation, Verdict
from probes.chain.plan import Quota, due, settle_quota
from probes.chain.reasons import ChainReason
from probes.chain.talk import Answer, Ask, Common, Talk
from probes.chain.visit import NOBODY, Setup, Visit, wall
from probes.recorder import Recorder
from probes.result import Outcome
from probes.wire.websocket.heads import News

T = TypeVar("T")

# Shares of a sample's time by which a part of it ends: an endpoint that hangs in one must leave
# time for the next, or it would spoil the judgement of the others.
LOOK_SHARE, CONFIRM_SHARE = 0.6, 0.8
# Kept back of the run, so that what was found can still be judged.
MARGIN_S = 0.05
# A loop that lags at the end must not cost the verdicts of all endpoints, and all their series.
ASKING_SHARE = 0.95
# What a prober without a network would see.
_UNREACHABLE = frozenset({ChainReason.DNS_FAILED, ChainReason.CONNECT_FAILED, ChainReason.TIMEOUT})


class Ear(Protocol):
    """What listens to one endpoint's websocket."""

    @property
    def news(self) -> News:
        """What has come so far."""
        ...

    def reconnect(self, reason: str) -> None:
        """Dial again."""
        ...


Ears = Mapping[str, Ear]


@dataclass(frozen=True, slots=True)
class Sample:
    """What one sample found."""

    judgement: Judgement
    memory: Memory
    visits: Mapping[str, Visit]
    now: Now


class Course:
    """Takes samples of one group.

    Args:
        setup: of the group.
        secrets: gets what must not be shown of what the endpoints may send back.
        ears: listeners by endpoint; those without one are missing.
    """

    def __init__(self, setup: Setup, recorder: Recorder, ears: Ears) -> None:
        self._setup = setup
        self._recorder = recorder
        self._ears = ears

    async def sample(self, memory: Memory, ends: float, *, everything: bool = False) -> Sample:
        """Take one sample.

        Args:
            memory: of the samples before.
            ends: time of the loop by which it must be done.
            everything: ask what is due only now and then, too.
        """
        began, run = _now(), memory.views.runs + 1
        visits = {
            endpoint.name: self._visit(endpoint, memory, began, run, everything=everything)
            for endpoint in self._setup.group.endpoints
        }
        readings = Readings(self._setup.sources, self._recorder)
        try:
            await self._ask(memory, visits, readings, ends)
            now = _now()
            sample = await self._judge(memory, visits, readings, now)
        finally:
            for visit in visits.values():
                self._recorder.secrets += visit.recorder.secrets
                visit.close()
        quotas = self._quotas(memory, visits, now, run)
        self._recorder.leave()
        return replace(sample, memory=replace(sample.memory, quotas=quotas))

    async def _ask(
        self, memory: Memory, visits: Mapping[str, Visit], readings: Readings, ends: float
    ) -> None:
        """Have both rounds."""
        began = asyncio.get_running_loop().time()
        allowed = max(0.0, ASKING_SHARE * (ends - began) - MARGIN_S)
        self._enter("look")
        self._limit(visits, began + LOOK_SHARE * allowed)
        reading_s = min(self._setup.call_timeout_s, LOOK_SHARE * allowed)
        await _all((*map(self._look, visits.values()), *readings.ask(reading_s)))
        self._enter("confirm")
        self._limit(visits, began + CONFIRM_SHARE * allowed)
        await self._confirm(memory, visits)
        self._limit(visits, began + allowed)

    async def _judge(
        self, memory: Memory, visits: Mapping[str, Visit], readings: Readings, now: Now
    ) -> Sample:
        """Judge what was answered, and ask what is asked once per group."""
        setup = self._setup
        group = setup.group
        self._enter("judge")
        observations = {name: visit.seen for name, visit in visits.items()}
        ours = await self._own_fault(observations)
        judgement, views = evaluate(group, memory.views, observations, now, network_lost=ours)
        self._reconnect(views.endpoints)
        self._enter("survey")
        spokesman = self._first_usable(visits, judgement.endpoints)
        talk = setup.dialect.survey(group, observations, judgement, now, memory.survey)
        survey = await spokesman.drive(talk) if spokesman is not None else _alone(talk)
        indexed = await readings.judge(
            memory.indexers, _tips(judgement, spokesman), self._asker(spokesman), now
        )
        self._enter("judge")
        steps = (*survey.steps, *indexed.steps)
        judgement = conclude(group, judgement, steps, dict(survey.outliers))
        survey = replace(survey, gauges=(*survey.gauges, *indexed.gauges))
        kept = replace(
            memory,
            views=views,
            books=book(
                group,
                memory.books,
                observations,
                judgement,
                views,
                survey,
                now,
                setup.dialect,
            ),
            survey=survey.memory,
            indexers=indexed.progress,
            health=health(group, judgement, views, memory.health, now),
        )
        return Sample(judgement, kept, visits, now)

    # --- the parts of a sample

    def _enter(self, phase: str) -> None:
        """Begin a phase of the group; one endpoint alone has its own, which say more."""
        if len(self._setup.group.endpoints) > 1:
            self._recorder.enter(phase)

    def _visit(
        self, endpoint: Endpoint, memory: Memory, now: Now, run: int, *, everything: bool
    ) -> Visit:
        setup, name = self._setup, endpoint.name
        view = memory.views.endpoints.get(name)
        plan = due(
            setup.group,
            endpoint,
            setup.dialect.topics,
            memory.quotas.get(name, Quota()),
            now,
            trouble=view is not None and trouble(view),
            run=run,
            everything=everything,
        )
        visit = Visit(setup, setup.access[name], plan, Recorder(self._recorder.deadline))
        if name in self._ears:
            visit.seen.news = self._ears[name].news
        return visit

    def _limit(self, visits: Mapping[str, Visit], ends: float) -> None:
        for visit in visits.values():
            visit.limit(min(self._recorder.deadline, ends))

    async def _look(self, visit: Visit) -> None:
        if not visit.plan.left_alone:
            look = self._setup.dialect.look
            due = visit.plan.topics
            await visit.drive(look(self._setup.group, visit.endpoint, due, visit.seen))

    async def _confirm(self, memory: Memory, visits: Mapping[str, Visit]) -> None:
        group = self._setup.group
        observations = {name: visit.seen for name, visit in visits.items()}
        # finalized blocks are read now and then: only then they can be compared
        slow = any("finalized" in visit.plan.topics for visit in visits.values())
        shared = common(group, memory.views, observations, slow=slow)
        if shared == Common():
            return
        await _all(
            visit.drive(self._setup.dialect.confirm(group, visit.endpoint, shared, visit.seen))
            for visit in visits.values()
            if visit.seen.head is not None and visit.plan.may_confirm
        )

    async def _own_fault(self, observations: Mapping[str, Observation]) -> str:
        """Return why the prober itself may be to blame for who could not be reached."""
        asked = [seen for seen in observations.values() if not seen.left_alone]
        faults = {seen.fault.reason if seen.fault else None for seen in asked}
        recorder = self._recorder
        if ChainReason.TIMEOUT in faults and recorder.asleep is not None:
            # a run whose answers came while we slept ends in timeouts that are none
            why = recorder.asleep()
            if why:
                return why
        if not faults or not _UNREACHABLE.issuperset(faults) or recorder.cut_off is None:
            return ""
        return await recorder.cut_off() or ""

    def _asker(self, spokesman: Visit | None) -> Callable[[int], Awaitable[str | None]]:
        async def hash_at(height: int) -> str | None:
            if spokesman is None:
                return None
            return await spokesman.drive(self._setup.dialect.hash_at(height))

        return hash_at

    def _first_usable(
        self, visits: Mapping[str, Visit], verdicts: Iterable[Verdict]
    ) -> Visit | None:
        """Return the primary to ask on behalf of the group; rather one that is one node."""
        usable = [
            visits[verdict.name]
            for verdict in verdicts
            if verdict.outcome in (Outcome.UP, Outcome.DEGRADED)
            and visits[verdict.name].endpoint.role == "primary"
            and not visits[verdict.name].plan.left_alone
            and visits[verdict.name].lost is None
        ]
        usable.sort(key=lambda visit: visit.endpoint.load_balanced)
        return usable[0] if usable else None

    def _reconnect(self, views: Mapping[str, Any]) -> None:
        for name, ear in self._ears.items():
            view = views.get(name)
            if view is not None and view.reconnect:
                ear.reconnect("silent")

    def _quotas(
        self, memory: Memory, visits: Mapping[str, Visit], now: Now, run: int
    ) -> dict[str, Quota]:
        setup = self._setup
        return {
            name: settle_quota(
                setup.group,
                visit.endpoint,
                setup.dialect.topics,
                memory.quotas.get(name, Quota()),
                visit.seen,
                visit.plan,
                now,
                run,
            )
            for name, visit in visits.items()
        }


def _tips(judgement: Judgement, spokesman: Visit | None) -> dict[str, Tip]:
    """Return where the chain stands, by what an indexer is compared with."""
    seen = spokesman.seen if spokesman is not None else None
    latest = judgement.reference
    if latest is None and seen is not None and seen.head is not None:
        latest = seen.head.height
    finalized = seen.tags.get("finalized") if seen is not None else None
    heights = {"latest": latest, "finalized": finalized.height if finalized else None}
    return {
        against: Tip(height, judgement.block_time_s, judgement.is_halted)
        for against, height in heights.items()
    }


def _now() -> Now:
    return Now(monotonic(), wall())


def _alone(talk: Talk[T]) -> T:
    """Let *talk* come to its end with nobody to ask."""
    answer: Answer | tuple[Answer, ...] | None = None
    while True:
        try:
            wanted = talk.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        answer = NOBODY if isinstance(wanted, Ask) else (NOBODY,) * len(wanted)


async def _all(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for coroutine in coroutines:
            tasks.create_task(coroutine)
