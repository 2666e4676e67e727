"""``/probe``: what a scraper asks for, and how long it waits."""

import gzip
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.on_demand.question import Question, Refused
from exporter.web.probing import MAX_PARAMETERS, question_of
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
        pytest.param("target=a%252Bb%2Bc", "http_2xx", "a+b c", id="a plus is a blank, as in Go"),
        pytest.param("target=%25ff", "http_2xx", "%ff", id="no UTF-8 behind it"),
        pytest.param("target=h%2B%25zz", "http_2xx", "h+%zz", id="no escape: as it is, whole"),
        pytest.param("module=a", "a", "", id="no target"),
    ],
)
def test_what_is_asked_for(query: str, module: str, target: str) -> None:
    assert question_of(query, "10") == Question(module, target, timeout="10")


def test_further_parameters_are_kept_apart() -> None:
    question = question_of("target=h&hostname=x&debug=true&query_type=A&query_type=MX", None)

    assert question == Question(
        "http_2xx", "h", hostname="x", debug=True, others=(("query_type", "A"),)
    )
    assert not question_of("target=h&debug=1", None).debug
    assert question_of("probe=frontend", None) == Question(probe="frontend")


def test_t27_a_long_query_is_read_anew_each_time() -> None:
    for size, is_kept in ((1000, True), (1100, False)):
        query = "target=".ljust(size, "x")

        assert (question_of(query, None) is question_of(query, None)) is is_kept


def test_too_many_parameters_are_refused() -> None:
    with pytest.raises(Refused, match="want at most 100 parameters, got more") as caught:
        question_of("&" * MAX_PARAMETERS, None)

    assert caught.value.status == 400


@given(st.text(), st.text())
def test_any_text_is_understood_or_refused(query: str, timeout: str) -> None:
    with suppress(Refused):
        question_of(query, timeout)


async def test_a_page_is_served(backend: FakeBackend, ask: Ask) -> None:
    reply = await ask("GET", "/probe?module=m&target=h:1", x_prometheus_scrape_timeout_seconds="3")

    assert (reply.status, reply.text) == (200, "probe_success 1\n")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert backend.asked == [Question("m", "h:1", timeout="3")]
    assert backend.requests["probe", "2xx"] == 1


@pytest.mark.parametrize("lines", [1, 10_000])
async def test_a_page_is_packed_for_whom_can_unpack_it(
    backend: FakeBackend, ask: Ask, lines: int
) -> None:
    """A page of a user's numbers may be larger than the window of the packer."""
    backend.ask_page = b"".join(b"shop_lag_blocks %d\n" % number for number in range(lines))

    reply = await ask("GET", "/probe?module=m&target=h:1", accept_encoding="gzip")

    assert reply.headers["content-encoding"] == "gzip"
    assert gzip.decompress(reply.body) == backend.ask_page


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
