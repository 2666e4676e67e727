"""What an HTTP answer should be, and where it is not: ``expect`` and ``warn`` of HTTP checks.

    expect:
      status: 2xx
      headers: {content-type: {contains: json}}
      body: {contains: healthy}
      json: {$.status: healthy}
      latency: {warn: 500ms, fail: 2s}
      certificate: {expires_in: {warn: 21d, fail: 7d}}

Pure judgement over a `Response`; knows no socket and not how the answer came here.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from probes.errors import CheckFailed
from probes.expect import (
    CertificateExpect,
    DurationBand,
    JsonExpect,
    Matcher,
    Statuses,
    miss_in_json,
    parse_json,
)
from probes.matcher import MISSING
from probes.recorder import Recorder
from probes.result import Reason
from probes.settings import Settings
from probes.units import parse_number, short
from probes.wire.message import Response, text
from probes.wire.peer import judge_certificate


class HttpWarn(Settings):
    """What degrades a run when it is missed."""

    status: Statuses | None = None
    """Status codes: ``200``, ``2xx``, ``200-299``, a list, or ``{not: 5xx}``."""
    headers: dict[str, Matcher] = Field(default={})
    """Header -> what one of its values must be."""
    body: Matcher | None = None
    """What the decoded body must be, as text: ``{contains: healthy}``, ``{matches: "^ok"}``."""
    json_: JsonExpect = Field(default={}, alias="json")
    """JSONPath -> what must stand there."""
    latency: DurationBand | None = None
    """Duration of the whole run: DNS, connection, TLS, redirects and body."""
    certificate: CertificateExpect | None = None
    """Certificates of all hops."""

    @model_validator(mode="before")
    @classmethod
    def _bare_is_status(cls, data: Any) -> Any:
        return {"status": data} if isinstance(data, int | str | list) else data

    @property
    def judges_body(self) -> bool:
        """Whether the body must be kept."""
        return self.body is not None or bool(self.json_)


class HttpExpect(HttpWarn):
    """What fails a run when it is missed."""

    status: Statuses | None = Statuses("2xx")
    """Status codes: ``200``, ``2xx``, ``200-299``, a list, or ``{not: 5xx}``."""


def miss_in_answer(expect: HttpWarn, response: Response) -> CheckFailed | None:
    """Return the first miss of status, headers and body; a body that broke off is not judged."""
    if expect.status is not None and not expect.status.admits(response.status):
        got = response.status_line.partition(" ")[2]
        message = f"want status {expect.status}, got {short(got)[1:-1]}"
        return CheckFailed(Reason.STATUS, message, phase="processing")
    for name, matcher in expect.headers.items():
        if (miss := miss_in_header(matcher, response.values(name))) is not None:
            return CheckFailed(Reason.BODY, f"header {name}: {miss}", phase="processing")
    if response.failure is not None:
        return None
    if expect.body is not None and (miss := expect.body.miss(text(response.body.data))) is not None:
        return CheckFailed(Reason.BODY, f"body: {miss}", phase="transfer")
    return _miss_in_body_json(expect.json_, response) if expect.json_ else None


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


def _miss_in_body_json(expect: Mapping[str, Matcher], response: Response) -> CheckFailed | None:
    try:
        document = parse_json(response.body.data)
    except ValueError as error:
        return CheckFailed(
            Reason.PROTOCOL, f"want a JSON body, got {short(str(error))}", phase="transfer"
        )
    miss = miss_in_json(expect, document)
    return None if miss is None else CheckFailed(Reason.BODY, miss, phase="transfer")


def judge_run(expect: HttpWarn, recorder: Recorder, *, over_tls: bool) -> None:
    """Judge what is no part of the answer: certificates and time."""
    if expect.certificate is not None:
        if not over_tls:
            raise CheckFailed(
                Reason.PROTOCOL,
                "want TLS to judge a certificate, got plain HTTP",
                phase="processing",
            )
        judge_certificate(expect.certificate, recorder)
    if expect.latency is not None:
        expect.latency.judge(recorder.elapsed(), recorder)
