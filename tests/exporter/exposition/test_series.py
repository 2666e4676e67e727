import math
from collections import Counter
from collections.abc import Mapping
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.page import render_result
from exporter.exposition.series import (
    MAX_DYNAMIC_VALUES,
    NO_LABELS,
    cut,
    labels_of,
    sample_lines,
    series_in,
    shape_of,
)
from probes.kind import Kind, Metric
from probes.result import Outcome, Phase, Reason, Result, Sample
from tests.exporter.exposition.test_blocks import ANY_TEXT
from tests.exporter.pages import HTTP_PHASES, Plain, Web, down, parsed, probe, up, values_of

ANY_FLOAT = st.floats()


def rendered(result: Result, kind: type[Kind] = Web) -> tuple[str, Counter[str]]:
    """Return the lines of a Result without labels, and what was left out by reason."""
    dropped: Counter[str] = Counter()

    def drop(reason: str, count: int) -> None:
        dropped[reason] += count

    lines = sample_lines(result, shape_of(kind), NO_LABELS, drop)
    return "".join(lines.values()), dropped


def test_a_sample_takes_the_name_that_dashboards_know() -> None:
    result = up("it", Sample("http_status_code", 204), Sample("web_body_bytes", 17.0))

    text, _ = rendered(result)

    assert "probe_http_status_code 204\n" in text
    assert "sonde_web_body_bytes 17\n" in text


def test_what_the_wire_layer_records_needs_no_declaration() -> None:
    labels = {"fingerprint_sha256": "ab", "issuer": "CN=a", "serialnumber": "01", "subject": "CN=b"}
    chain = Sample("ssl_last_chain_info", 1, (*labels.items(), ("subjectalternative", "b.example")))

    text, dropped = rendered(
        up("it", Sample("ip_protocol", 4), chain, Sample("probe_tls_verified", 1, (("hop", "0"),)))
    )

    assert "probe_ip_protocol 4\n" in text
    assert 'probe_ssl_last_chain_info{fingerprint_sha256="ab",issuer="CN=a"' in text
    assert 'sonde_probe_tls_verified{hop="0"} 1\n' in text
    assert not dropped


def test_families_that_stock_rules_expect_are_zero_without_an_answer() -> None:
    text, _ = rendered(down("it"))

    assert "probe_http_status_code 0\nprobe_http_ssl 0\nprobe_failed_due_to_regex 0\n" in text
    assert "sonde_web_body_bytes" not in text


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        pytest.param(Sample("web_body_bytes", math.nan), "not_finite", id="not a number"),
        pytest.param(Sample("web_body_bytes", math.inf), "not_finite", id="infinite"),
        pytest.param(Sample("web_hits_total", -1), "not_finite", id="a counter below zero"),
        pytest.param(Sample("undeclared", 1), "encoding", id="undeclared"),
        pytest.param(Sample("web_pool_size", 1), "encoding", id="a label missing"),
        pytest.param(Sample("web_body_bytes", 1, (("a", "b"),)), "encoding", id="a label too many"),
        pytest.param(Sample("web_pool_size", 1, (("mode", "x"),)), "encoding", id="another label"),
        pytest.param(
            Sample("web_pool_size", 1, (("state", 5),)),  # type: ignore[arg-type]
            "encoding",
            id="a value that is no text",
        ),
        pytest.param(
            Sample("web_part_up", 1, (("part", None),)),  # type: ignore[arg-type]
            "encoding",
            id="a dynamic value that is no text",
        ),
        pytest.param(Sample("web_body_bytes", "12"), "encoding", id="a text"),  # type: ignore[arg-type]
        pytest.param(Sample("web_body_bytes", 10**400), "encoding", id="beyond floats"),
    ],
)
def test_a_broken_sample_drops_only_itself(sample: Sample, reason: str) -> None:
    good = Sample("http_status_code", 200)

    text, dropped = rendered(up("it", sample, good))

    assert text == rendered(up("it", good))[0]
    assert dropped == {reason: 1}


def test_of_two_series_with_the_same_labels_the_first_wins() -> None:
    text, dropped = rendered(
        up(
            "it",
            Sample("web_body_bytes", 1),
            Sample("web_body_bytes", 2),
            Sample("web_pool_size", 3, (("state", "idle"),)),
            Sample("web_pool_size", 4, (("state", "idle"),)),
        )
    )

    assert "sonde_web_body_bytes 1\n" in text
    assert 'sonde_web_pool_size{state="idle"} 3\n' in text
    assert dropped == {"duplicate": 2}


def test_of_a_dynamic_info_family_the_newest_replaces() -> None:
    text, dropped = rendered(
        up("it", *(Sample("web_server_info", 1, (("server", name),)) for name in "abc"))
    )

    assert 'sonde_web_server_info{server="c"} 1\n' in text
    assert text.count("sonde_web_server_info") == 1
    assert dropped == {"label_limit": 2}


def test_a_target_cannot_make_more_label_values_than_the_cap() -> None:
    parts = [Sample("web_part_up", 1, (("part", str(n)),)) for n in range(MAX_DYNAMIC_VALUES + 3)]

    text, dropped = rendered(up("it", *parts))

    assert text.count("sonde_web_part_up") == MAX_DYNAMIC_VALUES
    assert dropped == {"label_limit": 3}


def test_beyond_its_room_a_probe_loses_its_last_declared_series() -> None:
    pools = [Sample("web_pool_size", n, (("state", str(n)),)) for n in range(5)]

    shape = shape_of(Web)
    result = up("it", *pools, Sample("web_body_bytes", 1))

    lines = cut(sample_lines(result, shape, NO_LABELS, lambda _reason, _count: None), shape, 6)

    assert "".join(lines.values()) == (
        "probe_http_status_code 0\nprobe_http_ssl 0\nprobe_failed_due_to_regex 0\n"
        "sonde_web_body_bytes 1\n"
        'sonde_web_pool_size{state="0"} 0\nsonde_web_pool_size{state="1"} 1\n'
    )
    assert series_in(lines) == 6
    assert cut(lines, shape, 0) == {}


def test_durations_are_rounded_to_microseconds() -> None:
    result = up("it", Sample("dns_lookup_time_seconds", 0.00123456789))

    text, _ = rendered(result)

    assert "probe_dns_lookup_time_seconds 0.001235\n" in text


@pytest.mark.parametrize(
    ("phases", "told"),
    [
        pytest.param(
            (Phase("resolve", 0.1), Phase("connect", 0.2), Phase("processing", 0.3),
             Phase("transfer", 0.4)),
            {"resolve": 0.1, "connect": 0.2, "tls": 0, "processing": 0.3, "transfer": 0.4},
            id="a plain exchange has no time in tls",
        ),
        pytest.param((Phase("resolve", 0.1, False),), {"resolve": 0.1}, id="no name"),
        pytest.param(
            (Phase("resolve", 0.1), Phase("connect", 5.0, False)),
            {"resolve": 0.1},
            id="no connection",
        ),
        pytest.param(
            (Phase("connect", 0.2), Phase("processing", 0.3, False)),
            {"connect": 0.2, "tls": 0},
            id="no answer, through a proxy",
        ),
        pytest.param(
            (Phase("resolve", 0.1), Phase("connect", 0.2, False), Phase("processing", 0.3)),
            {"resolve": 0.1, "connect": 0.2, "tls": 0, "processing": 0.3},
            id="no connection to the second hop",
        ),
        pytest.param(
            tuple(Phase(name, 1, name != "transfer") for name in HTTP_PHASES),
            dict.fromkeys(HTTP_PHASES, 1),
            id="broken off in the body",
        ),
        pytest.param((), {}, id="nothing"),
    ],
)  # fmt: skip
def test_phases_are_told_as_blackbox_exporter_does(
    phases: tuple[Phase, ...], told: dict[str, float]
) -> None:
    text = render_result(up("it", phases=phases), Web()).decode()

    families = parsed(text, openmetrics=False)
    values = values_of(families, "probe_http_duration_seconds")
    assert {labels["phase"]: value for labels, value in values} == told


def test_fine_phases_are_folded_into_those_of_the_family() -> None:
    class Resolver(Kind):
        name = "resolver"
        phase_family = "dns_duration_seconds"
        phases = ("resolve", "connect", "tls", "request")
        phase_folds: ClassVar[Mapping[str, str]] = {"tls": "connect"}

    phases = (Phase("connect", 0.25), Phase("tls", 0.5), Phase("request", 1))
    text, _ = rendered(up("it", phases=phases), Resolver)

    assert text == (
        'probe_dns_duration_seconds{phase="connect"} 0.75\n'
        'probe_dns_duration_seconds{phase="request"} 1\n'
    )


def test_a_kind_without_a_compatible_family_tells_every_phase() -> None:
    result = up("it", phases=(Phase("connect", 0.5), Phase("banner", 2, complete=False)))

    text, _ = rendered(result, Plain)

    assert text == (
        'sonde_probe_phase_duration_seconds{phase="connect"} 0.5\n'
        'sonde_probe_phase_duration_seconds{phase="banner"} 2\n'
    )


def test_labels_a_user_takes_out_of_an_answer_cannot_shadow_those_of_the_probe() -> None:
    class Dialog(Kind):
        name = "dialog"

    dropped: Counter[str] = Counter()
    samples = (
        Sample("expect_info", 1, (("version", "1.2"),)),
        Sample("expect_info", 1, (("team", "mine"),)),
    )

    lines = sample_lines(
        up("it", *samples),
        shape_of(Dialog),
        labels_of(probe(labels={"team": "web"})),
        lambda reason, count: dropped.update({reason: count}),
    )

    assert 'version="1.2"' in lines["probe_expect_info"]
    assert "mine" not in lines["probe_expect_info"]
    assert dropped == {"encoding": 1}


def test_a_metric_whose_type_and_name_disagree_is_refused() -> None:
    class Wrong(Kind):
        name = "wrong"
        metrics = (Metric("wrong_hits", "Hits", type="counter"),)

    with pytest.raises(ValueError, match="want _total at the end of counters alone"):
        shape_of(Wrong)


def test_labels_are_those_of_the_probe_and_of_its_user() -> None:
    frontend = probe(labels={"team": 'the "web" team'})

    assert labels_of(frontend).plain == (
        '{kind="web",probe="frontend",target="http://example.org/",team="the \\"web\\" team"} '
    )
    assert 'instance="http://example.org/",job="sonde",' in labels_of(frontend, instance=True).plain


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        pytest.param(
            up(),
            ["probe_success 1", 'sonde_probe_outcome{outcome="up"} 1'],
            id="up",
        ),
        pytest.param(
            down(reason=Reason.REFUSED),
            [
                "probe_success 0",
                'sonde_probe_outcome{outcome="down"} 1',
                'sonde_probe_failure_info{phase="connect",reason="refused"} 1',
            ],
            id="down",
        ),
        pytest.param(
            down(reason=Reason.NETWORK),
            [
                "probe_success 0",
                'sonde_probe_outcome{outcome="unknown"} 1',
                'sonde_probe_failure_info{phase="connect",reason="network"} 1',
            ],
            id="unknown",
        ),
    ],
)
def test_one_result_is_a_page_of_its_own(result: Result, lines: list[str]) -> None:
    text = render_result(result, Web(), timeout_s=9.5).decode()

    assert "probe_duration_seconds 0.25\n" in text
    assert "probe_timeout_seconds 9.5\n" in text
    assert "# TYPE probe_http_status_code gauge\nprobe_http_status_code 0\n" in text
    assert [line for line in lines if line not in text.splitlines()] == []
    assert 'probe="' not in text
    parsed(text, openmetrics=False)


SAMPLES = st.lists(
    st.one_of(
        st.builds(Sample, st.sampled_from(["web_body_bytes", "web_hits_total"]), ANY_FLOAT),
        st.builds(
            lambda value, text: Sample("web_part_up", value, (("part", text),)), ANY_FLOAT, ANY_TEXT
        ),
        st.builds(
            lambda name, text: Sample("web_server_info", 1, ((name, text),)), ANY_TEXT, ANY_TEXT
        ),
        st.builds(lambda name, text: Sample("expect_info", 1, ((name, text),)), ANY_TEXT, ANY_TEXT),
        st.builds(Sample, ANY_TEXT, ANY_FLOAT),
    ),
    max_size=20,
)


@given(SAMPLES, st.sampled_from(Outcome))
def test_no_sample_of_a_hostile_target_breaks_the_page(
    samples: list[Sample], outcome: Outcome
) -> None:
    """P12: the page parses, and no name appears that is not in the catalogue."""
    text = render_result(up("it", *samples, outcome=outcome), Web()).decode()

    families = parsed(text, openmetrics=False)
    names = {family.name for family in shape_of(Web).by_name.values()}
    known = names | {"probe_success", "probe_duration_seconds", "sonde_probe_outcome"}
    assert {s.name for family in families.values() for s in family.samples} <= known
    series = [(s.name, tuple(s.labels.items())) for f in families.values() for s in f.samples]
    assert len(series) == len(set(series))
    assert len(series) == len([line for line in text.splitlines() if not line.startswith("#")])
