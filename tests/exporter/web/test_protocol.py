"""Connections on the wire: limits, pipelining, slow and half-closed clients, TLS, the end."""

import asyncio
import gzip
import socket
import ssl
from pathlib import Path

import pytest

from exporter.metrics import MetricsSink, SelfMetrics
from exporter.web import door, limits
from exporter.web import server as server_module
from exporter.web.limits import Stage
from exporter.web.server import WebServer
from probes.result import Outcome
from tests.exporter.web.conftest import Connect, Serve
from tests.exporter.web.support import FakeBackend, make_probe, make_result, request
from tests.waiting import until

TLS = "tls_server_config:\n  cert_file: {0}/server.pem\n  key_file: {0}/server.key\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"GET /metrics?" + b"a" * 10**6, 414, id="a query of 1 MB"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1000, 431, id="1,000 headers"),
        pytest.param(b"\x16\x03\x01\x02\x00", 400, id="TLS"),
        pytest.param(b"GET / HTTP/1.1\nHost: x\n\n", 400, id="bare LF"),
        pytest.param(
            b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n",
            413,
            id="large body",
        ),
    ],
)
async def test_t26_a_refused_request_is_answered_and_the_connection_ends(
    server: WebServer, connect: Connect, backend: FakeBackend, sent: bytes, status: int
) -> None:
    client = await connect(server)
    await client.send(sent)

    reply = await client.reply()

    assert reply.status == status
    assert reply.headers["connection"] == "close"
    assert backend.requests == {("other", "4xx"): 1}
    assert backend.rejected == {"limit": 1}


@pytest.mark.slow
async def test_t38_pipelined_requests_are_answered_in_order(
    server: WebServer, connect: Connect
) -> None:
    client = await connect(server)
    await client.send(request("GET", "/-/healthy") + request("GET", "/nowhere") * 200)

    replies = [await client.reply() for _ in range(201)]

    assert [reply.status for reply in replies] == [200] + [404] * 200
    await client.send(request("GET", "/-/healthy"))
    assert (await client.reply()).body == b"Healthy"


async def test_a_head_may_come_in_single_bytes(server: WebServer, connect: Connect) -> None:
    client = await connect(server)
    for byte in b"\r\n" + request("GET", "/-/healthy"):
        await client.send(bytes([byte]))
        await asyncio.sleep(0)

    assert (await client.reply()).body == b"Healthy"


async def test_a_body_is_ignored_and_the_connection_may_go_on(
    server: WebServer, connect: Connect
) -> None:
    client = await connect(server)
    await client.send(request("POST", "/-/reload", content_length="5") + b"hello")
    assert (await client.reply()).status == 403

    await client.send(request("GET", "/-/healthy"))

    assert (await client.reply()).body == b"Healthy"


async def test_a_half_closed_client_still_gets_its_answer(
    server: WebServer, connect: Connect
) -> None:
    client = await connect(server)
    await client.send(request("GET", "/metrics"))
    client.writer.write_eof()

    assert (await client.reply()).body == b"up 1\ndown 0\n"
    assert await client.ended()


@pytest.mark.slow
async def test_t28_an_unfinished_head_has_five_seconds(
    server: WebServer, connect: Connect, backend: FakeBackend
) -> None:
    client = await connect(server)
    await client.send(b"GET / HT")
    await until(lambda: server.occupied)
    (connection,) = server.connections.all()

    connection.since -= limits.HEADER_TIMEOUT_S

    assert await client.ended()
    assert backend.rejected == {"header_timeout": 1}
    await until(lambda: not server.occupied)


@pytest.mark.slow
async def test_t28_a_reader_that_stands_still_is_cut(
    server: WebServer, connect: Connect, backend: FakeBackend
) -> None:
    backend.metrics.pieces = [b"x" * 2**20] * 64
    client = await connect(server)
    await client.send(request("GET", "/metrics"))
    await until(lambda: any(one.stalled_since for one in server.connections.all()))
    (connection,) = server.connections.all()
    assert connection.stalled_since is not None

    connection.stalled_since -= limits.WRITE_STALL_S

    await until(lambda: not server.occupied)
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await client.reply()


async def test_a_client_that_leaves_in_the_middle_is_no_error(
    server: WebServer,
    connect: Connect,
    backend: FakeBackend,
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend.metrics.pieces = [b"x" * 2**20] * 64
    client = await connect(server)
    await client.send(request("GET", "/metrics"))
    await client.reader.readuntil(b"\r\n\r\n")
    client.writer.transport.abort()

    await until(lambda: not server.occupied)
    await until(lambda: backend.requests)

    assert not [record for record in caplog.records if record.name.startswith("sonde")]


async def test_when_all_connections_are_busy_the_next_is_told(
    server: WebServer, connect: Connect, backend: FakeBackend
) -> None:
    server.connections.limit_per_address = 1
    backend.metrics.pieces = [b"x" * 2**20] * 64
    reader = await connect(server)
    await reader.send(request("GET", "/metrics"))
    await until(lambda: [one for one in server.connections.all() if one.stage is Stage.BUSY])

    client = await connect(server)
    await client.send(request("GET", "/-/healthy"))
    reply = await client.reply()

    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert backend.rejected == {"limit": 1}


async def test_tls_is_spoken_and_its_certificate_read_again(
    serve: Serve, connect: Connect, certificates: Path, tmp_path: Path
) -> None:
    file = tmp_path / "web.yml"
    file.write_text(TLS.format(certificates))
    server = await serve(file)
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))

    client = await connect(server, context)

    assert (await client.ask("GET", "/-/healthy")).body == b"Healthy"
    assert (await client.ask("GET", "/metrics")).body == b"up 1\ndown 0\n"


async def test_plain_http_on_a_tls_port_and_silence_end_the_connection(
    serve: Serve, connect: Connect, certificates: Path, tmp_path: Path
) -> None:
    file = tmp_path / "web.yml"
    file.write_text(TLS.format(certificates))
    server = await serve(file)
    client = await connect(server)

    await client.send(request("GET", "/metrics"))

    await client.ended()
    await until(lambda: not server.occupied)


@pytest.mark.slow
async def test_a_tls_handshake_in_the_middle_can_be_cut(
    serve: Serve, connect: Connect, certificates: Path, tmp_path: Path
) -> None:
    file = tmp_path / "web.yml"
    file.write_text(TLS.format(certificates))
    server = await serve(file)
    client = await connect(server)
    await client.send(b"\x16\x03\x01\x02\x00")
    await until(lambda: server.occupied)
    (connection,) = server.connections.all()

    connection.since -= limits.HEADER_TIMEOUT_S

    await client.ended()
    await until(lambda: not server.occupied and not server._arrivals)


@pytest.mark.parametrize(
    ("name", "enters"), [("client@example.org", True), ("other@example.org", False)]
)
async def test_client_certificates_are_judged_by_their_names(
    serve: Serve, connect: Connect, certificates: Path, tmp_path: Path, name: str, *, enters: bool
) -> None:
    file = tmp_path / "web.yml"
    file.write_text(
        TLS.format(certificates) + f"  client_ca_file: {certificates}/ca.pem\n"
        "  client_auth_type: RequireAndVerifyClientCert\n"
        f"  client_allowed_sans: [{name}]\n"
    )
    server = await serve(file)
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    client = await connect(server, context)
    await client.send(request("GET", "/-/healthy"))

    if enters:
        assert (await client.reply()).body == b"Healthy"
    else:
        assert await client.ended()


async def test_p26_stopping_waits_for_answers_and_cuts_the_rest(
    backend: FakeBackend, connect: Connect
) -> None:
    server = WebServer(backend, ["127.0.0.1:0"])
    await server.start()
    idle, stuck = await connect(server), await connect(server)
    assert (await idle.ask("GET", "/-/healthy")).status == 200
    backend.metrics.pieces = [b"x" * 2**20] * 64
    await stuck.send(request("GET", "/metrics"))
    await until(lambda: any(one.stalled_since for one in server.connections.all()))

    async with asyncio.timeout(5):
        await server.stop(0.2)

    assert await idle.ended()
    assert server.occupied == 0
    with pytest.raises(ConnectionRefusedError):
        await connect(server)


async def test_p10_out_of_descriptors_is_waited_for(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    server = await serve()
    assert server._door is not None
    (listener,) = server._door._listeners
    failing = _FailingOnce(listener.sock)
    object.__setattr__(listener, "sock", failing)

    server._door._accept(listener)

    assert server._door._rests_until is not None
    assert "want a free descriptor to accept with" in caplog.text
    object.__setattr__(listener, "sock", failing.sock)
    assert (await (await connect(server)).ask("GET", "/-/healthy")).status == 200


class _FailingOnce:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def accept(self) -> None:
        raise OSError(24, "Too many open files")


def test_the_limits_are_those_of_the_table() -> None:
    """reliability.md 4."""
    assert (limits.HEADER_TIMEOUT_S, limits.KEEP_ALIVE_S, limits.MAX_CONNECTIONS) == (5, 15, 1000)
    assert server_module.SWEEP_S <= 1
    assert door.TAKE_BACK_S < 1


async def test_a_slow_reader_that_reads_gets_the_whole(
    server: WebServer, connect: Connect, backend: FakeBackend
) -> None:
    backend.metrics.pieces = [b"x" * 2**20] * 32
    client = await connect(server)
    await client.send(request("GET", "/metrics"))
    await until(lambda: any(one.stalled_since for one in server.connections.all()))

    reply = await client.reply()

    assert len(reply.body) == 32 * 2**20
    assert all(one.stalled_since is None for one in server.connections.all())


async def test_f48_twenty_scrapers_at_once_share_what_the_sink_renders(
    connect: Connect, backend: FakeBackend
) -> None:
    own = SelfMetrics("1.2.3")
    sink = MetricsSink(own)
    probes = [make_probe(f"p{number}") for number in range(300)]
    sink.set_probes(probes)
    for probe in probes:
        sink.publish(make_result(probe.name), Outcome.UP)
    backend.metrics = sink  # type: ignore[assignment]
    server = WebServer(backend, ["127.0.0.1:0"])
    await server.start()

    async def scrape(number: int) -> bytes:
        client = await connect(server)
        await client.send(request("GET", "/metrics", accept_encoding="gzip"))
        if number % 4 == 0:
            client.writer.transport.abort()
            return b""
        reply = await client.reply()
        assert (reply.status, reply.headers["content-encoding"]) == (200, "gzip")
        return gzip.decompress(reply.body)

    pages = set(await asyncio.gather(*map(scrape, range(20)))) - {b""}

    await server.stop(1)
    sink.close()
    assert len(pages) <= 2, "one page is made for those who come within a second"
    assert pages.pop().count(b"\nprobe_success{") == 300


async def test_stopping_the_door_twice_is_harmless(backend: FakeBackend) -> None:
    server = WebServer(backend, ["127.0.0.1:0"])
    await server.start()
    door_thread = server._door
    assert door_thread is not None

    door_thread.stop()
    await door_thread.ended

    door_thread.stop()
    await server.stop()
    door_thread.join(1)
    assert not door_thread.is_alive()
