"""Where an HTTP answer is not what it should be.

Pure judgement over a `Response`, in the order of blackbox_exporter; knows no socket and not how the
answer came here. What may be wished for stands in `probes.wire.http_check.expect`.
"""

from collections.abc import Callable, Iterable
from functools import partial
from math import inf
from typing import Literal, NamedTuple

from probes.cel import CelFailed, CelMissing
from probes.errors import CheckFailed
from probes.expect import (
    CertificateExpect,
    Matcher,
    Pattern,
    Statuses,
    miss_in_json,
    parse_json,
    searchable,
)
from probes.matcher import MISSING
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import parse_number, short
from probes.wire.http.message import Response, text
from probes.wire.http_check.expect import HeaderPattern, HttpWarn, LatencyBand, Patterns
from probes.wire.tls.peer import judge_certificate

Flag = Literal["", "regex", "cel"]


class Miss(NamedTuple):
    """What an answer is not, and which flag of blackbox_exporter tells of it."""

    failure: CheckFailed
    flag: Flag = ""


Judge = Callable[[Response], Miss | None]
"""Returns what one wish misses in an answer."""


RunJudge = Callable[[Recorder, Response], None]
"""Raises what one wish misses in the run that brought an answer."""


def judges_of(expect: HttpWarn, *before_body: Judge) -> tuple[Judge, ...]:
    """Return who is to judge an answer; chosen once, as most wishes are never made.

    In blackbox_exporter's order: status, headers, body, CEL, a body that broke off, version, TLS.

    Args:
        expect: what should be.
        before_body: asked before anybody looks at the body.
    """
    judges = [*_judges_of_head(expect), *before_body]
    if expect.judges_body:
        judges.append(partial(_miss_in_body, expect))
    judges.append(_miss_of_broken)
    if expect.http_version or expect.tls is not None:
        judges.append(partial(_miss_in_transport, expect))
    return tuple(judges)


def first_miss(judges: Iterable[Judge], response: Response) -> Miss | None:
    """Return what the first judge who misses something says."""
    for judge in judges:
        if (miss := judge(response)) is not None:
            return miss
    return None


def _judges_of_head(expect: HttpWarn) -> list[Judge]:
    judges: list[Judge] = []
    if expect.status is not None:
        judges.append(partial(_miss_in_status, expect.status))
    if expect.headers or expect.headers_lack:
        judges.append(partial(_miss_in_headers, expect))
    return judges


def flag_of_silence(expect: HttpWarn, response: Response) -> Flag:
    """Return the flag of a run that was cut off: it tells who waited for the body."""
    if not response.status or not expect.judges_body:
        return ""
    if first_miss(_judges_of_head(expect), response) is not None:
        return ""
    return "regex" if expect.searches_body else "cel"


def _miss_in_status(wanted: Statuses, response: Response) -> Miss | None:
    if wanted.admits(response.status):
        return None
    got = response.status_line.partition(" ")[2]
    message = f"want status {wanted}, got {short(got)[1:-1]}"
    return Miss(CheckFailed(Reason.STATUS, message, phase="processing"))


def _miss_in_headers(expect: HttpWarn, response: Response) -> Miss | None:
    miss = _headers_miss(expect, response)
    if miss is None:
        return None
    return Miss(CheckFailed(Reason.BODY, f"header {miss}", phase="processing"), "regex")


def _headers_miss(expect: HttpWarn, response: Response) -> str | None:
    for lacked in expect.headers_lack:
        if (miss := _miss_in_values(lacked, response, wanted=False)) is not None:
            return miss
    if isinstance(expect.headers, list):
        found = (_miss_in_values(item, response, wanted=True) for item in expect.headers)
        return next((miss for miss in found if miss is not None), None)
    for name, matcher in expect.headers.items():
        if (miss := miss_in_header(matcher, response.values(name))) is not None:
            return f"{name}: {miss}"
    return None


def _miss_in_values(item: HeaderPattern, response: Response, *, wanted: bool) -> str | None:
    """Judge a header: one of its values is like the pattern, or none of them."""
    pattern_text = short(str(item.regex))
    values = response.values(item.name)
    found = [value for value in values if _found(item.regex, value.encode("utf-8", "replace"))]
    if not values:
        got = None if item.optional else "nothing"
    elif wanted:
        got = None if found else short(values[0])
    else:
        got = short(found[0]) if found else None
    form = "a text" if wanted else "no text"
    return None if got is None else f"{item.name}: want {form} like {pattern_text}, got {got}"


def _found(wanted: Pattern, data: bytes) -> bool:
    return wanted.search(searchable(data)) is not None


def miss_in_header(matcher: Matcher, values: list[str]) -> str | None:
    """Judge a header: one of its values must hold, as text or, where it reads as one, as number."""
    if not values:
        return matcher.miss(MISSING)
    misses = [matcher.miss(value) for value in values]
    if None in misses:
        return None
    for value in values:
        try:
            if matcher.miss(parse_number(value)) is None:
                return None
        except ValueError:
            continue
    return misses[0]


def _miss_in_body(expect: HttpWarn, response: Response) -> Miss | None:
    """Judge the body; one that could not be read is a miss of whatever looks at it first."""
    flag: Flag = "regex" if expect.searches_body else "cel"
    if response.failure is not None:
        return Miss(response.failure, flag)
    if is_unread(response):
        message = (
            f"want a body to judge, got a {response.status} that is not followed: it is not read"
        )
        return Miss(CheckFailed(Reason.BODY, message, phase="processing"), flag)
    failure = _miss_in_text(expect, response) or _miss_in_json(expect, response)
    return _miss_in_cel(expect, response) if failure is None else Miss(failure, "regex")


def is_unread(response: Response) -> bool:
    """Tell whether the answer is a redirect that was not followed: nobody reads its body."""
    return response.location is not None


def _miss_in_text(expect: HttpWarn, response: Response) -> CheckFailed | None:
    if not expect.body_lacks and expect.body is None:
        return None
    data = response.body.data
    body = searchable(data)
    miss: str | None = None
    for lacked in expect.body_lacks:
        if miss is None and lacked.search(body) is not None:
            miss = f"want no text like {short(str(lacked))}, got one"
    if miss is None and isinstance(expect.body, Patterns):
        for wanted in expect.body.each:
            if miss is None and wanted.search(body) is None:
                miss = f"want a text like {short(str(wanted))}, got {short(text(data))}"
    if miss is None and isinstance(expect.body, Matcher):
        miss = expect.body.miss(text(data))
    return None if miss is None else CheckFailed(Reason.BODY, f"body: {miss}", phase="transfer")


def _miss_in_json(expect: HttpWarn, response: Response) -> CheckFailed | None:
    if not expect.json_:
        return None
    try:
        document = parse_json(response.body.data)
    except ValueError as error:
        return CheckFailed(
            Reason.PROTOCOL, f"want a JSON body, got {short(str(error))}", phase="transfer"
        )
    miss = miss_in_json(expect.json_, document)
    return None if miss is None else CheckFailed(Reason.BODY, miss, phase="transfer")


def _miss_in_cel(expect: HttpWarn, response: Response) -> Miss | None:
    for expression, wanted in ((expect.cel_not, False), (expect.cel, True)):
        if expression is None:
            continue
        key = "cel" if wanted else "cel_not"
        try:
            said = expression.holds(response.body.data)
        except CelFailed as error:
            failure = CheckFailed(Reason.BODY, f"{key}: {error}", phase="transfer")
        except CelMissing as error:
            return Miss(CheckFailed(Reason.CONFIG, str(error), phase="transfer"))
        else:
            if said is wanted:
                continue
            message = f"{key}: want {expression.source}, got {short(said)}"
            failure = CheckFailed(Reason.BODY, message, phase="transfer")
        return Miss(failure, "cel")
    return None


def _miss_of_broken(response: Response) -> Miss | None:
    return None if response.failure is None else Miss(response.failure)


def _miss_in_transport(expect: HttpWarn, response: Response) -> Miss | None:
    """Judge version and TLS of the last answer."""
    message = ""
    if expect.http_version and response.version not in expect.http_version:
        wanted = " or ".join(f"HTTP/{version}" for version in expect.http_version)
        message = f"want {wanted}, got HTTP/{response.version}"
    elif expect.tls == "absent" and response.over_tls:
        message = "want plain HTTP, got TLS"
    elif expect.tls == "present" and not response.over_tls:
        message = "want TLS, got plain HTTP"
    return Miss(CheckFailed(Reason.PROTOCOL, message, phase="processing")) if message else None


def judges_of_run(expect: HttpWarn) -> tuple[RunJudge, ...]:
    """Return who is to judge what is no part of the answer: certificates and time."""
    judges: list[RunJudge] = []
    if expect.certificate is not None:
        judges.append(partial(_judge_certificates, expect.certificate))
    if (band := expect.latency) is not None:
        if band.lowest < inf:
            judges.append(partial(_judge_latency, band, band.lowest))
        if band.phases:
            judges.append(lambda recorder, _: band.judge_phases(recorder))
    return tuple(judges)


def _judge_certificates(wanted: CertificateExpect, recorder: Recorder, response: Response) -> None:
    if not response.over_tls:
        message = "want TLS to judge a certificate, got plain HTTP"
        raise CheckFailed(Reason.PROTOCOL, message, phase="processing")
    judge_certificate(wanted, recorder)


def _judge_latency(
    band: LatencyBand, lowest: float, recorder: Recorder, _response: Response
) -> None:
    seconds = recorder.elapsed()
    # most runs are far below: those need not ask the model
    if seconds > lowest:
        band.judge(seconds, recorder)
