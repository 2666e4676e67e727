import re
from pathlib import Path

import pytest

from exporter.exposition.catalogue import (
    BLACKBOX_OWN,
    COUNTERS,
    IDENTITY,
    OWN,
    PRESENT_FROM_THE_START,
    RESULT,
    core_families,
    kind_families,
    metrics_page,
    sample_family,
)
from exporter.exposition.load_families import K6, LOCUST
from exporter.metrics import MetricsOptions
from probes.families import BLACKBOX, FREE_LABELS, Family, all_label_names
from probes.kind import Kind, Metric
from probes.kinds import discover
from probes.probe import Slo
from probes.result import Outcome, Reason
from tests.exporter.pages import Web, down, parsed, probe, sink_of, up
from tests.exporter.test_metrics import shown_with_heads

FOREIGN = ("process_", "python_", "scrape_", "up", "ALERTS", "go_", "node_", "container_")
UNITS = ("_seconds", "_bytes", "_celsius", "_ratio", "_total", "_info")
PERCENT = re.compile("percent|_mb|_ms|_kb")


def every_family() -> list[Family]:
    families = list(core_families())
    for kind in discover().values():
        families += kind_families(kind)
    return families


EVERY = {family.name: family for family in every_family()}
OURS = [family for family in EVERY.values() if family not in (*BLACKBOX, *LOCUST, *K6)]


@pytest.mark.parametrize("family", EVERY.values(), ids=EVERY)
def test_a_family_takes_no_label_that_is_free_for_users(family: Family) -> None:
    """metrics.md 2.2: free for ever."""
    assert not FREE_LABELS.intersection(family.labels)


@pytest.mark.parametrize("family", core_families(), ids=[f.name for f in core_families()])
def test_the_judge_of_the_config_knows_each_label_of_the_core(family: Family) -> None:
    assert set(family.labels) <= all_label_names().keys() | {"version"}


@pytest.mark.parametrize("family", OURS, ids=[family.name for family in OURS])
def test_names_of_ours_follow_the_rules(family: Family) -> None:
    """metrics.md 1."""
    assert re.fullmatch(r"[a-z][a-z0-9_]*", family.name)
    assert not family.name.startswith(FOREIGN)
    assert not PERCENT.search(family.name)
    assert (family.type == "counter") == family.name.endswith("_total")
    assert (family.type == "info") <= family.name.endswith("_info")
    assert family.help.strip() == family.help
    assert not family.help.endswith(".")
    assert "\n" not in family.help


def test_two_kinds_that_share_a_family_agree_on_it() -> None:
    """One family = one type, one HELP, one set of labels, everywhere."""
    met: dict[str, Family] = {}
    for family in every_family():
        assert met.setdefault(family.name, family) == family


def test_the_catalogue_is_what_is_exposed() -> None:
    sink = sink_of(
        probe("a", slo=Slo(0.99, 0.1), retries=1), options=MetricsOptions(latency_buckets=(1.0,))
    )
    before = shown_with_heads(sink)
    sink.publish(up("a", outcome=Outcome.UP), Outcome.UP)
    sink.publish(down("a", Reason.STATUS), Outcome.UP)
    text = before + shown_with_heads(sink)

    told = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    known = {family.name for family in (*IDENTITY, *RESULT, *COUNTERS, *BLACKBOX)}
    known |= {family.name for family in kind_families(Web)}
    assert told <= known
    absent = {
        "sonde_probe_phase_duration_seconds",  # of kinds without a compatible family
        "sonde_probe_tls_verified",  # over TLS
        "sonde_probe_tls_hop_expiry_timestamp_seconds",
        "sonde_probe_addresses",  # with `addresses: all`
        "sonde_probe_address_up",
        "sonde_probe_address_duration_seconds",
    }
    constant = {family.name for family in (*IDENTITY, *RESULT, *COUNTERS)}
    assert constant - told == absent
    sink.close()


def test_every_series_has_the_labels_that_are_declared() -> None:
    sink = sink_of(probe("a", slo=Slo(0.99, 0.1)))
    sink.publish(down("a"), Outcome.DOWN)
    known = {**EVERY, **{family.name: family for family in kind_families(Web)}}

    families = parsed(shown_with_heads(sink), openmetrics=False)

    for family in families.values():
        for sample in family.samples:
            name = re.sub("_(sum|count)$", "", sample.name)
            declared = {"probe", "kind", "target", *known[name].labels}
            assert set(sample.labels) == declared, sample.name
    sink.close()


def test_values_that_are_known_from_the_start_fit_their_labels() -> None:
    own = {family.name: family for family in OWN}

    for name, values in PRESENT_FROM_THE_START.items():
        assert {len(value) for value in values} == {len(own[name].labels)}


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        pytest.param(Metric("http_ssl", "x"), "probe_http_ssl", id="of blackbox_exporter"),
        pytest.param(Metric("db_size_bytes", "x"), "sonde_db_size_bytes", id="ours"),
        pytest.param(Metric("evm_height", "x"), "evm_height", id="own namespace"),
        pytest.param(Metric("probe_tls_verified", "x"), "sonde_probe_tls_verified", id="shared"),
    ],
)
def test_a_sample_becomes_a_family(metric: Metric, name: str) -> None:
    assert sample_family(metric).name == name


@pytest.mark.parametrize(
    "metric",
    [Metric("x_hits", "x", type="counter"), Metric("x_hits_total", "x")],
    ids=["a counter without _total", "a gauge with it"],
)
def test_a_name_that_lies_about_its_type_is_refused(metric: Metric) -> None:
    with pytest.raises(ValueError, match="want _total at the end of counters alone, got"):
        sample_family(metric)


def test_the_reference_page_names_every_family() -> None:
    page = metrics_page([Web])

    known = (*core_families(), *kind_families(Web))
    assert [family.name for family in known if f"`{family.name}`" not in page] == []
    assert "| `sonde_web_part_up` | gauge | P, `part` *dynamic* | Parts of the target |" in page
    assert "## Kind `web`" in page


def test_a_kind_without_samples_of_its_own_has_no_table() -> None:
    class Bare(Kind):
        name = "bare"
        metrics = (Metric("ip_protocol", "known to all"),)

    assert "bare" not in metrics_page([Bare])


def test_the_reference_page_is_up_to_date() -> None:
    page = Path(__file__).parents[3] / "docs" / "metrics.md"

    assert page.read_text() == metrics_page(), "run make docs"


def test_names_of_blackbox_exporter_are_there_for_stock_alerts() -> None:
    assert {family.name for family in BLACKBOX_OWN} == {
        "blackbox_exporter_build_info",
        "blackbox_exporter_config_last_reload_successful",
        "blackbox_exporter_config_last_reload_success_timestamp_seconds",
        "blackbox_module_unknown_total",
    }
