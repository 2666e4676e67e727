"""Chains.md 17: every row of the failure table is shown by a test that names it.

Most stand in the files ``test_failures_*`` beside this one, on real nodes. Some rows say "unit":
these are the tests that show them.
"""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
ROWS = range(1, 59)
NAMED = re.compile(r"\brow[ _](\d+)\b|\btest_row_(\d+)_")
UNITS = {
    56: ("chain/test_plan.py", "test_slow_calls_are_shed_first_and_core_calls_last"),
    57: ("chain/judge/test_evaluate.py", "test_an_honest_group_is_up_from_the_first_run_on"),
    58: ("chain/test_outlets.py", "test_row_58_no_outlet_shows_a_secret_of_a_group"),
}


def rows_in(text: str) -> set[int]:
    return {int(number) for found in NAMED.findall(text) for number in found if number}


def test_every_row_has_a_test() -> None:
    files = [*HERE.glob("test_failures_*.py"), HERE / "test_outlets.py"]
    shown = set().union(*(rows_in(file.read_text()) for file in files)) | set(UNITS)

    assert set(ROWS) - shown == set()


@pytest.mark.parametrize(
    ("file", "name"), [pytest.param(*told, id=f"row {row}") for row, told in UNITS.items()]
)
def test_the_tests_of_units_exist(file: str, name: str) -> None:
    text = (ROOT / "tests" / "probes" / file).read_text()

    assert f"def {name}(" in text
