"""What the heads of one endpoint did over time: moved, reorganised, fell back (chains.md 5.6, 5.9).

    advance    higher than ever on this branch
    reorg      a known height carries another hash, or a block does not follow the one we know
    fall       a little lower, and nothing contradicts it: another node of a balancer
    rewind     lower by more than that: a chain made anew, a snapshot restored

A head has *moved* only when it is one that was not seen before: two nodes of a balancer that take
turns must not make a halted chain look alive. Blocks that its websocket announced count for reorgs,
and for nothing else: HTTP is what is judged here. Pure.
"""

from dataclasses import replace

from probes.chain.judge.blocktime import Pace, added, block_time
from probes.chain.judge.case import Case
from probes.chain.judge.views import KEPT, MAX_HEIGHT, Block, bounded, cut
from probes.chain.model import Head, Now
from probes.chain.reasons import ChainReason
from probes.units import short

# chains.md 5.6
MAX_ROLLBACK = 1024
# Two falls with a rise between them: one alone may be a reorg.
BALANCED_FALLS = 2
# The clock of an answer may lie before or after that of the judgement by the length of a run: 20 s.
MAX_READ_APART_S = 30.0
# No chain is older: the genesis block of Bitcoin, 2009-01-03.
FIRST_BLOCK = 1_230_768_000.0
# The year 10000: no clock, but a number that means something else.
LAST_BLOCK = 253_402_300_800.0
# chains.md 5.2
MAX_FUTURE_S = 15.0
# How much faster than ours the clock of an endpoint that replays the past runs at least.
REPLAY_SPEED = 1.5


def read_head(case: Case, now: Now) -> None:
    """Take the head of *case* as far as it can be one."""
    head = case.seen.head
    if head is None:
        return
    if not 0 <= head.height < MAX_HEIGHT:
        case.down(
            ChainReason.INVALID_RESPONSE, f"want a height below 2^63, got {short(head.height)}"
        )
        return
    stamp, latest = head.timestamp, read_at(head, now) + MAX_FUTURE_S
    # NaN is neither
    is_sane = stamp is not None and FIRST_BLOCK < stamp <= latest
    if stamp is not None and latest < stamp < LAST_BLOCK:
        case.ahead_s = stamp - latest + MAX_FUTURE_S
    case.head = replace(
        head,
        hash=cut(head.hash) or "",
        parent=cut(head.parent) or "",
        state=cut(head.state) or "",
        timestamp=stamp if is_sane else None,
        seen=head.seen if _is_near(head, now) else now.mono,
    )


def _is_near(head: Head, now: Now) -> bool:
    return head.seen > 0 and abs(head.seen - now.mono) <= MAX_READ_APART_S


def read_at(head: Head, now: Now) -> float:
    """Return the Unix time at which *head* was read; a run may last as long as a head is fresh."""
    return now.wall + (head.seen - now.mono if _is_near(head, now) else 0.0)


def follow(case: Case, now: Now, known: Pace, fall: float) -> None:
    """Note what the head of *case* did since the last run.

    Two nodes of one balancer may be *fall* blocks apart.
    """
    head = case.head
    if head is None:
        return
    before = case.before
    was_seen = (head.height, head.hash) in before.polled
    case.keep(
        head=head,
        samples=before.samples + 1,
        polled=before.polled if was_seen else (*before.polled, (head.height, head.hash))[-KEPT:],
    )
    _replay_announcements(case)
    is_reorg = _extend(case, (head.height, head.hash), head.parent)
    if before.top is None:
        case.keep(top=head)
    else:
        _place(case, head, before.top, is_reorg=is_reorg, fall=fall)
    if not was_seen and case.view.top == head:
        _move(case, head, now, known)


def _place(case: Case, head: Head, top: Head, *, is_reorg: bool, fall: float) -> None:
    """Find out how *head* stands to the heads before, and what that means."""
    before = case.before
    last = before.head or top
    gone_back = top.height - head.height
    if head.height > last.height:
        case.keep(rolled_back=0)
    if gone_back < 0:
        value = block_time(top, head)
        case.keep(top=head, block_times=added(before.block_times, value))
    elif is_reorg or gone_back > fall:
        # its tip is now here, lower as it may be
        chain = tuple(block for block in case.view.chain if block[0] <= head.height)
        case.keep(top=head, chain=chain)
    if gone_back > MAX_ROLLBACK:
        case.keep(rolled_back=gone_back)
    elif 0 < gone_back <= fall and not is_reorg and head.height < last.height:
        case.keep(falls=before.falls + 1, fell_at=case.view.samples)
    elif case.view.samples - before.fell_at > KEPT:
        case.keep(falls=0)


def _move(case: Case, head: Head, now: Now, known: Pace) -> None:
    before = case.before
    catches_up = case.view.catches_up
    last = before.head
    if last is not None and last.timestamp is not None and head.timestamp is not None:
        chain_s, ours_s = head.timestamp - last.timestamp, max(0.0, head.seen - last.seen)
        catches_up = chain_s > REPLAY_SPEED * ours_s + 2 * known.slow + 1
    case.keep(
        head_changed_mono=head.seen,
        head_changed_wall=read_at(head, now),
        heads_observed=case.view.heads_observed + 1,
        catches_up=catches_up,
    )


def _replay_announcements(case: Case) -> None:
    news = case.seen.news
    if news is None or case.is_balanced:
        return
    # fewer than before: the listener began anew
    fresh = news.heads - case.before.ws_heads
    fresh = news.heads if fresh < 0 else fresh
    for sighting in news.sightings[-fresh:] if fresh else ():
        if 0 <= sighting.height < MAX_HEIGHT and sighting.hash:
            block = (sighting.height, cut(sighting.hash) or "")
            _extend(case, block, cut(sighting.parent) or "")


def _extend(case: Case, block: Block, parent: str) -> bool:
    """Put *block* on the branch of *case*, and count what it replaces.

    Returns:
        Whether the branch changed.
    """
    view = case.view
    height, name = block
    if not name:
        return False
    known = dict(view.chain)
    cuts = [height] if known.get(height, name) != name else []
    if parent and known.get(height - 1, parent) != parent:
        cuts.append(height - 1)
    if not cuts:
        if height not in known:
            case.keep(chain=_ordered({**known, height: name}))
        return False
    replaced = {at: old for at, old in known.items() if at >= min(cuts)}
    kept = {at: old for at, old in known.items() if at < min(cuts)}
    # a block that comes back is another node of a balancer, not one more reorg
    is_new = block not in view.orphans
    case.keep(
        chain=_ordered({**kept, height: name}),
        orphans=(*(old for old in view.orphans if old != block), *replaced.items())[-KEPT:],
        reorgs=view.reorgs + is_new,
        reorg_blocks=view.reorg_blocks + (max(replaced) - min(cuts) + 1 if is_new else 0),
    )
    return True


def _ordered(blocks: dict[int, str]) -> tuple[Block, ...]:
    return tuple(sorted(blocks.items()))[-KEPT:]


def is_balanced(case: Case) -> bool:
    """Return whether several nodes answer: said in the file, or seen."""
    return case.endpoint.load_balanced or case.view.falls >= BALANCED_FALLS


def judge_history(case: Case, fall: float) -> None:
    """Judge what the head of *case* did: rollback, and jitter of a balancer."""
    head, last = case.head, case.before.head
    if head is None:
        return
    if case.view.rolled_back:
        case.degraded(
            ChainReason.HEAD_ROLLBACK,
            f"want a head that advances, got one that went back {case.view.rolled_back} blocks "
            f"to {head.height}",
        )
    if not case.is_balanced:
        return
    again = bounded(case.seen.read_again)
    if again is not None and again < head.height:
        _jitter(case, head.height, again)
    elif last is not None and 0 < last.height - head.height <= fall:
        _jitter(case, last.height, head.height)


def _jitter(case: Case, earlier: int, later: int) -> None:
    case.degraded(
        ChainReason.HEAD_JITTER, f"want a height of at least {earlier} again, got {later}"
    )
