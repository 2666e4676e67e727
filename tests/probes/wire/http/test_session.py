"""A kept connection: used again while it is good, never when it could answer for somebody else."""

import asyncio
import gzip
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.http.message import Limits, Request, Response
from probes.wire.http.options import Options
from probes.wire.http.session import Exchange, Session
from probes.wire.policy import POLICY, Policy, Rule
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import parse_url
from tests.faults.kept import CLOSE, EARLY, HANG, OK, STAY, KeptServer, answer, kept_server
from tests.faults.tcp import closed_port, full_backlog, silent, talking, tcp_fault
from tests.faults.tls import HALF_RECORD
from tests.probes.wire.readings import labels, phases, values

EXCHANGED = [("resolve", True), ("connect", True), ("processing", True), ("transfer", True)]


@pytest.fixture
def trusting(ca_file: Path) -> Options:
    return Options(tls=TlsOptions(ca_file=str(ca_file)))


def session_to(
    server: KeptServer, recorder: Recorder | None = None, options: Options | None = None
) -> Session:
    return Session(parse_url(server.url), recorder or Recorder(), options or Options())


async def ask(session: Session, server: KeptServer, body: bytes = b"{}") -> Exchange:
    return await session.send(Request(parse_url(server.url), "POST", body=body))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


async def test_requests_share_a_connection_and_their_phases_add_up() -> None:
    recorder = Recorder()
    async with kept_server([OK, OK, OK, STAY]) as server:
        session = session_to(server, recorder)
        found = [await ask(session, server) for _ in range(3)]
        assert (session.dials, session.peer, server.connections) == (1, "127.0.0.1", 1)
        session.close()
    assert [exchange.reused for exchange in found] == [False, True, True]
    assert [exchange.response.body.data for exchange in found] == [b"ok"] * 3
    assert phases(recorder) == EXCHANGED
    seconds = {phase.name: phase.seconds for phase in recorder.phases}
    waited = sum(exchange.seconds for exchange in found)
    assert waited == pytest.approx(seconds["processing"] + seconds["transfer"], abs=0.01)
    assert all(e.ended - e.started == e.seconds for e in found)
    assert recorder.phase_name is None


async def test_the_request_leaves_the_connection_open() -> None:
    async with kept_server([OK, STAY]) as server:
        session = session_to(server)
        await ask(session, server, b"hello")
        session.close()
        first, headers, body = server.requests[0]
    assert (first, body) == ("POST / HTTP/1.1", b"hello")
    assert headers == {"host": f"127.0.0.1:{server.port}", "content-length": "5"}


async def test_files_of_tls_are_read_anew_by_the_next_dial(
    server_context: ssl.SSLContext, ca: trustme.CA, tmp_path: Path
) -> None:
    own = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(own)
    options = Options(tls=TlsOptions(ca_file=str(own)))
    async with kept_server([OK, STAY], [OK, STAY], context=server_context) as server:
        with pytest.raises(CheckFailed) as caught:
            await session_to(server, options=options).open()
        assert caught.value.reason is Reason.CERTIFICATE_UNTRUSTED

        ca.cert_pem.write_to_path(own)
        options.tls._looked.clear()  # a second later
        session = session_to(server, options=options)
        assert (await ask(session, server)).response.status == 200
        session.close()


async def test_the_same_over_tls(server_context: ssl.SSLContext, trusting: Options) -> None:
    recorder = Recorder()
    server_context.set_alpn_protocols(["h2", "http/1.1"])
    async with kept_server([OK, CLOSE], [OK, STAY], context=server_context) as server:
        session = session_to(server, recorder, trusting)
        assert (await ask(session, server)).response.over_tls
        # the second connection's certificate replaces the first one's
        assert not (await ask(session, server)).reused
        session.close()
    assert session.dials == 2
    assert labels(recorder, "tls_version_info") == {"version": "TLS 1.3"}
    assert [sample.name for sample in recorder.samples].count("ip_protocol") == 1
    assert values(recorder)["probe_tls_verified"] == 1.0
    assert ("tls", True) in phases(recorder)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"HTTP/1.1 204 None\r\nContent-Length: 9\r\n\r\n", id="204"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + OK, id="100 before it"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2;x=y\r\nok\r\n0\r\nX-Trailer: x\r\n\r\n",
            id="chunked with a trailer",
        ),
        pytest.param(answer(gzip.compress(b"ok"), "200 OK", "Content-Encoding: gzip"), id="gzip"),
        pytest.param(answer(b"no", "404 No"), id="404"),
        pytest.param(answer(b"no", "503 No"), id="503"),
        pytest.param(answer(b""), id="empty"),
        pytest.param(OK + b"\r\n", id="an empty line behind it"),
    ],
)
async def test_a_framed_answer_leaves_the_connection_usable(said: bytes) -> None:
    async with kept_server([said, OK, STAY]) as server:
        session = session_to(server)
        await ask(session, server)
        exchange = await ask(session, server)
        session.close()
    assert (exchange.reused, session.dials) == (True, 1)
    assert exchange.response.body.data == b"ok"


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(answer(b"ok", "200 OK", "Connection: close"), id="it says so"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", id="HTTP/1.0"),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
            id="HTTP/1.0 that would keep it",
        ),
        pytest.param(OK + OK, id="answers twice"),
        pytest.param(OK + b"\x00garbage", id="garbage behind it"),
        pytest.param(answer(b"moved", "302 Go", "Location: /x"), id="a redirect, whose body waits"),
        pytest.param(
            b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx", id="another protocol"
        ),
    ],
)
async def test_a_connection_that_could_answer_for_another_request_is_left(said: bytes) -> None:
    async with kept_server([said, STAY], [answer(b"right"), STAY]) as server:
        session = session_to(server)
        await ask(session, server)
        assert not session.is_open
        exchange = await ask(session, server)
        session.close()
    assert (exchange.reused, session.dials) == (False, 2)
    assert exchange.response.body.data == b"right"


async def test_a_body_without_length_ends_with_its_connection() -> None:
    async with kept_server([b"HTTP/1.1 200 OK\r\n\r\nok"], [OK, STAY]) as server:
        session = session_to(server)
        exchange = await ask(session, server)
        assert exchange.response.body.data == b"ok"
        assert not session.is_open
        await ask(session, server)
        session.close()
    assert session.dials == 2


async def test_what_comes_unasked_is_nobodys_answer() -> None:
    """Servers tell an idle connection 408 before they close it."""
    late = b"HTTP/1.1 408 Too Late\r\nContent-Length: 0\r\n\r\n"
    gate = asyncio.Event()

    async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(OK)
        await gate.wait()
        writer.write(late)
        await reader.read()

    async with tcp_fault(impatient) as port:
        url = parse_url(f"http://127.0.0.1:{port}/")
        session = Session(url, Recorder())
        request = Request(url, "POST", body=b"{}")
        await session.send(request)
        gate.set()
        await until(lambda: not session.is_open)
        exchange = await session.send(request)
        session.close()
    assert (exchange.response.status, session.dials) == (200, 2)


async def test_an_answer_before_the_request_is_nobodys_either() -> None:
    busy = answer(b"busy", "503 Busy")
    async with kept_server([EARLY, busy, STAY], [OK, STAY]) as server:
        session = session_to(server)
        await session.open()
        await until(lambda: not session.is_open)
        assert (await ask(session, server)).response.status == 200
        session.close()
    assert session.dials == 2


async def test_a_flood_before_the_request_fills_no_memory() -> None:
    async with tcp_fault(talking(b"x" * 1_000_000)) as port:
        url = parse_url(f"http://127.0.0.1:{port}/")
        session = Session(url, Recorder())
        await session.open()
        await until(lambda: not session.is_open)
        with pytest.raises(CheckFailed) as caught:
            await session.send(Request(url))
        session.close()
    assert caught.value.reason is Reason.PROTOCOL


async def test_an_idle_connection_that_was_closed_is_replaced() -> None:
    async with kept_server([OK], [OK, STAY]) as server:
        session = session_to(server)
        await ask(session, server)
        await until(lambda: not session.is_open)
        exchange = await ask(session, server)
        session.close()
    assert (exchange.reused, session.dials) == (False, 2)


async def test_a_used_connection_that_dies_unanswered_is_replaced_unseen() -> None:
    """The close of the server and our request met on the way."""
    recorder = Recorder()
    async with kept_server([OK, CLOSE], [OK, STAY]) as server:
        session = session_to(server, recorder)
        await ask(session, server)
        exchange = await ask(session, server, b"again")
        session.close()
        assert server.bodies == [b"{}", b"again", b"again"]
    assert (exchange.reused, session.dials) == (False, 2)
    assert phases(recorder) == EXCHANGED


@pytest.mark.parametrize(
    ("scripts", "dials"),
    [
        pytest.param([[CLOSE]], 1, id="a fresh one"),
        pytest.param([[OK, CLOSE], [CLOSE]], 2, id="the replacement too"),
        pytest.param([[OK, b"HTTP/1.1 2"]], 1, id="after a byte of the answer"),
    ],
)
async def test_it_is_replaced_only_when_it_was_used_and_never_twice(
    scripts: list[list[bytes]], dials: int
) -> None:
    async with kept_server(*scripts) as server:
        session = session_to(server)
        with pytest.raises(CheckFailed) as caught:
            for _ in range(2):
                await ask(session, server)
        session.close()
    assert (caught.value.reason, session.dials) == (Reason.CLOSED, dials)


async def test_a_closed_port_is_refused_in_the_phase_connect() -> None:
    recorder = Recorder()
    url = parse_url(f"http://127.0.0.1:{closed_port()}/")
    session = Session(url, recorder)
    with pytest.raises(CheckFailed) as caught:
        await session.send(Request(url))
    assert (caught.value.reason, caught.value.phase) == (Reason.REFUSED, "connect")
    assert (session.dials, session.peer) == (1, "127.0.0.1")
    recorder.break_off()
    assert phases(recorder) == [("resolve", True), ("connect", False)]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param(answer(b"x" * 101), Reason.TOO_LARGE, id="long"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", Reason.CLOSED, id="cut off"),
        pytest.param(
            answer(gzip.compress(bytes(10**6)), "200 OK", "Content-Encoding: gzip"),
            Reason.TOO_LARGE,
            id="a bomb",
        ),
    ],
)
async def test_a_body_that_breaks_off_ends_the_connection(said: bytes, reason: Reason) -> None:
    async with kept_server([said], [OK, STAY]) as server:
        session = session_to(server)
        request = Request(parse_url(server.url))
        exchange = await session.send(request, Limits(max_body=100))
        failure = exchange.response.failure
        assert failure is not None
        assert (failure.reason, failure.phase) == (reason, "transfer")
        assert not session.is_open
        assert not (await ask(session, server)).reused
        session.close()


@pytest.mark.parametrize(
    ("head", "want"),
    [
        (b"X-Bomb: " + b"x" * 10_485_760, "header lines of at most 8190 bytes"),
        (b"X-Bomb: x\r\n" * 953_250, "want at most 128 headers"),
    ],
)
async def test_a_head_of_ten_mebibytes_is_refused(head: bytes, want: str) -> None:
    async with kept_server([b"HTTP/1.1 200 OK\r\n" + head]) as server:
        session = session_to(server)
        with pytest.raises(CheckFailed, match=want) as caught:
            await ask(session, server)
        assert not session.is_open
        session.close()
    assert caught.value.reason is Reason.TOO_LARGE


async def test_the_cap_on_the_wire_is_that_of_each_request() -> None:
    async with kept_server([answer(b"x" * 900), answer(b"x" * 900), STAY]) as server:
        session = session_to(server)
        request = Request(parse_url(server.url))
        for _ in range(2):
            exchange = await session.send(request, Limits(max_wire=1000))
            assert exchange.response.failure is None
        session.close()


async def test_requests_go_one_after_the_other() -> None:
    async with kept_server([answer(b"1"), answer(b"2"), answer(b"3"), STAY]) as server:
        session = session_to(server)
        found = await asyncio.gather(*(ask(session, server, b"%d" % n) for n in (1, 2, 3)))
        session.close()
        assert server.bodies == [b"1", b"2", b"3"]
    assert [exchange.response.body.data for exchange in found] == [b"1", b"2", b"3"]
    assert session.dials == 1


async def test_the_host_header_names_whom_to_verify(
    server_context: ssl.SSLContext, trusting: Options
) -> None:
    async with kept_server([OK, STAY], context=server_context) as server:
        url = parse_url(server.url)
        session = Session(url, Recorder(), trusting, host="elsewhere.example:8545")
        with pytest.raises(CheckFailed) as caught:
            await session.send(Request(url, host="elsewhere.example:8545"))
        session.close()
    assert caught.value.reason is Reason.CERTIFICATE_NAME


async def test_closing_twice_is_once_and_for_good() -> None:
    async with kept_server([OK, STAY]) as server:
        session = session_to(server)
        await ask(session, server)
        session.close()
        session.close()
        await asyncio.wait_for(server.left.wait(), 5)
        with pytest.raises(CheckFailed, match="want an open session") as caught:
            await ask(session, server)
    assert (caught.value.reason, session.dials) == (Reason.INTERNAL, 1)


async def test_closing_ends_a_request_under_way() -> None:
    async with kept_server([HANG]) as server:
        session = session_to(server)
        asking = asyncio.ensure_future(ask(session, server))
        await asyncio.wait_for(server.asked.wait(), 5)
        session.close()
        with pytest.raises(CheckFailed) as caught:
            await asking
        await asyncio.wait_for(server.left.wait(), 5)
    assert caught.value.reason is Reason.CLOSED


async def test_closing_ends_a_dial_under_way() -> None:
    async with tcp_fault(silent) as port:
        session = Session(parse_url(f"http://127.0.0.1:{port}/"), Recorder())
        opening = asyncio.ensure_future(session.open())
        await until(lambda: session.dials > 0)
        session.close()
        with pytest.raises(CheckFailed, match="want an open session"):
            await opening
        assert not session.is_open


@pytest.mark.parametrize(
    ("said", "scheme", "phase"),
    [
        pytest.param(HALF_RECORD, "https", "tls", id="in the handshake"),
        pytest.param(b"", "http", "processing", id="before the answer"),
        pytest.param(OK[:-1], "http", "transfer", id="in the body"),
    ],
)
async def test_a_cancelled_request_leaves_no_socket(
    said: bytes, scheme: str, phase: str, trusting: Options
) -> None:
    left = asyncio.Event()

    async def watching(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        with suppress(ConnectionError):
            await reader.read()
        left.set()

    recorder = Recorder()
    trusting.prepare()
    async with tcp_fault(watching) as port:
        url = parse_url(f"{scheme}://127.0.0.1:{port}/")
        session = Session(url, recorder, trusting)
        asking = asyncio.ensure_future(session.send(Request(url, "POST")))
        await until(lambda: recorder.phase_name == phase)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not session.is_open
        assert recorder.phase_name == phase  # whoever cancelled tells where it stood
        await asyncio.wait_for(left.wait(), 5)


async def test_a_cancelled_dial_leaves_no_socket() -> None:
    async with full_backlog() as port:
        url = parse_url(f"http://127.0.0.1:{port}/")
        session = Session(url, recorder := Recorder())
        asking = asyncio.ensure_future(session.send(Request(url)))
        await until(lambda: recorder.phase_name == "connect")
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not session.is_open


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_whose_body_is_read_leaves_the_connection_usable(status: int) -> None:
    said = answer(b"moved", f"{status} Go", "Location: /x")
    async with kept_server([said, OK, STAY]) as server:
        session = Session(parse_url(server.url), Recorder(), reads_redirects=True)
        first = await ask(session, server)
        second = await ask(session, server)
        session.close()
    assert (first.response.status, first.response.body.data) == (status, b"moved")
    assert (second.reused, session.dials) == (True, 1)


async def test_the_answer_to_head_has_a_length_and_no_body() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    async with kept_server([head, OK, STAY]) as server:
        session = session_to(server)
        first = await session.send(Request(parse_url(server.url), "HEAD"))
        second = await ask(session, server)
        session.close()
    assert (first.response.status, first.response.failure) == (200, None)
    assert second.reused


async def test_a_request_that_may_have_an_effect_is_sent_once() -> None:
    async with kept_server([OK, CLOSE], [OK, STAY]) as server:
        session = session_to(server)
        request = Request(parse_url(server.url), "POST", body=b"pay")
        await session.send(request, repeats=False)
        with pytest.raises(CheckFailed) as caught:
            await session.send(request, repeats=False)
        session.close()
        assert server.bodies == [b"pay", b"pay"]
    assert (caught.value.reason, session.dials) == (Reason.CLOSED, 1)


async def test_each_request_may_have_a_recorder_of_its_own() -> None:
    first, second = Recorder(), Recorder()
    async with kept_server([OK, OK, STAY]) as server:
        session = session_to(server)
        for recorder in (first, second):
            session.turn_to(recorder)
            await ask(session, server)
        session.close()
    assert phases(first) == EXCHANGED
    assert phases(second) == EXCHANGED[2:]


async def test_a_redirect_to_a_kept_connection_is_judged_as_one() -> None:
    """The target itself was trusted, an answer that points to it is not."""
    with POLICY.set(Policy(deny=(Rule(host="127.0.0.1"),))):
        async with kept_server([OK, STAY]) as server:
            session = session_to(server)
            await ask(session, server)
            session.turn_to(Recorder(), hop=1)
            with pytest.raises(CheckFailed) as caught:
                await ask(session, server)
            session.close()
            assert len(server.requests) == 1
    assert (caught.value.reason, caught.value.phase) == (Reason.BLOCKED, "connect")


async def test_what_came_before_a_timeout_is_kept_for_the_caller() -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
    async with kept_server([half, STAY]) as server:
        session = session_to(server)
        url = parse_url(server.url)
        came = Response(url)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await session.send(Request(url), response=came)
        session.close()
    assert (came.status, came.body.data) == (200, b"half")
