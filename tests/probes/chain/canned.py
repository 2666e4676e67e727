"""A node made of canned answers, and how a `Talk` is had with it: no wire, no loop.

node = Canned({"status": {...}, "net_info": refused(-32601), "commit": Turns(first, second)})
found = node.talk(dialect.look(...))
node.methods                                  what was asked, in order
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from probes.chain.answer.classify import classify, classify_get
from probes.chain.model import Endpoint, Family, Group, Observation
from probes.chain.reasons import ChainReason
from probes.chain.talk import Answer, Ask, Talk
from probes.errors import CheckFailed
from probes.result import Reason
from probes.wire.jsonrpc import Reply

T = TypeVar("T")
ENDED = 5000.0
SECONDS = 0.02


def ok(result: Any, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    return Answer("ok", result=result, seconds=SECONDS, ended=ENDED, headers=headers)


def refused(code: int, message: str = "it failed", data: Any = None) -> Any:
    """Return a JSON-RPC error, to be classified as one that came over the wire."""
    return _Error({"code": code, "message": message} | ({} if data is None else {"data": data}))


def status(code: int, body: str = "") -> Any:
    """Return an HTTP answer without JSON-RPC."""
    return _Http(code, body)


class Turns:
    """One answer for one call after the other; the last stays."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    def take(self) -> Any:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


TIMEOUT = Answer(
    "transport",
    outcome="timeout",
    reason=ChainReason.TIMEOUT,
    detail="want an answer within 5 s, got none",
    phase="response",
    cause=Reason.TIMEOUT,
)
METHOD_NOT_FOUND = -32601


@dataclass(frozen=True)
class _Error:
    error: dict[str, Any]


@dataclass(frozen=True)
class _Http:
    status: int
    body: str


@dataclass
class Canned:
    """See the module.

    Args:
        answers: by method, for GET by path: a result, an `Answer`, `refused`, `status`, `Turns` of
            those, or a function of the `Ask`. What is missing is a method that the node does not
            offer.
    """

    answers: Mapping[str, Any]
    family: Family = "cosmos"
    asks: list[Ask] = field(default_factory=list)
    tuples: list[int] = field(default_factory=list)

    @property
    def methods(self) -> list[str]:
        return [ask.path or ask.method for ask in self.asks]

    def params(self, method: str) -> list[Any]:
        return [ask.params for ask in self.asks if ask.method == method]

    def talk(self, talk: Talk[T]) -> T:
        """Have *talk* to its end."""
        answer: Any = None
        while True:
            try:
                wanted = talk.send(answer)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if isinstance(wanted, Ask):
                answer = self.answer(wanted)
            else:
                self.tuples.append(len(wanted))
                answer = tuple(map(self.answer, wanted))

    def answer(self, ask: Ask) -> Answer:
        self.asks.append(ask)
        missing = status(404) if ask.via != "rpc" else refused(METHOD_NOT_FOUND)
        told = self.answers.get(ask.path or ask.method, missing)
        if isinstance(told, Turns):
            told = told.take()
        if callable(told):
            told = told(ask)
        return self._classified(ask, told)

    def _classified(self, ask: Ask, told: Any) -> Answer:
        if isinstance(told, Answer):
            return told
        if isinstance(told, CheckFailed):
            return classify(self.family, ask, Reply(failure=told, ids=(1,)))
        if isinstance(told, _Error):
            body = {"jsonrpc": "2.0", "id": 1, "error": told.error}
            return classify(self.family, ask, _reply(200, body))
        if isinstance(told, _Http):
            reply = Reply(status=told.status, body=told.body.encode(), ids=(1,))
            is_get = ask.via != "rpc"
            return classify_get(reply) if is_get else classify(self.family, ask, reply)
        if ask.via != "rpc":
            return ok(told)
        return classify(self.family, ask, _reply(200, {"id": 1, "result": told}))


def _reply(code: int, body: Mapping[str, Any]) -> Reply:
    return Reply(
        status=code, body=json.dumps(body).encode(), ids=(1,), seconds=SECONDS, ended=ENDED
    )


def gauges(seen: Observation) -> dict[str, float]:
    """Return the numbers of *seen* as a page would name them."""
    return {
        name + "".join(f" {key}={value}" for key, value in labels): number
        for (name, labels), (number, _) in seen.gauges.items()
    }


def group_of(family: Family, **keys: Any) -> Group:
    wanted = {"family": family, "chain": "it", "endpoints": (Endpoint("own"),), **keys}
    return Group(**wanted)
