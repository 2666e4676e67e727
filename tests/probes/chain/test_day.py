"""A day in the life of a group, in ten minutes by its clock: one stale, one throttled, one forked.

Three anvils behind three proxies. Whoever is well meanwhile must not notice.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from tests.faults.rpc_actions import edit, throttled
from tests.faults.rpc_proxy import RpcProxy, rpc_proxy
from tests.faults.rpc_rules import Rule
from tests.probes.chain.rig import BLOCK_S, EVERY_S, Clock, Devnet, Rig, evm

pytestmark = [pytest.mark.service, pytest.mark.slow]
NAMES = ("north", "east", "south")
RUNS = 40
CALLS_PER_MINUTE = 60
RUNS_OF_A_MINUTE = 60 // EVERY_S
RETRY_AFTER_S = 60
HEAD = "eth_getBlockByNumber"


def other_branch(start: int) -> Callable[[Any], Any]:
    """Return what tells other hashes from block *start* on."""

    def change(block: Any) -> Any:
        height = int(block["number"], 16)
        own = {"hash": height >= start, "parentHash": height > start}
        return block | {key: "0xf0" + block[key][4:] for key, differs in own.items() if differs}

    return change


@dataclass
class Day:
    """Three endpoints, what happens to them, and what was said of it."""

    rig: Rig
    net: Devnet
    proxies: dict[str, RpcProxy]
    said: dict[str, list[str]] = field(default_factory=lambda: {n: [] for n in (*NAMES, "group")})
    up: dict[str, list[float | None]] = field(default_factory=lambda: {n: [] for n in NAMES})
    calls: dict[str, list[int]] = field(default_factory=lambda: {n: [] for n in NAMES})
    frozen: set[str] = field(default_factory=set)
    rules: dict[str, Rule] = field(default_factory=dict)

    async def live(self) -> None:
        """Have ten minutes."""
        script: dict[int, Callable[[], Any]] = {
            3: partial(self.frozen.add, "north"),
            11: self.thaw,
            12: self.throttle,
            21: partial(self.end, "east"),
            27: self.fork,
            35: partial(self.end, "south"),
        }
        for run in range(RUNS):
            script.get(run, lambda: None)()
            awake = [
                node
                for name, node in zip(NAMES, self.net.nodes, strict=True)
                if name not in self.frozen
            ]
            before = {name: sum(proxy.calls.values()) for name, proxy in self.proxies.items()}
            await self.rig.follow(self.net, on=awake)
            self.note(before)
            if run == 10:
                # it gets the blocks that it missed, before the next comes
                at = self.rig.clock.wall - BLOCK_S
                await self.net.mine(8, on=[self.net.nodes[0]], at=at)

    def thaw(self) -> None:
        self.frozen.clear()

    def throttle(self) -> None:
        self.rules["east"] = self.proxies["east"].on("*", throttled(RETRY_AFTER_S))

    def fork(self) -> None:
        height = int(self.rig.value("chain_reference_height") or 0)
        self.rules["south"] = self.proxies["south"].on(HEAD, edit(other_branch(height)))

    def end(self, name: str) -> None:
        self.rules[name].off()

    def note(self, before: dict[str, int]) -> None:
        for name, proxy in self.proxies.items():
            self.said[name].append(self.rig.said(name))
            self.up[name].append(self.rig.value("chain_rpc_up", endpoint=name))
            self.calls[name].append(sum(proxy.calls.values()) - before[name])
        self.said["group"].append(self.rig.group)

    def changes(self, name: str) -> list[tuple[str, str]]:
        """When what is said of *name* changed, and to what."""
        told = self.said[name]
        return [
            (f"{run * EVERY_S // 60}:{run * EVERY_S % 60:02d}", now)
            for run, now in enumerate(told)
            if run == 0 or told[run - 1] != now
        ]

    def table(self) -> str:
        """All changes, for people."""
        names = (*NAMES, "group")
        lines = [(when, name, now) for name in names for when, now in self.changes(name)]
        lines.sort(key=lambda line: (int(line[0].split(":")[0]), line[0].split(":")[1]))
        return "\n".join(f"| {when:>5} | {name:5} | {now} |" for when, name, now in lines)


@pytest.fixture
async def day(clock: Clock, trio: Devnet) -> AsyncIterator[Day]:
    async with AsyncExitStack() as stack:
        proxies = {
            name: await stack.enter_async_context(rpc_proxy(node.url))
            for name, node in zip(NAMES, trio.nodes, strict=True)
        }
        urls = {name: proxy.url for name, proxy in proxies.items()}
        limits = {"head_age": "60s", "latency": {"warn": "off"}}
        keys = {"thresholds": limits, "budget": {"calls_per_minute": CALLS_PER_MINUTE}}
        yield Day(Rig(clock, evm(urls, min_up=2, **keys)), trio, proxies)


async def test_a_day_in_the_life(day: Day) -> None:
    await day.live()

    # it stands still from 0:45 to 2:45, as seen by who is compared with the others
    assert day.changes("north") == [
        ("0:00", "up"),
        ("1:15", "degraded lag_warn"),
        ("1:45", "down head_stale lag_warn"),
        ("2:15", "down head_stale lag_down"),
        ("2:45", "up"),
    ]
    # it throttles from 3:00 to 5:15, and is asked again a minute after each refusal
    assert day.changes("east") == [
        ("0:00", "up"),
        ("3:00", "degraded rate_limited"),
        ("5:00", "down rate_limited"),
        ("6:00", "up"),
    ]
    # it is on another branch from 6:45 to 8:45
    assert day.changes("south") == [
        ("0:00", "up"),
        ("7:30", "down fork_finalized"),
        ("8:45", "up"),
    ]
    assert day.changes("group") == [
        ("0:00", "up"),
        ("1:15", "degraded lag_warn north"),
        ("1:45", "degraded head_stale north"),
        ("2:45", "up"),
        ("3:00", "degraded rate_limited east"),
        ("6:00", "up"),
        ("7:30", "degraded fork_finalized south"),
        ("8:45", "up"),
    ]
    print(day.table())  # noqa: T201 - for who runs it with -s


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_what_is_exported_follows_a_run_later_and_the_budget_holds(day: Day) -> None:
    await day.live()

    down = {name: [run for run, up in enumerate(day.up[name]) if up == 0] for name in NAMES}
    # two runs in a row make it so, and two unmake it
    assert down == {
        "north": list(range(8, 12)),
        "east": list(range(21, 25)),
        "south": list(range(31, 36)),
    }
    for name, calls in day.calls.items():
        busiest = max(
            sum(calls[run : run + RUNS_OF_A_MINUTE]) for run in range(RUNS - RUNS_OF_A_MINUTE + 1)
        )
        assert 0 < busiest <= CALLS_PER_MINUTE, name
    asked = [run for run in range(12, 24) if day.calls["east"][run]]
    assert asked == [12, 16, 20]
