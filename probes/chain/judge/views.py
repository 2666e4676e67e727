"""What the judge remembers of a chain group from run to run: frozen, bounded, empty at first.

    Views
    ├── runs, wall               how many there were, and when the last one was
    ├── reference                (height, mono) that lag was last counted from, and since when
    ├── chain_id                 identity as learnt, where the file names none
    ├── is_halted                whether the chain stood still
    └── endpoints: name -> View
        ├── head, top, polled    where it is, the highest it was, what it said lately
        ├── chain, orphans       (height, hash) of its branch, and of those it left
        ├── told                 slow answers that still count
        └── recent, exported     smoothing

A tuple of a `View` holds at most `KEPT` items and a text at most `MAX_TEXT` characters, whatever an
endpoint says. Knows no rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from probes.chain.model import Head
from probes.chain.reasons import Finding
from probes.result import Outcome

# chains.md 5.6 and 5.8: the last 64.
KEPT = 64
# The longest hash or chain id in use has 66 characters; an endpoint may send a megabyte.
MAX_TEXT = 130
# Every chain counts in 64 bits; what is larger would also break the arithmetic of floats.
MAX_HEIGHT = 2**63

Block = tuple[int, str]
"""Height and hash; the hash is empty where the read has none."""


class Told(NamedTuple):
    """A number of a slow answer: it counts until the next one, or until it is too old.

    Args:
        value: the number; 1 and 0 for yes and no.
        mono: when it was told.
        streak: answers in a row, up to this one, that were over zero.
    """

    value: float
    mono: float
    streak: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """What the next run must know of one endpoint.

    Args:
        samples: runs in which it told its head.
        failed: whether the last run that asked it got no head.
        was_down: whether the last run found it down.
        peer: address that answered last.
        peer_changed: whether that was another one in the run before.
        suspect: whether something in the last run makes its identity doubtful.
        is_foreign: whether it serves another chain.
        chain_id: identity as last told; None: never.
        genesis: hash of block 0 as last told.
        head: latest.
        top: highest head of the branch it is on.
        polled: heads that were read, oldest first.
        chain: known blocks of its branch, oldest first.
        orphans: blocks that its branch has left.
        head_changed_mono: when its head last moved; at first, when it was first seen.
        head_changed_wall: the same in Unix time.
        catches_up: whether its clock runs faster than ours: it replays the past.
        heads_observed: distinct heads.
        reorgs: times that its branch changed.
        reorg_blocks: blocks that were replaced by that.
        rolled_back: how many blocks it went back at once; 0 since it advances again.
        falls: times that it went back a little and then on.
        fell_at: sample of the last fall.
        block_times: seconds between blocks as it tells them.
        syncing: finding while it counts as syncing.
        syncing_mono: when it last said whether it does.
        syncing_runs: answers in a row that said so.
        settled_runs: answers in a row that did not.
        fork: finding while it is on another branch.
        fork_runs: comparisons in a row that it lost.
        fork_seen: run of the last comparison.
        app: height of its application and the state that it came to; None: not known at this head.
        unhealthy_runs: runs in a row that it was unhealthy and could not say how far.
        finalized: the furthest finalized head it told.
        finalized_mono: when that last moved.
        finalized_head: its height at that moment.
        finality_lag: as last told.
        finality_gaps: seconds between its moves.
        finality_lags: values that were not above the limit.
        finality_moves: times that finality moved while it was above the limit.
        finality_back: answers in a row in which it took finality back.
        finality_runs: runs since it told finality.
        throttled: runs in a row that asked and were throttled.
        told: slow answers by name.
        ws_heads: heads its websocket had brought.
        ws_missed: heads its websocket had left out.
        ws_reconnects: times its websocket had dialled again.
        ws_behind_mono: since when its head is ahead of its websocket; None: it is not.
        ws_retry_mono: when it was last asked to dial again for its silence; None: it is not silent.
        ws_silent: whether it stayed silent after that.
        reconnect: the listener should dial again now.
        recent: latest known outcomes, for smoothing.
        exported: smoothed outcome; None: never known.
    """

    samples: int = 0
    failed: bool = False
    was_down: bool = False
    peer: str = ""
    peer_changed: bool = False
    suspect: bool = False
    is_foreign: bool = False
    chain_id: str | None = None
    genesis: str | None = None
    head: Head | None = None
    top: Head | None = None
    polled: tuple[Block, ...] = ()
    chain: tuple[Block, ...] = ()
    orphans: tuple[Block, ...] = ()
    head_changed_mono: float | None = None
    head_changed_wall: float | None = None
    catches_up: bool = False
    heads_observed: int = 0
    reorgs: int = 0
    reorg_blocks: int = 0
    rolled_back: int = 0
    falls: int = 0
    fell_at: int = 0
    block_times: tuple[float, ...] = ()
    syncing: Finding | None = None
    syncing_mono: float = 0.0
    syncing_runs: int = 0
    settled_runs: int = 0
    fork: Finding | None = None
    fork_runs: int = 0
    fork_seen: int = 0
    app: Block | None = None
    unhealthy_runs: int = 0
    finalized: Head | None = None
    finalized_mono: float = 0.0
    finalized_head: int = 0
    finality_lag: int | None = None
    finality_gaps: tuple[float, ...] = ()
    finality_lags: tuple[int, ...] = ()
    finality_moves: int = 0
    finality_back: int = 0
    finality_runs: int = 0
    throttled: int = 0
    told: Mapping[str, Told] = field(default_factory=dict[str, Told])
    ws_heads: int = 0
    ws_missed: int = 0
    ws_reconnects: int = 0
    ws_behind_mono: float | None = None
    ws_retry_mono: float | None = None
    ws_silent: bool = False
    reconnect: bool = False
    recent: tuple[Outcome, ...] = ()
    exported: Outcome | None = None

    @property
    def has_moved(self) -> bool:
        """Whether its head was seen to move: the first one may have been there for long."""
        return self.heads_observed > 1

    @property
    def heads(self) -> tuple[Block, ...]:
        """Known blocks of its branch, oldest first."""
        return self.chain


@dataclass(frozen=True, slots=True)
class Views:
    """What the next run must know of a group; ``Views()`` is that of a group never seen.

    Args:
        runs: how many there were.
        reference: height that lag was last counted from, and since when (monotonic); None: none.
        chain_id: identity that most endpoints once told, where the file names none.
        is_halted: whether the chain stood still in the last run that could tell.
        endpoints: by name.
    """

    runs: int = 0
    reference: tuple[int, float] | None = None
    chain_id: str | None = None
    is_halted: bool = False
    endpoints: Mapping[str, View] = field(default_factory=dict[str, View])

    def of(self, name: str) -> View:
        """Return what is known of the endpoint *name*, also if that is nothing."""
        return self.endpoints.get(name) or UNSEEN


UNSEEN = View()
_FIELDS = tuple(field.name for field in fields(View))


# `replace` costs 60 us, as a view has fifty fields, and a judgement makes twenty changes to each:
# that was nine tenths of its time. So a case fills a copy that nobody else has seen yet.
def copied(view: View) -> View:
    """Return a copy of *view* for `change`."""
    new = object.__new__(View)
    for name in _FIELDS:
        object.__setattr__(new, name, getattr(view, name))
    return new


def change(view: View, changes: Mapping[str, Any]) -> None:
    """Make *changes* to a copy of one's own."""
    for name, value in changes.items():
        object.__setattr__(view, name, value)


def bounded(number: int | None) -> int | None:
    """Return a count of blocks or peers no larger than anything real, and not below zero."""
    return None if number is None else min(max(0, number), MAX_HEIGHT)


def cut(text: str | None) -> str | None:
    """Return *text* no longer than anything real."""
    return None if text is None else text[:MAX_TEXT]
