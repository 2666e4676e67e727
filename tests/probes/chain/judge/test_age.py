"""Old heads: of one endpoint, of all of them at once, and of a chain that stands still."""

from typing import Any

from probes.chain.judge.evaluate import BLOCK_TIMES_S
from probes.chain.reasons import ChainReason
from tests.probes.chain.judge.stage import DEGRADED, DOWN, UP, Stage, group, said, verdict

HOUR_S = 3600.0


def halted(names: str = "ab", runs: int = 14, **keys: Any) -> tuple[Stage, int]:
    """Return a group whose chain has halted, and the height at which it did."""
    stage = Stage(group(names, **keys), block_s=BLOCK_TIMES_S[keys.get("family", "evm")])
    stage.settle()
    at = stage.height
    assert stage.repeat(runs, lambda: dict.fromkeys(names, at)).is_halted
    return stage, at


def test_endpoints_that_stop_together_are_never_taken_out_of_use() -> None:
    stage = Stage(group("ab", family="cosmos"), block_s=6, every_s=10)
    stage.settle()
    # the head was already five seconds old when it was first read
    stage.elapsed_s += 5
    at = stage.height

    told = [stage.run(a=at, b=at) for _ in range(12)]

    assert told[-1].is_halted
    assert (told[-1].outcome, told[-1].blamed) == (DOWN, "")
    assert any(said(it, "a") == "degraded head_stale" and not it.is_halted for it in told)
    for judgement in told:
        for name in "ab":
            assert verdict(judgement, name).outcome is not DOWN
            assert verdict(judgement, name).exported is not DOWN


def test_an_endpoint_that_stops_alone_is_down_as_soon_as_it_is_too_old() -> None:
    stage = Stage(group("abc"))
    stage.settle()
    at = stage.height

    told = [said(stage.run(a=at), "a") for _ in range(12)]

    assert told[-1] == "down head_stale lag_down"
    assert not any(it.startswith("degraded head_stale") for it in told)


def test_old_heads_that_move_are_not_those_of_a_halt() -> None:
    stage = Stage(group("ab"))
    behind = int(HOUR_S / stage.block_s)

    # they catch up: ten blocks in each run
    told = [
        stage.run(a=stage.height - behind + 10 * run, b=stage.height - behind + 10 * run)
        for run in range(10)
    ]

    assert [it.outcome for it in told] == [DOWN] * 10
    assert [said(it, "a") for it in told[1:]] == ["down head_stale"] * 9


def test_a_halt_goes_on_while_one_that_saw_it_is_left() -> None:
    stage, at = halted("abc")
    gone = stage.silent("b", ChainReason.CONNECT_REFUSED)

    left = stage.run(a=at, b=gone, c=stage.silent("c", ChainReason.HTTP_5XX))

    assert left.is_halted
    assert said(left, "a") == "degraded head_stale chain_halted"
    assert said(left, "b") == "down connect_refused"


def test_a_halt_ends_when_the_one_that_is_left_moves() -> None:
    stage, at = halted()
    gone = stage.silent("b", ChainReason.CONNECT_REFUSED)
    stage.run(a=at, b=gone)

    judgement = stage.run(b=gone)

    assert not judgement.is_halted
    assert verdict(judgement, "a").outcome is UP
    assert judgement.blamed == "b"


def test_nobody_left_is_no_halt() -> None:
    stage, _ = halted()
    gone = {name: stage.silent(name, ChainReason.TIMEOUT) for name in "ab"}

    judgement = stage.run(**gone)

    assert not judgement.is_halted
    assert judgement.finding is not None
    assert judgement.finding.reason is ChainReason.TIMEOUT
    # and it must be seen by two again
    one = stage.run(a=1005, b=gone["b"])
    assert not one.is_halted


def test_one_endpoint_alone_does_not_begin_a_halt() -> None:
    stage = Stage(group("ab"))
    stage.settle()
    at, gone = stage.height, stage.silent("b", ChainReason.CONNECT_REFUSED)

    judgement = stage.repeat(14, lambda: {"a": at, "b": gone})

    assert not judgement.is_halted
    assert said(judgement, "a") == "down head_stale"
    assert verdict(judgement, "a").exported is not DEGRADED
