"""Load past one machine, row by row of "Master and workers" of load.md 14, with real processes."""

import asyncio
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
import zmq

from probes.config.load import load
from scenarios.afar.message import Join, Message
from scenarios.config.section import SCENARIOS, scenarios_of
from scenarios.course.workers import Workers, fleet_of
from scenarios.fleet.launch import Fleet, Unready
from scenarios.guest.guest import Guest
from scenarios.planning.make import Flags, make_plan
from scenarios.records import Secrets
from tests.scenarios.afar.processes import (
    START_S,
    Delay,
    Process,
    crowd,
    gone_after_s,
    write_file,
)
from tests.scenarios.children import Target, target
from tests.servers.process import free_port
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@dataclass
class Site:
    """Where everything is."""

    root: Path
    target: Target
    delay: Delay

    def file(self, name: str, **keys: str) -> Path:
        return write_file(self.root / name, self.target.url, self.delay.url, **keys)


@dataclass
class Ran:
    """What came of some processes."""

    codes: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    reference: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)
    came_at: list[float] = field(default_factory=list)
    at: dict[str, float] = field(default_factory=dict)


def lead(file: Path, name: str, port: int, count: int, *more: str) -> Process:
    words = ("load", name, "--config", str(file), "--expect-workers", str(count), "--master-bind",
             f"127.0.0.1:{port}", "--data", str(file.parent / "data"), *more)  # fmt: skip
    return Process(file.parent, "load", *words)


def worker(file: Path, port: int, name: str) -> Process:
    words = ("load-worker", "--master", f"127.0.0.1:{port}", "--config", str(file))
    return Process(file.parent, name, *words)


def guest_of(file: Path, address: str) -> Guest:
    """A worker of this process; its child is one of its own."""
    config = load(file, further=(SCENARIOS,))
    return Guest(config, address, frozenset(), file.parent, lambda _: None)


def fleet_for(file: Path, address: str, count: int) -> Fleet:
    """A master's parent of this process."""
    config = load(file, further=(SCENARIOS,))
    keys = scenarios_of(config)["long"]
    plan = make_plan(config, "long", keys, Flags(shards=count), cpus=count).plan
    return fleet_of(plan, Secrets(), file.parent, "continue", Workers(count, address))


def all_is_well(site: Site) -> Ran:
    """Three workers, and after them one shard of this machine."""
    file, port, ran = site.file("well"), free_port(), Ran()

    async def play() -> list[int]:
        guests = [guest_of(file, f"127.0.0.1:{port}") for _ in range(3)]
        return await asyncio.gather(*(it.run() for it in guests))

    with crowd() as them:
        them.append(lead(file, "equal", port, 3, "--json"))
        for number, code in enumerate(asyncio.run(play())):
            ran.codes[f"worker-{number}"] = code
        ran.codes["load"], ran.texts["load"] = them[0].ends(), them[0].err
        ran.report = json.loads(them[0].out)
    alone = site.file("alone")
    with crowd() as them:
        words = ("load", "equal", "--config", str(alone), "--shards", "1", "--json", "--data")
        them.append(Process(alone.parent, "load", *words, str(alone.parent / "data")))
        ran.codes["alone"], ran.texts["alone"] = them[0].ends(), them[0].err
        ran.reference = json.loads(them[0].out)
    return ran


def deaths(site: Site) -> Ran:
    """One worker of two dies, then the other."""
    ran, port = Ran(), free_port()

    async def play(first: Process, other: Process) -> None:
        async with fleet_for(file, f"127.0.0.1:{port}", 2) as fleet:
            await fleet.ready(START_S)
            fleet.begin()
            await until(lambda: len(own.came_at) >= 60, START_S)
            child = first.children()
            ran.at["first"] = first.kill()
            ran.seconds["child gone"] = gone_after_s(child, ran.at["first"], 5)
            await until(lambda: bool(fleet.lost), 10)
            ran.seconds["lost"] = monotonic() - ran.at["first"]
            # the loss of one is to be told by a row of its own before the other dies
            await asyncio.sleep(1.5)
            ran.at["other"] = other.kill()
            await fleet.ended()
            ran.seconds["ended"] = monotonic() - ran.at["other"]
            ran.states = [it.state for it in fleet.tally.generators]

    with crowd() as them, target() as own:
        file = replace(site, target=own).file("deaths")
        them += [worker(file, port, name) for name in ("first", "other")]
        asyncio.run(play(*them))
        ran.came_at = list(own.came_at)
    return ran


def silence(site: Site) -> Ran:
    """The master dies."""
    ran, port = Ran(), free_port()

    async def play(load: Process) -> None:
        guest = guest_of(file, f"127.0.0.1:{port}")
        playing = asyncio.ensure_future(guest.run())
        await until(lambda: len(own.came_at) >= 30, START_S)
        ran.at["master"] = load.kill()
        ran.codes["worker"] = await playing
        ran.seconds["worker gone"] = monotonic() - ran.at["master"]
        ran.texts["worker"] = guest.text

    with crowd() as them, target() as own:
        file = replace(site, target=own).file("silence")
        them.append(lead(file, "long", port, 1))
        asyncio.run(play(them[0]))
        ran.came_at = list(own.came_at)
    return ran


def strangers(site: Site) -> Ran:
    """One comes late, and is told to leave; then somebody sends what is no message of Locust."""
    ran, port = Ran(), free_port()

    async def play() -> None:
        async with fleet_for(file, f"[::1]:{port}", 1) as fleet:
            guest = guest_of(file, f"[::1]:{port}")
            playing = asyncio.ensure_future(guest.run())
            await fleet.ready(START_S)
            fleet.begin()
            await until(lambda: len(own.came_at) >= 30, START_S)
            with stranger(f"tcp://[::1]:{port}") as socket:
                join = Join("late", {}).to_bytes()
                packed = Message("", 1, join).packed()
                socket.send(msgpack.dumps(("sonde.join", packed, "stranger")))
                kind, data, _ = msgpack.loads(await asyncio.to_thread(socket.recv))
                ran.texts["late"] = f"{kind}: {data['b'].decode()}"
                ran.at["late"] = monotonic()
                socket.send(b"\xc1junk")
                await until(lambda: bool(fleet.lost), 10)
                ran.seconds["known"] = monotonic() - ran.at["late"]
                await fleet.ended()
            ran.texts["lost"] = fleet.lost[0].text
            ran.codes["worker"] = await playing

    with target() as own:
        file = replace(site, target=own).file("strangers")
        asyncio.run(play())
    return ran


@contextmanager
def stranger(address: str) -> Iterator["zmq.Socket[bytes]"]:
    """Somebody on the port."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made = context.socket(zmq.DEALER)
    for option, value in ((zmq.IDENTITY, b"stranger"), (zmq.IPV6, 1), (zmq.RCVTIMEO, 20000)):
        made.setsockopt(option, value)
    made.connect(address)
    try:
        yield made
    finally:
        made.close(0)
        context.term()


def before_load(site: Site) -> Ran:
    """What ends a run before it begins."""
    ran = Ran()

    async def few(file: Path) -> None:
        async with fleet_for(file, f"127.0.0.1:{free_port()}", 2) as fleet:
            with pytest.raises(Unready) as caught:
                await fleet.ready(1)
            ran.texts["few"] = str(caught.value)

    async def refused(mine: Path, its: Path, port: int) -> None:
        async with fleet_for(mine, f"127.0.0.1:{port}", 1) as fleet:
            guest = guest_of(its, f"127.0.0.1:{port}")
            playing = asyncio.ensure_future(guest.run())
            with pytest.raises(Unready) as caught:
                await fleet.ready(START_S)
            ran.texts["refused"] = str(caught.value)
            ran.codes["worker"], ran.texts["worker"] = await playing, guest.text

    with crowd() as them, target() as own, socket.socket() as taken:
        here = replace(site, target=own)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        them.append(lead(here.file("busy"), "long", busy, 1))
        asyncio.run(few(here.file("few")))
        mine, its = here.file("mine"), here.file("its", allow="127.0.0.2/32")
        asyncio.run(refused(mine, its, free_port()))
        ran.at["busy"] = busy
        ran.codes["busy"], ran.texts["busy"] = them[0].ends(), them[0].err
        ran.came_at = list(own.came_at)
    return ran


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Ran]]:
    """Everything that can go on side by side, done once; two at a time, as a machine has cores."""
    jobs = {
        "well": all_is_well, "deaths": deaths, "silence": silence,
        "strangers": strangers, "before": before_load,
    }  # fmt: skip
    delay = Delay()
    with target() as server, ThreadPoolExecutor(2) as threads:
        site = Site(tmp_path_factory.mktemp("afar"), server, delay)
        began = {name: threads.submit(job, site) for name, job in jobs.items()}
        try:
            yield {name: it.result() for name, it in began.items()}
        finally:
            delay.close()


def test_workers_1_fewer_than_expected_within_the_wait_send_no_load(runs: dict[str, Ran]) -> None:
    assert runs["before"].texts["few"] == "want 2 workers within 1 s, got 0"


def test_workers_2_a_killed_one_is_known_within_6_s_and_no_other_sends_more(
    runs: dict[str, Ran],
) -> None:
    run = runs["deaths"]
    began, ended = run.at["first"] + 0.3, run.at["other"]

    assert run.seconds["lost"] < 6
    assert run.states == ["lost", "lost"]
    # the other goes on with its own arrivals: 30/s of 60/s
    after = [at for at in run.came_at if began < at < ended]
    assert len(after) <= 30 * (ended - began) * 1.05 + 1


def test_workers_3_when_all_are_gone_the_run_ends_at_once(runs: dict[str, Ran]) -> None:
    # as soon as it is known
    assert runs["deaths"].seconds["ended"] < 8


def test_workers_4_stop_when_the_master_is_killed(runs: dict[str, Ran]) -> None:
    run = runs["silence"]

    assert max(run.came_at) - run.at["master"] < 5
    assert run.codes["worker"] == 3
    assert run.texts["worker"] == "want the master to be there to the end, got silence"
    assert run.seconds["worker gone"] < 8


def test_workers_5_the_child_of_a_killed_one_is_gone_within_a_second(runs: dict[str, Ran]) -> None:
    assert runs["deaths"].seconds["child gone"] < 1


def test_workers_6_a_rail_of_their_own_refuses_by_name_before_any_load(
    runs: dict[str, Ran],
) -> None:
    run = runs["before"]

    assert run.codes["worker"] == 4
    for name in ("refused", "worker"):
        assert "want a host of safety.targets.allow, got '127.0.0.1'" in run.texts[name]
    # that of the preflight of the one whose port is taken
    assert len(run.came_at) <= 1


def test_workers_7_a_late_one_is_told_to_leave(runs: dict[str, Ran]) -> None:
    told = "sonde.bye: want 1 workers, got another: the run has begun"

    assert runs["strangers"].texts["late"] == told


def test_workers_8_junk_on_the_port_ends_the_run_within_two_seconds(runs: dict[str, Ran]) -> None:
    run = runs["strangers"]

    # a second until the master looks, and what a crowded machine adds
    assert run.seconds["known"] < 3
    assert run.texts["lost"] == "want messages on the port that Locust can read, got others"
    assert run.codes["worker"] == 3


def test_workers_9_half_a_character_in_a_name_and_an_error_changes_nothing(
    runs: dict[str, Ran],
) -> None:
    run = runs["well"]

    # a crowded machine is too busy to measure; that is no matter of names
    assert {it["code"] for it in run.report["reasons"]} <= {"saturated"}
    assert {it["state"] for it in run.report["generators"]} == {"final"}
    names = {it["labels"].get("step") for it in run.report["series"]}
    assert "half \\udcff" in names


def test_workers_10_a_port_in_use_is_named(runs: dict[str, Ran]) -> None:
    run = runs["before"]

    assert run.codes["busy"] == 3
    text = f"want to listen on 127.0.0.1:{run.at['busy']} for workers, got it in use"
    assert text in run.texts["busy"]


def test_workers_11_count_what_one_shard_counts(runs: dict[str, Ran]) -> None:
    run = runs["well"]

    def counts(report: dict[str, Any]) -> dict[str, int]:
        return {
            json.dumps([it["metric"], it["labels"]], sort_keys=True): it["count"]
            for it in report["series"]
        }

    assert counts(run.report) == counts(run.reference)
    assert run.report["totals"]["requests"] == 80
    assert [it["state"] for it in run.report["generators"]] == ["final"] * 3
    assert [run.codes[f"worker-{number}"] for number in range(3)] == [0, 0, 0]
    one, other = (
        next(it for it in report["series"]
             if it["metric"] == "request.duration" and it["labels"].get("step") == "wait")
        for report in (run.report, run.reference)
    )  # fmt: skip
    for quantile in ("p50", "p90", "p95", "p99"):
        assert one[quantile] == pytest.approx(other[quantile], rel=0.01)
