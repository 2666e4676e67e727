import pytest

from probes.chain.judge.blocktime import Pace
from probes.chain.judge.thresholds import limits, resolve, syncing_distance
from probes.chain.judge.views import Views
from probes.chain.model import Limits, Thresholds
from tests.probes.chain.judge.stage import group


def auto(family: str, block_s: float) -> Limits:
    return resolve(group(family=family), Pace(block_s, block_s, block_s))


@pytest.mark.parametrize(
    ("family", "block_s", "age", "warn", "down", "depth"),
    [
        pytest.param("evm", 12, 120, 2, 6, 3, id="ethereum"),
        pytest.param("evm", 2, 30, 5, 30, 15, id="a rollup"),
        pytest.param("evm", 0.25, 30, 40, 240, 120, id="four blocks a second"),
        pytest.param("cosmos", 6, 60, 2, 10, 5, id="cosmos"),
        pytest.param("solana", 0.4, 30, 50, 150, 75, id="solana: slots"),
        pytest.param("evm", 120, 1200, 2, 6, 3, id="slow"),
    ],
)
def test_auto_follows_the_block_time(
    family: str, block_s: float, age: float, warn: float, down: float, depth: int
) -> None:
    known = auto(family, block_s)

    assert (known.head_age_s, known.lag_warn, known.lag_down) == (age, warn, down)
    assert known.fork_depth == depth
    assert known.ws_silent_after_s == age


def test_the_other_limits_have_their_defaults() -> None:
    known = auto("evm", 12)

    assert (known.latency_warn_s, known.latency_down_s) == (1, None)
    assert (known.min_peers, known.txpool_full, known.shred_lag) == (None, None, 100)
    assert known.finality_lag == 64
    assert auto("cosmos", 6).finality_lag is None


def test_what_the_file_says_goes_before_auto() -> None:
    wanted = Thresholds(
        head_age_s=5, lag_warn=1, lag_down=3, finality_lag=9, fork_depth=7, latency_down_s=4
    )
    known = limits(group(thresholds=wanted), Views())

    assert (known.head_age_s, known.lag_warn, known.lag_down) == (5, 1, 3)
    assert (known.finality_lag, known.fork_depth, known.latency_down_s) == (9, 7, 4)
    assert known.ws_silent_after_s == 5


def test_off_is_no_limit() -> None:
    wanted = Thresholds(
        head_age_s="off", lag_warn="off", lag_down="off", finality_lag="off", fork_depth="off",
        latency_warn_s="off", shred_lag="off", ws_silent_after_s="off",
    )  # fmt: skip
    known = limits(group(thresholds=wanted), Views())

    assert {known.head_age_s, known.lag_warn, known.lag_down, known.finality_lag} == {None}
    assert {known.latency_warn_s, known.shred_lag, known.ws_silent_after_s} == {None}


def test_who_needs_a_safe_depth_gets_one_though_forks_are_not_compared() -> None:
    assert limits(group(thresholds=Thresholds(fork_depth="off")), Views()).fork_depth == 3


def test_silence_has_a_limit_where_the_age_of_a_head_has_none() -> None:
    known = limits(group(thresholds=Thresholds(head_age_s="off")), Views())

    assert known.ws_silent_after_s == 120


def test_doubt_about_the_block_time_is_never_held_against_an_endpoint() -> None:
    known = resolve(group(), Pace(12, 0.25, 60))

    assert (known.head_age_s, known.lag_down) == (600, 240)


def test_a_node_may_sync_some_blocks_though_lag_is_not_judged() -> None:
    pace = Pace(12, 12, 12)
    off = group(thresholds=Thresholds(lag_down="off"))

    assert syncing_distance(resolve(off, pace), pace) == 6
    assert syncing_distance(resolve(group(thresholds=Thresholds(lag_down=9)), pace), pace) == 9
