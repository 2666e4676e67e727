"""What a PostgreSQL server should answer: each miss is told under the word of the file."""

import pytest

from probes.wire.postgres.answer import Answer
from probes.wire.postgres.expect import PostgresWarn

ANSWER = Answer(rows=3, value="paid", first={"state": "paid", "price": 1.5})


@pytest.mark.parametrize(
    ("keys", "misses"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"rows": 3, "value": "paid", "columns": {"price": 1.5}}, [], id="all hold"),
        pytest.param({"rows": {"gt": 3}}, ["rows: want > 3, got 3"], id="rows"),
        pytest.param({"value": "open"}, ["value: want 'open', got 'paid'"], id="value"),
        pytest.param({"columns": {"id": 1}}, ["id: want 1, got nothing"], id="no such column"),
        pytest.param(
            {"rows": 1, "columns": {"price": {"lt": 1}}},
            ["rows: want 1, got 3", "price: want < 1, got 1.5"],
            id="every miss",
        ),
    ],
)
def test_a_miss_is_told(keys: dict[str, object], misses: list[str]) -> None:
    assert PostgresWarn.model_validate(keys).misses(ANSWER) == misses
