"""Whether the websocket of an endpoint tells its heads (chains.md 9.1, decision 8).

Silence is bad only while the head of HTTP moves. It is counted from the moment at which HTTP was
first seen ahead of the websocket, so that the first block after a quiet hour, which one of the two
must tell first, accuses nobody. The first silence asks the listener to dial again; only if it stays
silent after that the endpoint is degraded, and from then on it is dialled again now and then: a
subscription that died would else never come back. Pure.
"""

from probes.chain.judge.case import Case
from probes.chain.model import Family, Limits, Now
from probes.chain.reasons import ChainReason
from probes.units import short
from probes.wire.websocket.heads import News, Problem

RETRY_S = 300.0
_PROBLEMS: dict[Problem, ChainReason] = {
    "unavailable": ChainReason.WS_UNAVAILABLE,
    "subscribe_failed": ChainReason.WS_SUBSCRIBE_FAILED,
    "closed": ChainReason.WS_CLOSED,
}


def judge_websocket(case: Case, family: Family, now: Now, limits: Limits) -> None:
    """Judge what the websocket of *case* has brought."""
    news = case.seen.news
    case.keep(reconnect=False)
    if news is None:
        return
    missed = news.missed - case.before.ws_missed
    # slots without a block are announced by nobody
    if missed > 0 and news.missed >= missed and family != "solana":
        case.degraded(
            ChainReason.WS_MISSED_HEADS, f"want every head announced, got {missed} left out"
        )
    _judge_silence(case, news, now, limits)
    case.keep(
        ws_heads=news.heads, ws_missed=news.missed, ws_reconnects=sum(news.reconnects.values())
    )
    if news.problem is not None:
        case.degraded(_PROBLEMS[news.problem], news.detail or f"got {short(news.problem)}")


def _judge_silence(case: Case, news: News, now: Now, limits: Limits) -> None:
    if case.view.ws_retry_mono is not None and news.heads != case.before.ws_heads:
        case.keep(ws_retry_mono=None, ws_silent=False)
    behind = case.before.ws_behind_mono if _is_behind(case, news) else None
    if behind is None and _is_behind(case, news):
        behind = now.mono
    case.keep(ws_behind_mono=behind)
    limit = limits.ws_silent_after_s
    if limit is None:
        return
    if behind is not None and now.mono - behind > limit:
        _answer_silence(case, now)
    if case.view.ws_silent and news.problem is None:
        silent_s = now.mono - max(news.last_received or 0.0, news.up_since)
        case.degraded(
            ChainReason.WS_SILENT,
            f"want the websocket to announce heads, got none for {max(0.0, silent_s):.0f} s "
            "while the head moved",
        )


def _answer_silence(case: Case, now: Now) -> None:
    """Dial again at the first silence; report the second, and dial again now and then."""
    asked = case.view.ws_retry_mono
    if asked is not None:
        case.keep(ws_silent=True)
    if asked is None or now.mono - asked > RETRY_S:
        case.keep(reconnect=True, ws_retry_mono=now.mono, ws_behind_mono=None)


def _is_behind(case: Case, news: News) -> bool:
    """Return whether HTTP told a head that the websocket, though it could, did not announce."""
    moved, head = case.view.head_changed_mono, case.head
    if not news.is_up or head is None or moved is None or not case.view.has_moved:
        return False
    if moved <= max(news.last_received or 0.0, news.up_since):
        return False
    return not news.sightings or head.height > news.sightings[-1].height
