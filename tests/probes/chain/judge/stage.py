"""A chain that grows, endpoints that tell of it, and a judge that listens: no I/O, no clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from probes.chain.judge.evaluate import common, evaluate
from probes.chain.judge.views import View, Views
from probes.chain.model import (
    Endpoint,
    Group,
    Head,
    Judgement,
    Now,
    Observation,
    Settled,
    Verdict,
)
from probes.chain.reasons import ChainReason, Finding
from probes.chain.talk import Common
from probes.result import Outcome

START = Now(mono=5000.0, wall=1_790_000_000.0)
UP, DEGRADED, DOWN, UNKNOWN = Outcome.UP, Outcome.DEGRADED, Outcome.DOWN, Outcome.UNKNOWN


def group(names: str = "abc", **keys: Any) -> Group:
    """Return a group of EVM endpoints, one for each letter; capitals are references."""
    endpoints = tuple(
        Endpoint(name, role="reference" if name.isupper() else "primary") for name in names
    )
    wanted = {"family": "evm", "chain": "it", "chain_id": "1", "endpoints": endpoints, **keys}
    return Group(**wanted)


def head(height: int, block_s: float = 12.0, branch: str = "", **keys: Any) -> Head:
    """Return block *height* of the chain that has block 1,000 at the start."""
    stamp = START.wall + (height - 1000) * block_s
    told = {"hash": f"0x{height}{branch}", "parent": f"0x{height - 1}{branch}", "timestamp": stamp}
    return Head(height, **{**told, **keys})


def came_to(height: int) -> str:
    """Return the state after the block of *height*."""
    return f"state {height}"


def fault(reason: ChainReason, outcome: Outcome = DOWN, detail: str = "it failed") -> Finding:
    return Finding(reason, outcome, detail)


@dataclass
class Stage:
    """Runs a group again and again.

    Args:
        group: who is asked.
        block_s: seconds between two blocks of the true chain.
        every_s: seconds between two runs.
    """

    group: Group = field(default_factory=group)
    block_s: float = 12.0
    every_s: float = 15.0
    wall_error_s: float = 0.0
    views: Views = field(default_factory=Views)
    elapsed_s: float = 0.0
    runs: int = 0
    shared: Common = field(default_factory=Common)

    @property
    def now(self) -> Now:
        """The prober's clock."""
        wall = START.wall + self.elapsed_s + self.wall_error_s
        return Now(START.mono + self.elapsed_s, wall)

    @property
    def height(self) -> int:
        """Where the true chain is."""
        return 1000 + int(self.elapsed_s / self.block_s + 1e-9)

    def honest(self, name: str, behind: int = 0, **keys: Any) -> Observation:
        """Return what an honest endpoint tells now; *keys* change it."""
        block = head(self.height - behind, self.block_s, seen=self.now.mono + 0.05)
        told: dict[str, Any] = {
            "asked": {"head"},
            "chain_id": self.group.chain_id or "1",
            "peer": "192.0.2.1",
            "head": block,
            "latency_s": 0.05,
        }
        return Observation(name, **{**told, **keys})

    def at(self, name: str, height: int, branch: str = "", **keys: Any) -> Observation:
        """Return what an endpoint tells that is at *height*."""
        block = head(height, self.block_s, branch, seen=self.now.mono + 0.05)
        return self.honest(name, head=block, **keys)

    def silent(self, name: str, reason: ChainReason, outcome: Outcome = DOWN) -> Observation:
        """Return what is noted of an endpoint that told no head."""
        return Observation(name, asked={"head"}, fault=fault(reason, outcome))

    def run(self, **answers: Any) -> Judgement:
        """Run once; an endpoint without an answer of its own is honest.

        An answer is an observation, a height, or None (it is not asked). ``branches`` says who
        tells the hash of which branch in the second round, ``lost`` why the prober is cut off.
        """
        branches: Mapping[str, str] = answers.pop("branches", {})
        lost: str = answers.pop("lost", "")
        observations = {
            endpoint.name: self._answer(endpoint.name, answers)
            for endpoint in self.group.endpoints
            if answers.get(endpoint.name, 0) is not None
        }
        self.shared = common(self.group, self.views, observations, slow=self.runs % 2 == 0)
        for name, seen in observations.items():
            branch = branches.get(name, "")
            for height in self._heights(seen) - seen.settled.keys():
                seen.settled[height] = Settled(f"0x{height}{branch}", came_to(height - 1))
        judgement, self.views = evaluate(
            self.group, self.views, observations, self.now, network_lost=lost
        )
        self.runs += 1
        self.elapsed_s += self.every_s
        return judgement

    def _heights(self, seen: Observation) -> set[int]:
        """Return which blocks *seen* is asked for in the second round."""
        if seen.head is None:
            return set()
        state = self.shared.state
        later = None if state is None or state > seen.head.height else state
        asked = (self.shared.settled, self.shared.finalized, later)
        return {height for height in asked if height is not None}

    def _answer(self, name: str, answers: Mapping[str, Any]) -> Observation:
        answer = answers.get(name)
        if isinstance(answer, Observation):
            return answer
        return self.honest(name) if answer is None else self.at(name, answer)

    def settle(self, runs: int = 5) -> Judgement:
        """Let all be honest for some runs, so that the block time is measured."""
        return self.repeat(runs, dict)

    def repeat(self, runs: int, answers: Callable[[], Mapping[str, Any]]) -> Judgement:
        """Run several times; return what the last one said."""
        judgements = [self.run(**answers()) for _ in range(runs)]
        return judgements[-1]

    def view(self, name: str) -> View:
        return self.views.of(name)

    def copy(self, **changes: Any) -> "Stage":
        """Return a copy that goes its own way."""
        return replace(self, **changes)


def verdict(judgement: Judgement, name: str) -> Verdict:
    return next(told for told in judgement.endpoints if told.name == name)


def reasons(judgement: Judgement, name: str) -> list[str]:
    return [finding.reason.value for finding in verdict(judgement, name).findings]


def said(judgement: Judgement, name: str) -> str:
    """Return outcome and reasons of one endpoint in a line."""
    return " ".join([verdict(judgement, name).outcome.value, *reasons(judgement, name)])


def detail(judgement: Judgement, name: str) -> str:
    worst = verdict(judgement, name).worst
    return worst.detail if worst else ""
