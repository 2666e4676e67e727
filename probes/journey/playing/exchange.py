"""An HTTP step: ask, follow, ask again until it is there, judge, take values out.

A generator of `Request` and `Pause`; every hop of a redirect and every attempt of a poll is a
request of its own, so that each driver counts and judges the same ones. Knows no other step.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from probes.errors import CheckFailed
from probes.journey.language.judge import Expect, Judgement
from probes.journey.language.view import NO_COOKIES, View
from probes.journey.model import Answer, Effect, Pause, Request, Response
from probes.journey.playing.asking import Asked, ask
from probes.journey.playing.evidence import looks_secret
from probes.journey.playing.stage import Stage
from probes.journey.playing.tally import Tally
from probes.journey.steps import HttpStep, Poll
from probes.redact import spellings
from probes.result import Failure, Reason
from probes.units import format_duration, short
from probes.wire.http import message
from probes.wire.http.message import REDIRECTS
from probes.wire.http.redirect import HARMLESS, Trail, with_cookies

Play = Generator[Effect, Answer, None]

# From here on an answer says that nothing was made.
FIRST_REFUSAL = 400


@dataclass(slots=True)
class _Came:
    """The answer at the end of all hops; ``until``: when its time was over."""

    response: Response
    request: Request
    seconds: float
    until: float


def http(stage: Stage, step: HttpStep, tally: Tally) -> Play:
    """Play an HTTP step.

    Raises:
        CheckFailed: it failed.
        Unset, ValueError: an expression in it gives nothing of use.
    """
    if step.poll is None:
        came = yield from _exchange(stage, step, tally, float("inf"))
    else:
        came = yield from _poll(stage, step, step.poll, tally)
    view = _view(stage, step, came)
    _judge(stage, step, tally, came, view)
    for wanted in step.extract:
        stage.extracted(wanted.name, wanted.source, wanted.take(view))
    is_warned = step.warn is not None and _warns(stage, step.warn, tally, came, view)
    stage.tell(tally, None, is_warned=is_warned)


def _exchange(
    stage: Stage, step: HttpStep, tally: Tally, limit_at: float
) -> Generator[Effect, Answer, _Came]:
    """Send the request of a step and follow where its answers lead.

    Raises:
        CheckFailed: no time is left, or a redirect that is refused.
        Unset, ValueError: an expression in it.
    """
    asked = ask(step, stage.base, stage.scope)
    jar = stage.jar
    url, method, body, headers = asked.url, step.method, asked.body, asked.headers
    hop, seconds = 0, 0.0
    if stage.is_led_away(url, step.url):
        # judged like the first hop of a redirect, and given what the step itself says alone
        hop = 1
        headers = [
            pair for pair in headers
            if pair[0] not in step.inherited or pair[0].lower() in HARMLESS
        ]  # fmt: skip
        asked = asked._replace(headers=headers)
    if jar and (line := jar.line(url)):
        headers = with_cookies(headers, line)
    until = min(stage.clock() + step.timeout_s, limit_at)
    trail: Trail | None = None
    sent = tuple(headers)
    while True:
        request = Request(
            step.common.name,
            method,
            url,
            sent,
            body,
            stage.allowed(until),
            step.max_body,
            stage.part,
            hop,
        )
        response = yield request
        if not isinstance(response, Response):
            raise TypeError(f"want a Response to a Request, got {short(response)}")
        tally.exchanged(request, response)
        seconds += response.seconds
        if cookies := [value for name, value in response.headers if name == "set-cookie"]:
            jar.store(url, cookies)
        location = _location(step, response) if response.status in REDIRECTS else None
        if location is None:
            return _Came(response, request, seconds, until)
        trail = trail or _trail(stage, step, asked)
        following = trail.follow(response.status, location)
        stage.tell(tally, None)
        hop += 1
        url, method, body, sent = (
            following.url,
            following.method,
            following.body,
            following.headers,
        )


def _location(step: HttpStep, response: Response) -> str | None:
    """Return where to go on; None: this is the answer. ``redirects: 0`` judges the redirect."""
    if not step.redirects or response.failure is not None:
        return None
    return next((value for name, value in response.headers if name == "location"), None)


def _trail(stage: Stage, step: HttpStep, asked: Asked) -> Trail:
    home = message.Request(
        asked.url,
        step.method,
        tuple([("Cookie" if n.lower() == "cookie" else n, v) for n, v in asked.headers]),
        asked.body,
        body_is_secret=_is_secret(stage, step, asked.body),
    )
    return Trail(home, step.redirects, stage.jar)


def _is_secret(stage: Stage, step: HttpStep, body: bytes) -> bool:
    """Tell whether a body holds what nobody else may see, by its names or by what stands in it."""
    reads = step.body.tree.reads if step.body is not None else frozenset[str]()
    if any(name.startswith("secrets.") or looks_secret(name) for name in reads):
        return True
    # a secret may have come by way of a variable
    known = {spelt for text in stage.secrets for spelt in spellings(text)}
    return any(text.encode("utf-8", "replace") in body for text in known)


# --- poll


def _poll(
    stage: Stage, step: HttpStep, poll: Poll, tally: Tally
) -> Generator[Effect, Answer, _Came]:
    """Ask until the answer is as wanted.

    Raises:
        CheckFailed: ``timeout``: it never was; a fault of the prober's own; no redirect.
        Unset, ValueError: an expression in it.
    """
    ends_at = stage.clock() + poll.timeout_s
    attempts, miss = 0, "no answer"
    while True:
        attempts += 1
        came = yield from _exchange(stage, step, tally, ends_at)
        failure = _still_missing(stage, step, poll, came)
        if failure is None:
            return came
        miss = failure.message
        now = stage.clock()
        if now + poll.every_s >= min(ends_at, stage.ends_at):
            break
        stage.tell(tally, None if came.response.failure is None else failure)
        stage.count()
        yield Pause(poll.every_s)
    tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    wanted = f"want the awaited answer within {format_duration(poll.timeout_s)}"
    raise CheckFailed(
        Reason.TIMEOUT, f"{stage.within(ends_at, wanted)}, got {tries}, the last with: {miss}"
    )


def _still_missing(stage: Stage, step: HttpStep, poll: Poll, came: _Came) -> Failure | None:
    """Return what the answer still lacks; one that did not come is worth another try."""
    failure = came.response.failure
    if failure is None:
        view = _view(stage, step, came)
        return poll.until.judge(view, stage.scope, came.seconds).failure
    if failure.reason.is_own_fault:
        raise CheckFailed(failure.reason, failure.message, phase=failure.phase)
    return failure


# --- the verdict


def _view(stage: Stage, step: HttpStep, came: _Came) -> View:
    response, cookies = came.response, NO_COOKIES
    if step.extract and stage.jar:
        cookies = {one.name: one.value for one in reversed(stage.jar.sent_to(came.request.url))}
    return View(
        status=response.status, headers=response.headers, body=response.body, cookies=cookies
    )


def _judge(stage: Stage, step: HttpStep, tally: Tally, came: _Came, view: View) -> None:
    response = came.response
    if response.failure is not None:
        failure = stage.late(response.failure, came.until)
        if response.status and not failure.reason.is_own_fault:
            # a page of errors that broke off is an error first
            judgement = step.expect.judge_head(view, stage.scope)
            tally.judged(judgement.counts)
            failure = judgement.failure or failure
        raise CheckFailed(failure.reason, failure.message, phase=failure.phase)
    judgement = step.expect.judge(view, stage.scope, came.seconds)
    if step.envelope != "plain":
        judgement = _in_envelope(step.envelope, view, judgement)
    tally.judged(judgement.counts)
    if judgement.failure is not None:
        if response.status < FIRST_REFUSAL:
            _take_for_cleanup(stage, step, view)
        raise CheckFailed(judgement.failure.reason, judgement.failure.message)


def _take_for_cleanup(stage: Stage, step: HttpStep, view: View) -> None:
    """Take what can be taken: an order that came too late must be cancelled all the same."""
    for wanted in step.extract:
        try:
            value = wanted.take(view)
        except CheckFailed:
            continue
        stage.extracted(wanted.name, wanted.source, value)


def _warns(stage: Stage, warn: Expect, tally: Tally, came: _Came, view: View) -> bool:
    judgement = warn.judge(view, stage.scope, came.seconds)
    if judgement.failure is None:
        return False
    tally.warn(judgement.failure, judgement.missed)
    return True


def _in_envelope(envelope: str, view: View, judgement: Judgement) -> Judgement:
    """Judge what a protocol in the body says beside what the file expects; the status is first."""
    failure = judgement.failure
    if failure is not None and failure.reason is Reason.STATUS:
        return judgement
    try:
        miss = _ENVELOPES[envelope](view.document())
    except ValueError as error:
        text = str(error) if view.body else "want a JSON body, got an empty one"
        return Judgement(Failure(Reason.PROTOCOL if view.body else Reason.BODY, text))
    key = ("json", "failed" if miss else "passed")
    counts = {**judgement.counts, key: judgement.counts.get(key, 0) + 1}
    return Judgement(Failure(Reason.BODY, miss) if miss else failure, counts)


def _miss_of_graphql(document: Any) -> str | None:
    if not isinstance(document, dict) or not {"data", "errors"} & document.keys():
        return f"want a GraphQL answer with data, got {short(document)}"
    errors = document.get("errors")
    if not errors:
        # the specification knows no data only where there are errors
        is_told = document.get("data") is not None
        return None if is_told else f"want a GraphQL answer with data, got {short(document)}"
    first = errors[0] if isinstance(errors, list) else errors
    told = first.get("message") if isinstance(first, dict) else first
    return f"want no GraphQL errors, got {short(told)}"


def _miss_of_rpc(document: Any) -> str | None:
    if not isinstance(document, dict) or not {"result", "error"} & document.keys():
        return f"want a JSON-RPC answer with a result, got {short(document)}"
    error = document.get("error")
    if error is None:
        return None if "result" in document else "want a result, got null as the error"
    if isinstance(error, dict):
        return f"want a result, got error {short(error.get('code'))}: {short(error.get('message'))}"
    return f"want a result, got error {short(error)}"


_ENVELOPES = {"graphql": _miss_of_graphql, "rpc": _miss_of_rpc}
