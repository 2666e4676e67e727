"""What PostgreSQL tells about itself, as samples ``db_*``: the queries and what their columns mean.

What the server cannot or may not tell is absent, never 0. Knows no driver and no connection.

Source:
    https://www.postgresql.org/docs/current/monitoring-stats.html
"""

from collections.abc import Mapping
from typing import Any

from probes.kind import Metric
from probes.recorder import Recorder

DB_METRICS: tuple[Metric, ...] = (
    Metric("db_connections", "Connections of clients, without the probe's own", ("state",)),
    Metric("db_connections_max", "Connections the server allows"),
    Metric("db_connections_usage_ratio", "Share of the allowed connections that is in use"),
    Metric("db_slow_statements", "Statements whose mean time is above slow_statement"),
    Metric("db_longest_transaction_seconds", "Age of the oldest open transaction of a client"),
    Metric("db_replication_lag_seconds", "Delay of a replica; absent on a primary"),
    Metric("db_size_bytes", "Size of the database"),
    Metric("db_read_only", "1 if the server takes no writes"),
)
STATES = ("active", "idle", "idle_in_transaction", "waiting")

# A role without pg_read_all_stats sees other sessions without state and type: ``hidden`` counts
# them, and then no state is exported. A replica that has replayed all it received has no delay,
# however long the primary has been silent.
STATS = """
WITH clients AS (
  SELECT state, wait_event_type, xact_start, query = '<insufficient privilege>' AS is_hidden
  FROM pg_catalog.pg_stat_activity
  WHERE pid <> pg_catalog.pg_backend_pid() AND datid IS NOT NULL
    AND (backend_type = 'client backend' OR backend_type IS NULL)
)
SELECT
  count(*) AS connections,
  count(*) FILTER (WHERE is_hidden) AS hidden,
  count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting,
  count(*) FILTER (WHERE state IN ('active', 'fastpath function call')
    AND wait_event_type IS DISTINCT FROM 'Lock') AS active,
  count(*) FILTER (WHERE state = 'idle') AS idle,
  count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle_in_transaction,
  extract(epoch FROM pg_catalog.clock_timestamp() - min(xact_start))::float8 AS longest,
  pg_catalog.current_setting('max_connections')::int AS connections_max,
  pg_catalog.pg_database_size(pg_catalog.current_database()) AS size,
  pg_catalog.pg_is_in_recovery() AS is_replica,
  pg_catalog.current_setting('default_transaction_read_only') = 'on' AS is_read_only,
  CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN NULL
    WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn() THEN 0
    ELSE extract(epoch FROM pg_catalog.clock_timestamp()
      - pg_catalog.pg_last_xact_replay_timestamp()) END::float8 AS lag,
  pg_catalog.to_regclass('pg_stat_statements') IS NOT NULL AS has_statements
FROM clients
"""
IS_REPLICA = "SELECT pg_catalog.pg_is_in_recovery()"
# The column was called mean_time before PostgreSQL 13.
SLOW_STATEMENTS = "SELECT count(*) FROM pg_stat_statements WHERE {column} > $1"
SLOW_COLUMN_SINCE = 13


def slow_statements_query(major: int) -> str:
    """Return the query that counts statements slower than ``$1`` ms on version *major*."""
    column = "mean_exec_time" if major >= SLOW_COLUMN_SINCE else "mean_time"
    return SLOW_STATEMENTS.format(column=column)


def record_stats(row: Mapping[str, Any], recorder: Recorder) -> dict[str, float]:
    """Record the row of `STATS`.

    Returns:
        What bands may judge: ``usage``, ``longest`` and ``lag``, where the server told them.
    """
    told: dict[str, float] = {}
    allowed = row["connections_max"]
    recorder.sample("db_connections_max", allowed)
    told["usage"] = (row["connections"] + 1) / allowed
    recorder.sample("db_connections_usage_ratio", told["usage"])
    recorder.sample("db_size_bytes", row["size"])
    recorder.sample("db_read_only", float(row["is_replica"] or row["is_read_only"]))
    if not row["hidden"]:
        for state in STATES:
            recorder.sample("db_connections", row[state], state=state)
        told["longest"] = max(0.0, row["longest"] or 0.0)
        recorder.sample("db_longest_transaction_seconds", told["longest"])
    if row["lag"] is not None:
        told["lag"] = max(0.0, row["lag"])
        recorder.sample("db_replication_lag_seconds", told["lag"])
    return told
