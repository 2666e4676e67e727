"""Steps that are no HTTP request: the talk over a WebSocket and the query of a database.

Generators of one `Dialog` or one `Query` each. All expressions are filled in before the talk
begins. Knows no socket and no database.
"""

from collections.abc import Generator

from probes.errors import CheckFailed
from probes.journey.asking import address, judge_line, to_json
from probes.journey.evidence import clean
from probes.journey.expression import Scope
from probes.journey.functions import text_of
from probes.journey.judge import Expect, Judgement
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
from probes.journey.stage import Stage
from probes.journey.steps import SocketStep, SqlStep, Turn
from probes.journey.tally import Tally
from probes.journey.view import View
from probes.result import Failure
from probes.units import short

Play = Generator[Effect, Answer, None]

MAX_EVIDENCE_CHARACTERS = 4096


class _Awaited(Wanted):
    """Tells whether a message is what a turn expects; its expressions are filled in already."""

    __slots__ = ("_expect", "_scope", "counts")

    def __init__(self, expect: Expect, scope: Scope) -> None:
        self._expect = expect
        self._scope = scope
        self.counts = Judgement().counts

    def miss(self, message: str | bytes) -> str | None:
        judgement = self._expect.judge(_view_of(message), self._scope, 0.0)
        self.counts = judgement.counts
        return None if judgement.failure is None else judgement.failure.message


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
    if stage.jar and (line := stage.jar.line(url)):
        headers.append(("Cookie", line))
    turns = tuple([_turn(turn, scope) for turn in step.turns])
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
    _take(stage, step, heard)
    stage.tell(tally, None)


def _as_web(text: str) -> str:
    """Return the URL that the upgrade is asked with (RFC 6455, 3)."""
    scheme, separator, rest = text.partition("://")
    plain = {"ws": "http", "wss": "https"}.get(scheme.lower())
    return f"{plain}{separator}{rest}" if plain and separator else text


def _turn(turn: Turn, scope: Scope) -> Say | Hear:
    if turn.send is None:
        expect = turn.expect or Expect.anything()
        return Hear(_Awaited(expect.bound(scope), scope), turn.within, turn.timeout_s)
    value = turn.send.value(scope)
    return Say(to_json(value) if turn.send_as == "json" else text_of(value))


def _told(heard: Heard) -> dict[str, str]:
    """Return what was heard, for people."""
    rows = [message if isinstance(message, str) else repr(message) for message in heard.messages]
    text = clean("\n".join(rows))[:MAX_EVIDENCE_CHARACTERS]
    return {**heard.facts, "response body": text} if text else dict(heard.facts)


def _take(stage: Stage, step: SocketStep, heard: Heard) -> None:
    hears = [turn for turn in step.turns if turn.send is None]
    for turn, message in zip(hears, heard.messages, strict=False):
        view = _view_of(message)
        for wanted in turn.extract:
            stage.extracted(wanted.name, wanted.source, wanted.take(view))


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
