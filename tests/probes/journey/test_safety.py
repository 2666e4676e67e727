"""Ceilings for browsers."""

import pytest
from pydantic import ValidationError

from probes.journey.safety import BrowserSafety


def test_the_ceilings_are_those_of_the_design() -> None:
    assert (BrowserSafety().max_parallel, BrowserSafety().min_free_memory) == (2, 750 * 2**20)


@pytest.mark.parametrize("number", [0, 65])
def test_the_number_of_browsers_is_bounded(number: int) -> None:
    with pytest.raises(ValidationError):
        BrowserSafety(max_parallel=number)
