"""What a Result that cannot be shown does to others: nothing. Third parties write kinds too."""

import logging
from typing import Any, cast

import pytest

from exporter.exposition.sink import BATCH
from exporter.metrics import MetricsSink
from probes.result import Outcome, Phase, Result
from tests.exporter.pages import body, down, lines_of, probe, shown, sink_of, up

A_TEXT = cast("Any", "late")
BROKEN = [
    pytest.param({"phases": (Phase("connect", A_TEXT),)}, id="a phase"),
    pytest.param({"samples": (A_TEXT,)}, id="a sample"),
    pytest.param({"seconds": A_TEXT}, id="its length"),
    pytest.param({"started_at": A_TEXT}, id="its start"),
]


def broken(changes: dict[str, Any]) -> Result:
    return up("bad")._replace(**changes)


def of(sink: MetricsSink, family: str, name: str) -> list[str]:
    return [line for line in lines_of(sink, family) if f'probe="{name}"' in line]


@pytest.mark.parametrize("changes", BROKEN)
async def test_a_broken_result_does_not_spoil_the_page(changes: dict[str, Any]) -> None:
    sink, alone = sink_of(probe("good"), probe("bad")), sink_of(probe("good"))
    for one in (sink, alone):
        one.publish(up("good", seconds=0.5), Outcome.UP)
    sink.publish(broken(changes), Outcome.UP)
    sink.publish(up("good", seconds=0.75), Outcome.UP)
    alone.publish(up("good", seconds=0.75), Outcome.UP)

    page = await body(sink)

    told = [line for line in page.splitlines() if 'probe="good"' in line]
    assert told == shown(alone).splitlines()
    assert 'sonde_probe_info{kind="web",' in page
    assert of(sink, "probe_success", "bad") == []


@pytest.mark.parametrize("changes", BROKEN)
def test_a_broken_result_in_a_batch_is_told_of_its_own_probe(
    changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    sink = sink_of(probe("good"), probe("bad"))

    with caplog.at_level(logging.ERROR):
        sink.publish(broken(changes), Outcome.UP)
        for _ in range(BATCH - 1):
            sink.publish(up("good"), Outcome.UP)

    (record,) = caplog.records
    assert (record.getMessage(), record.__dict__["probe"]) == (
        "a Result of bad cannot be shown",
        "bad",
    )
    entry = sink._entries["good"]
    assert entry.result is not None


@pytest.mark.parametrize("changes", BROKEN)
@pytest.mark.parametrize(
    "before",
    [
        pytest.param([], id="first"),
        pytest.param([up("bad", phases=(Phase("connect", 0.5),))], id="after one that was up"),
        pytest.param([down("bad")], id="after one that was down"),
    ],
)
def test_nothing_of_a_broken_run_is_shown_and_the_next_one_is_whole(
    before: list[Result], changes: dict[str, Any]
) -> None:
    sink, other = sink_of(probe("bad")), sink_of(probe("bad"))
    for result in before:
        sink.publish(result, Outcome.DOWN)
        shown(sink)
    sink.publish(broken(changes), Outcome.UP)

    assert "probe_success" not in shown(sink)
    assert "probe_http_duration_seconds" not in shown(sink)
    assert "sonde_probe_runs_total" in shown(sink)

    last = up("bad", phases=(Phase("connect", 0.5),), seconds=0.5)
    sink.publish(last, Outcome.UP)
    other.publish(last, Outcome.UP)

    for family in ("probe_success", "probe_http_duration_seconds", "sonde_probe_state"):
        assert of(sink, family, "bad") == of(other, family, "bad")
    assert sink.blocks.series == shown(sink).count("\n")
