"""What a shard could do, from run to run."""

from pathlib import Path

import pytest

from scenarios.course.capacities import KEEP, note_capacity, read_capacities


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "load").mkdir()
    return tmp_path


def test_the_last_word_on_a_plan_is_known_to_the_next_run(data: Path) -> None:
    assert read_capacities(data) == {}

    for config_hash, requests in (("a", 900.0), ("b", 1500.04), ("a", 1200.0)):
        note_capacity(data, config_hash, requests)

    assert read_capacities(data) == {"b": 1500.0, "a": 1200.0}


def test_the_oldest_plans_are_forgotten(data: Path) -> None:
    for number in range(KEEP + 2):
        note_capacity(data, str(number), 1.0)

    assert next(iter(read_capacities(data))) == "2"
    assert len(read_capacities(data)) == KEEP


@pytest.mark.parametrize(
    "text",
    ["", "[]", "nonsense", '{"a": "fast", "b": -1, "c": NaN, "d": true, "e": null}', "[" * 99_999],
)
def test_what_is_no_number_is_as_if_it_were_not_there(data: Path, text: str) -> None:
    (data / "load" / "capacity.json").write_text(text)

    assert read_capacities(data) == {}
