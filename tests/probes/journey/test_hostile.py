"""What targets and data do to a journey, row by row of the list of failures in the design of loads.

Played by the kind `journey` through the real driver: reason and step are told, the rest is skipped,
the reports stay whole, memory stays flat. Rows of loads alone are the business of loads.
"""

import asyncio
import json
import ssl
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import time_machine
import trustme

from probes.config.load import load
from probes.errors import ConfigError
from probes.journey.loading.compile import compile_journey
from probes.journey.loading.settings import JourneyKeys, World
from probes.junit import as_junit
from probes.kinds.journey import Journey
from probes.markdown import as_markdown
from probes.probe import Probe
from probes.recorder import Keep
from probes.report import as_json
from probes.result import Outcome, Reason, Result
from probes.run import run_once
from probes.wire import net
from tests.faults import dns
from tests.faults.http import NO_ANSWERS, Call, FaultServer, fault_server
from tests.faults.kept import CLOSE, OK, STAY, answer, kept_server
from tests.faults.tcp import closed_port
from tests.faults.tls import BAD_CERTIFICATES, bad_certificate
from tests.harness import Check

# A drip never ends by itself; what is cut off is cut off here.
QUICK = "300ms"
FLAT_BYTES = 24 * 2**20


def kind(*steps: dict[str, Any], **keys: Any) -> Journey:
    written = JourneyKeys.model_validate({"steps": list(steps), **keys})
    compiled = compile_journey("it", written, World(Path(), {}))
    return Journey.model_validate({"journey": "it"}, context={"journeys": {"it": compiled}})


def ask(path: str, **more: Any) -> dict[str, Any]:
    return {"name": "ask", "get": path, **more}


BEFORE = {"name": "before", "get": "/ok"}
AFTER = {"name": "after", "get": "/ok"}


def states(result: Result) -> dict[str, str]:
    found = (dict(s.labels) for s in result.samples if s.name == "journey_step_state" and s.value)
    return {labels["step"]: labels["state"] for labels in found}


def judge(result: Result, reason: Reason, step: str = "ask") -> str:
    """Demand that *step* failed for that reason and that nothing else did; return the message."""
    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (reason, step)
    found = states(result)
    assert found.pop(step) == "failed"
    assert "failed" not in found.values()
    assert found.get("after") in ("skipped", None)
    return result.failure.message


def judge_reports(result: Result) -> None:
    """Demand that every report is whole, whatever the target has said."""
    ElementTree.fromstring(as_junit([result]))
    assert json.loads(as_json([result]))
    for text in (as_junit([result]), as_markdown([result]), as_json([result])):
        text.encode("utf-8")
        assert not [sign for sign in text if ord(sign) < 32 and sign not in "\n\t"]
    assert Result.from_dict(json.loads(json.dumps(result.as_dict()))).failure == result.failure


# --- target


async def test_target_1_down_at_start(check: Check) -> None:
    result = await check(kind(ask("/"), AFTER), f"http://127.0.0.1:{closed_port()}/")

    judge(result, Reason.REFUSED)
    assert states(result)["after"] == "skipped"


async def test_target_2_dies_between_two_steps(check: Check) -> None:
    port = 0

    async def last(call: Call) -> None:
        await call.answer()
        servers[0].close()

    servers: list[asyncio.Server] = []
    faults = FaultServer()
    faults.faults["last"] = last
    server = await asyncio.start_server(faults.serve, "127.0.0.1", 0)
    servers.append(server)
    port = server.sockets[0].getsockname()[1]
    try:
        journey = kind({"name": "before", "get": "/last"}, ask("/ok"), AFTER)
        result = await check(journey, f"http://127.0.0.1:{port}/")
    finally:
        server.close()
        await faults.stop()

    judge(result, Reason.REFUSED)
    assert states(result)["before"] == "ok"


@asynccontextmanager
async def names(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dns.DnsFault]:
    """Let names be resolved by a name server that misbehaves."""
    resolver = net._resolver
    async with dns.dns_fault() as server:
        monkeypatch.setattr(net, "_resolver", lambda _: resolver((server.server,)))
        try:
            yield server
        finally:
            await net.close_resolvers()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("nxdomain.test", Reason.DNS_NXDOMAIN, id="no such name"),
        pytest.param("servfail.test", Reason.DNS_SERVFAIL, id="no answer of use"),
    ],
)
async def test_target_5_a_name_that_has_no_address(
    name: str, reason: Reason, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with names(monkeypatch):
        result = await check(kind(ask("/"), AFTER), f"http://{name}/")

    judge(result, reason)


async def test_target_5_a_name_of_a_redirect_that_is_forbidden(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Judged behind DNS; no packet goes to the address."""
    monkeypatch.setitem(dns.ADDRESSES, "evil", ["169.254.169.254"])
    async with names(monkeypatch), fault_server() as server:
        path = "/to/302?http%3A%2F%2Fevil.test%2Flatest"
        result = await check(kind(ask(path), AFTER), server.url("/"))

    assert "got one to evil.test:80" in judge(result, Reason.BLOCKED)


@pytest.mark.parametrize(("fault", "reason"), BAD_CERTIFICATES.items())
async def test_target_6_a_bad_certificate(
    fault: str, reason: Reason, check: Check, ca: trustme.CA, ca_file: Path
) -> None:
    tls = {"http": {"tls": {"ca_file": str(ca_file)}}}
    async with fault_server(bad_certificate(ca, fault)) as server:
        result = await check(kind(ask("/ok"), AFTER, **tls), server.url("/"))

    judge(result, reason)
    assert not server.requests


async def test_target_6_verification_is_on_and_can_be_taught(
    check: Check, server_context: ssl.SSLContext, ca_file: Path
) -> None:
    async with fault_server(server_context) as server:
        blind = await check(kind(ask("/ok")), server.url("/"))
        taught = await check(kind(ask("/ok"), http={"tls": {"ca_file": str(ca_file)}}),
                             server.url("/"))  # fmt: skip

    judge(blind, Reason.CERTIFICATE_UNTRUSTED)
    assert taught.outcome is Outcome.UP


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["/dripbody", "/dripheaders", "/hang", "/hangbody", "/halfheaders"]
)
async def test_target_7_the_time_is_total(path: str, check: Check) -> None:
    async with fault_server() as server:
        result = await check(kind(BEFORE, ask(path, timeout=QUICK), AFTER), server.url("/"))

    judge(result, Reason.TIMEOUT)
    assert result.seconds < 2


@pytest.mark.slow
async def test_target_7_the_time_of_the_journey_is_total_too(check: Check) -> None:
    async with fault_server() as server:
        journey = kind(BEFORE, ask("/dripbody"), AFTER, timeout=QUICK, cleanup=[
            {"name": "tidy", "get": "/ok"}])  # fmt: skip
        result = await check(journey, server.url("/"))

    assert "want all steps within 300ms" in judge(result, Reason.TIMEOUT)
    assert states(result)["tidy"] == "ok"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        *(pytest.param(path, reason, id=row) for row, path, reason in NO_ANSWERS),
        pytest.param("/file", Reason.BLOCKED, id="13 to a file"),
        pytest.param("/to/302?http%3A%2F%2F169.254.169.254%2F", Reason.BLOCKED,
                     id="13 to a forbidden host"),
        pytest.param("/ok/big/10000000", Reason.TOO_LARGE, id="12 10 MB"),
        pytest.param("/status/429", Reason.STATUS, id="14 too many requests"),
    ],
)  # fmt: skip
async def test_target_what_is_no_answer_has_its_reason(
    path: str, reason: Reason, check: Check
) -> None:
    async with fault_server() as server:
        result = await check(kind(BEFORE, ask(path), AFTER), server.url("/"))

    judge(result, reason)
    judge_reports(result)
    assert states(result)["before"] == "ok"


async def test_target_10_bytes_that_are_no_text(check: Check) -> None:
    """Body, header and reason phrase are not UTF-8; every report is."""
    steps = ask("/surr", expect={"status": 404}, extract={"evil": {"header": "X-Evil"}})
    async with fault_server() as server:
        result = await check(kind(steps, AFTER), server.url("/"))

    judge(result, Reason.STATUS)
    judge_reports(result)
    assert "\\xff" in str(result.steps[0].facts)


async def test_target_10_a_page_of_errors_in_latin_1(check: Check) -> None:
    body = "<h1>Schade: Ärger</h1>".encode("latin-1")
    async with kept_server([answer(body, "500 Nein", "Content-Type: text/html"), STAY]) as server:
        result = await check(kind(ask("/"), AFTER), server.url)

    assert "want status 2xx, got 500" in judge(result, Reason.STATUS)
    judge_reports(result)
    assert "Schade: " in result.steps[0].facts["response body"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a": "\xff\xfe"}', id="bytes"),
        pytest.param(b'{"a": 1' + b"0" * 5000 + b"}", id="a number without end"),
        pytest.param(b"[" * 100_000, id="brackets without end"),
        pytest.param(b'{"a": NaN}', id="no number"),
        pytest.param(b'{"a": 1} {"a": 2}', id="two documents"),
    ],
)
async def test_target_10_json_that_is_none(body: bytes, check: Check) -> None:
    async with kept_server([answer(body), STAY]) as server:
        journey = kind(ask("/", expect={"json": {"$.a": "x"}}), AFTER)
        result = await check(journey, server.url)

    assert result.failure is not None
    assert result.failure.reason in (Reason.PROTOCOL, Reason.BODY)
    judge_reports(result)


async def test_target_11_no_content_where_json_is_wanted(check: Check) -> None:
    async with kept_server([b"HTTP/1.1 204 No\r\n\r\n", STAY]) as server:
        journey = kind(ask("/", expect={"json": {"$.a": 1}}, extract={"a": "$.a"}), AFTER)
        result = await check(journey, server.url)

    assert judge(result, Reason.BODY).endswith("want a JSON body, got an empty one")


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["asyncio"])
@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/infinite", id="12 endless body"),
        pytest.param("/bomb/gzip", id="9 gzip bomb"),
        pytest.param("/bomb/br", id="9 brotli bomb"),
    ],
)
async def test_target_a_body_without_end_is_cut_and_memory_stays_flat(
    path: str, check: Check
) -> None:
    async with fault_server() as server:
        journey = kind(BEFORE, ask(path), AFTER)
        if path.startswith("/bomb"):
            from tests.faults.http import bomb

            bomb(path.rpartition("/")[2])  # packed before anybody measures
        tracemalloc.start()
        try:
            result = await check(journey, server.url("/"))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # brotli is not asked for: whoever sends it all the same is not understood, or is cut off
    assert result.failure is not None
    assert result.failure.reason in (Reason.TOO_LARGE, Reason.PROTOCOL)
    if not path.endswith("br"):
        judge(result, Reason.TOO_LARGE)
    assert peak < FLAT_BYTES


async def test_target_14_nobody_asks_again_after_429(check: Check) -> None:
    async with kept_server([answer(b"", "429 No", "Retry-After: 1"), STAY]) as server:
        result = await check(kind(ask("/"), AFTER), server.url)
        assert len(server.requests) == 1

    judge(result, Reason.STATUS)


@pytest.mark.parametrize(
    ("verb", "sent", "outcome"),
    [
        pytest.param("get", 2, Outcome.UP, id="a GET goes out again"),
        pytest.param("post", 1, Outcome.DOWN, id="a POST does not"),
    ],
)
async def test_target_15_a_kept_connection_closed_between_requests(
    verb: str, sent: int, outcome: Outcome, check: Check
) -> None:
    async with kept_server([OK, CLOSE], [OK, STAY]) as server:
        result = await check(kind(BEFORE, {"name": "ask", verb: "/again"}), server.url)
        asked = [line for line, _, _ in server.requests if "/again" in line]

    assert (len(asked), result.outcome) == (sent, outcome)
    if outcome is Outcome.DOWN:
        judge(result, Reason.CLOSED)


async def test_target_16_a_provisional_answer_is_none(check: Check) -> None:
    async with fault_server() as server:
        result = await check(kind(ask("/one1xx"), AFTER), server.url("/"))

    assert result.outcome is Outcome.UP


async def test_target_16_cookies_of_hosts_without_a_name(check: Check) -> None:
    async with fault_server() as server:
        await check(kind(ask("/setcookie")), server.url("/"))
        assert [call.headers.get("cookie") for call in server.requests] == [None, "session=abc"]


# --- data and numbers


async def test_data_6_the_wall_clock_steps(check: Check) -> None:
    """What took how long does not depend on what time it is."""
    with time_machine.travel(datetime(2026, 1, 2, tzinfo=UTC)) as traveller:

        async def jump(call: Call) -> None:
            traveller.shift(timedelta(days=400))
            await call.answer()

        async with fault_server() as server:
            server.faults["jump"] = jump
            result = await check(kind(ask("/jump"), AFTER), server.url("/"))

    assert result.outcome is Outcome.UP
    assert 0 <= result.seconds < 5
    assert all(0 <= step.seconds < 5 for step in result.steps)


FILE = """version: 1
journeys:
  it:
    base_url: http://127.0.0.1:9
    data: {file: %s}
    steps:
      - {name: ask, get: "/${row.user}"}
probes:
  - {name: it, kind: journey, journey: it}
"""


@pytest.mark.parametrize(
    ("name", "content", "mistake"),
    [
        pytest.param("a.csv", b"", "a.csv", id="empty"),
        pytest.param("a.csv", b"user\n", "want at least one row, got none", id="no rows"),
        pytest.param("a.csv", b"user\n\xff\xfe\n", "a.csv:2: want UTF-8", id="not UTF-8"),
        pytest.param("a.csv", b"user,b\nx\n", "a.csv:2", id="ragged rows"),
        pytest.param("a.jsonl", b'{"user": 1}\n{"usr": 2}\n', "a.jsonl:2", id="other columns"),
        pytest.param(
            "a.csv", b"usr\nx\n", "want a column of a.csv, got 'user'", id="no such column"
        ),
        pytest.param("../a.csv", b"user\nx\n", "want a file inside", id="outside"),
    ],
)
def test_data_8_a_bad_file_is_told_at_load(
    name: str, content: bytes, mistake: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / name).write_bytes(content)
    (home / "probes.yaml").write_text(FILE % name)

    with pytest.raises(ConfigError) as caught:
        load(home / "probes.yaml", environ={})

    assert mistake in str(caught.value)
    assert "probes.yaml:" in str(caught.value)


def test_data_8_a_byte_order_mark_is_none_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfuser\nann\n")
    (tmp_path / "probes.yaml").write_text(FILE % "a.csv")

    (probe,) = load(tmp_path / "probes.yaml", environ={}).probes

    assert isinstance(probe.kind, Journey)
    feeder = probe.kind.compiled.feeder
    assert feeder is not None
    assert feeder.row(0, 0) == {"user": "ann"}


@pytest.fixture
def two_rows(tmp_path: Path) -> Journey:
    (tmp_path / "a.csv").write_text("user\nann\nbob\n")
    (tmp_path / "probes.yaml").write_text(FILE % "a.csv")
    (probe,) = load(tmp_path / "probes.yaml", environ={}).probes
    assert isinstance(probe.kind, Journey)
    return probe.kind


async def test_data_9_rows_are_dealt_by_the_number_of_the_run(two_rows: Journey) -> None:
    """Fewer rows than runs: they begin again, whoever runs."""
    async with kept_server([OK, STAY]) as server:
        keep = Keep(two_rows.first_memory(server.url, None))
        for _ in range(5):
            await run_once(Probe(name="it", kind=two_rows, target=server.url), keep=keep)
        asked = [line.split()[1] for line, _, _ in server.requests]

    assert asked == ["/ann", "/bob", "/ann", "/bob", "/ann"]


def test_data_10_more_steps_than_names_are_refused(tmp_path: Path) -> None:
    steps = "".join(f"\n      - {{name: s{n}, get: /}}" for n in range(201))
    text = (FILE % "a.csv").replace("    data: {file: a.csv}\n", "")
    (tmp_path / "probes.yaml").write_text(
        text.replace('\n      - {name: ask, get: "/${row.user}"}', steps)
    )

    with pytest.raises(ConfigError, match="200"):
        load(tmp_path / "probes.yaml", environ={})


async def test_data_10_texts_of_a_target_never_become_labels(check: Check) -> None:
    """Each run says something else; the series stay the same."""
    series = set()
    for number in range(3):
        async with kept_server([answer(b"%d" % number, "500 No"), STAY]) as server:
            result = await check(kind(ask("/"), AFTER), server.url)
        series.add(frozenset((sample.name, sample.labels) for sample in result.samples))

    assert len(series) == 1


@pytest.mark.parametrize("name", ["Ask", "a b", "é", 'a"b', "a\nb", "x" * 64, "${x}"])
def test_data_11_an_odd_name_of_a_step_is_refused(name: str, tmp_path: Path) -> None:
    quoted = json.dumps(name)
    text = (
        (FILE % "a.csv")
        .replace("    data: {file: a.csv}\n", "")
        .replace("name: ask", f"name: {quoted}")
    )
    (tmp_path / "probes.yaml").write_text(text)

    with pytest.raises(ConfigError, match=r"journeys\.it\.steps\.0\.name: want"):
        load(tmp_path / "probes.yaml", environ={})


@pytest.mark.parametrize(
    "evil",
    [
        pytest.param('a"b\\c\nd', id="quote and newline"),
        pytest.param("\ud800", id="half a character"),
        pytest.param("\x00\x1b[31m\u202e", id="control characters"),
        pytest.param("x" * 100_000, id="very long"),
        pytest.param("</testcase>]]>|`#", id="marks of the reports"),
    ],
)
async def test_data_11_an_odd_text_of_a_target_is_cleaned(evil: str, check: Check) -> None:
    body = json.dumps({"evil": evil}).encode()
    steps = (
        ask("/", extract={"evil": "$.evil"}),
        {"log": "said ${evil}", "name": "note"},
        {"name": "again", "post": "/", "json": {"evil": "${evil}"}, "expect": {
            "json": {"$.evil": "good"}}},
    )  # fmt: skip
    async with kept_server([answer(body), answer(body), STAY]) as server:
        result = await check(kind(*steps), server.url)

    judge(result, Reason.BODY, "again")
    judge_reports(result)
    assert len(result.failure.message if result.failure else "") < 400


async def test_a_foreign_value_in_a_url_is_the_steps_failure(check: Check) -> None:
    """What an answer holds goes into the next request: it can neither split nor redirect it."""
    body = json.dumps({"id": "1 HTTP/1.1\r\nX-Evil: 1", "url": "http://[::", "n": None}).encode()
    steps = [ask("/", extract={"id": "$.id", "url": "$.url"})]
    async with kept_server([answer(body), OK, STAY]) as server:
        for more in ({"get": "/items/${id}"}, {"get": "/x", "headers": {"X-A": "${id}"}},
                     {"get": "${url}"}):  # fmt: skip
            result = await run_once(
                Probe(name="it", kind=kind(*steps, {"name": "next", **more}), target=server.url)
            )
            assert result.outcome in (Outcome.DOWN, Outcome.UP)
            judge_reports(result)
        assert not [headers for _, headers, _ in server.requests if "x-evil" in headers]
