"""One Result as a page of its own: what was worded before is the same as what is worded anew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.exposition.page import MAX_LINES, _pages_of, render_result
from exporter.exposition.series import NO_LABELS, sample_lines, shape_of
from probes.result import Failure, Outcome, Phase, Reason, Result, Sample
from tests.exporter.pages import HTTP_PHASES, Plain, Web, parsed, up

VALUES = st.sampled_from([0, 1, 200, 0.25, -0.0, float("nan"), 1e300])
SAMPLES = st.lists(
    st.one_of(
        st.builds(
            Sample,
            st.sampled_from(["http_status_code", "http_ssl", "web_body_bytes", "web_hits_total"]),
            VALUES,
        ),
        st.builds(
            lambda value, state: Sample("web_pool_size", value, (("state", state),)),
            VALUES,
            st.sampled_from("ab"),
        ),
        st.builds(
            lambda version: Sample("tls_version_info", 1, (("version", version),)),
            st.sampled_from(["TLS 1.2", "TLS 1.3"]),
        ),
    ),
    max_size=8,
)


def lines_of(page: bytes) -> set[str]:
    return {line for line in page.decode().splitlines() if not line.startswith("#")}


@given(SAMPLES, SAMPLES)
def test_a_page_is_what_the_lines_of_its_samples_are(
    one: list[Sample], other: list[Sample]
) -> None:
    for samples in (one, other, one):
        result = up("it", *samples)
        lines = sample_lines(result, shape_of(Web), NO_LABELS, lambda _reason, _count: None)

        page = render_result(result, Web())

        wanted = {line for text in lines.values() for line in text.splitlines()}
        ours = {line for line in lines_of(page) if not line.startswith(("probe_success", "sonde_"))}
        assert ours - {"probe_duration_seconds 0.25"} == {
            line for line in wanted if not line.startswith("sonde_")
        }
        assert {line for line in lines_of(page) if line.startswith("sonde_web")} == {
            line for line in wanted if line.startswith("sonde_web")
        }
        parsed(page.decode(), openmetrics=False)


def test_of_two_samples_the_first_that_can_be_told_counts() -> None:
    samples = (Sample("http_ssl", float("nan")), Sample("http_ssl", 1), Sample("http_ssl", 0))

    for _ in range(2):
        assert "probe_http_ssl 1" in lines_of(render_result(up("it", *samples), Web()))


def test_what_cannot_be_hashed_takes_nothing_else_away() -> None:
    odd = Sample("web_part_up", 1, (("part", ["x"]),))  # type: ignore[arg-type]

    text = render_result(up("it", odd, Sample("http_status_code", 200)), Web()).decode()

    assert "\nprobe_http_status_code 200\n" in text


def test_numbers_that_never_come_again_do_not_pile_up() -> None:
    pages = _pages_of(Plain, (), False)

    for number in range(MAX_LINES + 10):
        pages.render(up("it", Sample("plain_banner_bytes", number)), None)

    assert len(pages._lines) < MAX_LINES


@pytest.mark.parametrize(
    ("phases", "strict"),
    [
        pytest.param((), [], id="none: the target was none"),
        pytest.param((Phase("resolve", 0.5, complete=False),), ["resolve 0.5"], id="no address"),
        pytest.param(
            (Phase("resolve", 0.5), Phase("connect", 0.25, complete=False)),
            ["resolve 0.5", "connect 0", "tls 0", "processing 0", "transfer 0"],
            id="refused",
        ),
        pytest.param(
            (Phase("connect", 0.25), Phase("processing", 1), Phase("transfer", 2)),
            ["connect 0.25", "tls 0", "processing 1", "transfer 2"],
            id="through a proxy that resolves",
        ),
    ],
)
def test_strict_tells_phases_that_never_ran_as_upstream_does(
    phases: tuple[Phase, ...], strict: list[str]
) -> None:
    """D10."""
    page = render_result(up("it", phases=phases), Web(), is_strict=True)

    told = {line for line in lines_of(page) if "duration_seconds{" in line}
    pairs = (text.split() for text in strict)
    assert told == {
        f'probe_http_duration_seconds{{phase="{name}"}} {value}' for name, value in pairs
    }


CHAIN = "probe_ssl_last_chain_expiry_timestamp_seconds"
OVER_TLS = (Sample("tls_version_info", 1, (("version", "TLS 1.3"),)),)
BROKEN = up("it", *OVER_TLS, outcome=Outcome.DOWN, failure=Failure(Reason.TLS, "want TLS", "tls"))


@pytest.mark.parametrize(
    ("result", "is_strict", "told"),
    [
        pytest.param(up("it", *OVER_TLS), True, True, id="nobody verified the chain"),
        pytest.param(up("it", *OVER_TLS), False, False, id="fixed says nothing of it"),
        pytest.param(up("it"), True, False, id="no TLS"),
        pytest.param(BROKEN, True, False, id="the handshake itself failed"),
        pytest.param(
            up("it", *OVER_TLS)._replace(kind="grpc"), True, False, id="a kind without the family"
        ),
    ],
)
def test_strict_tells_the_year_1_of_a_chain_that_nobody_verified(
    result: Result, is_strict: bool, told: bool
) -> None:
    """D4."""
    lines = lines_of(render_result(result, Web(), is_strict=is_strict))

    assert (f"{CHAIN} -62135596800" in lines) is told


def test_a_verified_chain_keeps_its_end_in_both() -> None:
    result = up("it", *OVER_TLS, Sample("ssl_last_chain_expiry_timestamp_seconds", 1_800_000_000))

    for is_strict in (True, False):
        assert f"{CHAIN} 1800000000" in lines_of(render_result(result, Web(), is_strict=is_strict))


def test_steps_with_different_labels_are_one_family() -> None:
    """D7: upstream crashes here."""
    result = up(
        "it",
        Sample("expect_info", 1, (("version", "1.2"),)),
        Sample("expect_info", 1, (("port", "22"), ("version", "3"))),
    )

    told = {line for line in lines_of(render_result(result, Web())) if "expect_info" in line}

    assert told == {
        'probe_expect_info{port="",version="1.2"} 1',
        'probe_expect_info{port="22",version="3"} 1',
    }


def test_after_a_run_that_judged_nothing_the_head_of_the_verdict_is_true_as_well() -> None:
    failure = Failure(Reason.CONFIG, "want a target, got none")
    result = up("it")._replace(outcome=Outcome.UNKNOWN, failure=failure)

    lines = render_result(result, Web(), 5.0).decode().splitlines()

    meaning = (
        "1 if the last run was up or degraded, 0 if down; after unknown 0 on /probe, else absent"
    )
    assert lines[:3] == [
        f"# HELP probe_success {meaning}",
        "# TYPE probe_success gauge",
        "probe_success 0",
    ]


def test_a_page_of_one_shape_tells_each_head_once() -> None:
    page = render_result(
        up("it", *OVER_TLS, phases=tuple(Phase(name, 1) for name in HTTP_PHASES)), Web(), 5.0
    ).decode()

    heads = [line for line in page.splitlines() if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))
