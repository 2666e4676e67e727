"""``/probe``: what a scraper asks for, and how long it waits."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.asked import Refused
from exporter.web.probing import (
    MAX_PARAMETERS,
    MAX_TIMEOUT_S,
    BadRequest,
    Wanted,
    scrape_limit_s,
    wanted,
)
from tests.exporter.web.conftest import Ask
from tests.exporter.web.support import FakeBackend


@pytest.mark.parametrize(
    ("query", "module", "target"),
    [
        pytest.param("module=a&target=h:1", "a", "h:1", id="both"),
        pytest.param("target=h:1", "http_2xx", "h:1", id="the module of blackbox_exporter"),
        pytest.param("module=&target=h:1", "http_2xx", "h:1", id="an empty module"),
        pytest.param("module=a&module=b&target=h:1&target=h:2", "a", "h:1", id="the first wins"),
        pytest.param("target=http%3A%2F%2Fh%2F%3Fa%3D1", "http_2xx", "http://h/?a=1", id="escaped"),
        pytest.param("target=http%253A%252F%252Fh%252F", "http_2xx", "http://h/", id="twice"),
        pytest.param("target=%25ff", "http_2xx", "%ff", id="no UTF-8 behind it"),
        pytest.param("target=h:1&other=2", "http_2xx", "h:1", id="others are ignored"),
    ],
)
def test_what_is_asked_for(query: str, module: str, target: str) -> None:
    assert wanted(query, "10") == Wanted(module, target, 9.5)


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        pytest.param("", 400, "Target parameter is missing", id="nothing"),
        pytest.param("module=a", 400, "Target parameter is missing", id="no target"),
        pytest.param("target=", 400, "Target parameter is missing", id="an empty target"),
        pytest.param(
            "target=h:1&debug=true",
            400,
            "want no debug, got one: this version has no such feature yet",
            id="debug",
        ),
        pytest.param(
            "target=h:1&hostname=x",
            400,
            "want no hostname, got one: this version has no such feature yet",
            id="hostname",
        ),
        pytest.param(
            "&" * MAX_PARAMETERS, 400, "want at most 100 parameters, got more", id="too many"
        ),
    ],
)
def test_what_cannot_be_asked_for(query: str, status: int, text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        wanted(query, None)

    assert (caught.value.status, str(caught.value)) == (status, text)


@pytest.mark.parametrize(
    ("header", "limit_s"),
    [
        pytest.param("30", 29.5, id="of a scraper"),
        pytest.param("7.25", 6.75, id="a fraction"),
        pytest.param("0.55", 0.1, id="at least 0.1 s"),
        pytest.param("0.3", -0.2, id="no time at all"),
        pytest.param("1e9", MAX_TIMEOUT_S - 0.5, id="capped where the server cuts off"),
        pytest.param(None, MAX_TIMEOUT_S - 0.5, id="none"),
        pytest.param("", MAX_TIMEOUT_S - 0.5, id="empty"),
        pytest.param("0", MAX_TIMEOUT_S - 0.5, id="zero"),
        pytest.param("NaN", MAX_TIMEOUT_S - 0.5, id="not a number"),
        pytest.param("-5", MAX_TIMEOUT_S - 0.5, id="negative"),
        pytest.param("+Inf", MAX_TIMEOUT_S - 0.5, id="endless"),
        pytest.param("1_0", MAX_TIMEOUT_S - 0.5, id="digits of Python"),
    ],
)
def test_the_time_there_is(header: str | None, limit_s: float) -> None:
    assert scrape_limit_s(header) == pytest.approx(limit_s)


def test_a_timeout_that_is_no_number_is_told_as_upstream_does() -> None:
    with pytest.raises(
        BadRequest, match="Failed to parse timeout from Prometheus header"
    ) as caught:
        scrape_limit_s("soon")

    assert caught.value.status == 500


@given(st.text(), st.text())
def test_any_text_is_understood_or_refused(query: str, timeout: str) -> None:
    with suppress(BadRequest):
        run = wanted(query, timeout)
        assert run.target
        assert run.limit_s < MAX_TIMEOUT_S


async def test_a_page_is_served(backend: FakeBackend, ask: Ask) -> None:
    reply = await ask("GET", "/probe?module=m&target=h:1", x_prometheus_scrape_timeout_seconds="3")

    assert (reply.status, reply.text) == (200, "probe_success 1\n")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert backend.asked == [("m", "h:1", 2.5)]
    assert backend.requests["probe", "2xx"] == 1


@pytest.mark.parametrize(
    ("refused", "headers", "reason"),
    [
        pytest.param(Refused(400, "Unknown module 'x'\n"), {}, None, id="unknown module"),
        pytest.param(Refused(403, "no\n"), {}, "policy", id="outside the policy"),
        pytest.param(Refused(503, "full\n"), {"retry-after": "1"}, "limit", id="no slot"),
    ],
)
async def test_a_refusal_is_told(
    backend: FakeBackend, ask: Ask, refused: Refused, headers: dict[str, str], reason: str | None
) -> None:
    backend.ask_error = refused

    reply = await ask("GET", "/probe?target=h:1")

    assert (reply.status, reply.text) == (refused.status, refused.text)
    assert headers.items() <= reply.headers.items()
    assert dict(backend.rejected) == ({reason: 1} if reason else {})


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("POST", 200), ("DELETE", 405)])
async def test_methods(ask: Ask, method: str, status: int) -> None:
    assert (await ask(method, "/probe?target=h:1")).status == status
