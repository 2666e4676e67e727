"""The limits of one run: what the file says, with ``auto`` resolved by the measured block time.

Knows no endpoint. ``finality_lag`` is the exception: its ``auto`` depends on what each endpoint
told lately (`probes.chain.judge.finality`), so here it is only the floor of that. Pure.
"""

from math import ceil

from probes.chain.judge.blocktime import Pace, pace
from probes.chain.judge.views import Views
from probes.chain.model import Group, Limit, Limits

# chains.md 2.1
MIN_HEAD_AGE_S, HEAD_AGE_BLOCKS = 30.0, 10
MIN_LAG_WARN, LAG_WARN_S = 2, 10.0
MIN_LAG_DOWN, LAG_DOWN_S = 6, 60.0
SOLANA_LAG_WARN, SOLANA_LAG_DOWN = 50.0, 150.0
MIN_FORK_DEPTH, FORK_DEPTH_S = 3, 30.0
# Two epochs of 32 blocks.
MIN_FINALITY_LAG = 64.0
LATENCY_WARN_S = 1.0
SHRED_LAG = 100.0


def limits(group: Group, views: Views) -> Limits:
    """Return the thresholds of *group* as of the block time that *views* have measured."""
    return resolve(group, pace(group, views))


def resolve(group: Group, known: Pace) -> Limits:
    """Return the thresholds of *group* for a block time."""
    wanted = group.thresholds
    is_solana = group.family == "solana"
    blocks = (
        (SOLANA_LAG_WARN, SOLANA_LAG_DOWN)
        if is_solana
        else (
            float(max(MIN_LAG_WARN, ceil(LAG_WARN_S / known.fast))),
            float(max(MIN_LAG_DOWN, ceil(LAG_DOWN_S / known.fast))),
        )
    )
    age = max(MIN_HEAD_AGE_S, HEAD_AGE_BLOCKS * known.slow)
    depth = float(max(MIN_FORK_DEPTH, ceil(FORK_DEPTH_S / known.fast)))
    head_age_s = _limit(wanted.head_age_s, age)
    return Limits(
        head_age_s=head_age_s,
        lag_warn=_limit(wanted.lag_warn, blocks[0]),
        lag_down=_limit(wanted.lag_down, blocks[1]),
        # finality of CometBFT is immediate
        finality_lag=_limit(
            wanted.finality_lag, None if group.family == "cosmos" else MIN_FINALITY_LAG
        ),
        # "off" stops the comparison (`fork`); whoever needs a safe depth still gets one
        fork_depth=ceil(_limit(wanted.fork_depth, depth) or depth),
        latency_warn_s=_limit(wanted.latency_warn_s, LATENCY_WARN_S),
        latency_down_s=_limit(wanted.latency_down_s, None),
        min_peers=_limit(wanted.min_peers, None),
        shred_lag=_limit(wanted.shred_lag, SHRED_LAG),
        txpool_full=_limit(wanted.txpool_full, None),
        # silence is judged against the head of HTTP: also where the age of the head is not
        ws_silent_after_s=_limit(wanted.ws_silent_after_s, head_age_s or age),
    )


def syncing_distance(limits_now: Limits, known: Pace) -> float:
    """Return how many blocks a node that says it is syncing may be away, and still be of use."""
    if limits_now.lag_down is not None:
        return limits_now.lag_down
    return float(max(MIN_LAG_DOWN, ceil(LAG_DOWN_S / known.fast)))


def _limit(wanted: Limit, auto: float | None) -> float | None:
    if wanted == "auto":
        return auto
    return None if wanted == "off" else float(wanted)
