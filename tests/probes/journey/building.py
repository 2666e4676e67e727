"""Journeys of tests in few words: what the compiler makes of a file, made by hand."""

import json
from typing import Any, Literal

from probes.journey.language.expression import condition, template, tree
from probes.journey.language.extract import extract
from probes.journey.language.judge import Expect, ExpectKeys, compile_expect
from probes.journey.model import Response
from probes.journey.steps import Body, Common, HttpStep, Journey, Poll, RepeatStep, Step
from probes.result import Failure, Reason


def expect(keys: Any, *, wants_2xx: bool = False) -> Expect:
    return compile_expect(ExpectKeys.model_validate(keys), wants_2xx=wants_2xx)


def http(name: str, url: str = "/", **keys: Any) -> HttpStep:
    """Make an HTTP step.

    Keys as in a file (``json form text headers params``, ``wants`` for expect, ``warn``, ``take``
    for extract, ``until every_s within_s`` of a poll, ``when`` for if, ``load``); others are those
    of `HttpStep`.
    """
    taken = keys.pop("take", {})
    when, warn, until = (keys.pop(key, None) for key in ("when", "warn", "until"))
    poll_keys = {to: keys.pop(key) for key, to in _POLL.items() if key in keys}
    bodies = [Body(form, tree(keys.pop(form))) for form in _FORMS if form in keys]
    return HttpStep(
        Common(name, None if when is None else condition(when), keys.pop("load", "both")),
        keys.pop("method", "GET"),
        template(url),
        params=tuple((key, tree(value)) for key, value in keys.pop("params", {}).items()),
        headers=tuple((key, template(value)) for key, value in keys.pop("headers", {}).items()),
        body=bodies[0] if bodies else None,
        expect=expect(keys.pop("wants", {}), wants_2xx=True),
        warn=None if warn is None else expect(warn),
        extract=tuple(extract(key, value) for key, value in taken.items()),
        poll=None if until is None else Poll(expect(until), **poll_keys),
        **keys,
    )


_FORMS: tuple[Literal["json", "form", "text"], ...] = ("json", "form", "text")
_POLL = {"every_s": "every_s", "within_s": "timeout_s"}


def repeat(*steps: Step, times: int | None = None, over: Any = None) -> RepeatStep:
    return RepeatStep(Common(""), times, None if over is None else tree(over), steps)


def journey(*steps: Step, **more: Any) -> Journey:
    return Journey("it", steps=steps, **more)


def ok(body: Any = None, status: int = 200, *headers: tuple[str, str], **more: Any) -> Response:
    """Return an answer; what is no bytes is its JSON."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Response(status=status, headers=headers, body=raw, **more)


def broken(reason: Reason, message: str = "want an answer, got none", **more: Any) -> Response:
    return Response(failure=Failure(reason, message, "connect"), **more)
