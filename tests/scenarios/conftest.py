"""What tests of load runs share: small plans, fleets of fake and of real children.

A fleet that was made here is looked at when its test is over: no process, no directory and no
descriptor may be left of it.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from scenarios.fleet import member as child
from scenarios.fleet.launch import Fleet
from scenarios.fleet.member import Crew
from scenarios.plan import Part, Plan, Stage
from scenarios.records import Secrets

if "COVERAGE_PROCESS_CONFIG" in os.environ:
    # a traced run measures the children that get nothing else of our environment
    vars(child)["PASSED_ON"] = (*child.PASSED_ON, "COVERAGE_PROCESS_CONFIG")

FAKE = (sys.executable, "-IS", str(Path(__file__).with_name("fake_child.py")))

MakePlan = Callable[..., Plan]
MakeFleet = Callable[..., Fleet]


def small_plan(**changed: Any) -> Plan:
    """Return a plan of 0.2 s for fakes; *changed*: fields of it."""
    fields: dict[str, Any] = {
        "run_id": "run-1",
        "scenario": "shop",
        "target": "",
        "model": "open",
        "stages": (Stage(0.2, 10, 10),),
        "mix": (Part("buy"),),
        "graceful_stop_s": 0.2,
    }
    return Plan(**(fields | changed))


def fake_fleet(place: Path, *modes: str, **changed: Any) -> Fleet:
    """Return a fleet of fakes that behave as *modes* say, one a shard."""
    crews = [Crew((number,), (*FAKE, mode)) for number, mode in enumerate(modes)]
    options = {key: changed.pop(key) for key in ("on_lost",) if key in changed}
    plan = small_plan(shards=len(modes), **changed)
    return Fleet(plan, Secrets({"buy": {"key": "s3cret"}}), place, crews=crews, **options)


def descriptors() -> set[str]:
    """Return what this process has open, but for what Python and its loops open once."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(f"{path.name} {path.readlink()}")
    return {it for it in found if "/proc/" not in it}


def processes_in(place: Path) -> list[int]:
    """Return the processes whose working directory is below *place*."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (path / "cwd").readlink().is_relative_to(place):
                found.append(int(path.name))
    return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory for fleets, of which nothing may be left but itself."""
    yield tmp_path
    assert not processes_in(tmp_path)
    assert not list(tmp_path.iterdir())
