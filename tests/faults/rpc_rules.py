"""The rules of `tests.faults.rpc_proxy`: which fires for a call, and what becomes of its answer.

The newest rule decides the answer; delays and edits add up. Counts every call. Sends nothing.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.faults.rpc_actions import Action, Call, Json

BATCH = "batch"
UPGRADE = "upgrade"
EVENT = "event"
METHOD_NOT_FOUND = {"code": -32601, "message": "Method not found"}
PARSE_ERROR = {"code": -32700, "message": "Parse error"}


def always(params: Json) -> bool:
    """Fit any parameters."""
    return True


@dataclass
class Rule:
    """A rule at work; ``hits`` counts how often it fired."""

    method: str
    action: Action
    times: int | None = None
    when: Callable[[Json], bool] = always
    hits: int = 0

    def fits(self, names: tuple[str, ...], params: Json) -> bool:
        """Tell whether it fires for what has these names."""
        if self.times is not None and self.hits >= self.times:
            return False
        return self.method in names and self.when(params)

    def off(self) -> None:
        """End it."""
        self.times = 0


@dataclass
class Plan:
    """What the rules want with one call or event."""

    call: Call
    actions: list[Action] = field(default_factory=list)
    main: Action | None = None

    async def prepare(self) -> None:
        for action in self.actions:
            if action.before:
                await action.before(self.call)

    @property
    def answer(self) -> Json:
        return self.main.answer(self.call) if self.main and self.main.answer else None

    @property
    def is_plain(self) -> bool:
        """Tell whether the call and its answer pass as they are."""
        return self.main is None and not self.actions

    def finish(self, answer: Json) -> Json:
        """Return *answer* as the rules want it; None: not at all."""
        for action in self.actions:
            if action.after and answer is not None:
                answer = action.after(answer)
        return answer


def calls_in(data: Json, over: str, headers: dict[str, str]) -> list[Call]:
    """Return the calls of one body; what is none is left out."""
    entries = data if isinstance(data, list) else [data]
    return [
        Call(entry["method"], entry.get("params"), entry.get("id"), over, headers)
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("method"), str)
    ]


def parsed(text: str | bytes) -> Json:
    """Return what *text* says; None: no JSON."""
    with suppress(ValueError):
        return json.loads(text)
    return None


def merged(plans: list[Plan], answers: list[Json], is_batch: bool) -> Json:
    """Return the answers in the order of the calls, those of the node changed by the rules."""
    told = {json.dumps(a.get("id")): a for a in answers if isinstance(a, dict)}
    whole: list[Json] = []
    for plan in plans:
        if plan.call.method == BATCH:
            continue
        if plan.main and plan.main.answer:
            whole.append(plan.finish(plan.answer))
        else:
            whole.append(plan.finish(told.get(json.dumps(plan.call.id))))
    whole = [answer for answer in whole if answer is not None]
    if not is_batch:
        return whole[0] if whole else answers[0]
    batch = plans[0]
    return batch.finish(batch.answer if batch.main and batch.main.answer else whole)


def alone(data: str | bytes) -> Json:
    """Return the answer of a server that knows no method."""
    parts = parsed(data)
    if parts is None:
        return {"jsonrpc": "2.0", "id": None, "error": PARSE_ERROR}
    answers = [call.error(METHOD_NOT_FOUND) for call in calls_in(parts, "http", {})]
    return answers if isinstance(parts, list) or not answers else answers[0]


class Rules:
    """The rules and the counts of one proxy.

    Attributes:
        calls: how often each method was called, batches and websockets counted call by call.
        seen: every call as it came.
        requests, batches, upgrades: how many came.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.seen: list[Call] = []
        self.requests = 0
        self.batches = 0
        self.upgrades = 0
        self._rules: list[Rule] = []
        self._changed = asyncio.Event()

    def on(
        self,
        method: str,
        action: Action,
        *,
        times: int | None = None,
        when: Callable[[Json], bool] = always,
    ) -> Rule:
        """Add a rule; it fires *times* at most, and only for parameters of which *when* is true."""
        rule = Rule(method, action, times, when)
        self._rules.insert(0, rule)
        return rule

    def clear(self) -> None:
        """Forget all rules."""
        self._rules.clear()

    def reset_counts(self) -> None:
        """Count from zero again."""
        self.calls.clear()
        self.seen.clear()
        self.requests = self.batches = self.upgrades = 0

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something came that makes *condition* true."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def plan(self, call: Call, *names: str) -> Plan:
        """Return what the rules want with *call*, known under *names*; they fire by that."""
        plan = Plan(call)
        for rule in self._rules:
            if not rule.fits(names, call.params):
                continue
            is_main = rule.action.answer is not None or rule.action.send is not None
            if is_main and plan.main is not None:
                continue
            rule.hits += 1
            plan.actions.append(rule.action)
            if is_main:
                plan.main = rule.action
        return plan

    def note(self, call: Call) -> Plan:
        """Count *call*, and return what the rules want with it."""
        self.calls[call.method] += 1
        self.seen.append(call)
        plan = self.plan(call, call.method, "*")
        self.changed()
        return plan

    def changed(self) -> None:
        """Wake those who wait in `until`."""
        self._changed.set()
