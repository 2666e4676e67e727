"""The prober's own pulse: P4, P10, E10, E18, F12, F13, F26, F27, F30, F33."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from probes.errors import CheckFailed
from probes.kind import Kind
from probes.probe import Probe
from probes.prober_health import (
    CONTROL_EVERY_S,
    CONTROL_WAIT_S,
    DESCRIPTOR_RESERVE,
    TICK_S,
    ProberHealth,
    descriptors_are_scarce,
)
from probes.recorder import Recorder
from probes.result import Outcome, Reason
from probes.run import run_once
from tests.exporter.virtual_loop import VirtualLoop, run_virtual

Scene = Callable[[VirtualLoop, ProberHealth], Coroutine[Any, Any, None]]


def play(scene: Scene, **controls: Any) -> None:
    """Run *scene* in virtual time beside a ticking health."""
    loop = VirtualLoop()
    health = ProberHealth(clock=loop.time, **controls)

    async def main() -> None:
        health.start()
        try:
            await scene(loop, health)
        finally:
            await health.stop()

    run_virtual(loop, main())


# --- awake


def test_a_freeze_during_a_run_is_a_stall() -> None:
    async def scene(loop: VirtualLoop, health: ProberHealth) -> None:
        start = loop.time()
        await asyncio.sleep(0.3)
        loop.freeze(4)
        await asyncio.sleep(0.3)

        assert health.verdict(start, 10) == (
            Reason.STALL,
            "want an awake prober, got a freeze of 3.90 s during the run",
        )
        assert health.worst_lag() == pytest.approx(3.90, abs=0.06)

    play(scene)


def test_a_freeze_is_known_before_the_ticker_has_had_its_turn() -> None:
    async def scene(loop: VirtualLoop, health: ProberHealth) -> None:
        await asyncio.sleep(1)
        start = loop.time()
        loop.freeze(4)

        verdict = health.verdict(start, 10)

        assert verdict is not None
        assert verdict[0] is Reason.STALL

    play(scene)


def test_a_run_that_began_after_the_freeze_is_judged_as_it_is() -> None:
    """F27: the freeze excuses what was in flight, not what comes later."""

    async def scene(loop: VirtualLoop, health: ProberHealth) -> None:
        await asyncio.sleep(1)
        loop.freeze(4)
        start = loop.time()

        assert health.verdict(start, 10) is None
        await asyncio.sleep(0.2)
        assert health.verdict(start, 10) is None
        start = loop.time()
        await asyncio.sleep(0.2)
        assert health.gaps_since(start) == (0, 0)

    play(scene)


@pytest.mark.parametrize(
    ("freeze_s", "timeout_s", "stalled"),
    [
        pytest.param(0.9, 30.0, False, id="long timeout, below a second"),
        pytest.param(1.2, 30.0, True, id="long timeout, above a second"),
        pytest.param(0.4, 5.0, False, id="below a tenth of the timeout"),
        pytest.param(0.7, 5.0, True, id="above a tenth of the timeout"),
        pytest.param(0.15, 0.2, False, id="noise never excuses, however short the timeout"),
    ],
)
def test_a_stall_is_a_second_or_a_tenth_of_the_timeout(
    freeze_s: float, timeout_s: float, *, stalled: bool
) -> None:
    async def scene(loop: VirtualLoop, health: ProberHealth) -> None:
        start = loop.time()
        await asyncio.sleep(5)
        loop.freeze(freeze_s)
        await asyncio.sleep(0.2)

        assert (health.verdict(start, timeout_s) is not None) == stalled

    play(scene)


def test_many_small_gaps_are_an_overload() -> None:
    """F33: CPU quota: no single gap is a stall, their sum slowed the run."""

    async def scene(loop: VirtualLoop, health: ProberHealth) -> None:
        start = loop.time()
        for _ in range(10):
            await asyncio.sleep(TICK_S)
            loop.freeze(0.25)

        verdict = health.verdict(start, 10)

        assert verdict is not None
        assert verdict[0] is Reason.OVERLOAD
        assert verdict[1].startswith("want an unburdened prober, got 1.")

    play(scene)


def test_an_awake_prober_excuses_nothing() -> None:
    async def scene(loop: VirtualLoop, health: ProberHealth) -> None:
        start = loop.time()
        await asyncio.sleep(10)

        assert health.verdict(start, 10) is None
        assert not health.latency_excused(start)
        assert health.gaps_since(start) == (0, 0)
        assert health.last_tick == pytest.approx(loop.time(), abs=TICK_S + 1e-6)

    play(scene)


def test_lag_excuses_a_latency_sooner_than_a_failure() -> None:
    """P25."""

    async def scene(loop: VirtualLoop, health: ProberHealth) -> None:
        start = loop.time()
        await asyncio.sleep(1)
        loop.freeze(0.2)
        await asyncio.sleep(0.15)

        assert health.verdict(start, 10) is None
        assert health.latency_excused(start)

    play(scene)


def test_the_worst_lag_is_that_of_the_window() -> None:
    async def scene(loop: VirtualLoop, health: ProberHealth) -> None:
        await asyncio.sleep(1)
        loop.freeze(5)
        await asyncio.sleep(29)
        assert health.worst_lag() > 4.5
        await asyncio.sleep(2)
        assert health.worst_lag() == 0

    play(scene)


# --- connected


class Network:
    """Control targets that answer, refuse to, or keep silent."""

    def __init__(self) -> None:
        self.answer: bool | None = True
        self.after_s = 0.001
        self.asked = 0

    async def reach(self, control: str) -> bool:
        assert control in CONTROLS
        self.asked += 1
        answer = self.answer
        await asyncio.sleep(2.0 if answer is None else self.after_s)
        return bool(answer)


CONTROLS = ("10.0.0.1:53", "10.0.0.2:53")
CUT_OFF = "want an answer from 10.0.0.1:53 or 10.0.0.2:53, got none: the prober has no network"


def play_network(
    scene: Callable[[VirtualLoop, ProberHealth, Network], Coroutine[Any, Any, None]],
) -> None:
    network = Network()

    async def with_network(loop: VirtualLoop, health: ProberHealth) -> None:
        await asyncio.sleep(1)
        await scene(loop, health, network)

    play(with_network, controls=CONTROLS, reach=network.reach)


def test_without_controls_nobody_is_cut_off() -> None:
    async def scene(loop: VirtualLoop, health: ProberHealth) -> None:
        assert await health.cut_off(loop.time()) is None

    play(scene)


def test_controls_may_change_while_the_prober_runs() -> None:
    async def scene(loop: VirtualLoop, health: ProberHealth, network: Network) -> None:
        network.answer = False
        assert await health.cut_off(loop.time()) == CUT_OFF

        health.watch(())
        assert await health.cut_off(loop.time()) is None
        asked = network.asked
        await asyncio.sleep(10)
        assert network.asked == asked

        health.watch(CONTROLS)
        await asyncio.sleep(10)
        assert network.asked > asked
        assert health.is_cut_off

    play_network(scene)


def test_controls_without_a_way_to_ask_them_are_none() -> None:
    assert ProberHealth(controls=CONTROLS).controls == ()


def test_a_control_that_answers_leaves_the_blame_with_the_target() -> None:
    async def scene(loop: VirtualLoop, health: ProberHealth, network: Network) -> None:
        assert await health.cut_off(loop.time()) is None
        assert not health.is_cut_off

    play_network(scene)


def test_a_prober_without_network_says_so_and_notices_the_return() -> None:
    """F12, F13."""

    async def scene(loop: VirtualLoop, health: ProberHealth, network: Network) -> None:
        start, network.answer = loop.time(), False
        assert await health.cut_off(start) == CUT_OFF
        assert health.is_cut_off
        asked = network.asked
        assert await health.cut_off(start) == CUT_OFF
        assert network.asked == asked

        network.answer = True
        await asyncio.sleep(CONTROL_EVERY_S + 0.1)

        assert await health.cut_off(loop.time()) is None

    play_network(scene)


def test_the_network_that_went_during_the_run_is_no_fault_of_the_target() -> None:
    """The controls have answered since the run began, and are silent by its end."""

    async def scene(loop: VirtualLoop, health: ProberHealth, network: Network) -> None:
        start = loop.time()
        await asyncio.sleep(CONTROL_EVERY_S + 0.1)
        network.answer = None

        began = loop.time()
        assert await health.cut_off(start) == CUT_OFF

        assert loop.time() - began <= CONTROL_WAIT_S + 1e-6

    play_network(scene)


def test_the_answer_to_an_older_question_proves_nothing() -> None:
    async def scene(loop: VirtualLoop, health: ProberHealth, network: Network) -> None:
        network.after_s = 0.05
        first = asyncio.create_task(health.cut_off(loop.time()))
        await asyncio.sleep(0.01)  # that question is under way now
        network.answer = False

        assert await health.cut_off(loop.time()) == CUT_OFF
        assert await first is None

    play_network(scene)


def test_a_thousand_failures_share_a_question() -> None:
    async def scene(loop: VirtualLoop, health: ProberHealth, network: Network) -> None:
        begin, asked = loop.time(), network.asked

        async def fail(number: int) -> None:
            await asyncio.sleep(number / 1000)
            assert await health.cut_off(begin) is None

        await asyncio.gather(*map(fail, range(1000)))

        assert network.asked - asked <= 2 * (1.0 / 0.05 + 2)

    play_network(scene)


def test_a_silent_control_is_not_asked_again_and_again() -> None:
    async def scene(loop: VirtualLoop, health: ProberHealth, network: Network) -> None:
        network.answer, asked = None, network.asked

        async def fail(number: int) -> None:
            await asyncio.sleep(number / 100)
            assert await health.cut_off(loop.time()) == CUT_OFF

        await asyncio.gather(*map(fail, range(100)))

        assert network.asked - asked <= 2 * 6

    play_network(scene)


def test_slow_controls_do_not_turn_every_failure_into_our_own() -> None:
    async def scene(loop: VirtualLoop, health: ProberHealth, network: Network) -> None:
        network.after_s = 0.4
        await asyncio.sleep(2 * CONTROL_EVERY_S)
        start = loop.time()
        await asyncio.sleep(2 * CONTROL_EVERY_S)

        assert await health.cut_off(start) is None

        network.answer = None
        await asyncio.sleep(2 * CONTROL_EVERY_S)
        assert await health.cut_off(loop.time()) == CUT_OFF

    play_network(scene)


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        pytest.param(OSError(101, "unreachable"), 0, id="no way there"),
        pytest.param(RuntimeError("a bug"), 2, id="a bug of ours"),
    ],
)
def test_a_control_that_raises_does_not_answer(
    error: Exception, logged: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def reach(control: str) -> bool:
        raise error

    async def scene(loop: VirtualLoop, health: ProberHealth) -> None:
        assert await health.cut_off(loop.time()) is not None
        assert health.is_cut_off

    with caplog.at_level(logging.ERROR, "sonde.prober"):
        play(scene, controls=CONTROLS, reach=reach)

    assert len(caplog.records) == logged


class Unlucky(Kind):
    """Fails for one reason."""

    name: ClassVar[str] = "unlucky"
    reason: Reason

    async def run(self, target: str, recorder: Recorder) -> None:
        with recorder.phase("connect"):
            raise CheckFailed(self.reason, f"want an answer from {target}, got none")


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        pytest.param(Reason.UNREACHABLE, Outcome.UNKNOWN, id="no route"),
        pytest.param(Reason.DNS_TIMEOUT, Outcome.UNKNOWN, id="resolver dead for all"),
        pytest.param(Reason.STATUS, Outcome.DOWN, id="an answer came: the network was there"),
    ],
)
async def test_a_prober_without_network_blames_itself(reason: Reason, outcome: Outcome) -> None:
    """P4, F12, F13."""

    async def reach(control: str) -> bool:
        return False

    health = ProberHealth(CONTROLS, reach)
    health.start()
    probe = Probe(name="it", kind=Unlucky(reason=reason), target="127.0.0.1:1")

    result = await run_once(probe, health=health)

    await health.stop()
    assert result.outcome is outcome
    if outcome is Outcome.UNKNOWN:
        assert result.failure is not None
        assert result.failure.reason is Reason.NETWORK
        assert result.failure.message.startswith(CUT_OFF)


async def test_a_health_that_never_started_can_be_stopped() -> None:
    await ProberHealth().stop()


async def test_stop_leaves_neither_task_nor_question() -> None:
    asked = asyncio.Event()

    async def reach(control: str) -> bool:
        asked.set()
        await asyncio.Event().wait()
        return False

    before = asyncio.all_tasks()
    health = ProberHealth(CONTROLS, reach)
    health.start()
    await asked.wait()
    failing = asyncio.create_task(health.cut_off(0.0))
    await asyncio.sleep(0)

    await health.stop()

    with suppress(asyncio.CancelledError):
        await failing
    assert asyncio.all_tasks() == before


# --- descriptors


def test_a_process_with_room_is_not_short_of_descriptors() -> None:
    assert not descriptors_are_scarce()


SCARCE = f"""
import os, resource, sys
from probes.prober_health import descriptors_are_scarce

closed_stdin = sys.argv[1] == "closed stdin"
if closed_stdin:
    os.close(0)
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
said = [descriptors_are_scarce()]
for _ in range({DESCRIPTOR_RESERVE} - 1):
    os.close(held.pop(len(held) // 2))
said.append(descriptors_are_scarce())
before = len(os.listdir("/proc/self/fd"))
os.close(held.pop())
said.append(descriptors_are_scarce())
assert len(os.listdir("/proc/self/fd")) == before - 1, "want nothing left open"
print(said)
"""


@pytest.mark.slow
@pytest.mark.parametrize("stdin", ["open stdin", "closed stdin"])
def test_fewer_free_descriptors_than_the_reserve_are_scarce(stdin: str) -> None:
    """P10, E18, F30: counted exactly, wherever in the table the free ones lie."""
    script = [sys.executable, "-c", SCARCE, stdin]

    done = subprocess.run(script, capture_output=True, text=True, timeout=15, check=False)

    assert (done.stdout, done.stderr) == ("[True, True, False]\n", "")


EXHAUSTED = """
import asyncio, os, resource, socket
from probes.kinds.http import Http
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.run import run_once

async def run(target, health):
    result = await run_once(Probe("it", Http(), target, timeout_s=0.3), health=health)
    return result.outcome.value, result.failure.reason.value

async def main():
    silent = socket.create_server(("127.0.0.1", 0))
    health = ProberHealth()
    health.start()
    target = f"http://127.0.0.1:{silent.getsockname()[1]}/"
    print(await run(target, health))
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
    held = []
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        print(await run(target, health), await run("http://name.invalid/", health))
    os.close(held.pop())
    print(await run(target, health))
    while len(held) > 60:
        os.close(held.pop())
    print(await run(target, health))
    await health.stop()

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_prober_without_descriptors_blames_itself() -> None:
    """P4, E18, F30: whether the socket cannot be opened or a silence ends in a timeout."""
    script = [sys.executable, "-c", EXHAUSTED]

    done = subprocess.run(script, capture_output=True, text=True, timeout=15, check=False)

    room, none, one, room_again = done.stdout.splitlines()
    assert room == room_again == "('down', 'timeout')"
    assert none.startswith("('unknown', 'resource') ('unknown', ")
    assert one == "('unknown', 'resource')"
    assert done.stderr == ""
