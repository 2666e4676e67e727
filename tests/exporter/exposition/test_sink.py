from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.scrape import PageQuery
from exporter.exposition.sink import BATCH
from exporter.metrics import MetricsOptions, MetricsSink
from probes.kind import Kind, Metric
from probes.probe import Slo
from probes.result import Failure, Outcome, Phase, Reason, Result, Sample
from tests.exporter.pages import (
    NOW,
    Plain,
    body,
    down,
    lines_of,
    parsed,
    probe,
    shown,
    sink_of,
    up,
    values_of,
)

RESULT_FAMILIES = ("probe_success", "probe_duration_seconds", "probe_http_status_code")


class Clock:
    """Monotonic seconds, set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_new_probe_has_its_counters_at_zero_and_no_result() -> None:
    """`increase()` sees the first failure only of a series that was there before it."""
    sink = sink_of(probe(slo=Slo(0.999, 0.8), retries=2), wall=lambda: NOW)

    for name in ("runs", "failures", "degraded", "unknown", "slow", "retries"):
        assert lines_of(sink, f"sonde_probe_{name}_total") == [f"sonde_probe_{name}_total 0"]
    assert lines_of(sink, "sonde_probe_latency_seconds") == [
        "sonde_probe_latency_seconds_sum 0",
        "sonde_probe_latency_seconds_count 0",
    ]
    assert lines_of(sink, "sonde_probe_state") == [
        f'sonde_probe_state{{state="{outcome}"}} 0' for outcome in Outcome
    ]
    assert lines_of(sink, "sonde_probe_registered_timestamp_seconds") == [
        f"sonde_probe_registered_timestamp_seconds {int(NOW.timestamp())}"
    ]
    assert "probe_success" not in shown(sink)


def test_identity_says_what_joins_need() -> None:
    sink = sink_of(
        probe(
            module="api",
            severity="critical",
            tags=frozenset({"web", "release"}),
            runbook="https://wiki/x",
            every_s=15.0,
            slo=Slo(0.999, 0.8),
        )
    )

    assert lines_of(sink, "sonde_probe_info") == [
        (
            'sonde_probe_info{module="api",runbook_url="https://wiki/x",severity="critical",'
            'tags=",release,web,"} 1'
        )
    ]
    assert lines_of(sink, "sonde_probe_interval_seconds") == ["sonde_probe_interval_seconds 15"]
    assert lines_of(sink, "sonde_probe_slo_objective_ratio") == [
        "sonde_probe_slo_objective_ratio 0.999"
    ]
    assert lines_of(sink, "sonde_probe_slo_latency_seconds") == [
        "sonde_probe_slo_latency_seconds 0.8"
    ]


def test_a_probe_without_objective_or_retries_has_no_series_for_them() -> None:
    text = shown(sink_of(probe()))

    for name in ("slo_objective", "slo_latency", "slow_total", "retries_total"):
        assert f"sonde_probe_{name}" not in text


def test_a_run_that_is_up_shows_its_result() -> None:
    sink = sink_of(probe())

    sink.publish(up("frontend", Sample("http_status_code", 200)), Outcome.UP)

    assert lines_of(sink, "probe_success") == ["probe_success 1"]
    assert lines_of(sink, "probe_duration_seconds") == ["probe_duration_seconds 0.25"]
    assert lines_of(sink, "probe_timeout_seconds") == ["probe_timeout_seconds 10"]
    assert lines_of(sink, "probe_http_status_code") == ["probe_http_status_code 200"]
    assert lines_of(sink, "sonde_probe_outcome") == ['sonde_probe_outcome{outcome="up"} 1']
    assert lines_of(sink, "sonde_probe_failure_info") == []
    assert lines_of(sink, "sonde_probe_state")[0] == 'sonde_probe_state{state="up"} 1'
    assert lines_of(sink, "sonde_probe_registered_timestamp_seconds") == []
    ended = NOW.timestamp() + 0.25
    assert lines_of(sink, "sonde_probe_last_success_timestamp_seconds") == [
        f"sonde_probe_last_success_timestamp_seconds {ended}"
    ]


def test_a_run_that_is_down_is_counted_with_its_reason() -> None:
    sink = sink_of(probe())
    sink.publish(up(), Outcome.UP)

    sink.publish(down(), Outcome.UP)
    sink.publish(down(reason=Reason.STATUS), Outcome.UP)

    assert lines_of(sink, "probe_success") == ["probe_success 0"]
    assert lines_of(sink, "sonde_probe_failure_info") == [
        'sonde_probe_failure_info{phase="connect",reason="status"} 1'
    ]
    assert lines_of(sink, "sonde_probe_runs_total") == ["sonde_probe_runs_total 3"]
    assert lines_of(sink, "sonde_probe_failures_total") == ["sonde_probe_failures_total 2"]
    assert lines_of(sink, "sonde_probe_failure_reasons_total") == [
        'sonde_probe_failure_reasons_total{reason="refused"} 1',
        'sonde_probe_failure_reasons_total{reason="status"} 1',
    ]
    assert lines_of(sink, "sonde_probe_consecutive_failures") == [
        "sonde_probe_consecutive_failures 2"
    ]
    assert lines_of(sink, "sonde_probe_latency_seconds")[1].endswith("_count 1")


def test_a_degraded_run_succeeds_and_says_why() -> None:
    sink = sink_of(probe())

    warning = Failure(Reason.LATENCY, "want less, got more", None)
    sink.publish(up(outcome=Outcome.DEGRADED, warnings=(warning,)), Outcome.DEGRADED)

    assert lines_of(sink, "probe_success") == ["probe_success 1"]
    assert lines_of(sink, "sonde_probe_degraded_total") == ["sonde_probe_degraded_total 1"]
    assert lines_of(sink, "sonde_probe_failure_info") == [
        'sonde_probe_failure_info{phase="",reason="latency"} 1'
    ]
    assert lines_of(sink, "sonde_probe_failure_reasons_total") == []


def test_an_unknown_run_takes_the_result_away_and_blames_nobody() -> None:
    sink = sink_of(probe())
    sink.publish(up("frontend", Sample("http_status_code", 200)), Outcome.UP)
    sink.publish(down(), Outcome.UP)

    sink.publish(down(reason=Reason.NETWORK), Outcome.UP)

    for name in RESULT_FAMILIES:
        assert lines_of(sink, name) == []
    assert lines_of(sink, "sonde_probe_outcome") == ['sonde_probe_outcome{outcome="unknown"} 1']
    assert lines_of(sink, "sonde_probe_runs_total") == ["sonde_probe_runs_total 2"]
    assert lines_of(sink, "sonde_probe_unknown_total") == ["sonde_probe_unknown_total 1"]
    assert lines_of(sink, "sonde_probe_consecutive_failures") == [
        "sonde_probe_consecutive_failures 1"
    ]
    assert lines_of(sink, "sonde_probe_state")[0] == 'sonde_probe_state{state="up"} 1'


def test_a_result_is_replaced_as_a_whole() -> None:
    sink = sink_of(probe())
    sink.publish(up("frontend", Sample("web_body_bytes", 17)), Outcome.UP)

    sink.publish(up("frontend", Sample("web_hits_total", 3)), Outcome.UP)

    assert lines_of(sink, "sonde_web_body_bytes") == []
    assert lines_of(sink, "sonde_web_hits_total") == ["sonde_web_hits_total 3"]


def test_slow_runs_and_retries_are_counted() -> None:
    sink = sink_of(probe(slo=Slo(0.99, 0.2), retries=2))

    sink.publish(up(seconds=0.1, attempts=3), Outcome.UP)
    sink.publish(up(seconds=0.3), Outcome.UP)
    sink.publish(down(seconds=9.0), Outcome.UP)

    assert lines_of(sink, "sonde_probe_slow_total") == ["sonde_probe_slow_total 1"]
    assert lines_of(sink, "sonde_probe_retries_total") == ["sonde_probe_retries_total 2"]


def test_latency_buckets_are_cumulative_and_their_bounds_are_floats() -> None:
    sink = sink_of(probe(), options=MetricsOptions(latency_buckets=(0.1, 1.0)))

    for seconds in (0.05, 0.1, 0.5, 4.0):
        sink.publish(up(seconds=seconds), Outcome.UP)

    assert lines_of(sink, "sonde_probe_latency_seconds") == [
        'sonde_probe_latency_seconds_bucket{le="0.1"} 2',
        'sonde_probe_latency_seconds_bucket{le="1.0"} 3',
        'sonde_probe_latency_seconds_bucket{le="+Inf"} 4',
        "sonde_probe_latency_seconds_sum 4.65",
        "sonde_probe_latency_seconds_count 4",
    ]


@pytest.mark.parametrize(
    ("every_s", "timeout_s", "stale_after_s"),
    [(30.0, 10.0, 95.0), (1.0, 10.0, 15.0)],
    ids=["three intervals", "the timeout, when it is longer"],
)
def test_a_probe_that_no_longer_runs_keeps_no_result(
    every_s: float, timeout_s: float, stale_after_s: float
) -> None:
    clock = Clock()
    sink = sink_of(probe(every_s=every_s, timeout_s=timeout_s), clock=clock)
    sink.publish(up("frontend", Sample("http_status_code", 200)), Outcome.UP)

    sink.expire(clock.now + stale_after_s)
    before = lines_of(sink, "probe_success")
    sink.expire(clock.now + stale_after_s + 0.1)

    assert before == ["probe_success 1"]
    for name in (*RESULT_FAMILIES, "sonde_probe_outcome"):
        assert lines_of(sink, name) == []
    for name in ("info", "interval_seconds", "runs_total", "last_run_timestamp_seconds"):
        assert len(lines_of(sink, f"sonde_probe_{name}")) == 1
    assert lines_of(sink, "sonde_probe_state")[0].endswith(" 1")


def test_an_expired_result_comes_back_with_the_next_run() -> None:
    clock = Clock()
    sink = sink_of(probe(), clock=clock)
    sink.publish(up(), Outcome.UP)
    clock.now += 1e6
    sink.expire()

    sink.publish(up(), Outcome.UP)

    assert lines_of(sink, "probe_success") == ["probe_success 1"]
    assert lines_of(sink, "sonde_probe_outcome") == ['sonde_probe_outcome{outcome="up"} 1']


def test_a_probe_that_leaves_the_file_leaves_the_page() -> None:
    sink = sink_of(probe("a"), probe("b"))
    for name in "ab":
        sink.publish(up(name), Outcome.UP)

    sink.set_probes([probe("b")])
    sink.publish(up("a"), Outcome.UP)  # its last run ended after the reload

    assert 'probe="a"' not in shown(sink)
    assert 'probe="b"' in shown(sink)


def test_the_next_owner_of_a_slot_inherits_nothing() -> None:
    sink = sink_of(probe("a"), wall=lambda: NOW)
    sink.publish(down("a"), Outcome.DOWN)

    sink.set_probes([probe("b")])

    assert shown(sink) == shown(sink_of(probe("b"), wall=lambda: NOW))


def test_a_reload_keeps_counters_and_result_of_a_probe_that_keeps_its_name() -> None:
    sink = sink_of(probe())
    sink.publish(up(), Outcome.UP)
    sink.publish(down(), Outcome.UP)
    before = shown(sink)

    sink.set_probes([probe()])

    assert shown(sink) == before


def test_changed_labels_start_new_series_with_the_same_counts() -> None:
    sink = sink_of(probe())
    sink.publish(down(), Outcome.DOWN)
    before = shown(sink)

    sink.set_probes([probe(labels={"team": "web"})])

    assert shown(sink) == before.replace('org/"', 'org/",team="web"')


@pytest.mark.parametrize(
    "fields", [{"target": "http://other.example/"}, {"kind": Plain()}], ids=["target", "kind"]
)
def test_a_result_of_another_target_or_kind_is_not_kept(fields: dict[str, Any]) -> None:
    sink = sink_of(probe())
    sink.publish(up("frontend", Sample("http_status_code", 200)), Outcome.UP)

    sink.set_probes([probe(**fields)])

    for name in RESULT_FAMILIES:
        assert sink.blocks.families[name].pieces() == []
    assert b"} 1\n" in sink.blocks.families["sonde_probe_runs_total"].pieces()[0]


def test_nothing_confirmed_about_another_target_is_kept() -> None:
    """Two secret targets may look the same: then no label changes either."""
    sink = sink_of(probe(display="http://shown/"))
    sink.publish(down(), Outcome.DOWN)

    sink.set_probes([probe(target="http://other.example/", display="http://shown/")])

    states = lines_of(sink, "sonde_probe_state")
    assert [line[-4:] for line in states] == ['"} 0'] * len(Outcome)
    assert lines_of(sink, "sonde_probe_registered_timestamp_seconds")
    sink.publish(down(), None)
    assert lines_of(sink, "sonde_probe_consecutive_failures")[0].endswith("} 1")


def test_a_changed_timeout_is_shown_at_once_and_stays() -> None:
    sink = sink_of(probe(timeout_s=2.0))
    sink.publish(up(), Outcome.UP)

    sink.set_probes([probe(timeout_s=3.0)])
    shown_at_once = lines_of(sink, "probe_timeout_seconds")
    sink.publish(up(), Outcome.UP)

    assert shown_at_once == lines_of(sink, "probe_timeout_seconds") == ["probe_timeout_seconds 3"]


def test_a_page_between_two_steps_of_a_change_shows_whole_probes() -> None:
    sink = sink_of(probe("a"), probe("b"))
    sink.publish(up("a"), Outcome.UP)

    sink.begin(sink.options)
    sink.forget("b")
    between = shown(sink)
    sink.register(probe("c"))
    sink.commit()

    assert 'probe="a"' in between
    assert 'probe="b"' not in between
    assert 'probe="c"' not in between
    assert sum('probe="c"' in line for line in shown(sink).splitlines()) == sum(
        'probe="b"' in line for line in shown(sink_of(probe("b"))).splitlines()
    )


def test_new_options_show_all_as_it_was_until_the_last_step() -> None:
    """A probe that has not had its step yet goes on: its runs are counted, none is lost."""
    sink = sink_of(probe("a"), probe("b"))
    sink.publish(up("a"), Outcome.UP)
    before = shown(sink)

    sink.begin(MetricsOptions(drop=frozenset({"probe_duration_seconds"})))
    sink.publish(down("a"), Outcome.DOWN)
    sink.publish(up("b"), Outcome.UP)
    sink.expire(1e12)
    sink.publish(down("a"), Outcome.DOWN)
    sink.register(probe("a"))
    sink.register(probe("b"))
    between = shown(sink)
    sink.commit()

    assert between == before
    after = MetricsSink(sink.own, sink.options)
    after.set_probes([probe("a"), probe("b")])
    for result, state in (
        (up("a"), Outcome.UP),
        (down("a"), Outcome.DOWN),
        (down("a"), Outcome.DOWN),
    ):
        after.publish(result, state)
    own = [line for line in shown(sink).splitlines() if 'probe="a"' in line]
    assert own == [line for line in shown(after).splitlines() if 'probe="a"' in line]


def test_a_probe_that_leaves_under_new_options_frees_its_room_once() -> None:
    sink = sink_of(probe("a"), probe("b"))

    sink.begin(MetricsOptions(instance_label=True))
    sink.forget("b")
    sink.register(probe("a"))
    sink.commit()

    assert sink._room.series == sink_of(probe("a"))._room.series


def test_a_cut_result_is_cut_at_each_run() -> None:
    def run(seconds: float) -> Result:
        phases = tuple(Phase(name, seconds) for name in ("resolve", "connect", "processing"))
        return up()._replace(phases=phases)

    whole = sink_of(probe())
    whole.publish(run(0.1), Outcome.UP)
    assert whole.blocks.series
    entry = whole._entries["frontend"]
    limit = entry.constant + entry.samples - 1
    sink = sink_of(probe(), options=MetricsOptions(series_per_probe=limit))
    sink.publish(run(0.1), Outcome.UP)
    first = sink.blocks.series

    sink.publish(run(0.5), Outcome.UP)

    assert sink.blocks.series == first == whole.blocks.series - 1


def test_an_objective_that_is_taken_back_leaves_the_page() -> None:
    sink = sink_of(probe(slo=Slo(0.99, 0.5)))

    sink.set_probes([probe()])

    assert "slo" not in shown(sink)
    assert "slow" not in shown(sink)


def test_new_options_are_followed_and_counters_go_on() -> None:
    sink = sink_of(probe())
    sink.publish(down(), Outcome.DOWN)

    sink.set_probes([probe()], MetricsOptions(drop=frozenset({"probe_duration_seconds"})))

    assert "probe_duration_seconds" not in shown(sink)
    assert lines_of(sink, "sonde_probe_failures_total") == ["sonde_probe_failures_total 1"]
    assert lines_of(sink, "probe_success") == ["probe_success 0"]


def test_instance_and_job_are_exposed_on_demand() -> None:
    sink = sink_of(probe(), options=MetricsOptions(instance_label=True))

    assert '{instance="http://example.org/",job="sonde",kind="web"' in shown(sink)


def dropped(text: str) -> dict[str, float]:
    values = values_of(parsed(text, openmetrics=False), "sonde_series_dropped_total")
    return {labels["reason"]: value for labels, value in values if value}


async def test_a_probe_cannot_have_more_series_than_its_limit() -> None:
    sink = sink_of(probe(), options=MetricsOptions(series_per_probe=30))

    pools = [Sample("web_pool_size", n, (("state", str(n)),)) for n in range(50)]
    constant = sink.blocks.series + 8  # what comes with the first runs
    sink.publish(up("frontend", *pools), Outcome.UP)

    assert sink.blocks.series <= 30
    assert dropped(await body(sink)) == {"probe_limit": 50 + 3 - (30 - constant)}
    sink.close()


async def test_probes_beyond_the_limit_of_the_process_have_no_series(
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = MetricsOptions(series=80)
    sink = sink_of(*(probe(f"p{n}") for n in range(5)), options=options)

    for n in range(5):
        sink.publish(up(f"p{n}"), Outcome.UP)

    assert sink.blocks.series <= 80
    assert 'probe="p0"' in shown(sink)
    assert 'probe="p4"' not in shown(sink)
    assert dropped(await body(sink))["global_limit"] > 0
    told = [each.getMessage() for each in caplog.records if each.name == "sonde.metrics"]
    assert told == ["want at most 80 series (limits.series), got no room for the probe p3"]
    sink.close()


def test_a_probe_finds_room_when_others_leave() -> None:
    sink = sink_of(*(probe(f"p{n}") for n in range(5)), options=MetricsOptions(series=80))

    sink.set_probes([probe("p4")])

    assert 'probe="p4"' in shown(sink)


def test_two_kinds_that_disagree_about_a_family_are_told(caplog: pytest.LogCaptureFixture) -> None:
    class Other(Kind):
        name = "other"
        metrics = (Metric("web_body_bytes", "Something else"),)

    sink = sink_of(probe("a"), probe("b", Other()))
    sink.publish(up("b", Sample("web_body_bytes", 1), kind="other"), Outcome.UP)

    assert shown(sink).count("sonde_web_body_bytes") == 1
    assert "want one type and help for the family sonde_web_body_bytes, got two" in caplog.messages


async def test_reasons_count_as_series_when_they_appear() -> None:
    sink = sink_of(probe(), options=MetricsOptions(series_per_probe=30))
    for reason in (Reason.REFUSED, Reason.STATUS, Reason.BODY, Reason.TIMEOUT, Reason.CLOSED):
        sink.publish(down(reason=reason), Outcome.UP)

    pools = [Sample("web_pool_size", n, (("state", str(n)),)) for n in range(50)]
    sink.publish(up("frontend", *pools), Outcome.UP)

    assert len(lines_of(sink, "sonde_probe_failure_reasons_total")) == 5
    assert sink.blocks.series <= 30
    sink.close()


async def test_faults_of_the_prober_are_counted_by_reason_from_the_start() -> None:
    sink = sink_of(probe())

    sink.publish(down(reason=Reason.STALL), Outcome.UP)

    values = values_of(parsed(await body(sink), openmetrics=False), "sonde_prober_faults_total")
    by_reason = {labels["reason"]: value for labels, value in values}
    assert by_reason == {reason.value: 0 for reason in Reason if reason.is_own_fault} | {"stall": 1}
    sink.close()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param({"probes": frozenset({"a", "x"})}, {"a"}, id="probe"),
        pytest.param({"tags": frozenset({"web"})}, {"b", "c"}, id="tag"),
        pytest.param({"names": frozenset({"probe_success"})}, {"a", "b", "c"}, id="name"),
    ],
)
async def test_a_page_may_be_asked_for_in_part(query: dict[str, object], names: set[str]) -> None:
    web = frozenset({"web"})
    sink = sink_of(probe("a"), probe("b", tags=web), probe("c", tags=web))
    for name in "abc":
        sink.publish(up(name), Outcome.UP)

    families = parsed(await body(sink, **query), openmetrics=False)

    assert {labels["probe"] for labels, _ in values_of(families, "probe_success")} == names
    assert "python_info" not in families
    sink.close()


async def test_shards_together_are_the_whole_page() -> None:
    sink = sink_of(*(probe(f"p{n}") for n in range(20)))
    whole = shown(sink)

    parts = [await body(sink, shard=(i, 3)) for i in (1, 2, 3)]

    lines = [line for part in parts for line in part.splitlines() if 'probe="' in line]
    assert sorted(lines) == sorted(whole.splitlines())
    sink.close()


async def test_a_filter_follows_a_reload() -> None:
    sink = sink_of(probe("a"), probe("b"))
    await body(sink, probes=frozenset({"b"}))

    sink.set_probes([probe("c"), probe("b")])

    text = await body(sink, probes=frozenset({"b"}))
    assert 'probe="b"' in text
    assert 'probe="c"' not in text
    sink.close()


def test_filters_are_remembered_in_bounded_number() -> None:
    sink = sink_of(probe())

    for n in range(100):
        sink.select(PageQuery(probes=frozenset({str(n)})))

    assert len(sink._selections) <= 16


REASONS = st.sampled_from([Reason.REFUSED, Reason.STATUS, Reason.STALL])
RESULTS: st.SearchStrategy[Callable[[str], Result]] = st.one_of(
    st.floats(0, 100).map(lambda seconds: lambda name: up(name, seconds=seconds)),
    REASONS.map(lambda reason: lambda name: down(name, reason)),
    st.lists(st.sampled_from(["connect", "tls"]), unique=True).map(
        lambda names: lambda name: up(name, phases=tuple(Phase(each, 0.1) for each in names))
    ),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.sampled_from("abc"), RESULTS),
        st.tuples(st.just("reload"), st.sets(st.sampled_from("abc")), st.none()),
        st.tuples(st.just("expire"), st.none(), st.none()),
    ),
    max_size=25,
)


@given(STEPS)
def test_the_page_never_depends_on_how_it_came_about(
    steps: list[tuple[str, object, object]],
) -> None:
    """The lines of the last Results are those of a sink that has seen nothing else."""
    clock = Clock()
    sink = sink_of(*(probe(name) for name in "abc"), clock=clock, wall=lambda: NOW)
    names, last = set("abc"), dict[str, Result]()
    for act, what, make in steps:
        if act == "run" and what in names:
            result = make(str(what))  # type: ignore[operator]
            last[str(what)] = result
            sink.publish(result, None)
        elif act == "reload":
            names = set(what)  # type: ignore[call-overload]
            last = {name: result for name, result in last.items() if name in names}
            sink.set_probes([probe(name) for name in sorted(names)])
        elif act == "expire":
            clock.now += 1e4
            sink.expire()
            last.clear()

    fresh = sink_of(*(probe(name) for name in sorted(names)), wall=lambda: NOW)
    for result in last.values():
        fresh.publish(result, None)

    told = {
        name: sorted(b"".join(family.pieces()).splitlines())
        for name, family in sink.blocks.families.items()
        if name.startswith("probe_") or name in {"sonde_probe_outcome", "sonde_probe_failure_info"}
    }
    anew = {name: b"".join(family.pieces()) for name, family in fresh.blocks.families.items()}
    assert told == {name: sorted(anew.get(name, b"").splitlines()) for name in told}
    lines = [b"".join(family.pieces()) for family in sink.blocks.families.values()]
    assert sink.blocks.series == b"".join(lines).count(b"\n")


def test_the_end_of_a_run_is_its_start_and_its_length() -> None:
    sink = sink_of(probe())
    result = up(seconds=1.5)._replace(started_at=NOW + timedelta(seconds=10))

    sink.publish(result, Outcome.UP)

    assert lines_of(sink, "sonde_probe_last_run_timestamp_seconds") == [
        f"sonde_probe_last_run_timestamp_seconds {NOW.timestamp() + 11.5}"
    ]


def test_results_wait_for_a_batch_or_for_somebody_who_looks() -> None:
    sink = sink_of(probe())
    entry = sink._entries["frontend"]
    seconds = []

    for number in range(1, BATCH + 2):
        sink.publish(up(seconds=number), Outcome.UP)
        seconds.append(entry.result.seconds if entry.result is not None else None)

    assert seconds == [None] * (BATCH - 1) + [BATCH] * 2
    assert f"}} {BATCH + 1}\n" in shown(sink)


def test_a_result_that_waits_is_as_old_as_it_is() -> None:
    now = [100.0]
    sink = sink_of(probe(), clock=lambda: now[0])
    sink.publish(up(), Outcome.UP)
    stale_after_s = sink._entries["frontend"].stale_after_s

    now[0] += stale_after_s + 1
    sink.expire()

    assert "probe_success{" not in shown(sink)
