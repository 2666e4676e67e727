"""Why an endpoint or a chain is not up: a closed list, finer than the product's, and its mapping.

Standard library only, and the product's own `Reason`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from probes.result import Outcome, Reason


class ChainReason(StrEnum):
    """Why an endpoint or a group is not up; the closed list behind ``chain_rpc_reason``."""

    # the transport
    CONNECT_REFUSED = "connect_refused"
    CONNECT_FAILED = "connect_failed"
    CONNECTION_RESET = "connection_reset"
    DNS_FAILED = "dns_failed"
    TIMEOUT = "timeout"
    TLS_INVALID = "tls_invalid"
    # the answer
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    AUTH_FAILED = "auth_failed"
    PLAN_EXHAUSTED = "plan_exhausted"
    RATE_LIMITED = "rate_limited"
    TOO_LARGE = "too_large"
    INVALID_RESPONSE = "invalid_response"
    RPC_CORE_ERROR = "rpc_core_error"
    WRONG_FAMILY = "wrong_family"
    METHOD_ERRORS = "method_errors"
    LATENCY_HIGH = "latency_high"
    # what was answered
    WRONG_NETWORK = "wrong_network"
    HEAD_STALE = "head_stale"
    LAG_DOWN = "lag_down"
    LAG_WARN = "lag_warn"
    SYNCING = "syncing"
    NOT_STARTED = "not_started"
    FORK = "fork"
    FORK_FINALIZED = "fork_finalized"
    FORK_STATE = "fork_state"
    FORK_AMBIGUOUS = "fork_ambiguous"
    REFERENCE_AMBIGUOUS = "reference_ambiguous"
    UNHEALTHY = "unhealthy"
    REPLAY_STALLED = "replay_stalled"
    ABCI_LAG = "abci_lag"
    FINALITY_STALLED = "finality_stalled"
    HEAD_ROLLBACK = "head_rollback"
    HEAD_IN_FUTURE = "head_in_future"
    HEAD_JITTER = "head_jitter"
    PEERS_LOW = "peers_low"
    CAPABILITY_MISSING = "capability_missing"
    TXPOOL_FULL = "txpool_full"
    CONSENSUS_ROUND = "consensus_round"
    GAS_ORACLE_OUTLIER = "gas_oracle_outlier"
    # the websocket
    WS_UNAVAILABLE = "ws_unavailable"
    WS_SUBSCRIBE_FAILED = "ws_subscribe_failed"
    WS_SILENT = "ws_silent"
    WS_MISSED_HEADS = "ws_missed_heads"
    WS_CLOSED = "ws_closed"
    # the group
    CHAIN_HALTED = "chain_halted"
    GAS_SPIKE = "gas_spike"
    CONTRACT_FAILURES = "contract_failures"
    ASSERTION_FAILED = "assertion_failed"
    INDEXER_LAG = "indexer_lag"
    INDEXER_STALLED = "indexer_stalled"
    INDEXER_FORK = "indexer_fork"
    INDEXER_UNHEALTHY = "indexer_unhealthy"
    # the prober
    FIRST_SAMPLE = "first_sample"
    PROBE_NETWORK = "probe_network"
    LOCAL_CLOCK = "local_clock"
    BUDGET_SHED = "budget_shed"


_PROTOCOL = (
    ChainReason.INVALID_RESPONSE,
    ChainReason.RPC_CORE_ERROR,
    ChainReason.WRONG_FAMILY,
    ChainReason.WS_UNAVAILABLE,
    ChainReason.WS_SUBSCRIBE_FAILED,
    ChainReason.WS_SILENT,
    ChainReason.WS_MISSED_HEADS,
    ChainReason.WS_CLOSED,
)
_STATUS = (
    ChainReason.HTTP_4XX,
    ChainReason.HTTP_5XX,
    ChainReason.PLAN_EXHAUSTED,
    ChainReason.RATE_LIMITED,
)
PRODUCT_REASONS: Mapping[ChainReason, Reason] = MappingProxyType(
    dict.fromkeys(ChainReason, Reason.VALUE)
    | dict.fromkeys(_PROTOCOL, Reason.PROTOCOL)
    | dict.fromkeys(_STATUS, Reason.STATUS)
    | {
        ChainReason.CONNECT_REFUSED: Reason.REFUSED,
        ChainReason.CONNECT_FAILED: Reason.UNREACHABLE,
        ChainReason.CONNECTION_RESET: Reason.CLOSED,
        ChainReason.DNS_FAILED: Reason.DNS_NXDOMAIN,
        ChainReason.TIMEOUT: Reason.TIMEOUT,
        ChainReason.TLS_INVALID: Reason.TLS,
        ChainReason.AUTH_FAILED: Reason.AUTH,
        ChainReason.TOO_LARGE: Reason.TOO_LARGE,
        ChainReason.LATENCY_HIGH: Reason.LATENCY,
        ChainReason.PROBE_NETWORK: Reason.NETWORK,
        ChainReason.LOCAL_CLOCK: Reason.CLOCK,
        ChainReason.FIRST_SAMPLE: Reason.EVIDENCE,
        ChainReason.BUDGET_SHED: Reason.EVIDENCE,
    }
)
"""chains.md 6.3. Where a transport failed, its own finer `Finding.cause` goes before this."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Args:
        reason: which.
        outcome: how bad: down, degraded or unknown.
        detail: ``head is 412 s old, want at most 120 s``; no secret, no URL.
        phase: of the transport, where that matters.
        cause: finer reason of the product (``certificate_expired``); None: by `PRODUCT_REASONS`.
    """

    reason: ChainReason
    outcome: Outcome
    detail: str = ""
    phase: str | None = None
    cause: Reason | None = None

    @property
    def product_reason(self) -> Reason:
        """Reason of the product that tells it."""
        return self.cause or PRODUCT_REASONS[self.reason]
