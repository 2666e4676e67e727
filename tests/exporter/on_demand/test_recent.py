"""Which runs are kept for people, and which of them is found."""

from dataclasses import replace

import pytest

from exporter.on_demand.plans import digest_of
from exporter.on_demand.recent import Recent, Run
from probes.result import Result
from tests.exporter.pages import down, kept, plan_of, up


def numbers(recent: Recent) -> list[int]:
    return [run.number for run in recent.newest_first()]


def test_the_last_runs_are_kept_newest_first() -> None:
    assert numbers(kept(3, *[up("it")] * 5)) == [5, 4, 3]


def test_failures_outlive_the_runs_behind_them() -> None:
    recent = kept(2, down("it"), up("it"), down("it"), *[up("it")] * 3)

    assert numbers(recent) == [6, 5, 3, 1]
    assert recent.find(1) is not None
    assert recent.find(2) is None, "it was good, and is old"


def test_as_many_failures_are_kept_aside_as_runs() -> None:
    assert numbers(kept(2, *[down("it")] * 9)) == [9, 8, 7, 6]


def test_without_a_history_nothing_is_kept() -> None:
    recent = kept(0, up("it"), down("it"))

    assert numbers(recent) == []
    assert isinstance(recent.add(plan_of("t"), up("it"), 1.0), Run), "the run itself is there"


@pytest.mark.parametrize(
    ("module", "number"),
    [
        pytest.param("", 1, id="a failure kept aside first"),
        pytest.param("n", 4, id="the oldest of that module"),
        pytest.param("x", None, id="no such module"),
    ],
)
def test_a_run_is_found_by_its_target(module: str, number: int | None) -> None:
    recent = Recent(3)
    for name, result in (("m", down("it")), ("m", up("it")), ("m", up("it"))):
        recent.add(plan_of("h:1", name), result, 5.0)
    for target in ("h:1", "h:1", "h:2"):
        recent.add(plan_of(target, "n"), replace_target(up("it"), target), 5.0)

    found = recent.match(digest_of("h:1"), module)

    assert (found.number if found else None) == number
    assert recent.match(digest_of("other"), "") is None


def replace_target(result: Result, target: str) -> Result:
    return result._replace(target=target)


def test_plans_of_one_timeout_share_a_probe() -> None:
    plan = plan_of("h:1")

    assert plan.within(3.0) is plan.within(3.0)
    assert plan.within(3.0) == replace(plan.probe, timeout_s=3.0)
