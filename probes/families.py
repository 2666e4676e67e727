"""Names a page of metrics may hold: blackbox_exporter's families, and the labels that are taken.

Plain data for three readers: the judge of the config (which label names are taken), the kinds
(whose samples become which family) and the exposition. Knows neither a registry, nor a probe, nor
a value. Standard library only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

FamilyType = Literal["gauge", "counter", "info", "summary", "histogram"]


@dataclass(frozen=True, slots=True)
class Family:
    """One family of the page: one type, one help text, everywhere.

    Args:
        name: as on the text page; a counter ends in ``_total``, an info family in ``_info``.
        help: what, in which unit, and where the value is cached or delayed.
        labels: its own labels, beside those of the probe.
        type: ``info`` is a gauge of value 1.
        dynamic: label values come from a target; only such families may take them.
        of_user: the settings of a probe name it, and its labels.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    type: FamilyType = "gauge"
    dynamic: bool = False
    of_user: bool = False


def _gauge(name: str, text: str, *labels: str, dynamic: bool = False) -> Family:
    return Family(name, text, labels, dynamic=dynamic)


# metrics.md 5 and blackbox.md 2.2: names, labels and types of blackbox_exporter, so that stock
# dashboards work.
BLACKBOX: tuple[Family, ...] = (
    _gauge(
        "probe_success",
        # a scraper of /probe wants an answer each time, as it has it from blackbox_exporter
        "1 if the last run was up or degraded, 0 if down; after unknown 0 on /probe, else absent",
    ),
    _gauge(
        "probe_duration_seconds",
        "Duration of the last run, DNS, TLS and expectations included",
    ),
    _gauge("probe_timeout_seconds", "Timeout of the last run, in seconds"),
    _gauge("probe_dns_lookup_time_seconds", "Time the name lookup took, in seconds"),
    _gauge("probe_ip_protocol", "IP version in use: 4 or 6; 0 if the name was not resolved"),
    _gauge(
        "probe_ip_addr_hash",
        "FNV-1a hash of the address in use, to tell when it changes; 0 if not resolved",
    ),
    _gauge(
        "probe_http_duration_seconds",
        "Duration of an HTTP exchange by phase, over all redirects, in seconds",
        "phase",
    ),
    _gauge("probe_http_status_code", "Status code of the last response; 0 if there was none"),
    _gauge(
        "probe_http_content_length", "Content-Length of the last response, in bytes; -1 if unknown"
    ),
    _gauge(
        "probe_http_uncompressed_body_length",
        "Length of the last response's body when unpacked, in bytes",
    ),
    _gauge("probe_http_redirects", "Number of redirects that were met"),
    _gauge("probe_http_ssl", "1 if the last response came over TLS"),
    _gauge("probe_http_version", "Version of HTTP of the last response; 0 if there was none"),
    _gauge(
        "probe_http_last_modified_timestamp_seconds",
        "Last-Modified of the last response, as Unix time",
    ),
    _gauge("probe_failed_due_to_regex", "1 if the run failed by a pattern"),
    _gauge("probe_failed_due_to_cel", "1 if the run failed by a CEL expression"),
    _gauge("probe_failed_due_to_bytes", "1 if the run failed by bytes that differ"),
    _gauge(
        "probe_ssl_earliest_cert_expiry",
        "Earliest notAfter of the certificates that the peer sent, as Unix time",
    ),
    _gauge(
        "probe_ssl_last_chain_expiry_timestamp_seconds",
        "Latest end of a verified chain, as Unix time",
    ),
    _gauge(
        "probe_ssl_last_chain_info",
        "Facts of the peer's own certificate",
        "fingerprint_sha256",
        "issuer",
        "serialnumber",
        "subject",
        "subjectalternative",
        dynamic=True,
    ),
    _gauge("probe_tls_version_info", "Version of TLS in use", "version"),
    _gauge("probe_tls_cipher_info", "Cipher suite in use", "cipher"),
    _gauge("probe_expect_info", "Labels taken out of an answer by an expectation", dynamic=True),
    _gauge("probe_dns_duration_seconds", "Duration of a DNS query by phase, in seconds", "phase"),
    _gauge("probe_dns_answer_rrs", "Number of records in the answer section"),
    _gauge("probe_dns_authority_rrs", "Number of records in the authority section"),
    _gauge("probe_dns_additional_rrs", "Number of records in the additional section"),
    _gauge("probe_dns_query_succeeded", "1 if a DNS response arrived, whatever its code"),
    _gauge("probe_dns_serial", "Serial number of the SOA record; 0 if there was none"),
    _gauge("probe_icmp_duration_seconds", "Duration of an ICMP echo by phase, in seconds", "phase"),
    _gauge("probe_icmp_reply_hop_limit", "Hop limit or TTL of the reply"),
    _gauge(
        "probe_grpc_duration_seconds",
        "Duration of a gRPC health check by phase, in seconds",
        "phase",
    ),
    _gauge("probe_grpc_status_code", "Status code of the gRPC call"),
    _gauge("probe_grpc_ssl", "1 if the gRPC call went over TLS"),
    _gauge(
        "probe_grpc_healthcheck_response",
        "Serving status of the gRPC health check",
        "serving_status",
    ),
    _gauge("probe_websocket_status_code", "Status code of the upgrade response"),
    _gauge("probe_websocket_connection_upgraded", "1 if the connection was upgraded"),
    _gauge("probe_websocket_failed_due_to_regex", "1 if a message failed by a pattern"),
    _gauge(
        "probe_websocket_duration_seconds",
        "Duration of a WebSocket check by phase, in seconds",
        "phase",
    ),
)
BLACKBOX_BY_NAME: Mapping[str, Family] = {family.name: family for family in BLACKBOX}

# Families of ours that several kinds fill through the wire layer (metrics.md 4.2).
SHARED: tuple[Family, ...] = (
    _gauge(
        "sonde_probe_tls_verified",
        "1 if chain, name and time of the certificate were accepted, by redirect hop",
        "hop",
    ),
    _gauge(
        "sonde_probe_tls_hop_expiry_timestamp_seconds",
        "Earliest notAfter of the certificates sent on a redirect hop, as Unix time",
        "hop",
    ),
    _gauge("sonde_probe_addresses", "Addresses of the name that were checked, at most 16"),
    _gauge(
        "sonde_probe_address_up",
        "1 if the run against this one address was up or degraded",
        "address",
        dynamic=True,
    ),
    _gauge(
        "sonde_probe_address_duration_seconds",
        "Duration of the run against this one address, the lookup aside",
        "address",
        dynamic=True,
    ),
)

# metrics.md 5, marked there: of a kind that declares them always on the page, 0 if there is nothing
# to tell.
ALWAYS_TOLD = frozenset(
    {
        "probe_http_status_code",
        "probe_http_content_length",
        "probe_http_uncompressed_body_length",
        "probe_http_redirects",
        "probe_http_ssl",
        "probe_http_version",
        "probe_failed_due_to_regex",
        "probe_failed_due_to_bytes",
        "probe_dns_answer_rrs",
        "probe_dns_authority_rrs",
        "probe_dns_additional_rrs",
        "probe_dns_query_succeeded",
        "probe_grpc_status_code",
        "probe_grpc_ssl",
    }
)

# metrics.md 1: names that stay as a kind declares them.
OWN_NAMESPACES = ("chain_", "evm_", "solana_", "cosmos_", "indexer_")

# metrics.md 2.2: no family may ever declare one of these.
FREE_LABELS = frozenset(
    {
        "service", "team", "env", "environment", "region", "zone", "cluster", "az", "dc", "owner",
        "customer", "stage", "project", "app", "group",
    }
)  # fmt: skip
# metrics.md 2.2: Prometheus, Alertmanager and the generated rules use these for themselves.
REFUSED_LABELS = frozenset(
    {
        "job", "instance", "prober", "le", "quantile", "alertname", "alertstate", "severity",
        "class", "long_window", "short_window",
    }
)  # fmt: skip
REFUSED_PREFIXES = ("__", "exported_")

# Labels of the families that are no samples of a kind, each with one family that has it.
_CORE_LABELS: Mapping[str, str] = {
    "probe": "probe_success",
    "kind": "probe_success",
    "target": "probe_success",
    "module": "sonde_probe_info",
    "severity": "sonde_probe_info",
    "tags": "sonde_probe_info",
    "runbook_url": "sonde_probe_info",
    "outcome": "sonde_probe_outcome",
    "state": "sonde_probe_state",
    "reason": "sonde_probe_failure_info",
    "phase": "sonde_probe_failure_info",
    "cause": "sonde_probe_muted",
    "le": "sonde_probe_latency_seconds",
    "window": "sonde_slo_burn_rate",
    "notifier": "sonde_notifications_total",
    "revision": "sonde_build_info",
    "python": "sonde_build_info",
    "hash": "sonde_config_info",
    "source": "sonde_sd_targets",
    "handler": "sonde_web_requests_total",
    "code": "sonde_web_requests_total",
    "encoding": "sonde_exposition_bytes",
    "sink": "sonde_push_total",
    "gate": "sonde_gate_passed",
    "branch": "blackbox_exporter_build_info",
    "goarch": "blackbox_exporter_build_info",
    "goos": "blackbox_exporter_build_info",
    "goversion": "blackbox_exporter_build_info",
    "generation": "python_gc_collections_total",
    "implementation": "python_info",
    "major": "python_info",
    "minor": "python_info",
    "patchlevel": "python_info",
    # 4.9 and the journeys, chains and loads to come: a label that is free today and declared
    # tomorrow would break a config that works
    "mount": "sonde_host_disk_usage_ratio",
    "sensor": "sonde_host_temperature_celsius",
    "device": "sonde_host_disk_io_bytes_total",
    "direction": "sonde_host_disk_io_bytes_total",
    "interface": "sonde_host_network_bytes_total",
    "component": "sonde_health_component_state",
    "step": "loadtest_requests_total",
    "journey": "loadtest_requests_total",
    "method": "loadtest_requests_total",
    "code_class": "loadtest_requests_total",
    "scenario": "loadtest_run_active",
    "shard": "loadtest_generator_cpu_ratio",
    "name": "locust_requests_num_requests",
    "error": "locust_errors",
    "verdict": "loadtest_runs_total",
    "run_id": "loadtest_last_run_info",
    "git_ref": "loadtest_last_run_info",
    "config_hash": "loadtest_last_run_info",
    "threshold": "loadtest_threshold_ok",
    "stat": "loadtest_baseline_value",
    "quantile": "loadtest_last_run_quantile_seconds",
    "chain": "chain_info",
    "endpoint": "chain_info",
    "role": "chain_info",
    "contract": "indexer_contract_tx_total",
    "status": "indexer_contract_tx_total",
    "event_type": "indexer_events_total",
    "indexer": "chain_indexer_height",
    "store": "chain_earliest_height",
    "tag": "chain_head_height",
    "capability": "chain_capability",
    "chain_id": "chain_info",
    "client": "chain_info",
    "percentile": "evm_priority_fee_wei",
    "result": "evm_contract_transactions_total",
    "event": "evm_contract_events_total",
    "commitment": "solana_slot",
    "program": "solana_program_transactions_total",
    "vote": "solana_vote_delinquent",
    "denom": "cosmos_min_gas_price",
}


def all_label_names() -> Mapping[str, str]:
    """Return every label name that a family of the core declares, with one family that has it.

    Labels of a kind's own samples come on top: the reader of the config adds ``Kind.metrics`` of
    each loaded kind.
    """
    names = {label: family.name for family in (*SHARED, *BLACKBOX) for label in family.labels}
    return {**_CORE_LABELS, **names}


def family_name(sample: str) -> str:
    """Return a sample's family: ``http_ssl`` -> ``probe_http_ssl``, ``db_x`` -> ``sonde_db_x``."""
    if f"probe_{sample}" in BLACKBOX_BY_NAME:
        return f"probe_{sample}"
    if sample.startswith(OWN_NAMESPACES):
        return sample
    return f"sonde_{sample}"
