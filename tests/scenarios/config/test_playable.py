"""What a load plays of a journey."""

from typing import Any

import pytest

from scenarios.config.playable import as_loaded, obstacles, played, requests_of
from tests.probes.journey.written import made

HOME = {"name": "home", "get": "/"}
PAY = {"name": "pay", "post": "/pay", "load": "skip"}
CHAT = {"name": "chat", "ws": {"dialog": [{"send": "hi"}]}}
COUNT = {"name": "count", "sql": {"target": "postgres://db/x", "query": "select 1"}}
PAUSES = [{"think": "1s"}, {"wait": "1s"}, {"name": "noted", "log": "x"}]


def repeated(*steps: Any, **how: Any) -> dict[str, Any]:
    return {"repeat": {**(how or {"times": 3}), "steps": list(steps)}}


@pytest.mark.parametrize(
    ("journey", "requests"),
    [
        pytest.param({"steps": [HOME, PAY, *PAUSES]}, 1, id="what load skips and pauses are none"),
        pytest.param(
            {"steps": [repeated(HOME, repeated({**HOME, "name": "in"}))]}, 12, id="rounds"
        ),
        pytest.param({"steps": [repeated(HOME, over=["a", "b"])]}, 2, id="a list that is known"),
        pytest.param(
            {"steps": [repeated(HOME, over="${x}")], "vars": {"x": []}}, 1, id="one that is not"
        ),
        pytest.param({"steps": [HOME], "cleanup": [{**HOME, "name": "bye"}]}, 2, id="clean-up"),
        pytest.param({"steps": [HOME], "setup": [{**HOME, "name": "hi"}]}, 1, id="no setup"),
        pytest.param({"steps": [{**HOME, "load": "only"}]}, 1, id="load only"),
        pytest.param(
            {"steps": [HOME, {**repeated({**HOME, "name": "b"}), "load": "skip"}]},
            1,
            id="rounds skipped",
        ),
    ],
)
def test_an_iteration_makes_so_many_requests(journey: dict[str, Any], requests: float) -> None:
    assert requests_of(made(journey)) == requests


def test_steps_of_probes_are_obstacles_unless_a_load_skips_them() -> None:
    journey = {"steps": [HOME, repeated(CHAT)], "setup": [COUNT]}
    skipped = {"steps": [HOME, {**CHAT, "load": "skip"}]}

    assert [str(it) for it in obstacles(made(journey))] == [
        "its step 'count' (sql) is for probes alone",
        "its step 'chat' (ws) is for probes alone",
    ]
    assert list(obstacles(made(skipped))) == []


def test_a_journey_as_loaded_has_the_steps_of_a_load_in_every_run() -> None:
    only = {**HOME, "name": "only", "load": "only"}
    inner = repeated({**HOME, "name": "in"}, {**PAY, "name": "pay-in"})
    journey = made(
        {"setup": [PAY, HOME], "steps": [only, inner], "cleanup": [{**PAY, "name": "x"}]}
    )

    loaded = as_loaded(journey)

    steps = [*played(loaded.setup), *played(loaded.steps), *played(loaded.cleanup)]
    assert [(it.common.name, it.common.load) for it, _ in steps] == [
        ("home", "both"), ("only", "both"), ("in", "both"),
    ]  # fmt: skip
    assert requests_of(loaded) == requests_of(journey)
