"""What is known of a chain group, as plain values.

    Group            what the probe file says: endpoints, identity, thresholds
    Observation      what one endpoint answered in one run; filled while it is asked, then only read
    Verdict          what that means for the endpoint (or an indexer, a contract, the gas price)
    Judgement        what all of it means for the group

What may be wrong stands in `probes.chain.reasons`. Knows no wire, no protocol and no clock.
Standard library only, and the product's own `Outcome`.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from probes.chain.reasons import Finding
from probes.result import Outcome

if TYPE_CHECKING:
    from probes.wire.websocket.heads import News

Family = Literal["evm", "solana", "cosmos"]
Role = Literal["primary", "reference"]
Limit = float | Literal["auto", "off"]
Series = tuple[str, tuple[tuple[str, str], ...]]
"""Name of a metric as the kind declares it, and its labels but ``chain`` and ``endpoint``."""

CAPABILITIES = ("archive", "logs", "trace", "batch", "websocket", "finalized", "txpool", "tx_index")


@dataclass(frozen=True, slots=True)
class Now:
    """One moment on both clocks: monotonic seconds, and Unix time in seconds."""

    mono: float
    wall: float


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One RPC service of a group; the name is all that is ever shown of it."""

    name: str
    role: Role = "primary"
    load_balanced: bool = False
    websocket: bool = False
    """Whether its heads are listened to."""
    health_text: bool = False
    """Solana: ``GET /health`` is read instead of asking ``getHealth``."""
    lcd: bool = False
    """Cosmos: whether there is a REST address."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits as configured; blocks, seconds or counts. chains.md 2.1 says what ``auto`` becomes."""

    head_age_s: Limit = "auto"
    lag_warn: Limit = "auto"
    lag_down: Limit = "auto"
    finality_lag: Limit = "auto"
    fork_depth: Limit = "auto"
    latency_warn_s: Limit = 1.0
    latency_down_s: Limit = "off"
    min_peers: Limit = "off"
    shred_lag: Limit = 100
    txpool_full: Limit = "off"
    ws_silent_after_s: Limit = "auto"


@dataclass(frozen=True, slots=True)
class Group:
    """One chain as it is probed.

    Args:
        family: which protocol.
        chain: the label.
        endpoints: 1 to 20, in the order of the file.
        chain_id: what identity must be: decimal digits (evm), text (cosmos), genesis hash (solana);
            None: learnt from the majority.
        genesis_hash: of block 0, lower case; None: not judged.
        every_s: seconds between two runs.
        block_time_s: prior until three values are measured; None: that of the family.
        thresholds: limits.
        require: capabilities that must be there.
        min_up: primaries that must be usable; None: all.
        down_after: runs in a row until the exported state of an endpoint goes down.
        up_after: the same for up.
        calls_per_minute: budget of each endpoint.
        batch: whether slow calls may travel as one.
        halt_with_single: a single voter may declare the chain halted.
        latency_methods: further values of the label ``method``.
    """

    family: Family
    chain: str
    endpoints: tuple[Endpoint, ...]
    chain_id: str | None = None
    genesis_hash: str | None = None
    every_s: float = 15.0
    block_time_s: float | None = None
    thresholds: Thresholds = Thresholds()
    require: frozenset[str] = frozenset()
    min_up: int | None = None
    down_after: int = 2
    up_after: int = 2
    calls_per_minute: int = 60
    batch: bool = True
    halt_with_single: bool = False
    latency_methods: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Head:
    """A block as an endpoint told it.

    Args:
        height: block number, or slot (solana).
        hash: lower case as the family writes it; empty when the read has none.
        parent: hash of the block before; empty when unknown.
        timestamp: Unix time of the block; None when the chain does not say.
        seen: monotonic seconds when the answer was complete.
        state: app hash (cosmos), state root (evm); empty when unknown.
    """

    height: int
    hash: str = ""
    parent: str = ""
    timestamp: float | None = None
    seen: float = 0.0
    state: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """A block deep enough to be the same everywhere: its hash, and that of its state if known."""

    hash: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Syncing:
    """What an endpoint says about catching up.

    Args:
        is_syncing: its own word.
        distance: blocks to go; None when it does not say.
    """

    is_syncing: bool
    distance: int | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """What ``getHealth`` says.

    Args:
        ok: True or False; None when the answer means nothing.
        behind: slots; None when it does not say.
    """

    ok: bool | None
    behind: int | None = None


@dataclass(frozen=True, slots=True)
class Fees:
    """What an endpoint says about gas, in wei.

    Args:
        price: ``eth_gasPrice``.
        base: base fee of the head.
        priority: percentile -> priority fee.
    """

    price: int | None = None
    base: int | None = None
    priority: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Try:
    """One request that was sent: for counters and latency.

    Args:
        method: as sent.
        outcome: the word of the label: ok, rpc_error, unsupported, missing_data, rate_limited,
            auth, http_error, timeout, connect, tls, invalid.
        code: JSON-RPC error code; None without one.
        seconds: request written to last byte, on an open connection; None when it did not come.
    """

    method: str
    outcome: str
    code: int | None = None
    seconds: float | None = None


@dataclass(slots=True)
class Observation:
    """What one endpoint answered in one run: the notebook that a dialect fills.

    None and absence mean "not asked in this run, or not told": never 0, never False.
    """

    endpoint: str
    tries: list[Try] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    """Topics that got their answer (also an error) in this run."""
    shed: set[str] = field(default_factory=set)
    """Topics that were due and that the budget did not allow."""
    unsupported: set[str] = field(default_factory=set)
    """Topics whose method the endpoint does not offer."""
    fault: Finding | None = None
    """Why there is no head: of the transport, the answer, or a core method."""
    findings: list[Finding] = field(default_factory=list)
    """What else is wrong and needs no comparison: ``method_errors``, ``txpool_full``."""
    retry_after_s: float | None = None
    """Seconds to leave it alone; set when it throttled (0 when it did not say how long)."""
    left_alone: bool = False
    """It throttled earlier and was not asked in this run."""
    peer: str = ""
    """Address that answered; a change asks for the identity again."""
    head: Head | None = None
    tags: dict[str, Head] = field(default_factory=dict)
    """By commitment: latest safe finalized (evm), processed confirmed finalized (solana)."""
    read_again: int | None = None
    """Height of a second read of the head in this run."""
    latency_s: float | None = None
    """Of the head call."""
    chain_id: str | None = None
    """Identity in the form of `Group.chain_id`."""
    genesis: str | None = None
    not_started: bool = False
    syncing: Syncing | None = None
    health: Health | None = None
    peers: int | None = None
    shred_lag: int | None = None
    abci_lag: int | None = None
    app: tuple[int, str] | None = None
    """Cosmos: height of the application, and the hash of the state that it came to."""
    consensus_round: int | None = None
    lcd_height: int | None = None
    blockhash: str = ""
    """Solana: latest blockhash, for the others to confirm."""
    rejected: dict[str, bool] = field(default_factory=dict)
    """Solana: endpoint -> whether this one rejects that one's blockhash."""
    settled: dict[int, Settled] = field(default_factory=dict)
    """Blocks read for comparison, by height."""
    capabilities: dict[str, bool] = field(default_factory=dict)
    earliest: dict[str, int] = field(default_factory=dict)
    """Store (block, state) -> lowest height."""
    client: str = ""
    """Name/major.minor."""
    fees: Fees | None = None
    gauges: dict[Series, tuple[float, str]] = field(default_factory=dict)
    """Numbers that are only shown: value, and the topic that found it."""
    facts: dict[str, str] = field(default_factory=dict)
    news: "News | None" = None
    """What its websocket has brought."""

    def gauge(self, topic: str, name: str, value: float, **labels: str) -> None:
        """Note a number that is only shown, and which topic found it."""
        self.gauges[name, tuple(labels.items())] = (value, topic)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds of one run, with ``auto`` resolved; None: not judged."""

    head_age_s: float | None
    lag_warn: float | None
    lag_down: float | None
    finality_lag: float | None
    fork_depth: int
    latency_warn_s: float | None
    latency_down_s: float | None
    min_peers: float | None
    shred_lag: float | None
    txpool_full: float | None
    ws_silent_after_s: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of one endpoint, or of one step of the group (an indexer, a contract).

    Args:
        name: of the endpoint, indexer, contract; ``gas``.
        outcome: raw, of this run.
        findings: worst first.
        exported: smoothed outcome that load balancers and ``chain_rpc_up`` see; None: nothing yet.
        height: latest head; None: not known.
        lag: blocks behind the reference, >= 0; None: not judged.
        lag_s: the same in seconds.
        head_age_s: seconds; None: not known.
        is_voter: whether it took part in the reference.
        id_match: whether it serves the right chain; None: not known.
        disagrees: whether it contradicts the majority on a settled block; None: not compared.
        finality_lag: blocks between head and finalized; None: not known.
        finality_limit: what that is judged by; None: not judged.
        seconds: what its own calls took.
    """

    name: str
    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    exported: Outcome | None = None
    height: int | None = None
    lag: int | None = None
    lag_s: float | None = None
    head_age_s: float | None = None
    is_voter: bool = False
    id_match: bool | None = None
    disagrees: bool | None = None
    finality_lag: int | None = None
    finality_limit: float | None = None

    @property
    def worst(self) -> Finding | None:
        """The finding that decides."""
        return self.findings[0] if self.findings else None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one run means.

    Args:
        outcome: of the group.
        finding: why it is not up; None when it is.
        blamed: whose finding it is: an endpoint, a step, or empty for the group itself.
        endpoints: one verdict each, in the order of the file.
        steps: verdicts of indexers, calls, contracts, gas.
        limits: thresholds in force.
        block_time_s: measured or prior.
        reference: height that lag is counted from; None: none.
        voters: how many took part.
        is_halted: whether the chain as a whole stands still.
    """

    outcome: Outcome
    finding: Finding | None
    blamed: str
    endpoints: tuple[Verdict, ...]
    limits: Limits
    block_time_s: float
    steps: tuple[Verdict, ...] = ()
    reference: int | None = None
    voters: int = 0
    is_halted: bool = False


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """What a load balancer is told of an endpoint; no URL.

    Args:
        chain: label.
        endpoint: name.
        outcome: last known exported outcome; None: never known.
        reasons: words of `ChainReason`.
        height: latest head.
        head_age_s: seconds at `checked_wall`.
        checked_wall: Unix time of the run that said so.
        is_unknown: whether the run after it could not tell.
    """

    chain: str
    endpoint: str
    outcome: Outcome | None
    reasons: tuple[str, ...] = ()
    height: int | None = None
    head_age_s: float | None = None
    checked_wall: float = 0.0
    is_unknown: bool = False
