"""A chain group that runs again and again against real servers, on a clock that a test moves.

    rig = Rig(clock, evm(endpoints=...))
    await rig.run()                     one run as a service makes it; then the interval is over
    rig.said("own")                     "down head_stale": outcome and reasons, the worst first
    rig.group                           "down head_stale own"

`Devnet` are anvils with the same blocks, whose time is that of the clock: nothing waits for blocks.
Knows the outlets of a Result, and nothing of how it is made.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest

from probes.chain import course
from probes.chain.kind import ChainKind
from probes.chain.model import Now
from probes.kinds.cosmos import Cosmos
from probes.kinds.evm import Evm
from probes.kinds.solana import Solana
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.recorder import Keep
from probes.result import Failure, Result
from probes.run import run_once
from probes.wire.websocket import heads
from tests.servers.nodes import Anvil, eventually
from tests.servers.nodes_fixtures import StartAnvil

CHAIN_ID = 31337
BLOCK_S = EVERY_S = 15
# Far from the clock of this machine, so that heads count as read at the moment of the run.
FIRST_MONO = 1_000_000.0
GENESIS_S = 1_800_000_000
TIMEOUT_S = 8.0
# A call that nobody answers is given up so soon; more than once in a run.
CALL_S = "150ms"


class Clock:
    """Both clocks of the prober; they stand still unless a test moves them."""

    def __init__(self, wall: float = GENESIS_S) -> None:
        self.mono, self.wall = FIRST_MONO, wall

    def now(self) -> Now:
        return Now(self.mono, self.wall)

    def pass_s(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.mono += seconds
        self.wall += seconds

    def put_in(self, patch: pytest.MonkeyPatch) -> "Clock":
        """Make it the clock of chain groups and of those that listen to heads."""
        patch.setattr(course, "_now", self.now)
        patch.setattr(heads, "monotonic", lambda: self.mono)
        return self


class Devnet:
    """Anvils of one chain: each block of the chain is put into every one that takes part."""

    def __init__(self, clock: Clock, nodes: Sequence[Anvil]) -> None:
        self.clock, self.nodes = clock, list(nodes)

    async def mine(
        self, blocks: int = 1, *, on: Iterable[Anvil] | None = None, at: float | None = None
    ) -> None:
        """Add *blocks*, the last of which is new by the clock, or of the time *at*."""
        first = int(self.clock.wall if at is None else at) - (blocks - 1) * BLOCK_S
        for node in self.nodes if on is None else on:
            node.call("evm_setNextBlockTimestamp", first)
            node.call("anvil_mine", hex(blocks))

    async def grow(self, blocks: int = 20) -> None:
        """Let the chain have a past."""
        self.clock.pass_s(blocks * BLOCK_S)
        await self.mine(blocks)


def devnet(clock: Clock, anvil: StartAnvil, count: int = 1, **options: Any) -> Devnet:
    """Start *count* anvils with one genesis block."""
    known = {"timestamp": GENESIS_S, "no_mining": True, "slots_in_an_epoch": 2, **options}
    nodes = [anvil(**known) for _ in range(count)]
    for node in nodes:
        # else a second of the machine's clock that begins between two blocks counts, too
        node.call("anvil_setBlockTimestampInterval", BLOCK_S)
    return Devnet(clock, nodes)


def _keys(urls: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    endpoints = [
        {"name": name, **(told if isinstance(told, dict) else {"http": told})}
        for name, told in urls.items()
    ]
    return {"chain": "it", "endpoints": endpoints, "settle": "off", "call_timeout": "4s", **given}


def evm(urls: dict[str, Any], **keys: Any) -> Evm:
    """A group of EVM endpoints: name -> URL, or the keys of the endpoint."""
    return Evm.model_validate(
        {"chain_id": CHAIN_ID, "block_time": f"{BLOCK_S}s", **_keys(urls, keys)}
    )


def solana(urls: dict[str, Any], **keys: Any) -> Solana:
    """A group of Solana endpoints."""
    return Solana.model_validate(_keys(urls, {"budget": {"calls_per_minute": 600}, **keys}))


def cosmos(urls: dict[str, Any], **keys: Any) -> Cosmos:
    """A group of Cosmos endpoints without websockets."""
    return Cosmos.model_validate(
        {"chain_id": "neutron-1", **_keys(urls, {"websocket": {"enabled": False}, **keys})}
    )


class Rig:
    """See the module.

    Args:
        clock: of the prober.
        kind: the group.
        health: of the prober.
    """

    def __init__(self, clock: Clock, kind: ChainKind, health: ProberHealth | None = None) -> None:
        self.clock, self.kind, self.health = clock, kind, health
        self.keep = Keep(kind.first_memory("it", None), every_s=EVERY_S)
        self.result: Result | None = None
        self.runs = 0

    async def run(self, times: int = 1, timeout_s: float = TIMEOUT_S) -> Result:
        """Run as a service does; each run is followed by its interval."""
        for _ in range(times):
            self.result = await self._run_once(self.keep, timeout_s)
            self.clock.pass_s(EVERY_S)
        return self._last

    async def alone(self, timeout_s: float = TIMEOUT_S) -> Result:
        """Run once without a past: everything is asked."""
        self.result = await self._run_once(None, timeout_s)
        return self._last

    @asynccontextmanager
    async def listening(self, *, only_try: bool = False) -> AsyncIterator[None]:
        """Listen to the websockets beside the runs; begin when each is heard, or has failed."""
        watch = self.kind.watch("it")
        assert watch is not None
        task = asyncio.create_task(watch.run())
        self.keep.news = watch.news
        try:
            await self.heard(lambda news: news.is_up or (only_try and news.problem is not None))
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def heard(self, condition: Callable[[heads.News], object]) -> None:
        """Wait until *condition* is true of what each listener knows."""

        async def is_true() -> bool:
            listeners = cast("dict[str, heads.Listener]", self.keep.news())
            return all(condition(listener.news) for listener in listeners.values())

        await eventually(is_true)

    async def follow(
        self, net: Devnet, times: int = 1, *, on: Iterable[Anvil] | None = None
    ) -> str:
        """Run so often, with a new block before each run; return what the group said."""
        nodes = None if on is None else list(on)
        for _ in range(times):
            await net.mine(on=nodes)
            await self.run()
        return self.group

    async def _run_once(self, keep: Keep | None, timeout_s: float) -> Result:
        self.runs += 1
        probe = Probe(name="it", kind=self.kind, target="it", timeout_s=timeout_s)
        return await run_once(probe, keep=keep, health=self.health)

    @property
    def _last(self) -> Result:
        assert self.result is not None
        return self.result

    @property
    def group(self) -> str:
        """Outcome, reason and who is blamed; the message of a single finding says both."""
        last = self._last
        told = last.failure or next(iter(last.warnings), None)
        words = told.message.split(": ")[:2] if told is not None else []
        names = {step.probe for step in last.steps}
        return " ".join([last.outcome.value, *words[:1], *(w for w in words[1:] if w in names)])

    def step(self, name: str) -> Result:
        """What became of one endpoint, indexer or call."""
        return next(step for step in self._last.steps if step.probe == name)

    def failures(self, name: str) -> list[Failure]:
        """What is wrong with one step, the worst first."""
        step = self.step(name)
        return [*([step.failure] if step.failure else []), *step.warnings]

    def said(self, name: str) -> str:
        """Outcome and reasons of one step, the worst first."""
        reasons = [told.message.partition(":")[0] for told in self.failures(name)]
        return " ".join([self.step(name).outcome.value, *reasons])

    def detail(self, name: str) -> str:
        """The whole message of the worst."""
        found = self.failures(name)
        return found[0].message if found else ""

    def value(self, name: str, **labels: str) -> float | None:
        """A sample of the run; labels that are not given do not matter. None: there is none."""
        for sample in self._last.samples:
            if sample.name == name and labels.items() <= dict(sample.labels).items():
                return sample.value
        return None

    def can(self, name: str, capability: str) -> float | None:
        """The sample of a capability."""
        return self.value("chain_capability", endpoint=name, capability=capability)
