"""Families that outlive a run, and kinds that tell more than others."""

import os
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from exporter.exposition.page import render_result
from exporter.metrics import MetricsOptions, MetricsSink
from probes.kind import Kind, Metric
from probes.probe import Probe
from probes.result import Failure, Outcome, Reason, Result, Sample
from tests.exporter.pages import body, down, lines_of, parsed, probe, shown, sink_of, up

HISTOGRAM = "chain_call_seconds"


PROMTOOL = shutil.which("promtool")


class Group(Kind):
    """A kind that judges several endpoints."""

    name = "web"
    tells_unknown = True
    is_group = True
    metrics = (
        Metric("chain_calls_total", "Calls", ("endpoint",), type="counter", lasting=True),
        Metric("chain_height", "Height of the head", ("endpoint",)),
        Metric("chain_limit", "Limit", lasting=True),
        Metric(HISTOGRAM, "Time of a call", ("endpoint",), type="histogram", lasting=True),
    )
    size: int = 1

    @property
    def series_limit(self) -> int:
        return 60 * self.size


def samples(calls: int, *endpoints: str) -> list[Sample]:
    found = [Sample("chain_limit", 12)]
    for name in endpoints:
        own = (("endpoint", name),)
        found += [
            Sample("chain_calls_total", calls, own),
            Sample("chain_height", 1000 + calls, own),
            Sample(f"{HISTOGRAM}_bucket", calls, (*own, ("le", "0.5"))),
            Sample(f"{HISTOGRAM}_bucket", calls, (*own, ("le", "+Inf"))),
            Sample(f"{HISTOGRAM}_sum", calls / 4, own),
            Sample(f"{HISTOGRAM}_count", calls, own),
        ]
    return found


LASTING = [
    'chain_calls_total{endpoint="a"} 3',
    "chain_limit 12",
    f'{HISTOGRAM}_bucket{{endpoint="a",le="0.5"}} 3',
    f'{HISTOGRAM}_bucket{{endpoint="a",le="+Inf"}} 3',
    f'{HISTOGRAM}_sum{{endpoint="a"}} 0.75',
    f'{HISTOGRAM}_count{{endpoint="a"}} 3',
]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def group(**fields: Any) -> Probe:
    return probe(kind=fields.pop("kind", Group()), **fields)


def lasting(sink: MetricsSink) -> list[str]:
    names = ("chain_calls_total", "chain_limit", HISTOGRAM)
    return [line for name in names for line in lines_of(sink, name)]


def unknown(*found: Sample) -> Result:
    failure = Failure(Reason.EVIDENCE, "want a second sample, got one")
    return up("frontend", *found, outcome=Outcome.UNKNOWN, failure=failure)


def series(sink: MetricsSink) -> int:
    """What the sink reckons with, which must be what it shows once a run has ended."""
    return sink._room.series - sum(entry.constant for entry in sink._entries.values())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sink(clock: Clock) -> MetricsSink:
    sink = sink_of(group(), clock=clock)
    sink.publish(up("frontend", *samples(3, "a")), Outcome.UP)
    return sink


def test_a_run_shows_all_of_them(sink: MetricsSink) -> None:
    assert lasting(sink) == LASTING
    assert lines_of(sink, "chain_height") == ['chain_height{endpoint="a"} 1003']
    assert series(sink) == 7


def test_a_lasting_family_alone_may_change(sink: MetricsSink) -> None:
    changed = [Sample("chain_limit", 13), *samples(3, "a")[1:]]

    sink.publish(up("frontend", *changed), Outcome.UP)

    assert lines_of(sink, "chain_limit") == ["chain_limit 13"]


def expire(sink: MetricsSink) -> None:
    sink.expire(1e9)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(expire, id="too old a result"),
        pytest.param(lambda sink: sink.publish(unknown(), Outcome.UP), id="an unknown run"),
        pytest.param(lambda sink: sink.publish(down(), Outcome.UP), id="a run that found nothing"),
    ],
)
def test_lasting_families_survive_what_others_do_not(
    sink: MetricsSink, event: Callable[[MetricsSink], None]
) -> None:
    event(sink)

    assert lasting(sink) == LASTING
    assert lines_of(sink, "chain_height") == []
    phases = lines_of(sink, "sonde_probe_phase_duration_seconds")
    assert series(sink) == len(LASTING) + len(phases)


def test_a_newer_value_replaces_a_lasting_family_as_a_whole(sink: MetricsSink) -> None:
    expire(sink)

    sink.publish(up("frontend", *samples(4, "b")), Outcome.UP)

    assert lines_of(sink, "chain_calls_total") == ['chain_calls_total{endpoint="b"} 4']
    assert len(lines_of(sink, HISTOGRAM)) == 4
    assert series(sink) == 7


@pytest.mark.parametrize(
    "after",
    [
        pytest.param([], id="the probe has left"),
        pytest.param([group(target="http://another.example.org/")], id="another target"),
        pytest.param([group(labels={"team": "x"})], id="other labels, and no result"),
    ],
)
def test_lasting_families_end_with_what_they_speak_of(
    sink: MetricsSink, after: list[Probe]
) -> None:
    expire(sink)

    sink.set_probes(after)

    assert "chain_" not in shown(sink)
    assert series(sink) == 0


def test_other_labels_move_lasting_families(sink: MetricsSink) -> None:
    sink.set_probes([group(labels={"team": "x"})])

    assert shown(sink).count('team="x"') == shown(sink).count('probe="frontend"')
    assert shown(sink).count("chain_calls_total") == 1


def test_options_that_change_the_page_do_not_confuse_the_count(sink: MetricsSink) -> None:
    sink.set_probes([group()], MetricsOptions(drop=frozenset({"chain_limit"})))

    assert "chain_limit" not in shown(sink)
    assert "chain_calls_total" in shown(sink)
    sink.set_probes([])
    assert sink._room.series == 0


def test_a_kind_may_tell_what_an_unknown_run_found(sink: MetricsSink) -> None:
    sink.publish(unknown(*samples(5, "a")), Outcome.UP)

    assert lines_of(sink, "chain_height") == ['chain_height{endpoint="a"} 1005']
    assert lines_of(sink, "probe_success") == []
    assert lines_of(sink, "probe_duration_seconds") == []
    assert lines_of(sink, "sonde_probe_failure_info") == [
        'sonde_probe_failure_info{phase="",reason="evidence"} 1'
    ]


def test_samples_of_an_unknown_run_are_hidden_where_the_kind_does_not_ask() -> None:
    sink = sink_of(probe())

    sink.publish(unknown(Sample("web_body_bytes", 1)), Outcome.UP)

    assert "body_bytes" not in shown(sink)


def test_a_kind_may_have_more_series_than_others() -> None:
    names = [f"e{n}" for n in range(20)]
    many = up("frontend", *samples(1, *names))
    cut, whole = sink_of(group()), sink_of(group(kind=Group(size=20)))

    cut.publish(many, Outcome.UP)
    whole.publish(many, Outcome.UP)

    assert len(lines_of(whole, HISTOGRAM)) == 80
    assert len(lines_of(cut, HISTOGRAM)) % 4 == 0
    assert 0 < len(lines_of(cut, HISTOGRAM)) < 80


def test_the_limit_of_all_probes_holds_where_it_is_higher() -> None:
    sink = sink_of(group(), options=MetricsOptions(series_per_probe=1000))

    sink.publish(up("frontend", *samples(1, *(f"e{n}" for n in range(20)))), Outcome.UP)

    assert len(lines_of(sink, HISTOGRAM)) == 80


@pytest.mark.parametrize("openmetrics", [False, True])
async def test_the_page_is_read_by_the_client_librarys_parser(
    sink: MetricsSink, openmetrics: bool
) -> None:
    families = parsed(await body(sink, openmetrics=openmetrics), openmetrics=openmetrics)

    assert families[HISTOGRAM].type == "histogram"
    assert len(families[HISTOGRAM].samples) == 4
    sink.close()


def test_one_result_alone_has_them_without_the_labels_of_a_probe() -> None:
    page = render_result(up("frontend", *samples(3, "a")), Group()).decode()

    assert f'{HISTOGRAM}_bucket{{endpoint="a",le="0.5"}} 3' in page
    assert f"# TYPE {HISTOGRAM} histogram" in page


@pytest.mark.service
def test_promtool_has_nothing_to_say() -> None:
    if PROMTOOL is None:
        assert os.environ.get("REQUIRE_SERVICES") != "1", "want promtool, got none"
        pytest.skip("promtool is not installed")
    page = render_result(up("frontend", *samples(3, "a", "b")), Group())

    judged = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=page, capture_output=True, check=False
    )

    complaints = [line for line in judged.stderr.decode().splitlines() if "chain_" in line]
    assert complaints == []
