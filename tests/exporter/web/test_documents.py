"""Health and Results as JSON."""

import json
from datetime import UTC, datetime
from itertools import product

import pytest

from exporter.web.documents import health_text, in_pieces, overall, probe_text, probes_text
from probes.result import Failure, Outcome, Reason, Result, Sample
from tests.exporter.web.support import FakeBackend, make_probe, make_result

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([], "healthy"),
        ([Outcome.UP, Outcome.UP], "healthy"),
        ([Outcome.UP, Outcome.DEGRADED], "degraded"),
        ([Outcome.UP, Outcome.UNKNOWN], "degraded"),
        ([Outcome.UP, None], "degraded"),
        ([Outcome.DEGRADED, Outcome.DOWN, Outcome.UNKNOWN], "unhealthy"),
    ],
)
def test_the_worst_of_all_counts(states: list[Outcome | None], status: str) -> None:
    assert overall(states) == status


def test_unhealthy_iff_one_is_down() -> None:
    for states in product([*Outcome, None], repeat=3):
        assert (overall(states) == "unhealthy") == (Outcome.DOWN in states)


def test_the_health_document_has_the_shape_of_cf1() -> None:
    backend = FakeBackend(
        probes=[make_probe("a/b"), make_probe('q"<'), make_probe("new")],
        results={"a/b": make_result("a/b"), 'q"<': make_result('q"<', Outcome.DOWN)},
        states={"a/b": Outcome.UP, 'q"<': Outcome.DOWN},
    )

    document = json.loads("".join(health_text(backend, backend.probes, "unhealthy", NOW)))

    assert document == {
        "status": "unhealthy",
        "timestamp": "2026-01-02T00:00:00.000Z",
        "checks": {
            "a/b": {"status": "pass", "time": "2026-01-02T03:04:05.678Z", "output": ""},
            'q"<': {
                "status": "fail",
                "time": "2026-01-02T03:04:05.678Z",
                "output": "status: want 2xx, got 500",
            },
            "new": {"status": "unknown", "time": None, "output": "no run has ended yet"},
        },
    }


def test_a_warning_is_the_output_of_a_degraded_probe() -> None:
    warning = Failure(Reason.LATENCY, "want less than 500ms, got 700ms")
    backend = FakeBackend(
        probes=[make_probe()],
        results={"frontend": make_result("frontend", Outcome.DEGRADED, warnings=(warning,))},
        states={"frontend": Outcome.DEGRADED},
    )

    document = json.loads("".join(health_text(backend, backend.probes, "degraded", NOW)))

    assert document["checks"]["frontend"]["status"] == "warn"
    assert document["checks"]["frontend"]["output"] == "latency: want less than 500ms, got 700ms"


def test_a_probe_is_shown_with_its_last_result_and_without_its_secrets() -> None:
    probe = make_probe(tags=frozenset({"web", "release"}), labels={"team": "web"}, module="api")
    backend = FakeBackend(results={"frontend": make_result("frontend")}, states={})

    text = probe_text(backend, probe)
    document = json.loads(text)

    assert "secret1" not in text
    assert document["target"] == "https://example.org/x"
    assert document["every"] == "30s"
    assert document["tags"] == ["release", "web"]
    assert document["state"] is None
    assert Result.from_dict(document["result"]) == backend.results["frontend"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_does_not_know_is_null(value: float) -> None:
    result = make_result("frontend", samples=(Sample("http_x", value),))
    backend = FakeBackend(results={"frontend": result})

    document = json.loads(probe_text(backend, make_probe()), parse_constant=pytest.fail)

    assert document["result"]["samples"][0]["value"] is None


@pytest.mark.parametrize("count", [0, 1, 65, 200])
async def test_a_list_of_any_length_is_written_in_pieces(count: int) -> None:
    backend = FakeBackend(probes=[make_probe(f"p{number}") for number in range(count)])

    pieces = [piece async for piece in in_pieces(probes_text(backend, backend.probes))]

    names = [one["name"] for one in json.loads(b"".join(pieces))["probes"]]
    assert names == [f"p{number}" for number in range(count)]
    assert len(pieces) == 1 + (count + 2) // 64
