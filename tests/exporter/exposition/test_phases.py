"""How the phases of a run become lines; what each kind's family tells is in test_series.py."""

import pytest

from exporter.exposition.catalogue import PHASE
from exporter.exposition.phases import MAX_PLANS, PhaseLines
from probes.families import BLACKBOX_BY_NAME
from probes.result import Phase

ORDER = ("resolve", "connect", "tls", "processing", "transfer")


@pytest.fixture
def http() -> PhaseLines:
    return PhaseLines(BLACKBOX_BY_NAME["probe_http_duration_seconds"], ORDER)


def test_runs_of_one_form_differ_in_numbers_only(http: PhaseLines) -> None:
    one = [Phase("connect", 0.25), Phase("processing", 0.5)]
    other = [Phase("connect", 0.125), Phase("processing", 1.0)]

    assert http.renewed(one, other, '{probe="a",') == (
        'probe_http_duration_seconds{probe="a",phase="connect"} 0.125\n'
        'probe_http_duration_seconds{probe="a",phase="tls"} 0\n'
        'probe_http_duration_seconds{probe="a",phase="processing"} 1\n'
    )


@pytest.mark.parametrize(
    "other",
    [
        pytest.param([Phase("connect", 0.25)], id="fewer phases"),
        pytest.param([Phase("connect", 0.25), Phase("tls", 0.5)], id="another phase"),
        pytest.param([Phase("connect", 1), Phase("processing", 1, complete=False)], id="broken"),
        pytest.param([Phase("connect", 1), Phase("processing", float("inf"))], id="not finite"),
    ],
)
def test_runs_of_other_forms_are_not_alike(http: PhaseLines, other: list[Phase]) -> None:
    assert http.renewed([Phase("connect", 0.25), Phase("processing", 0.5)], other, "{") is None


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_runs_differ_in_more_than_numbers_where_one_is_not_finite(
    http: PhaseLines, odd: float
) -> None:
    fine, other = [Phase("connect", 0.25)], [Phase("connect", odd)]

    assert http.renewed(fine, other, "{") is None
    assert http.renewed(other, fine, "{") is None
    assert http.renewed(other, other, "{") is None


def test_each_phase_is_told_its_own_seconds_whatever_came_first(http: PhaseLines) -> None:
    told = [Phase("processing", 0.5), Phase("tls", 0.25), Phase("connect", 0.125)]

    assert http.text(told, "{") == (
        'probe_http_duration_seconds{phase="connect"} 0.125\n'
        'probe_http_duration_seconds{phase="tls"} 0.25\n'
        'probe_http_duration_seconds{phase="processing"} 0.5\n'
    )


def test_a_token_is_told_where_one_was_asked_for() -> None:
    family = BLACKBOX_BY_NAME["probe_http_duration_seconds"]
    lines = PhaseLines(family, ("auth", *ORDER))
    told = [Phase("resolve", 0.5), Phase("connect", 0.25)]

    assert 'phase="auth"' not in lines.text(told, "{")
    assert lines.text([Phase("auth", 1.0), *told], "{").startswith(
        'probe_http_duration_seconds{phase="auth"} 1\n'
    )


def test_a_phase_that_is_not_finite_has_no_line(http: PhaseLines) -> None:
    told = [Phase("connect", float("nan")), Phase("tls", float("-inf")), Phase("processing", 1.0)]

    assert http.text(told, "{") == 'probe_http_duration_seconds{phase="processing"} 1\n'


def test_names_that_differ_in_each_run_do_not_pile_up() -> None:
    lines = PhaseLines(PHASE, ())

    told = {lines.text([Phase(f"step {number}", 1.0)], "{") for number in range(3 * MAX_PLANS)}

    assert len(told) == 3 * MAX_PLANS
    assert len(lines._plans) <= MAX_PLANS


def test_a_name_may_hold_what_a_form_of_text_is_made_of() -> None:
    lines = PhaseLines(PHASE, ())

    assert lines.text([Phase("100 % of %s", 0.5)], '{probe="%s",') == (
        'sonde_probe_phase_duration_seconds{probe="%s",phase="100 % of %s"} 0.5\n'
    )
