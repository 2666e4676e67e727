"""How many runs fit into the limit on open files: P10, F30."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.descriptors import MAX_NOFILE, MIN_NOFILE, plan_capacity
from probes.kind import Kind
from probes.probe import Probe
from probes.prober_health import DESCRIPTOR_RESERVE


class Nothing(Kind):
    """Never run here."""

    name = "nothing"


def probes(number: int, every_s: float = 10.0, timeout_s: float = 10.0) -> list[Probe]:
    return [
        Probe(f"p{index}", Nothing(), "x", every_s=every_s, timeout_s=timeout_s)
        for index in range(number)
    ]


def test_what_fits_is_not_warned_about() -> None:
    capacity = plan_capacity(probes(100, timeout_s=5.0), 1024)

    assert (capacity.limit, capacity.wanted, capacity.warning) == (720, 50, None)


def test_what_does_not_fit_is_shown_with_its_arithmetic() -> None:
    """F30: 1,000 targets and 256 descriptors."""
    capacity = plan_capacity(probes(1000), 256)

    assert capacity.limit == 144
    assert capacity.warning == (
        "want 1000 runs in flight when every target hangs (the sum of timeout / every), got room "
        "for 144: 256 file descriptors - 32 in reserve - 56 for our own port - 24 for ourselves; "
        "what does not fit is counted as missed (capacity); ulimit -n 2056 fits all"
    )


def test_the_limit_that_the_warning_advises_fits() -> None:
    assert plan_capacity(probes(1000), 2056).warning is None


def test_a_probe_has_one_run_in_flight_at_most() -> None:
    assert plan_capacity(probes(3, every_s=1.0, timeout_s=30.0), 1024).wanted == 3


def test_too_few_descriptors_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^want at least 64 file descriptors \(ulimit -n\), got 63$"
    ):
        plan_capacity([], MIN_NOFILE - 1)


@given(st.integers(MIN_NOFILE, MAX_NOFILE))
def test_runs_fit_beside_the_reserve_whatever_the_limit(nofile: int) -> None:
    capacity = plan_capacity([], nofile)

    assert 1 <= capacity.limit <= nofile - DESCRIPTOR_RESERVE


RAISE = """
import resource, sys
from exporter.descriptors import plan_capacity, raise_nofile
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
print(plan_capacity([]).nofile, *resource.getrlimit(resource.RLIMIT_NOFILE), raise_nofile())
"""


@pytest.mark.slow
def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    script = [sys.executable, "-c", RAISE, "128", "512"]

    done = subprocess.run(script, capture_output=True, text=True, timeout=15, check=False)

    assert (done.stdout, done.stderr) == ("512 512 512 512\n", "")
