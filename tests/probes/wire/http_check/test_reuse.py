"""A second request on the same connection, through the kind that offers it."""

import asyncio
from typing import Any

import pytest

from probes.kinds.http import Http
from probes.result import Outcome, Reason, Result
from probes.wire.http.decode import MAX_DECODED_BYTES
from tests.faults.tcp import Handler, tcp_fault
from tests.harness import Check, undeclared

TIMES = "http_request_duration_seconds"


def http(**keys: Any) -> Http:
    return Http.model_validate({"reuse": "told", "follow_redirects": False, **keys})


def keeping(*answers: bytes) -> Handler:
    """Answer request by request on one connection, then hang up."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        writer.close()

    return handle


def answer(status: int = 200, *headers: str, body: str = "ok") -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", body]
    return "\r\n".join(lines).encode()


def samples(result: Result, name: str) -> dict[str, float]:
    """Return the samples of that *name*, by request."""
    return {dict(s.labels).get("request", ""): s.value for s in result.samples if s.name == name}


async def look(check: Check, kind: Http, handler: Handler, timeout_s: float = 5) -> Result:
    async with tcp_fault(handler) as port:
        return await check(kind, f"http://127.0.0.1:{port}/", timeout_s)


async def test_both_requests_are_timed_on_one_connection(check: Check) -> None:
    kind = http(reuse="required", expect={"body": {"contains": "ok"}})

    result = await look(check, kind, keeping(answer(), answer()))

    assert result.outcome is Outcome.UP, result.failure
    assert set(samples(result, TIMES)) == {"first", "second"}
    assert samples(result, "http_connection_reused") == {"": 1}
    assert samples(result, "http_status_code") == {"": 200}
    names = [phase.name for phase in result.phases]
    assert names == ["resolve", "connect", "processing", "transfer", "reuse"]
    assert undeclared(result, kind) == []


@pytest.mark.parametrize(
    ("reuse", "outcome"), [("told", Outcome.UP), ("required", Outcome.DOWN)], ids=str
)
async def test_a_connection_that_ends_is_told_or_refused(
    reuse: str, outcome: Outcome, check: Check
) -> None:
    result = await look(check, http(reuse=reuse), keeping(answer(200, "Connection: close")))

    assert result.outcome is outcome
    assert samples(result, "http_connection_reused") == {"": 0}
    assert set(samples(result, TIMES)) == {"first", "second"}
    if result.failure is not None:
        assert result.failure.reason is Reason.CLOSED
        assert result.failure.phase == "reuse"
        assert result.failure.message == (
            "second request: want the same connection, got the end of it"
        )


async def test_a_second_answer_of_another_status_fails(check: Check) -> None:
    result = await look(check, http(), keeping(answer(), answer(503)))

    assert result.failure is not None
    assert result.failure.reason is Reason.STATUS
    assert result.failure.message == "second request: want status 200 as of the first, got 503"


async def test_a_first_answer_that_fails_is_not_asked_for_again(check: Check) -> None:
    result = await look(check, http(), keeping(answer(500)))

    assert result.failure is not None
    assert result.failure.message == "want status 2xx, got 500 X"
    assert set(samples(result, TIMES)) == {"first"}


async def test_silence_of_the_second_is_told_in_its_phase(check: Check) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer())
        await reader.read()

    result = await look(check, http(), handle, 0.2)

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "reuse")
    assert samples(result, "http_status_code") == {"": 200}


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        pytest.param({"follow_redirects": True}, "follow_redirects: false", id="redirects"),
        pytest.param({"method": "POST"}, "want GET, HEAD or OPTIONS beside reuse", id="method"),
        pytest.param({"versions": [2]}, "want 1 among the versions", id="versions"),
        pytest.param({"proxy": {"url": "http://127.0.0.1:3128"}}, "want no proxy", id="proxy"),
    ],
)
def test_keys_that_exclude_a_second_request_are_told(keys: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        http(**keys)


async def test_the_second_answer_may_be_as_large_as_the_first(check: Check) -> None:
    large = answer(body="x" * (MAX_DECODED_BYTES + 1))

    kind = http(reuse="required", max_body="4MiB")
    result = await look(check, kind, keeping(large, large))
    assert result.outcome is Outcome.UP, result.failure

    kind = http(max_body="2KiB")
    result = await look(check, kind, keeping(answer(), answer(body="x" * 2049)))
    assert result.failure is not None
    assert result.failure.message == (
        "second request: want a body of at most 2KiB (max_body), got more"
    )
