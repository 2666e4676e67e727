"""The run of an HTTP check: who judges first, what is told of an answer that is none."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from probes.errors import CheckFailed
from probes.measure import Measure
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.http.message import Request, Response
from probes.wire.http.options import Options
from probes.wire.http_check.check import Check, Fetch
from probes.wire.http_check.expect import HttpExpect, HttpWarn
from probes.wire.http_check.request import NOT_LATE, Late
from probes.wire.url import Url

TARGET = "http://127.0.0.1/"
SOON = {"expires_in": "1d"}
LAG = Measure.model_validate({"name": "shop_lag", "json": "$.lag"})


class Sender:
    is_late = False

    def request(self, url: Url, late: Late = NOT_LATE) -> Request:
        return Request(url)

    async def read(self, recorder: Recorder) -> Late:
        return NOT_LATE


def check_of(
    expect: dict[str, Any] | None = None,
    warn: dict[str, Any] | None = None,
    versions: tuple[int, ...] = (1, 2),
    *,
    follows: bool = True,
) -> Check:
    return Check(
        Sender(),
        Options(follow_redirects=follows),
        versions=versions,
        expect=HttpExpect.model_validate(expect or {}),
        warn=None if warn is None else HttpWarn.model_validate(warn),
        measure=[LAG],
    )


def answering(
    status: int = 200, body: bytes = b'{"lag": 3}', end: Callable[[Response], None] = lambda _: None
) -> Fetch:
    """Return who brings this answer and does *end* to it."""

    async def fetch(
        _request: Request, _recorder: Recorder, _options: Options, to: Response
    ) -> None:
        to.take_head(status, "1.1")
        to.body.feed(body)
        end(to)

    return fetch


def names(recorder: Recorder) -> set[str]:
    return {sample.name for sample in recorder.samples}


def break_off(response: Response) -> None:
    response.failure = CheckFailed(Reason.CLOSED, "want more, got an end", phase="transfer")


def bad_location(response: Response) -> None:
    response.redirects = 1
    raise CheckFailed(Reason.REDIRECT, "want a usable Location, got another", phase="processing")


async def test_an_answer_is_measured_and_told_although_its_status_is_missed() -> None:
    recorder = Recorder()

    with pytest.raises(CheckFailed) as caught:
        await check_of().run(TARGET, recorder, answering(500))

    assert caught.value.reason is Reason.STATUS
    assert {"shop_lag", "http_status_code"} <= names(recorder)


async def test_nothing_is_measured_in_half_a_body() -> None:
    """What stands there may not be what the whole would say."""
    recorder = Recorder()

    with pytest.raises(CheckFailed) as caught:
        await check_of().run(TARGET, recorder, answering(end=break_off))

    assert caught.value.reason is Reason.CLOSED
    assert "shop_lag" not in names(recorder)


@pytest.mark.parametrize(
    ("status", "expect", "versions", "reason"),
    [
        pytest.param(500, {"latency": "0.001ms"}, (1,), Reason.STATUS, id="status before time"),
        pytest.param(500, {"certificate": SOON}, (1,), Reason.STATUS, id="and a certificate"),
        pytest.param(500, {}, (2,), Reason.STATUS, id="and the version"),
        pytest.param(200, {"latency": "0.001ms"}, (2,), Reason.PROTOCOL, id="version before time"),
        pytest.param(
            200, {"latency": "0.001ms", "certificate": SOON}, (1,), Reason.PROTOCOL,
            id="certificate before time",
        ),
    ],
)  # fmt: skip
async def test_the_answer_is_judged_before_the_run(
    status: int, expect: dict[str, Any], versions: tuple[int, ...], reason: Reason
) -> None:
    with pytest.raises(CheckFailed) as caught:
        await check_of(expect, versions=versions).run(TARGET, Recorder(), answering(status))

    assert caught.value.reason is reason


async def test_everything_that_is_missed_softly_is_warned_of() -> None:
    recorder = Recorder()
    warn = {"status": 204, "certificate": SOON, "latency": "0.001ms"}

    await check_of(warn=warn).run(TARGET, recorder, answering())

    reasons = [warning.reason for warning in recorder.warnings]
    assert reasons == [Reason.STATUS, Reason.PROTOCOL, Reason.LATENCY]


async def test_a_redirect_that_leads_nowhere_fails_although_its_status_was_wanted() -> None:
    fetch = answering(302, end=bad_location)

    with pytest.raises(CheckFailed, match="want a usable Location"):
        await check_of({"status": 302}).run(TARGET, Recorder(), fetch)


@pytest.mark.parametrize(
    ("follows", "message"),
    [
        pytest.param(True, "want a Location, got none with status 302", id="who would follow"),
        pytest.param(False, "want status 2xx, got", id="who would not"),
    ],
)
async def test_a_redirect_without_a_location_is_told(follows: bool, message: str) -> None:
    with pytest.raises(CheckFailed, match=message):
        await check_of(follows=follows).run(TARGET, Recorder(), answering(302))


@pytest.mark.parametrize(
    ("status", "expect", "sample", "value"),
    [
        pytest.param(200, {"body": "a"}, "failed_due_to_regex", 1.0, id="who waits for a text"),
        pytest.param(200, {"cel": "body.a"}, "failed_due_to_cel", 1.0, id="who waits for JSON"),
        pytest.param(500, {"cel": "body.a"}, "failed_due_to_cel", 0.0, id="a miss before it"),
        pytest.param(200, {}, "failed_due_to_regex", 0.0, id="nobody"),
    ],
)
async def test_a_run_that_is_cut_off_in_its_body_tells_who_waited(
    status: int, expect: dict[str, Any], sample: str, value: float
) -> None:
    def cut_off(_: Response) -> None:
        raise asyncio.CancelledError

    recorder = Recorder()
    with pytest.raises(asyncio.CancelledError):
        await check_of(expect).run(TARGET, recorder, answering(status, end=cut_off))

    assert {it.name: it.value for it in recorder.samples}[sample] == value
