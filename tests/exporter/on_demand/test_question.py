"""How long the answer of ``/probe`` may take."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.on_demand.question import MAX_TIMEOUT_S, Refused, effective_s


@pytest.mark.parametrize(
    ("module_s", "header", "offset_s", "limit_s"),
    [
        # the table of blackbox.md 5.3
        pytest.param(0, "30", 0.5, 29.5, id="of a scraper"),
        pytest.param(7, "30", 0.5, 7, id="of the module"),
        pytest.param(40, "30", 0.5, 29.5, id="of a scraper with less time than the module"),
        pytest.param(8, "", 0.5, 8, id="of the module alone"),
        pytest.param(0, "", 0.5, 119.5, id="of nobody"),
        pytest.param(2, "0.3", 0.5, 2, id="of the module where the scraper leaves nothing"),
        pytest.param(0, "0.3", 0.5, 0, id="nothing"),
        # its text
        pytest.param(0, "0.5", 0.5, 0, id="nothing, to the point"),
        pytest.param(5, "0.5", 0.5, 0, id="nothing, and the module is not asked"),
        pytest.param(0, "0.55", 0.5, 0.1, id="at least 0.1 s"),
        pytest.param(0.01, "5", 0.5, 0.1, id="at least 0.1 s of the module"),
        pytest.param(0, "1e9", 0.5, MAX_TIMEOUT_S - 0.5, id="at most 600 s"),
        pytest.param(0, "7.25", 2, 5.25, id="another offset"),
        pytest.param(0, "10", 0, 10, id="no offset"),
        pytest.param(0, "0", 0.5, 119.5, id="zero"),
        pytest.param(0, "NaN", 0.5, 119.5, id="not a number"),
        pytest.param(0, "-5", 0.5, 119.5, id="negative"),
        pytest.param(0, "+Inf", 0.5, 119.5, id="endless"),
        pytest.param(0, "1_0", 0.5, 119.5, id="digits of Python"),
    ],
)
def test_the_time_there_is(module_s: float, header: str, offset_s: float, limit_s: float) -> None:
    assert max(0, effective_s(header, offset_s, module_s)) == pytest.approx(limit_s)


@pytest.mark.parametrize("header", ["soon", "1s", "so_on", "_"])
def test_a_timeout_that_is_no_number_is_told_as_upstream_does(header: str) -> None:
    want = (
        f"Failed to parse timeout from Prometheus header: want a number of seconds, got {header!r}"
    )
    with pytest.raises(Refused, match=want) as caught:
        effective_s(header, 0.5, 0)

    assert caught.value.status == 500


@given(st.text(), st.floats(0, 10), st.floats(0, 1e6))
def test_any_header_is_understood_or_refused(header: str, offset_s: float, module_s: float) -> None:
    with suppress(Refused):
        assert effective_s(header, offset_s, module_s) <= max(MAX_TIMEOUT_S, module_s)
