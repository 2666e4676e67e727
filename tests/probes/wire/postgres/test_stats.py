"""What the row about the server means: what it does not tell is absent, never 0."""

from typing import Any

import pytest

from probes.recorder import Recorder
from probes.wire.postgres.stats import DB_METRICS, record_stats, slow_statements_query

ROW: dict[str, Any] = {
    "connections": 7, "hidden": 0, "waiting": 1, "active": 2, "idle": 3, "idle_in_transaction": 1,
    "longest": 4.5, "connections_max": 10, "size": 8192, "is_replica": False,
    "is_read_only": False, "lag": None, "has_statements": False,
}  # fmt: skip


def samples(**changes: Any) -> dict[str, float]:
    recorder = Recorder()
    told = record_stats({**ROW, **changes}, recorder)
    found = {f"{s.name}{dict(s.labels) or ''}": s.value for s in recorder.samples}
    assert {s.name for s in recorder.samples} <= {metric.name for metric in DB_METRICS}
    assert told["usage"] == found["db_connections_usage_ratio"]
    return found


def test_a_primary_tells_everything_but_a_delay() -> None:
    assert samples() == {
        "db_connections_max": 10,
        "db_connections_usage_ratio": 0.8,  # its own connection included
        "db_size_bytes": 8192,
        "db_read_only": 0,
        "db_connections{'state': 'active'}": 2,
        "db_connections{'state': 'idle'}": 3,
        "db_connections{'state': 'idle_in_transaction'}": 1,
        "db_connections{'state': 'waiting'}": 1,
        "db_longest_transaction_seconds": 4.5,
    }


def test_hidden_sessions_hide_states_and_ages() -> None:
    found = samples(hidden=1)

    assert not [name for name in found if name.startswith("db_connections{")]
    assert "db_longest_transaction_seconds" not in found


@pytest.mark.parametrize(("lag", "wanted"), [(0.0, 0.0), (3.5, 3.5), (-0.1, 0.0)])
def test_a_replica_tells_its_delay(lag: float, wanted: float) -> None:
    found = samples(is_replica=True, lag=lag)

    assert found["db_replication_lag_seconds"] == wanted
    assert found["db_read_only"] == 1


@pytest.mark.parametrize(
    ("changes", "name", "wanted"),
    [
        ({"longest": None}, "db_longest_transaction_seconds", 0.0),
        ({"longest": -0.001}, "db_longest_transaction_seconds", 0.0),
        ({"is_read_only": True}, "db_read_only", 1),
    ],
)
def test_edges(changes: dict[str, Any], name: str, wanted: float) -> None:
    assert samples(**changes)[name] == wanted


@pytest.mark.parametrize(("major", "column"), [(12, "mean_time"), (13, "mean_exec_time")])
def test_the_column_of_the_mean_time_has_two_names(major: int, column: str) -> None:
    assert f"WHERE {column} >" in slow_statements_query(major)
