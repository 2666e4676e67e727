"""Fleets of fakes, one case each: the rows of load.md 14, "Child" and "Parent"."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scenarios.fleet.launch import PREFIX, Fleet, Unready
from scenarios.fleet.member import MAX_OUTPUT_BYTES, PASSED_ON, Crew
from scenarios.plan import Stage
from scenarios.records import Secrets
from scenarios.report import Generator
from tests.scenarios.conftest import FAKE, descriptors, fake_fleet, processes_in, small_plan
from tests.waiting import until

ONE_LOOP = pytest.mark.asyncio(loop_factories=["uvloop"])
FOR_EVER_S = 600.0


def lasting(seconds: float) -> tuple[Stage, ...]:
    return (Stage(seconds, 10, 10),)


async def test_a_sane_fleet_runs_from_hello_to_its_files(place: Path) -> None:
    async with fake_fleet(place, "sane", "sane") as fleet:
        await fleet.ready(10)
        modes = {it.name: stat.S_IMODE(it.stat().st_mode) for it in fleet.directory.iterdir()}
        private = stat.S_IMODE(fleet.directory.stat().st_mode)
        said = fleet.hellos[1]
        begun_at = time.monotonic()
        t0 = fleet.begin()
        await fleet.ended()
        took_s = time.monotonic() - t0

    assert private == 0o700
    assert set(modes.values()) == {0o600}
    assert "plan.json" in modes
    assert (said.shard, said.versions["locust"]) == (1, "2.47")
    assert 0.29 <= t0 - begun_at <= 0.31
    assert 0.2 <= took_s < 1.5
    assert fleet.lost == []
    assert [it.state for it in fleet.tally.generators] == ["final", "final"]
    assert fleet.tally.book.total("iteration.completed") == 44


@ONE_LOOP
@pytest.mark.parametrize(
    ("mode", "is_plan", "text"),
    [
        pytest.param("dies-early", False, "got it lost: want a final record, got its process ended:"
                     " exit code 1: 'ImportError: no locust'", id="child 2: crash before hello"),
        pytest.param("bad-plan", True, "got plan_error: locustfile.py:3: invalid syntax",
                     id="child 1: syntax error in a locustfile"),
        pytest.param("mute", False, "want all shards ready within 0.4 s, got none of 1",
                     id="7.1: no hello"),
        pytest.param("other-plan", False, "got '000000000000…", id="7.1: another plan"),
        pytest.param("two-hellos", False, "want one hello, got another", id="two hellos"),
    ],
)  # fmt: skip
async def test_a_fleet_that_is_not_ready_says_why_and_sends_no_load(
    mode: str, is_plan: bool, text: str, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with fake_fleet(place, "sane", mode) as fleet:
        await until(lambda: 0 in fleet.hellos)
        if mode == "two-hellos":
            await until(lambda: bool(fleet.lost))
        with pytest.raises(Unready) as caught:
            await fleet.ready(0.4 if mode == "mute" else 10)

    assert text in str(caught.value)
    assert caught.value.is_plan is is_plan
    assert not fleet.tally.book
    # whom the fleet ends itself is no news
    assert not [it for it in caplog.messages if "SIGKILL" in it and it.startswith("lost shard")]


async def test_a_stop_reaches_every_shard_within_its_grace(place: Path) -> None:
    async with fake_fleet(place, "sane", "sane", stages=lasting(30.0)) as fleet:
        await fleet.ready(10)
        fleet.begin()
        await until(lambda: fleet.tally.book.total("iteration.completed") >= 20)
        began = time.monotonic()
        fleet.stop("signal", 0.2)
        await fleet.ended()

    assert time.monotonic() - began < 1.0
    assert fleet.stopped == "signal"
    assert fleet.lost == []
    assert {it.why for it in fleet.finals.values()} == {"stopped"}


@ONE_LOOP
async def test_child_7_one_that_ignores_its_stop_is_killed_after_the_grace(place: Path) -> None:
    async with fake_fleet(place, "ignores-stop", stages=lasting(30.0)) as fleet:
        fleet.overtime_s = 0.3
        await fleet.ready(10)
        fleet.begin()
        began = time.monotonic()
        fleet.stop("signal", 0.2)
        await fleet.ended()

    assert 0.5 <= time.monotonic() - began < 1.2
    assert [it.text for it in fleet.lost] == ["want its end in time, got it still running"]


@ONE_LOOP
async def test_one_that_lives_on_after_its_last_word_is_ended_and_counts(place: Path) -> None:
    async with fake_fleet(place, "stubborn") as fleet:
        fleet.overtime_s = 0.3
        await fleet.ready(10)
        fleet.begin()
        await fleet.ended()

    assert fleet.lost == []
    assert fleet.tally.generators[0].state == "final"


@ONE_LOOP
async def test_a_lost_shard_ends_the_run_when_it_was_asked_to(place: Path) -> None:
    stages = lasting(30.0)
    async with fake_fleet(place, "crash", "sane", stages=stages, on_lost="stop") as fleet:
        await fleet.ready(10)
        fleet.begin()
        await fleet.ended()

    assert fleet.stopped == "shard 0 is lost"
    assert [it.shard for it in fleet.lost] == [0]
    assert fleet.finals[1].why == "stopped"


@ONE_LOOP
async def test_child_6_output_is_cut_back_and_the_run_goes_on(place: Path) -> None:
    async with fake_fleet(place, "flood-output", stages=lasting(2.0)) as fleet:
        await fleet.ready(10)
        files = [fleet.directory / f"shard-0.{it}" for it in ("out", "err")]
        grown = [it.stat().st_size for it in files]
        fleet.begin()
        await until(lambda: all(it.stat().st_size <= MAX_OUTPUT_BYTES for it in files))
        await fleet.ended()

    assert min(grown) > MAX_OUTPUT_BYTES
    assert fleet.lost == []


async def test_the_last_word_of_one_that_ended_with_an_order_unread_is_heard(place: Path) -> None:
    async with fake_fleet(place, "unread", stages=lasting(FOR_EVER_S)) as fleet:
        await fleet.ready(10)
        fleet.begin()
        await until(lambda: bool(fleet.tally.book))
        (child,) = processes_in(place)
        fleet.stop("signal", 0.2)
        # both are there when the loop looks: the last word and the end of the socket
        block_until_zombie(child)
        await fleet.ended()

    assert fleet.lost == []
    assert fleet.finals[0].why == "completed"


def block_until_zombie(process: int) -> None:
    while b") Z " not in Path(f"/proc/{process}/stat").read_bytes():
        pass


@ONE_LOOP
async def test_a_flood_of_records_does_not_hold_up_the_loop_and_ends_its_shard(
    place: Path,
) -> None:
    async with fake_fleet(place, "flood-records", "sane", stages=lasting(3.0)) as fleet:
        await fleet.ready(10)
        fleet.begin()
        await fleet.ended()

    assert [it.shard for it in fleet.lost] == [0]
    assert "want 1000 records a second at most" in fleet.lost[0].text


@ONE_LOOP
async def test_child_9_nothing_is_signalled_once_the_exit_code_is_taken(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signalled: list[int] = []
    async with fake_fleet(place, "leaves") as fleet:
        await fleet.ready(10)
        fleet.begin()
        await fleet.ended()
        monkeypatch.setattr(os, "killpg", lambda number, _: signalled.append(number))
        fleet.stop("again", 0.0)

    assert signalled == []


@ONE_LOOP
async def test_parent_4_a_stall_of_our_own_loses_nobody(place: Path) -> None:
    async with fake_fleet(place, "sane", stages=lasting(2.5)) as fleet:
        fleet.roll.silence_s = 1.2
        await fleet.ready(10)
        t0 = fleet.begin()
        await until(lambda: bool(fleet.tally.book))
        # the test's own: no module of ours may
        block_until(t0 + 2.0)
        await fleet.ended()

    assert fleet.lost == []
    assert fleet.tally.generators[0].state == "final"


def block_until(at: float) -> None:
    while time.monotonic() < at:
        pass


@pytest.mark.parametrize("when", ["enter", "ready", "run"])
async def test_a_cancelled_fleet_leaves_nothing(place: Path, when: str) -> None:
    before = descriptors()
    at = asyncio.Event()

    async def run() -> None:
        stages = lasting(FOR_EVER_S)
        async with fake_fleet(place, "children", "mute" if when == "ready" else "sane",
                              stages=stages) as fleet:  # fmt: skip
            at.set()
            await fleet.ready(30)
            fleet.begin()
            await until(lambda: bool(fleet.tally.book))
            at.set()
            await fleet.ended()

    running = asyncio.create_task(run())
    if when == "enter":
        await until(lambda: bool(processes_in(place)))
    else:
        await at.wait()
    running.cancel()
    await asyncio.sleep(0)
    running.cancel()  # twice, as people do
    with pytest.raises(asyncio.CancelledError):
        await running

    assert descriptors() == before
    assert not processes_in(place)


async def test_a_fleet_that_cannot_be_started_leaves_nothing(place: Path) -> None:
    fleet = fake_fleet(place, "sane")
    fleet.crews = [*fleet.crews, Crew((1,), ("/no/such/program",))]

    with pytest.raises(FileNotFoundError):
        async with fleet:
            pytest.fail("it was entered")


async def test_parent_5_a_directory_that_is_none_is_an_oserror(place: Path) -> None:
    with pytest.raises(OSError, match="no-such"):
        async with fake_fleet(place / "no-such", "sane"):
            pytest.fail("it was entered")


async def test_orders_that_no_socket_holds_go_out_as_the_child_takes_them(place: Path) -> None:
    secrets = Secrets({"buy": {"key": "x" * 4 * 2**20}})
    crews = [Crew((0,), (*FAKE, "sane"))]
    async with Fleet(small_plan(), secrets, place, crews=crews) as fleet:
        await fleet.ready(10)
        fleet.begin()
        await fleet.ended()

    assert fleet.lost == []
    assert fleet.finals[0].text == "start"


@ONE_LOOP
async def test_a_child_that_relays_goes_on_for_its_other_shards_when_one_is_lost(
    place: Path,
) -> None:
    crews = [Crew((0, 1, 2), (*FAKE, "relay"))]
    async with Fleet(small_plan(shards=3), Secrets(), place, crews=crews) as fleet:
        await fleet.ready(10)
        fleet.begin()
        await fleet.ended()

    assert [(it.shard, it.text) for it in fleet.lost] == [(1, "want record 2, got 1")]
    assert [it.state for it in fleet.tally.generators] == ["final", "lost", "final"]
    assert [it.requests for it in fleet.tally.generators] == [22, 10, 22]


@ONE_LOOP
async def test_a_watch_that_breaks_ends_the_run_and_not_its_safety(place: Path) -> None:
    async with fake_fleet(place, "sane", stages=lasting(FOR_EVER_S)) as fleet:
        await fleet.ready(10)
        fleet.begin()
        fleet.roll.silence_s = "nonsense"  # type: ignore[assignment]
        with pytest.raises(TypeError):
            await fleet.ended()


@ONE_LOOP
async def test_a_child_gets_the_allow_list_of_our_environment_only(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCUST_HOST", "http://example.org")
    monkeypatch.setenv("TOKEN", "s3cret")
    async with fake_fleet(place, "sane") as fleet:
        await fleet.ready(10)
        (child,) = processes_in(place)
        names = {it.partition(b"=")[0].decode() for it in environment_of(child)}

    own = {"PYTHONPATH", "TMPDIR", "SONDE_FD", "SONDE_PARENT", "SONDE_SHARD"}
    assert own <= names <= own | set(PASSED_ON) | {"COVERAGE_PROCESS_CONFIG", "LC_CTYPE"}


def environment_of(process: int) -> list[bytes]:
    return Path(f"/proc/{process}/environ").read_bytes().strip(b"\0").split(b"\0")


PARENT = f"""
import asyncio, sys
from pathlib import Path
from tests.scenarios.conftest import fake_fleet

async def main():
    async with fake_fleet(Path(sys.argv[1]), "sane", "sane", stages=()) as fleet:
        await fleet.ready(20)
        print("ready", flush=True)
        await asyncio.sleep({FOR_EVER_S})

asyncio.run(main())
"""


def test_parent_2_killed_takes_its_children_along_and_the_next_one_tidies_up(
    tmp_path: Path,
) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        children = processes_in(tmp_path)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        asyncio.run(until(lambda: not processes_in(tmp_path), 1.0))

    assert len(children) == 2
    assert [it.name.startswith(PREFIX) for it in tmp_path.iterdir()] == [True]
    asyncio.run(_enter(tmp_path))
    assert not list(tmp_path.iterdir())


async def _enter(place: Path) -> None:
    async with fake_fleet(place, "sane") as fleet:
        assert names_in(place) == [fleet.directory.name]


def names_in(place: Path) -> list[str]:
    return [it.name for it in place.iterdir()]


def test_the_fake_is_the_only_program_that_a_fake_fleet_starts() -> None:
    fleet = fake_fleet(Path("/"), "sane")

    assert [it.command for it in fleet.crews] == [(*FAKE, "sane")]
    assert fleet.tally.generators == (Generator(0),)
