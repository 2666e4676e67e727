"""The metric families that all chains have, as data (chains.md 8.1); a family adds its own.

Knows no value and not how one comes about: that is `probes.chain.books.books`.
"""

from typing import Literal

from probes.kind import Metric

GROUP = ("chain",)
ENDPOINT = ("chain", "endpoint")
INDEXER = ("chain", "indexer")

# chains.md 8.1
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def _endpoint(
    name: str,
    text: str,
    *labels: str,
    type: Literal["gauge", "counter", "histogram"] = "gauge",  # noqa: A002 - as Metric's own
    lasting: bool = False,
) -> Metric:
    # what only grows says nothing false when the last run is long ago
    keeps = lasting or type != "gauge"
    return Metric(f"chain_{name}", text, (*ENDPOINT, *labels), type=type, lasting=keeps)


SOLANA_LATENCY = Metric(
    "solana_rpc_latency_seconds",
    "Duration of answered calls, connection apart, in seconds",
    (*ENDPOINT, "method"),
    type="histogram",
    lasting=True,
)
"""chains.md 8.3: the name that users of Solana have on their dashboards; `Solana` declares it."""

METRICS: tuple[Metric, ...] = (
    _endpoint("rpc_up", "1 if the endpoint is up or degraded, 0 if down; absent if not known"),
    _endpoint("rpc_degraded", "1 if the endpoint is usable but impaired; absent if not known"),
    _endpoint("rpc_reason", "1 while the reason holds; only reasons that ever held", "reason"),
    _endpoint("rpc_requests_total", "Calls that were sent", "method", "outcome", type="counter"),
    _endpoint(
        "rpc_request_duration_seconds",
        "Duration of answered calls, connection apart, in seconds",
        "method",
        type="histogram",
    ),
    _endpoint(
        "rpc_errors_total",
        "Calls that failed, by code of JSON-RPC; other if there is none or it is not known",
        "method",
        "code",
        type="counter",
    ),
    _endpoint("head_height", "Height of the head, or slot", "tag"),
    _endpoint("head_timestamp_seconds", "Time of the head as the chain says, Unix time", "tag"),
    _endpoint("head_changed_timestamp_seconds", "When the head last moved by our clock, Unix time"),
    _endpoint("heads_observed_total", "Distinct heads that were read", type="counter"),
    _endpoint("head_lag_blocks", "Blocks behind the reference of the group, or slots"),
    _endpoint("head_lag_seconds", "The same in seconds"),
    _endpoint("head_lag_threshold_blocks", "Lag above which an endpoint is degraded", lasting=True),
    _endpoint(
        "head_stale_threshold_seconds", "Age of the head above which it is stale", lasting=True
    ),
    _endpoint("finality_lag_blocks", "Blocks between head and finalized"),
    _endpoint(
        "finality_lag_threshold_blocks", "Finality lag above which it is stalled", lasting=True
    ),
    _endpoint("block_time_seconds", "Time between two blocks, as measured in the group"),
    Metric("chain_reference_height", "Height that lag is counted from", GROUP),
    Metric("chain_voters", "Endpoints that took part in the reference", GROUP),
    Metric("chain_halted", "1 if the chain as a whole stands still", GROUP),
    _endpoint("fork_disagreement", "1 if it contradicts the majority on a settled block"),
    _endpoint("id_match", "1 if it serves the right chain"),
    _endpoint("syncing", "1 if it says that it is catching up"),
    _endpoint("peers", "Peers of the node"),
    _endpoint("min_peers", "Peers below which it is degraded", lasting=True),
    _endpoint("earliest_height", "Lowest height that it still has", "store"),
    _endpoint("reorgs_total", "Times that its branch changed", type="counter"),
    _endpoint("reorg_blocks_total", "Blocks that were replaced by that", type="counter"),
    _endpoint("capability", "1 if it offers it", "capability"),
    _endpoint("next_fork_timestamp_seconds", "When the next upgrade takes effect, Unix time"),
    _endpoint("ws_up", "1 if the websocket is subscribed to new heads"),
    _endpoint("ws_last_head_timestamp_seconds", "When the last head was announced, Unix time"),
    _endpoint(
        "ws_head_delay_seconds",
        "Announcement of a head behind its time; needs a synchronised clock",
        type="histogram",
    ),
    _endpoint(
        "ws_vs_http_seconds",
        "Announcement of a head behind the first sight over HTTP; 0 if it came before",
        type="histogram",
    ),
    _endpoint("ws_heads_total", "Heads that were announced", type="counter"),
    _endpoint("ws_missed_heads_total", "Heads that were left out", type="counter"),
    _endpoint("ws_reconnects_total", "Connections that were made again", "reason", type="counter"),
    _endpoint("info", "Identity, client (name and version) and role", "chain_id", "client", "role"),
    _endpoint("reference_up", "1 if the endpoint, which only votes, is up or degraded"),
    Metric(
        "chain_probe_last_run_timestamp_seconds",
        "When the group was last asked, Unix time",
        GROUP,
        lasting=True,
    ),
    Metric("chain_probe_interval_seconds", "Seconds between two runs", GROUP, lasting=True),
    _endpoint(
        "probe_budget_shed_total", "Topics that the budget did not allow to ask", type="counter"
    ),
    Metric("chain_indexer_height", "Height that the indexer has reached", INDEXER),
    Metric("chain_indexer_lag_blocks", "Blocks behind the chain", INDEXER),
    Metric("chain_indexer_lag_seconds", "The same in seconds", INDEXER),
    Metric("chain_indexer_healthy", "1 if the indexer is well", INDEXER),
    Metric(
        "chain_indexer_lag_threshold_blocks",
        "Lag above which it is degraded",
        INDEXER,
        lasting=True,
    ),
    Metric("indexer_block_lag", "The same as chain_indexer_lag_blocks", INDEXER),
)
