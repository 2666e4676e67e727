"""One fleet of fakes, each of which misbehaves in its own way: load.md 7.2 and 14, "Child"."""

import asyncio
import time
from pathlib import Path

import pytest
import uvloop

from scenarios.fleet.launch import Fleet
from tests.scenarios.conftest import descriptors, fake_fleet, processes_in

pytestmark = pytest.mark.slow

# mode of the fake -> what its loss says; load.md 14
LOST = {
    "crash": "SIGKILL",
    "segfault": "SIGSEGV",
    "leaves": "exit code 0",
    "garbage": "want a record as JSON",
    "half": "want a record as JSON",
    "deep": "want a record as JSON",
    "unknown-word": "want a record of hello, progress, log, final",
    "order": "want a record of hello, progress, log, final",
    "too-long": "want a datagram of at most",
    "part": "want part 1/3",
    "surrogate": "got half of one",
    "gap": "want record 2, got 7",
    "repeats": "want record 2, got 1",
    "future": "want a record of second",
    "other-shard": "want records of shards",
    "not-a-number": "want a finite number at rate",
    "negative": "want users of 0 to",
    "contradiction": "parts of a key",
    "after-final": "want no more of a shard that is final",
    "other-file": "with the sha256",
    "other-count": "want a result of 5 requests",
    "no-json": "want a result as JSON",
    "escape": "want a result file in",
    "silent": "want a record every second, got none for 1.5 s",
    "closes": "got its socket closed",
    "children": "SIGKILL",
    "late": "want its end in time",
}
ROWS = {
    "crash": "child 3: killed", "segfault": "child 3: segfault", "leaves": "child 4: no final",
    "garbage": "child 5: garbage", "half": "child 5: half a text", "deep": "child 5: deep",
    "unknown-word": "child 5: unknown word", "repeats": "child 5: repeated seq",
    "gap": "7.2: gap in seq", "silent": "7.2: silence", "late": "7.2: lives too long",
    "children": "child 8: children of its own", "other-file": "7.2: file contradicts final",
}  # fmt: skip


class Mad:
    """What came of one fleet with every misbehaviour at once."""

    def __init__(self, fleet: Fleet, began: float, ended: float, left: list[int]) -> None:
        modes = [*LOST, "sane"]
        texts = {it.shard: it.text for it in fleet.lost}
        self.lost = {mode: texts[n] for n, mode in enumerate(modes) if n in texts}
        self.generators = dict(zip(modes, fleet.tally.generators, strict=True))
        self.book = fleet.tally.book
        self.seconds = ended - began
        self.left = left


async def _go_mad(place: Path) -> Mad:
    async with fake_fleet(place, *LOST, "sane") as fleet:
        fleet.roll.silence_s, fleet.overtime_s = 1.5, 2.0
        await fleet.ready(20)
        began = fleet.begin()
        await fleet.ended()
        fleet.tally.settle(float("inf"))
        return Mad(fleet, began, time.monotonic(), processes_in(place))


@pytest.fixture(scope="module")
def mad(tmp_path_factory: pytest.TempPathFactory) -> Mad:
    place = tmp_path_factory.mktemp("mad")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.sleep(0))
        before = descriptors()
        found = runner.run(_go_mad(place))
        assert descriptors() == before
    assert not processes_in(place)
    assert not list(place.iterdir())
    return found


@pytest.mark.parametrize("mode", [pytest.param(it, id=ROWS.get(it, it)) for it in LOST])
def test_a_shard_that_misbehaves_is_lost_with_its_reason(mad: Mad, mode: str) -> None:
    """Child 3, child 4, child 5 and child 8."""
    assert LOST[mode] in mad.lost[mode]
    assert mad.generators[mode].state == "lost"
    assert mad.generators[mode].why == mad.lost[mode]


def test_records_that_never_came_are_counted(mad: Mad) -> None:
    lost = {mode: it.records_lost for mode, it in mad.generators.items() if it.records_lost}

    assert lost == {"gap": 5}


def test_the_sane_shard_beside_the_mad_ones_is_reported_from_its_file(mad: Mad) -> None:
    sane = mad.generators["sane"]

    assert "sane" not in mad.lost
    assert (sane.state, sane.why, sane.host) == ("final", "completed: secrets,start", "here")
    # two records of ten, and two that only the file tells of
    assert sane.requests == 22
    # each of the others counts by what it had said before
    assert mad.book.timed("request.duration").count == sum(
        it.requests for it in mad.generators.values()
    )
    assert mad.generators["crash"].requests == 10


def test_no_process_is_left_when_the_fleet_has_ended(mad: Mad) -> None:
    assert mad.left == []
    # the last one is `late`: 0.2 s of stages, 0.2 s of grace, 2 s of overtime
    assert mad.seconds < 4.5
