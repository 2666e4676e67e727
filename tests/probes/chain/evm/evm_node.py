"""An EVM node that is nothing but canned answers, and who drives a talk against it."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from probes.chain.answer.rpcerror import error_class
from probes.chain.evm.dialect import EvmDialect
from probes.chain.evm.keccak import keccak256
from probes.chain.model import (
    Endpoint,
    Group,
    Judgement,
    Limits,
    Now,
    Observation,
    Verdict,
)
from probes.chain.talk import Answer, Ask, Class, Talk
from probes.result import Outcome

T = TypeVar("T")
Params = tuple[Any, ...]
Canned = Answer | Callable[[Params], Answer]

OWN = Endpoint("own")
GROUP = Group("evm", "it", (OWN,))
NOW = Now(mono=10_000.0, wall=1_800_000_000.0)
LIMITS = Limits(
    head_age_s=30.0, lag_warn=2, lag_down=6, finality_lag=64, fork_depth=3, latency_warn_s=1.0,
    latency_down_s=None, min_peers=None, shred_lag=None, txpool_full=None, ws_silent_after_s=None,
)  # fmt: skip


def ok(result: Any) -> Answer:
    return Answer("ok", result=result, seconds=0.01, ended=5.0)


def error(code: int, message: str, method: str = "") -> Answer:
    """An error object as a node gives it, classified as in real life."""
    kind: Class = error_class("evm", method, code, message)
    return Answer(kind, code=code, message=message, detail=f"error {code} {message!r}")


UNSUPPORTED = error(-32601, "Method not found")
LOST = Answer("transport", outcome="timeout", detail="want an answer within 5 s, got none")


def block_hash(height: int, branch: str = "a") -> str:
    return "0x" + keccak256(f"{branch}{height}".encode()).hex()


def block(height: int, branch: str = "a", **more: Any) -> dict[str, Any]:
    parent = more.pop("parent", block_hash(height - 1, branch))
    return {
        "number": hex(height), "hash": block_hash(height, branch), "parentHash": parent,
        "timestamp": hex(1_700_000_000 + 12 * height), "gasUsed": "0x4c4b40",
        "gasLimit": "0x989680", "stateRoot": "0x" + "5A" * 32, "baseFeePerGas": "0x3b9aca00",
        "transactions": [], **more,
    }  # fmt: skip


class CannedNode:
    """Answers by method; what it has no answer for is unsupported."""

    def __init__(self, head: int = 100, **canned: Canned) -> None:
        self.head = head
        self.canned: dict[str, Canned] = {"eth_getBlockByNumber": self.block_by_number, **canned}
        self.asked: list[Ask] = []
        self.batches: list[tuple[str, ...]] = []

    def block_by_number(self, params: Params) -> Answer:
        heights = {"latest": self.head, "safe": self.head - 32, "finalized": self.head - 64}
        height = heights[params[0]] if params[0] in heights else int(params[0], 16)
        return ok(block(height) if height <= self.head else None)

    def answer(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        canned = self.canned.get(ask.method, UNSUPPORTED)
        params = ask.params if isinstance(ask.params, tuple) else ()
        answer = canned if isinstance(canned, Answer) else canned(params)
        if answer.ok and answer.result is None and not ask.allows_null:
            return Answer("invalid", detail="want a result, got null")
        return answer

    def drive(self, talk: Talk[T]) -> T:
        answer: Answer | tuple[Answer, ...] | None = None
        while True:
            try:
                wanted = talk.send(answer)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if isinstance(wanted, Ask):
                answer = self.answer(wanted)
            else:
                self.batches.append(tuple(ask.method for ask in wanted))
                answer = tuple(self.answer(ask) for ask in wanted)

    @property
    def methods(self) -> list[str]:
        return [ask.method for ask in self.asked]


def verdict(name: str = "own", height: int | None = 100, **more: Any) -> Verdict:
    return Verdict(name, Outcome.UP, height=height, is_voter=True, **more)


def judgement(*verdicts: Verdict, reference: int | None = None) -> Judgement:
    return Judgement(
        Outcome.UP, None, "", verdicts or (verdict(),), LIMITS, 12.0, reference=reference
    )


def observed(**more: Observation) -> Mapping[str, Observation]:
    return more


# --- one look at it

DIALECT = EvmDialect()
EVERYTHING = frozenset(topic.name for topic in DIALECT.topics)
FULL: dict[str, Canned] = {
    "eth_chainId": ok("0x1"),
    "eth_syncing": ok(False),
    "eth_blockNumber": ok("0x64"),
    "net_peerCount": ok("0x19"),
    "web3_clientVersion": ok("Geth/v1.13.4-stable/linux-amd64/go1.21"),
    "txpool_status": ok({"pending": "0x5", "queued": "0x2"}),
    "eth_gasPrice": ok("0x77359400"),
    "eth_feeHistory": ok(
        {
            "oldestBlock": "0x1",
            "baseFeePerGas": ["0x1", "0x2", "0x3"],
            "gasUsedRatio": [0.5, 0.0],
            "reward": [["0x1", "0x2", "0x3"], ["0x0", "0x0", "0x0"]],
            "baseFeePerBlobGas": ["0x1", "0x7", "0x9"],
        }
    ),
    "eth_config": ok({"current": {}, "next": {"activationTime": 1_800_000_123}, "last": {}}),
    "eth_getLogs": ok([]),
    "eth_getBalance": ok("0x0"),
    "eth_call": ok("0x"),
    "debug_traceCall": ok({"type": "CALL"}),
}


def look(
    node: CannedNode,
    *topics: str,
    dialect: EvmDialect = DIALECT,
    group: Group = GROUP,
    endpoint: Endpoint = OWN,
) -> Observation:
    seen = Observation(endpoint.name)
    due = frozenset(topics) | {"head"} if topics else EVERYTHING
    node.drive(dialect.look(group, endpoint, due, seen))
    return seen


def gauges(seen: Observation) -> dict[str, float]:
    return {
        name + "".join(f" {value}" for _, value in labels): number
        for (name, labels), (number, _) in seen.gauges.items()
    }
