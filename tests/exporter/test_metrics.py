import asyncio
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from prometheus_client import Metric, generate_latest

from exporter.exposition.blocks import heads, label_text
from exporter.exposition.catalogue import OWN, core_families, kind_families
from exporter.exposition.load_families import LOCUST
from exporter.exposition.scrape import PageQuery
from exporter.metrics import MetricsOptions, MetricsSink, SelfMetrics, store_registry
from probes.families import Family
from probes.kinds import discover
from probes.result import Outcome, Phase, Reason, Sample
from tests.exporter.exposition.test_blocks import ANY_TEXT
from tests.exporter.pages import (
    HTTP_PHASES,
    NOW,
    Plain,
    body,
    down,
    parsed,
    probe,
    shown,
    sink_of,
    up,
    values_of,
)


def filled(count: int, *, hostile: str = "Apache") -> MetricsSink:
    """Return a sink of *count* probes with Results of every outcome."""
    sink = sink_of(
        *(probe(f"p{n}", Plain() if n % 7 == 0 else None, retries=1) for n in range(count)),
        options=MetricsOptions(latency_buckets=(0.1, 1.0)),
        wall=lambda: NOW,
    )
    phases = tuple(Phase(name, 0.01) for name in HTTP_PHASES)
    samples = (
        Sample("http_status_code", 200),
        Sample("web_hits_total", 5),
        Sample("web_pool_size", 0.5, (("state", "idle"),)),
        Sample("web_server_info", 1, (("server", hostile),)),
    )
    for n in range(count):
        name = f"p{n}"
        if n % 7 == 0:
            sink.publish(up(name, Sample("plain_banner_bytes", n)), Outcome.UP)
        elif n % 5 == 0:
            sink.publish(down(name, Reason.STALL if n % 2 else Reason.STATUS), Outcome.DOWN)
        else:
            sink.publish(up(name, *samples, phases=phases), Outcome.UP)
    return sink


def told(families: Mapping[str, Metric]) -> set[tuple[str, tuple[tuple[str, str], ...], float]]:
    """Return every series of the probes with its value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in families.values()
        for sample in family.samples
        if "probe" in sample.labels
    }


@pytest.mark.parametrize("count", [0, 1, pytest.param(257, marks=pytest.mark.slow)])
async def test_both_formats_parse_packed_or_not_and_say_the_same(count: int) -> None:
    """P11, P12: with the client library's strict parsers."""
    sink = filled(count)

    text = parsed(await body(sink), openmetrics=False)
    openmetrics = parsed(await body(sink, openmetrics=True, gzip=True), openmetrics=True)

    assert told(text) == told(openmetrics)
    assert len(told(text)) == sink.blocks.series
    assert len(values_of(text, "sonde_probe_info")) == count
    assert {"process_cpu_seconds", "python_info", "python_gc_collections"} <= text.keys()
    sink.close()


@pytest.mark.slow
@settings(max_examples=40)
@given(ANY_TEXT)
def test_no_text_of_a_target_changes_any_other_series(hostile: str) -> None:
    """P12: one hostile value damages its own series alone."""
    sinks = filled(3, hostile=hostile), filled(3)

    families = [parsed(shown_with_heads(sink), openmetrics=False) for sink in sinks]

    mine, others = (
        {each for each in told(found) if each[0] != "sonde_web_server_info"} for found in families
    )
    assert mine == others
    assert families[0].keys() == families[1].keys()
    for sink in sinks:
        sink.close()


def shown_with_heads(sink: MetricsSink) -> str:
    families = sink.blocks.families.values()
    pieces = ((family.heads[0], *family.pieces()) for family in families if family.pieces())
    return b"".join(b"".join(each) for each in pieces).decode()


def test_what_is_parsed_again_equals_what_was_shown() -> None:
    sink = filled(20)

    again = parsed(shown_with_heads(sink), openmetrics=False)

    assert sorted(again) == sorted(
        name.removesuffix("_total") if f"# TYPE {name} counter" in shown_with_heads(sink) else name
        for name, family in sink.blocks.families.items()
        if family.pieces()
    )
    assert len(told(again)) == len(shown(sink).splitlines())
    sink.close()


@pytest.mark.slow
@pytest.mark.service
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_ten_thousand_probes_make_a_page_that_parses(promtool_path: str) -> None:
    sink = filled(10_000)
    text = await body(sink)
    openmetrics = await body(sink, openmetrics=True)
    sink.close()

    linter = await asyncio.create_subprocess_exec(
        promtool_path,
        "check",
        "metrics",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    findings, _ = await linter.communicate(text.encode())

    assert linter.returncode in {0, 3}, "3 = findings of style, 1 = does not parse"
    assert "error" not in findings.decode()
    lines = [
        [line for line in page.splitlines() if 'probe="' in line] for page in (text, openmetrics)
    ]
    assert lines[0] == lines[1]
    assert len(lines[0]) == sink.blocks.series > 200_000
    assert openmetrics.endswith("# EOF\n")


OF_TYPES = frozenset({"le", "quantile"})
"""Labels that belong to the type of a family."""


def one_of_each(families: Iterable[Family]) -> bytes:
    """Return a page with one series of each family."""
    page = b""
    for family in families:
        labels = label_text((label, "x") for label in family.labels if label not in OF_TYPES)
        page += heads(family.name, family.type, family.help)[0]
        if family.type == "histogram":
            page += f'{family.name}_bucket{{le="+Inf"}} 1\n'.encode()
        ends = ("_sum", "_count") if family.type in {"histogram", "summary"} else ("",)
        page += b"".join(f"{family.name}{end}{{{labels}}} 1\n".encode() for end in ends)
    return page


def lint(promtool: str, page: bytes) -> tuple[int, str]:
    """Return the exit code and the findings of ``promtool check metrics``."""
    done = subprocess.run(
        [promtool, "check", "metrics"], input=page, capture_output=True, check=False
    )
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.service
def test_the_linter_of_prometheus_finds_nothing(promtool_path: str) -> None:
    """Neither on a page nor in the catalogue; names of locust_exporter are as it has them."""
    sink = filled(30)
    own = sink.own
    assert isinstance(own, SelfMetrics)
    page = shown_with_heads(sink).encode() + own._text(own._bound(), PageQuery())
    families = {family.name: family for family in core_families() if family not in LOCUST}
    for kind in discover().values():
        families |= {family.name: family for family in kind_families(kind)}

    assert lint(promtool_path, page) == (0, "")
    assert lint(promtool_path, one_of_each(families.values())) == (0, "")
    assert lint(promtool_path, b"# TYPE x_total gauge\nx_total 1\n")[0] != 0
    sink.close()


async def own_page(own: SelfMetrics, **query: object) -> Mapping[str, Metric]:
    with ThreadPoolExecutor(1) as pool:
        text = await own.render(PageQuery(**query), pool)  # type: ignore[arg-type]
    end = "# EOF\n" if query.get("openmetrics") else ""
    return parsed(text.decode() + end, openmetrics=bool(end))


async def test_label_values_that_are_known_are_there_from_the_start() -> None:
    families = await own_page(SelfMetrics("1"))

    for name, count in [
        ("sonde_scheduler_missed_runs_total", 4),
        ("sonde_prober_faults_total", 10),
        ("sonde_web_rejected_total", 7),
        ("sonde_series_dropped_total", 6),
    ]:
        assert [value for _, value in values_of(families, name)] == [0.0] * count


async def test_what_is_bound_is_read_when_a_page_is_made() -> None:
    own = SelfMetrics("1")
    missed = {("overlap",): 1.0}
    inflight = 3.0
    own.bind("sonde_scheduler_missed_runs_total", lambda: missed)
    own.bind("sonde_probes_inflight", lambda: inflight)

    first = await own_page(own)
    missed[("overlap",)], inflight = 2.0, 4.0
    second = await own_page(own, openmetrics=True)

    reasons = dict.fromkeys(("overlap", "late", "capacity", "drain"), 0.0)
    for families, overlap, runs in [(first, 1.0, 3.0), (second, 2.0, 4.0)]:
        values = values_of(families, "sonde_scheduler_missed_runs_total")
        assert {labels["reason"]: value for labels, value in values} == reasons | {
            "overlap": overlap
        }
        assert values_of(families, "sonde_probes_inflight") == [({}, runs)]


async def test_what_is_not_bound_is_not_invented() -> None:
    families = await own_page(SelfMetrics("1"))

    assert "sonde_active" not in families
    assert "sonde_config_reloads" not in families


async def test_one_broken_number_does_not_take_the_page_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    own = SelfMetrics("1")
    own.bind("sonde_active", lambda: 1 / 0)
    own.bind("sonde_stuck_workers", lambda: 2)

    families = await own_page(own)

    assert "sonde_active" not in families
    assert values_of(families, "sonde_stuck_workers") == [({}, 2.0)]
    told = [each.getMessage() for each in caplog.records if each.name == "sonde.metrics"]
    assert told == ["want a value for sonde_active, got ZeroDivisionError"]


async def test_events_are_counted_from_any_thread() -> None:
    own = SelfMetrics("1")

    def work() -> None:
        for _ in range(500):
            own.count("sonde_web_requests_total", "metrics", "2xx")

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(work) for _ in range(4)]:
            future.result()

    families = await own_page(own)
    assert values_of(families, "sonde_web_requests_total") == [
        ({"handler": "metrics", "code": "2xx"}, 2000.0)
    ]


def test_a_name_that_is_not_in_the_catalogue_is_refused() -> None:
    own = SelfMetrics("1")

    with pytest.raises(ValueError, match=r"got 'sonde_activ'; did you mean 'sonde_active'\?"):
        own.bind("sonde_activ", lambda: 1)
    with pytest.raises(ValueError, match="want 2 labels, got"):
        own.count("sonde_web_requests_total", "metrics")


async def test_lateness_and_renders_are_observed() -> None:
    own = SelfMetrics("1")
    own.observe_delay(0.02)
    own.observe_render(0.5)

    families = await own_page(own)

    assert values_of(families, "sonde_scheduler_delay_seconds_count") == [({}, 1.0)]
    buckets = values_of(families, "sonde_scheduler_delay_seconds_bucket")
    assert [labels["le"] for labels, value in buckets if value == 0] == ["0.001", "0.005", "0.01"]
    assert values_of(families, "sonde_exposition_duration_seconds_sum") == [({}, 0.5)]
    assert not [name for name in families if name.endswith("_created")]


async def test_build_and_pages_describe_themselves() -> None:
    sink = sink_of(probe(), probe("b", Plain()))
    await body(sink)
    await body(sink, gzip=True)
    await body(sink, gzip=True)

    families = parsed(await body(sink), openmetrics=False)

    ((build, _),) = values_of(families, "sonde_build_info")
    assert build["version"] == "1.2.3"
    assert values_of(families, "sonde_probes") == [({"kind": "web"}, 1.0), ({"kind": "plain"}, 1.0)]
    assert values_of(families, "sonde_exposition_series") == [({}, float(sink.blocks.series))]
    assert values_of(families, "sonde_exposition_shared_total") == [({}, 1.0)]
    sizes = {
        labels["encoding"]: value for labels, value in values_of(families, "sonde_exposition_bytes")
    }
    assert sizes.keys() == {"identity", "gzip"}
    assert sizes["identity"] > sizes["gzip"] > 500
    sink.close()


async def test_own_metrics_can_be_asked_for_by_name() -> None:
    own = SelfMetrics("1")

    families = await own_page(own, names=frozenset({"sonde_build_info", "python_info"}))

    assert families.keys() == {"sonde_build_info", "python_info"}


async def test_stock_alerts_on_a_reload_find_their_names_on_demand() -> None:
    own = SelfMetrics("1", "abc", frozenset({"blackbox"}))
    own.bind("sonde_config_last_reload_successful", lambda: 1)

    families = await own_page(own)

    assert values_of(families, "blackbox_exporter_config_last_reload_successful") == [({}, 1.0)]
    ((build, _),) = values_of(families, "blackbox_exporter_build_info")
    assert (build["version"], build["revision"]) == ("1", "abc")
    assert not [name for name in await own_page(SelfMetrics("1")) if name.startswith("blackbox")]


async def test_every_family_of_the_catalogue_can_be_shown() -> None:
    own = SelfMetrics("1", compat=frozenset({"blackbox"}))
    for family in OWN:
        if family.type not in {"histogram", "summary"}:
            key = tuple(f"value-{label}" for label in family.labels)
            own.bind(family.name, lambda key=key: {key: 1.0})  # type: ignore[misc]

    for openmetrics in (False, True):
        families = await own_page(own, openmetrics=openmetrics)
        names = {sample.name for family in families.values() for sample in family.samples}
        missing = {family.name for family in OWN} - names
        assert missing == {"sonde_scheduler_delay_seconds", "sonde_exposition_duration_seconds"}


def test_code_that_wants_a_registry_gets_one() -> None:
    sink = filled(10)

    text = generate_latest(store_registry(sink)).decode()

    assert told(parsed(text, openmetrics=False)) == told(
        parsed(shown_with_heads(sink), openmetrics=False)
    )
    sink.close()
