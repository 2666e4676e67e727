"""How many shards a profile gets, and when it is too much for this machine or for the ceilings."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from probes.journey.safety import LoadSafety
from scenarios.plan import Part, Plan, Pool, Stage
from scenarios.planning.sizing import (
    Machine,
    Profile,
    above_capacity,
    above_ceilings,
    capacity_of,
    shards_for,
)
from scenarios.report import Generator, LoadReport, Second, Verdict

FOUR = Machine(4, 1024)


def rated(rate: float, users: int = 1000) -> Profile:
    return Profile("open", (Stage(10, 0, rate), Stage(60, rate, 1)), Pool(1, users))


@pytest.mark.parametrize(
    ("wanted", "profile", "requests", "shards"),
    [
        pytest.param(0, rated(20), 3, 1, id="one is enough"),
        pytest.param(0, rated(800), 1, 1, id="800 requests/s are one shard's"),
        pytest.param(0, rated(801), 1, 2, id="one more is not"),
        pytest.param(0, rated(300), 5, 2, id="requests count, not iterations"),
        pytest.param(0, rated(0), 3, 1, id="at least one"),
        pytest.param(0, rated(100_000), 1, 4, id="at most the processors"),
        pytest.param(0, rated(2400, users=2), 1, 2, id="at most the users"),
        pytest.param(7, rated(1), 1, 7, id="Load control 4: as many as are wanted"),
        pytest.param(0, Profile("closed", (), Pool(1, 100), 0.1), 1, 2, id="users with a pace"),
        pytest.param(0, Profile("closed", (), Pool(1, 10)), 1, 1, id="a few users"),
        pytest.param(0, Profile("iterations", (), Pool(9, 500)), 1, 4, id="many users"),
    ],
)
def test_a_profile_gets_as_many_shards_as_its_requests_need(
    wanted: int, profile: Profile, requests: float, shards: int
) -> None:
    assert shards_for(wanted, profile, requests, FOUR) == (shards, ())


def test_there_is_no_shard_without_a_user() -> None:
    assert shards_for(8, rated(10, users=3), 1, FOUR) == (
        3,
        ("want at most one shard for each of 3 users, got 8: 3 run",),
    )


def plan(**values: Any) -> Plan:
    pool = values.pop("pool", Pool(1, 100))
    made = Plan("r", "s", "", "open", (Stage(60, 20, 20),), (Part("it"),), pool=pool)
    return replace(made, **values)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        pytest.param({}, [], id="within"),
        pytest.param({"stages": (Stage(899, 1, 200), Stage(1, 200, 0))}, [], id="just within"),
        pytest.param(
            {"stages": (Stage(10, 1, 200.5),)},
            ["want at most 200/s (safety.load.max_rate), got 200.5/s"],
            id="Rails 4: --rate",
        ),
        pytest.param(
            {"pool": Pool(1, 501)},
            ["want at most 500 users (safety.load.max_users), got 501"],
            id="Rails 4: --users",
        ),
        pytest.param(
            {"stages": (Stage(10, 1, 1, warmup=True), Stage(900, 1, 1))},
            ["want at most 15m (safety.load.max_duration), got 15m10s"],
            id="Rails 4: --duration, warm-up included",
        ),
        pytest.param(
            {"model": "closed", "stages": (Stage(10, 600, 600),), "pool": Pool(1, 600)},
            ["want at most 500 users (safety.load.max_users), got 600"],
            id="users are no rate",
        ),
    ],
)
def test_no_file_and_no_flag_is_above_a_ceiling(values: dict[str, Any], texts: list[str]) -> None:
    found = list(above_ceilings(plan(**values), LoadSafety()))

    assert [it.text for it in found] == texts
    assert {(it.verdict, it.code) for it in found} <= {(Verdict.REFUSED, "ceiling")}


@pytest.mark.parametrize(
    ("values", "known", "texts"),
    [
        pytest.param({"requests_per_iteration": 70.0}, None, [], id="70 % of 2000 requests/s"),
        pytest.param(
            {"requests_per_iteration": 70.1},
            None,
            ["want at most 1400 requests/s, 70% of what 1 generators can do, got 1402 requests/s"],
            id="capacity",
        ),
        pytest.param({"requests_per_iteration": 200.0, "shards": 3}, None, [], id="more shards"),
        pytest.param(
            {"requests_per_iteration": 300.0, "shards": 9},
            None,
            ["want at most 5600 requests/s, 70% of what 4 generators can do, got 6000 requests/s"],
            id="nine shards on four processors",
        ),
        pytest.param({"requests_per_iteration": 100.0}, 3000.0, [], id="a run has shown more"),
        pytest.param(
            {"requests_per_iteration": 10.0},
            250.0,
            ["want at most 175 requests/s, 70% of what 1 generators can do, got 200 requests/s"],
            id="a run has shown less",
        ),
        pytest.param(
            {"model": "closed", "pool": Pool(1, 100)}, None, [], id="users without a pace"
        ),
        pytest.param(
            {"model": "closed", "pool": Pool(1, 100), "pace_s": 0.01},
            None,
            ["want at most 1400 requests/s, 70% of what 1 generators can do, got 10000 requests/s"],
            id="users with a pace",
        ),
        pytest.param({"pool": Pool(1, 800)}, None, [], id="as many as have descriptors"),
        pytest.param(
            {"pool": Pool(1, 801)},
            None,
            ["want at most 1024 descriptors a shard (ulimit -Hn), got 1025 for 801 users"],
            id="Load control 6: descriptor limit",
        ),
        pytest.param({"pool": Pool(1, 1600), "shards": 2}, None, [], id="each has its own"),
    ],
)
def test_no_plan_is_above_what_the_generators_can_do(
    values: dict[str, Any], known: float | None, texts: list[str]
) -> None:
    found = list(above_capacity(plan(**values), FOUR, known))

    assert [it.text for it in found] == texts
    assert {(it.verdict, it.code) for it in found} <= {(Verdict.REFUSED, "capacity")}


def report(*seconds: Second, lost: bool = False) -> LoadReport:
    now = datetime.now(UTC)
    generators = (Generator(0, state="final"), Generator(1, state="lost" if lost else "final"))
    return LoadReport(
        "s", "r", Verdict.PASS, 0, (), now, now, generators=generators, timeline=seconds
    )


def test_a_run_shows_what_one_shard_can_do_by_its_busy_seconds() -> None:
    start = Second(0, requests=10, cpu=0.9)
    busy = [Second(at, requests=800, cpu=0.4) for at in range(1, 11)]
    idle = [Second(at, requests=20, cpu=0.05) for at in range(11, 60)]

    assert capacity_of(report(start, *busy, *idle)) == 1000.0
    assert capacity_of(report(start, *busy[:8], *idle)) is None
    assert capacity_of(report(start, *busy, lost=True)) is None
    assert capacity_of(report()) is None


def test_this_machine_has_processors_and_descriptors() -> None:
    here = Machine.here()

    assert here.cpus >= 1
    assert here.descriptors >= 64
    assert Machine.here(3, 99) == Machine(3, 99)
