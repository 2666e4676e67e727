"""The verdict of a run as a page of Prometheus, and its way to a Pushgateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.commands.pushing import address, page, push
from probes.wire.url import parse_url
from scenarios.book import Book, Key
from scenarios.report import Compared, Comparison, Judged, LoadReport, Verdict

BEGAN = datetime(2026, 11, 21, 3, 17, tzinfo=UTC)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def report() -> LoadReport:
    book = Book()
    for outcome, seconds in (("up", 0.1), ("degraded", 0.3), ("down", 9.0)):
        key = Key("request.duration", "shop", "search", "GET", "2xx", outcome)
        book.time(key, seconds)
    book.time(Key("request.duration", "shop", "warm", "GET", "2xx", "up", measured=False), 1)
    return LoadReport(
        "nightly", "r1", Verdict.FAIL, 1, (), BEGAN, BEGAN, git_ref="main", config_hash="abc",
        book=book,
        thresholds=(
            Judged('p95(request.duration{step="a"}) < 0.4s', "fail", 0.5, 0.4, "s", "breach"),
            Judged("min(throughput) >= 18/s", "warn", None, 18, "/s", "no_data"),
        ),
        comparison=Comparison(
            "last_pass", "r0", stats=(Compared("throughput", 9.0, 10.0, "/s", 0.1),)
        ),
    )  # fmt: skip


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (it.name, tuple(v for k, v in sorted(it.labels.items()) if k != "scenario")): it.value
        for family in text_string_to_metric_families(text)
        for it in family.samples
        if it.labels["scenario"] == "nightly"
    }


def test_the_page_holds_the_verdict_group() -> None:
    found = samples(page(report()))

    verdict, value = "loadtest_last_run_verdict", "loadtest_threshold_value"
    assert {key[1][0]: it for key, it in found.items() if key[0] == verdict} == {
        "pass": 0, "fail": 1, "aborted": 0, "inconclusive": 0, "refused": 0,
    }  # fmt: skip
    assert found["loadtest_last_run_start_timestamp_seconds", ()] == BEGAN.timestamp()
    assert found["loadtest_last_run_info", ("abc", "main", "r1")] == 1
    assert found[value, ('p95(request.duration{step="a"}) < 0.4s',)] == 0.5
    assert (value, ("min(throughput) >= 18/s",)) not in found
    assert found["loadtest_threshold_ok", ("min(throughput) >= 18/s",)] == 0
    assert found["loadtest_threshold_limit", ("min(throughput) >= 18/s",)] == 18
    assert found["loadtest_last_run_quantile_seconds", ("0.5", "search")] == pytest.approx(
        0.1, 0.01
    )
    assert found["loadtest_last_run_quantile_seconds", ("0.99", "search")] == pytest.approx(
        0.3, 0.01
    )
    assert not any("warm" in key[1] for key in found)
    assert found["loadtest_regression_ratio", ("throughput",)] == 0.1


def test_two_thresholds_of_one_text_are_one_series() -> None:
    it = report()
    twice = replace(it, thresholds=(it.thresholds[0], it.thresholds[0]))

    assert page(twice).count("loadtest_threshold_ok{") == 1


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param(
            "http://gw:9091", "http://gw:9091/metrics/job/sonde_load/scenario/a-b", id="root"
        ),
        pytest.param(
            "https://gw/push/", "https://gw:443/push/metrics/job/sonde_load/scenario/a-b", id="path"
        ),
        pytest.param(
            "http://gw/metrics/job/ci", "http://gw:80/metrics/job/ci/scenario/a-b", id="own job"
        ),
    ],
)
def test_the_group_is_put_below_the_gateway(given: str, wanted: str) -> None:
    assert address(given, "a-b") == parse_url(wanted)


@pytest.mark.parametrize("given", ["gw:9091", "http://gw?x=1", "ftp://gw"])
def test_what_is_no_gateway_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="want"):
        address(given, "a")


@asynccontextmanager
async def gateway(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(it.split(b":")[1]) for it in head.lower().splitlines() if b"content-length" in it
        )
        got.append(head + await reader.readexactly(length))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://u:pw@127.0.0.1:{server.sockets[0].getsockname()[1]}", got


async def test_a_push_replaces_the_group() -> None:
    async with gateway(OK) as (url, got):
        assert await push(address(url, "nightly"), page(report())) is None

    (head, _, body) = got[0].partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /metrics/job/sonde_load/scenario/nightly HTTP/1.1\r\n")
    assert b"Authorization: Basic dTpwdw==" in head
    assert body.decode() == page(report())


async def test_a_gateway_that_refuses_or_is_gone_is_told_without_its_password() -> None:
    async with gateway(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as (url, _):
        where = address(url, "nightly")
        refused = await push(where, "x")
    gone = await push(where, "x")

    assert (
        refused
        == f"want http://{where.authority} to take the verdict, got HTTP/1.1 400 Bad Request"
    )
    assert gone is not None
    assert gone.endswith("(refused)")
    assert "pw" not in refused + gone
