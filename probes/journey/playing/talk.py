"""Steps that are no HTTP request: the talk over a WebSocket and the query of a database.

Generators of one `Dialog` or one `Query` each. A turn of a talk may say what an earlier one has
brought: its expressions are filled in when its turn comes, those of all others before the talk
begins. Knows no socket and no database.
"""

from collections.abc import Callable, Generator
from typing import TypeVar

from probes.errors import CheckFailed
from probes.journey.language.expression import Scope, Unset
from probes.journey.language.functions import text_of
from probes.journey.language.judge import Expect, Judgement
from probes.journey.language.view import View
from probes.journey.model import (
    Answer,
    Dialog,
    Effect,
    Hear,
    Heard,
    Query,
    Rows,
    Say,
    Wanted,
)
from probes.journey.playing.asking import address, judge_line, to_json
from probes.journey.playing.evidence import clean
from probes.journey.playing.reads import names_in
from probes.journey.playing.stage import Stage
from probes.journey.playing.tally import Tally
from probes.journey.steps import SocketStep, SqlStep, Turn
from probes.redact import ELLIPSIS
from probes.result import Failure, Reason
from probes.units import short

T = TypeVar("T")
Play = Generator[Effect, Answer, None]

MAX_EVIDENCE_CHARACTERS = 4096


class _Awaited(Wanted):
    """Tells whether a message is what a turn expects, and takes values out of the one that is."""

    __slots__ = ("_expect", "_is_done", "_stage", "_turn", "counts")

    def __init__(self, stage: Stage, turn: Turn) -> None:
        self._stage = stage
        self._turn = turn
        self._expect: Expect | None = None
        self._is_done = False
        self.counts = Judgement().counts

    def bind(self) -> None:
        """Fill in the expressions of what is expected.

        Raises:
            Unset, ValueError: of one of them.
        """
        self._expect = (self._turn.expect or Expect.anything()).bound(self._stage.scope)

    def miss(self, message: str | bytes) -> str | None:
        if self._expect is None:
            _blaming(self._stage, self._turn, self.bind)
        view = _view_of(message)
        judgement = (self._expect or Expect.anything()).judge(view, self._stage.scope, 0.0)
        self.counts = judgement.counts
        if judgement.failure is None:
            self.take(view)
        return None if judgement.failure is None else judgement.failure.message

    def take(self, view: View) -> None:
        """Take the values out of the message, once.

        Raises:
            CheckFailed: ``extract``: a strict one is not there.
        """
        if self._is_done:
            return
        for wanted in self._turn.extract:
            self._stage.extracted(wanted.name, wanted.source, wanted.take(view))
        self._is_done = True


def _blaming(stage: Stage, turn: Turn, act: Callable[[], T]) -> T:
    """Do what fills in expressions in the middle of a talk.

    Raises:
        CheckFailed: it cannot.
    """
    try:
        return act()
    except (Unset, ValueError) as error:
        failure = stage.blame(error, names_in(turn))
        raise CheckFailed(failure.reason, failure.message) from None


def _view_of(message: str | bytes) -> View:
    return View(body=message.encode("utf-8", "replace") if isinstance(message, str) else message)


def socket(stage: Stage, step: SocketStep, tally: Tally) -> Play:
    """Play the talk over a WebSocket.

    Raises:
        CheckFailed: it failed.
        Unset, ValueError: an expression in it gives nothing of use.
    """
    scope = stage.scope
    address_text = step.url.text(scope)
    headers: list[tuple[str, str]] = []
    for name, template in step.headers:
        value = template.text(scope)
        judge_line(name, value)
        headers.append((name, value))
    url = address(_as_web(address_text), stage.base)
    if stage.is_led_away(url, step.url):
        wanted = "want a WebSocket at an origin that the journey names"
        raise CheckFailed(Reason.BLOCKED, f"{wanted}, got {url.origin} out of an answer")
    if stage.jar and (line := stage.jar.line(url)):
        headers.append(("Cookie", line))
    turns = _turns(stage, step)
    until = stage.clock() + step.timeout_s
    dialog = Dialog(
        step.common.name,
        url,
        tuple(headers),
        step.subprotocol,
        turns,
        stage.allowed(until),
        part=stage.part,
    )
    heard = yield dialog
    if not isinstance(heard, Heard):
        raise TypeError(f"want Heard of a Dialog, got {short(heard)}")
    tally.status = heard.status
    tally.took(heard.phases)
    tally.is_pending = True
    for turn in turns:
        if isinstance(turn, Hear) and isinstance(turn.wanted, _Awaited):
            tally.judged(turn.wanted.counts)
    if heard.failure is not None:
        tally.facts = {"request": f"WebSocket {url}", **_told(heard)}
        failure = stage.late(heard.failure, until)
        raise CheckFailed(failure.reason, failure.message, phase=failure.phase)
    _take(turns, heard)
    stage.tell(tally, None)


def _as_web(text: str) -> str:
    """Return the URL that the upgrade is asked with (RFC 6455, 3)."""
    scheme, separator, rest = text.partition("://")
    plain = {"ws": "http", "wss": "https"}.get(scheme.lower())
    return f"{plain}{separator}{rest}" if plain and separator else text


def _turns(stage: Stage, step: SocketStep) -> tuple[Say | Hear, ...]:
    """Return the turns; those that need nothing of an earlier one are filled in.

    Raises:
        Unset, ValueError: of their expressions.
    """
    turns: list[Say | Hear] = []
    brought: set[str] = set()
    for turn in step.turns:
        is_late = not brought.isdisjoint(names_in(turn))
        if turn.send is not None:
            turns.append(Say(_later(stage, turn) if is_late else _said(turn, stage.scope)))
            continue
        awaited = _Awaited(stage, turn)
        if not is_late:
            awaited.bind()
        turns.append(Hear(awaited, turn.within, turn.timeout_s))
        brought.update(wanted.name for wanted in turn.extract)
    return tuple(turns)


def _later(stage: Stage, turn: Turn) -> Callable[[], str]:
    return lambda: _blaming(stage, turn, lambda: _said(turn, stage.scope))


def _said(turn: Turn, scope: Scope) -> str:
    value = None if turn.send is None else turn.send.value(scope)
    return to_json(value) if turn.send_as == "json" else text_of(value)


def _told(heard: Heard) -> dict[str, str]:
    """Return what was heard, for people."""
    rows = [message if isinstance(message, str) else repr(message) for message in heard.messages]
    text = clean("\n".join(rows))
    if len(text) > MAX_EVIDENCE_CHARACTERS:
        text = text[:MAX_EVIDENCE_CHARACTERS] + ELLIPSIS
    return {**heard.facts, "response body": text} if text else dict(heard.facts)


def _take(turns: tuple[Say | Hear, ...], heard: Heard) -> None:
    """Take what no driver has let anybody take yet."""
    hears = [turn.wanted for turn in turns if isinstance(turn, Hear)]
    for awaited, message in zip(hears, heard.messages, strict=False):
        if isinstance(awaited, _Awaited):
            awaited.take(_view_of(message))


def sql(stage: Stage, step: SqlStep, tally: Tally) -> Play:
    """Play the query of a database.

    Raises:
        CheckFailed: it failed.
        Unset, ValueError: an expression in it gives nothing of use.
    """
    scope = stage.scope
    until = stage.clock() + step.timeout_s
    query = Query(
        step.common.name,
        step.kind,
        step.target.text(scope),
        step.query,
        tuple([tree.value(scope) for tree in step.parameters]),
        stage.allowed(until),
        part=stage.part,
    )
    rows = yield query
    if not isinstance(rows, Rows):
        raise TypeError(f"want Rows of a Query, got {short(rows)}")
    tally.took(rows.phases)
    tally.is_pending = True
    failure = rows.failure
    if failure is not None:
        failure = stage.late(failure, until)
    else:
        view = View(document=list(rows.rows))
        failure = _judge_rows(stage, step, tally, rows, view)
    stage.tell(tally, failure)
    if failure is not None:
        shown = clean(short(list(rows.rows), MAX_EVIDENCE_CHARACTERS))
        tally.facts = {**rows.facts, "request": step.query, "response body": shown}
        raise CheckFailed(failure.reason, failure.message, phase=failure.phase)


def _judge_rows(
    stage: Stage, step: SqlStep, tally: Tally, rows: Rows, view: View
) -> Failure | None:
    judgement = step.expect.judge(view, stage.scope, rows.seconds)
    tally.judged(judgement.counts)
    if judgement.failure is not None:
        return judgement.failure
    for wanted in step.extract:
        stage.extracted(wanted.name, wanted.source, wanted.take(view))
    if step.warn is not None:
        judgement = step.warn.judge(view, stage.scope, rows.seconds)
        if judgement.failure is not None:
            tally.warn(judgement.failure, judgement.missed)
    return None
