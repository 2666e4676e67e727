"""How a dialect (evm, solana, cosmos) asks an endpoint, without I/O.

    def look(...) -> Talk[None]:
        answer = yield Ask("head", "eth_getBlockByNumber", ("latest", False), core=True, timed=True)
        if answer.ok: ...
        first, second = yield (Ask(...), Ask(...))      # may travel as one batch

A `Talk` is a generator: it yields what to ask and is sent the `Answer`; whoever drives it owns
connection, deadline, budget and retries (`probes.chain.kind`). Knows no wire and no verdict.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from probes.chain.model import (
    Endpoint,
    Family,
    Group,
    Judgement,
    Now,
    Observation,
    Series,
    Verdict,
)
from probes.chain.reasons import ChainReason
from probes.kind import Metric
from probes.result import Reason

if TYPE_CHECKING:
    from probes.wire.websocket.heads import Tongue

MAX_BODY_BYTES = 1024 * 1024
"""chains.md 4: decoded, of one answer."""
MAX_SCAN_BODY_BYTES = 8 * 1024 * 1024
"""The same for full blocks, receipts and logs."""

Class = Literal[
    "ok", "transport", "rate_limited", "plan_exhausted", "auth_failed", "unsupported",
    "missing_data", "range_limited", "node_unhealthy", "reverted", "bad_params", "server_error",
    "http_error", "too_large", "invalid",
]  # fmt: skip
"""chains.md 7: what an answer is."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One call.

    Args:
        topic: what it is for, a word of `Dialect.topics`; the budget counts by it.
        method: JSON-RPC method; for ``via="get"`` the label that counts it.
        params: positional, or by name.
        core: an error of it is the endpoint's fault (`rpc_core_error`).
        timed: its latency is judged.
        allows_null: ``"result": null`` is an answer.
        max_body: decoded bytes.
        via: ``rpc``: POST to the endpoint; ``get``: GET of *path* at the endpoint; ``lcd``: GET of
            *path* at its REST address.
        path: for GET.
    """

    topic: str
    method: str
    params: tuple[Any, ...] | Mapping[str, Any] = ()
    core: bool = False
    timed: bool = False
    allows_null: bool = False
    max_body: int = MAX_BODY_BYTES
    via: Literal["rpc", "get", "lcd"] = "rpc"
    path: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, classified (`probes.chain.answer.classify`).

    Args:
        kind: what it is.
        result: value of ``result`` (the parsed document of a GET; its text when it is no JSON).
        outcome: word of the label ``outcome``.
        reason: what it means when a core method is answered so; None when ok.
        detail: for people; no URL, cut.
        code: JSON-RPC error code.
        message: of the error object, cut.
        data: of the error object.
        phase: where a transport broke off.
        cause: the product's own reason of a transport failure.
        retry_after_s: what a throttling answer asked for.
        seconds: latency.
        ended: monotonic seconds when the last byte had come.
        headers: of the HTTP answer, names in lower case.
    """

    kind: Class
    result: Any = None
    outcome: str = "ok"
    reason: ChainReason | None = None
    detail: str = ""
    code: int | None = None
    message: str = ""
    data: Any = None
    phase: str | None = None
    cause: Reason | None = None
    retry_after_s: float | None = None
    seconds: float = 0.0
    ended: float = 0.0
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.kind == "ok"


T = TypeVar("T")
Talk = Generator[Ask | tuple[Ask, ...], Any, T]
"""Yields an `Ask` and is sent an `Answer`; yields several and is sent a tuple of as many."""


@dataclass(frozen=True, slots=True)
class Topic:
    """Something an endpoint is asked about.

    Args:
        name: unique in a dialect.
        cadence: ``fast``: every run; ``second``: every second run; ``slow``: every 5 min or 20
            runs, spread; ``identity``: slow, and after a failed run, a changed peer, a reconnect.
        cost: calls at most.
        is_core: shed last: without it there is no head.
    """

    name: str
    cadence: Literal["fast", "second", "slow", "identity"]
    cost: int = 1
    is_core: bool = False


@dataclass(frozen=True, slots=True)
class Common:
    """What the first round found for the second.

    Args:
        settled: height that every voter is asked for; None: no comparison.
        finalized: a finalized height to compare too; None: not in this run.
        state: height whose header tells the state that one which stands still should have come to
            (cosmos); None: nobody to compare.
        blockhashes: endpoint -> its latest blockhash (solana).
    """

    settled: int | None = None
    finalized: int | None = None
    state: int | None = None
    blockhashes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Survey:
    """What is found once per group: calls, contracts, gas.

    Args:
        steps: verdicts of their own; they change the group's outcome, never an endpoint's.
        gauges: numbers of the group.
        counts: what is to be added to counters of the group.
        outliers: endpoint -> why its gas oracle is one.
        memory: for the next survey; plain and frozen.
    """

    steps: tuple[Verdict, ...] = ()
    gauges: tuple[tuple[Series, float], ...] = ()
    counts: tuple[tuple[Series, float], ...] = ()
    outliers: tuple[tuple[str, str], ...] = ()
    memory: object = None


class Dialect(Protocol):
    """A chain family: which calls there are, and what their answers mean. Pure."""

    family: Family
    head_method: str
    """The method whose latency is judged and told by name."""
    identity_method: str
    """What a node of this family answers at once; asked of strangers for ``wrong_family``."""
    topics: tuple[Topic, ...]
    metrics: tuple[Metric, ...]
    """Families beside those that all chains have."""

    def look(
        self, group: Group, endpoint: Endpoint, due: frozenset[str], seen: Observation
    ) -> Talk[None]:
        """Ask about the topics *due* and note the answers in *seen*."""
        ...

    def confirm(
        self, group: Group, endpoint: Endpoint, common: Common, seen: Observation
    ) -> Talk[None]:
        """Ask what only makes sense when all have answered: settled blocks, blockhashes."""
        ...

    def survey(
        self,
        group: Group,
        observations: Mapping[str, Observation],
        judgement: Judgement,
        now: Now,
        memory: object,
    ) -> Talk[Survey]:
        """Ask, of the first usable primary, what is asked once per group.

        Driven also when no primary is usable: then every `Ask` is answered with a transport error.
        """
        ...

    def hash_at(self, height: int) -> Talk[str | None]:
        """Return the hash of the block at *height*; None when the endpoint cannot say."""
        ...

    def tongue(self) -> "Tongue | None":
        """Return what the websocket speaks; None when the family has none."""
        ...

    def durable(self, memory: object) -> Mapping[str, Any] | None:
        """Return what of the survey's memory must survive a restart, JSON-ready."""
        ...

    def restored(self, kept: Mapping[str, Any]) -> object:
        """Return the survey's memory made of what `durable` gave; None when it is of no use."""
        ...
