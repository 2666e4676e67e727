"""The web server as its clients see it."""

import json
import time

import pytest

from exporter.exposition.scrape import OPENMETRICS, TEXT, PageQuery
from exporter.exposition.stream import Busy
from exporter.web.server import WebServer
from probes.errors import ConfigError, Problem
from probes.result import Outcome
from tests.exporter.web.conftest import Ask, Connect, Serve
from tests.exporter.web.support import FakeBackend, make_probe, make_result, request

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,"
    "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


async def test_the_landing_page_has_links_and_no_script(ask: Ask, backend: FakeBackend) -> None:
    backend.version = "<1.2>"
    backend.probes = [make_probe()]

    reply = await ask("GET", "/")

    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "#e6522c" in reply.text
    assert 'href="/metrics"' in reply.text
    assert "Version &lt;1.2&gt;, 1 probe." in reply.text
    assert "<script" not in reply.text
    assert "http" not in reply.text
    assert backend.requests["landing", "2xx"] == 1


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/health", "/nowhere", "/-/reload", "/api/v1/probes"]
)
async def test_t35_every_answer_carries_the_security_headers(ask: Ask, path: str) -> None:
    reply = await ask("GET", path)

    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["x-frame-options"] == "deny"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["server"] == "sonde"


async def test_metrics_are_streamed_in_the_format_that_is_wanted(
    ask: Ask, backend: FakeBackend
) -> None:
    plain = await ask("GET", "/metrics")
    scraped = await ask("GET", "/metrics", accept=PROMETHEUS_2, accept_encoding="gzip")

    assert (plain.status, plain.body) == (200, b"up 1\ndown 0\n")
    assert plain.headers["content-type"] == TEXT
    assert plain.headers["vary"] == "Accept, Accept-Encoding"
    assert plain.headers["cache-control"] == "no-store"
    assert "content-encoding" not in plain.headers
    assert scraped.headers["content-type"] == OPENMETRICS
    assert backend.metrics.queries == [PageQuery(), PageQuery(openmetrics=True, gzip=True)]


async def test_a_packed_page_is_said_to_be_packed(ask: Ask, backend: FakeBackend) -> None:
    backend.metrics.encoding = "gzip"

    reply = await ask("GET", "/metrics", accept_encoding="gzip")

    assert reply.headers["content-encoding"] == "gzip"
    assert reply.body == b"up 1\ndown 0\n"


async def test_a_head_of_metrics_renders_nothing(
    server: WebServer, connect: Connect, backend: FakeBackend
) -> None:
    client = await connect(server)

    head = await client.ask("HEAD", "/metrics", accept=PROMETHEUS_2)
    after = await client.ask("GET", "/-/healthy")

    assert (head.status, head.headers["content-type"]) == (200, OPENMETRICS)
    assert after.body == b"Healthy"
    assert backend.metrics.queries == []


async def test_a_page_is_filtered_by_its_query(ask: Ask, backend: FakeBackend) -> None:
    reply = await ask(
        "GET", "/metrics?name%5B%5D=up&name[]=down&probe=a%2Fb&tag=web&shard=2/4&unknown=1"
    )

    assert reply.status == 200
    assert backend.metrics.queries == [
        PageQuery(
            names=frozenset({"up", "down"}),
            probes=frozenset({"a/b"}),
            tags=frozenset({"web"}),
            shard=(2, 4),
        )
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("shard=5/4", "want shard=i/n with 1 <= i <= n <= 64, got '5/4'\n"),
        ("shard=1/2&shard=2/2", "want one shard, got 2\n"),
        ("&" * 1000, "want at most 1000 parameters, got more\n"),
    ],
)
async def test_t26_a_bad_query_is_refused(ask: Ask, query: str, message: str) -> None:
    reply = await ask("GET", f"/metrics?{query}")

    assert (reply.status, reply.text) == (400, message)


async def test_one_render_too_many_is_sent_away_for_a_second(
    ask: Ask, backend: FakeBackend
) -> None:
    backend.metrics.busy = Busy("want at most 4 different pages at a time, got one more")

    reply = await ask("GET", "/metrics")

    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert backend.rejected == {"limit": 1}


async def test_a_render_that_fails_midway_breaks_the_connection(
    server: WebServer, connect: Connect, backend: FakeBackend
) -> None:
    backend.metrics.failure = RuntimeError("a render broke off")
    client = await connect(server)
    await client.send(request("GET", "/metrics"))

    with pytest.raises(ConnectionResetError):
        await client.reply()
    assert backend.requests == {("metrics", "5xx"): 1}


async def test_a_render_that_fails_at_once_is_answered_500(ask: Ask, backend: FakeBackend) -> None:
    backend.metrics.pieces = ()
    backend.metrics.failure = RuntimeError("a render broke off")

    assert (await ask("GET", "/metrics")).status == 500
    assert backend.requests["metrics", "5xx"] == 1


async def test_one_connection_serves_many_requests(
    server: WebServer, connect: Connect, backend: FakeBackend
) -> None:
    client = await connect(server)

    for _ in range(3):
        assert (await client.ask("GET", "/-/healthy")).body == b"Healthy"
        assert (await client.ask("HEAD", "/-/healthy")).headers["content-length"] == "7"
        assert (await client.ask("GET", "/metrics")).status == 200

    assert backend.requests == {("healthy", "2xx"): 6, ("metrics", "2xx"): 3}


async def test_readiness_says_why_not(ask: Ask, backend: FakeBackend) -> None:
    assert (await ask("GET", "/-/ready")).text == "Ready"

    backend.ready = (False, "want a running schedule, got none yet")
    reply = await ask("GET", "/-/ready")

    assert (reply.status, reply.text) == (503, "want a running schedule, got none yet\n")


@pytest.mark.parametrize(
    "path", ["/nowhere", "/metricsx", "/health/", "/../etc/passwd", "/%2e%2e/x"]
)
async def test_t34_an_unknown_path_is_404(ask: Ask, path: str) -> None:
    assert (await ask("GET", path)).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
async def test_a_wrong_method_is_405(ask: Ask, method: str) -> None:
    reply = await ask(method, "/metrics")

    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")


async def test_health_is_503_iff_a_probe_is_down(ask: Ask, backend: FakeBackend) -> None:
    backend.probes = [make_probe("a/b"), make_probe("c")]
    backend.results = {"a/b": make_result("a/b", Outcome.DOWN), "c": make_result("c")}
    backend.states = {"a/b": Outcome.DOWN, "c": Outcome.UP}

    everything, broken, fine = [
        await ask("GET", path) for path in ("/health", "/health/a%2Fb", "/health/c")
    ]

    assert (everything.status, everything.json["status"]) == (503, "unhealthy")
    assert everything.headers["content-type"] == "application/json"
    assert set(everything.json["checks"]) == {"a/b", "c"}
    assert (broken.status, set(broken.json["checks"])) == (503, {"a/b"})
    assert (fine.status, fine.json["status"]) == (200, "healthy")
    assert (await ask("GET", "/health/a/b")).status == 503
    assert (await ask("HEAD", "/health")).status == 503
    assert (await ask("GET", "/health/nobody")).status == 404


async def test_probes_are_shown_with_their_last_results(ask: Ask, backend: FakeBackend) -> None:
    backend.probes = [make_probe("a/b"), make_probe("c")]
    backend.results = {"a/b": make_result("a/b")}
    backend.states = {"a/b": Outcome.UP}

    listed, one = await ask("GET", "/api/v1/probes"), await ask("GET", "/api/v1/probes/a%2Fb")

    assert [probe["name"] for probe in listed.json["probes"]] == ["a/b", "c"]
    assert one.json == listed.json["probes"][0]
    assert one.json["state"] == "up"
    assert one.json["result"]["outcome"] == "up"
    assert "secret1" not in listed.text
    assert (await ask("GET", "/api/v1/probes/nobody")).status == 404


async def test_p16_t30_without_a_token_nothing_can_be_changed(
    ask: Ask, backend: FakeBackend
) -> None:
    read = await ask("GET", "/-/reload")
    reply = await ask("POST", "/-/reload", authorization="Bearer ")

    assert (read.status, read.text) == (405, "This endpoint requires a POST request.\n")
    assert reply.status == 403
    assert "web.admin_token" in reply.text
    assert "SONDE_ADMIN_TOKEN_FILE" in reply.text
    assert backend.reloads == 0


async def test_p16_t30_t31_only_the_token_in_its_header_reloads(
    ask: Ask, backend: FakeBackend
) -> None:
    backend.admin_token = "correct-horse"

    none = await ask("POST", "/-/reload")
    in_url = await ask("POST", "/-/reload?token=correct-horse")
    wrong = await ask("POST", "/-/reload", authorization="Bearer correct-hors")
    form = await ask(
        "POST",
        "/-/reload",
        authorization="Bearer correct-horse",
        content_type="application/x-www-form-urlencoded",
    )

    assert [none.status, in_url.status, wrong.status, form.status] == [401, 401, 401, 403]
    assert wrong.headers["www-authenticate"] == "Bearer"
    assert backend.reloads == 0
    assert backend.rejected == {"auth": 3}

    right = await ask("POST", "/-/reload", authorization="Bearer correct-horse")

    assert (right.status, right.body) == (200, b"")
    assert backend.reloads == 1


async def test_p16_a_wrong_token_costs_at_most_5_ms_and_too_many_wait(
    server: WebServer, connect: Connect, backend: FakeBackend
) -> None:
    backend.admin_token = "correct-horse"
    client = await connect(server)
    seconds: list[float] = []

    statuses: list[int] = []
    for _ in range(12):
        # of all threads, and of no other process: a machine that is busy adds nothing
        started = time.process_time()
        reply = await client.ask("POST", "/-/reload", authorization="Bearer x")
        seconds.append(time.process_time() - started)
        statuses.append(reply.status)

    assert statuses[:10] == [401] * 10
    assert statuses[-1] == 429
    assert sorted(seconds)[len(seconds) // 2] < 0.005


async def test_p8_a_bad_file_is_told_with_its_line(ask: Ask, backend: FakeBackend) -> None:
    backend.admin_token = "correct-horse"
    backend.reload_error = ConfigError([Problem("probes.yaml", 3, 1, "probes.0", "want X, got Y")])

    reply = await ask("POST", "/-/reload", authorization="Bearer correct-horse")

    assert reply.status == 500
    assert reply.text == "failed to reload config: probes.yaml:3: probes.0: want X, got Y\n"


async def test_what_is_odd_about_a_new_file_is_told_to_who_reloads(
    ask: Ask, backend: FakeBackend
) -> None:
    backend.admin_token = "correct-horse"
    backend.reload_news = [Problem("probes.yaml", 3, 1, "probes.0", "want X, got Y")]

    reply = await ask("POST", "/-/reload", authorization="Bearer correct-horse")

    assert reply.status == 200
    assert reply.text == "warning: probes.yaml:3: probes.0: want X, got Y\n"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:9115", 200),
        ("sonde.localhost", 200),
        ("127.0.0.1:9115", 200),
        ("127.9.9.9", 200),
        ("[::1]:9115", 200),
        ("Monitor.example.org.:9115", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:9115", 421),
        ("10.0.0.1", 421),
        ("[fe80::1]", 421),
    ],
)
async def test_t32_a_loopback_listener_answers_to_its_own_names_only(
    ask: Ask, backend: FakeBackend, host: str, status: int
) -> None:
    backend.hosts = ["monitor.example.org"]

    reply = await ask("GET", "/metrics", host=host)

    assert reply.status == status
    assert backend.rejected["host"] == (status == 421)


async def test_another_listener_answers_to_every_name(serve: Serve, connect: Connect) -> None:
    server = await serve(listen="0.0.0.0:0")

    reply = await (await connect(server)).ask("GET", "/metrics", host="any.example.org")

    assert reply.status == 200


async def test_a_port_in_use_stops_the_start(server: WebServer, backend: FakeBackend) -> None:
    host, port = server.addresses[0]
    second = WebServer(backend, [f"{host}:{port}"])

    with pytest.raises(OSError, match=rf"{port}, got: Address already in use"):
        await second.start()
    await second.stop()


async def test_several_addresses_are_served(backend: FakeBackend, connect: Connect) -> None:
    server = WebServer(backend, ["127.0.0.1:0", "[::1]:0"])
    await server.start()

    assert [host for host, _ in server.addresses] == ["127.0.0.1", "::1"]
    assert (await (await connect(server)).ask("GET", "/-/healthy")).status == 200
    await server.stop()


async def test_many_probes_do_not_hold_the_loop(ask: Ask, backend: FakeBackend) -> None:
    backend.probes = [make_probe(f"p{number}") for number in range(500)]
    backend.results = {f"p{number}": make_result(f"p{number}") for number in range(500)}

    reply = await ask("GET", "/api/v1/probes")

    assert len(reply.json["probes"]) == 500
    assert json.loads(reply.body) == reply.json
