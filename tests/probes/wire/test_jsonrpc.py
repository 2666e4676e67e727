"""JSON-RPC over HTTP: what is sent, when it is tried again, whose time it takes."""

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.http.options import Options
from probes.wire.jsonrpc import MARGIN_S, MAX_TIMED, Call, Line, Reply, below, encode_call
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import parse_url
from tests.faults.kept import CLOSE, HANG, OK, STAY, KeptServer, answer, kept_server
from tests.faults.tcp import closed_port, full_backlog, silent, talking, tcp_fault
from tests.faults.tls import half_record
from tests.probes.wire.readings import phases

LATER = answer(b"later", "503 Busy")
BLOCK = Call("eth_blockNumber")


def line_to(url: str, recorder: Recorder | None = None, **how: Any) -> Line:
    how = {"call_timeout_s": 5.0} | how
    return Line(parse_url(url), recorder or Recorder(), how.pop("options", Options()), **how)


async def ask(server: KeptServer, call: Call = BLOCK, **how: Any) -> Reply:
    line = line_to(server.url, **how)
    try:
        return await line.call(call)
    finally:
        line.close()


def failure_of(reply: Reply) -> tuple[Reason, str | None]:
    assert reply.failure is not None
    return reply.failure.reason, reply.failure.phase


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


async def test_a_call_is_sent_as_nodes_want_it() -> None:
    async with kept_server([answer(b'{"result":"0x1"}', "200 OK", "X-Node: a"), STAY]) as server:
        reply = await ask(server, Call("eth_getBlockByNumber", ("latest", False)))
        first, headers, body = server.requests[0]
    assert first == "POST / HTTP/1.1"
    assert body == (
        b'{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["latest",false]}'
    )
    assert headers["user-agent"].startswith("sonde")
    del headers["host"], headers["user-agent"]
    assert headers == {
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "gzip, deflate, br",
        "content-length": str(len(body)),
    }
    assert (reply.status, reply.body, reply.ids) == (200, b'{"result":"0x1"}', (1,))
    assert (b"x-node", b"a") in reply.headers
    assert (reply.failure, reply.earlier) == (None, ())
    assert 0 < reply.seconds == reply.ended - reply.started


@pytest.mark.parametrize(
    ("call", "version", "want"),
    [
        pytest.param(
            Call("m"), "2.0", {"jsonrpc": "2.0", "id": 7, "method": "m", "params": []}, id="none"
        ),
        pytest.param(
            Call("m", {"height": "12"}),
            "2.0",
            {"jsonrpc": "2.0", "id": 7, "method": "m", "params": {"height": "12"}},
            id="by name",
        ),
        pytest.param(
            Call("m", ("x",)),
            "1.0",
            {"jsonrpc": "1.0", "id": 7, "method": "m", "params": ["x"]},
            id="the family of Bitcoin",
        ),
    ],
)
def test_params_are_always_there(call: Call, version: str, want: dict[str, object]) -> None:
    assert encode_call(call, 7, version) == want


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.text(), st.tuples(json_values), st.integers(min_value=1))
def test_what_is_encoded_reads_back_as_it_was(
    method: str, params: tuple[Any, ...], number: int
) -> None:
    """Integers beyond 2^53 too: they never pass through a float."""
    document = json.loads(json.dumps(encode_call(Call(method, params), number)))
    assert document == {
        "jsonrpc": "2.0", "id": number, "method": method, "params": list(params),
    }  # fmt: skip


async def test_every_request_has_a_fresh_id_and_all_share_a_connection() -> None:
    async with kept_server([OK, OK, OK, STAY]) as server:
        line = line_to(server.url)
        one = await line.call(BLOCK)
        both = await line.batch([BLOCK, Call("eth_chainId", max_body=9)])
        three = await line.call(BLOCK)
        line.close()
        sent = [json.loads(body) for body in server.bodies]
    assert (one.ids, both.ids, three.ids) == ((1,), (2, 3), (4,))
    assert [item["id"] for item in sent[1]] == [2, 3]
    assert [item["method"] for item in sent[1]] == ["eth_blockNumber", "eth_chainId"]
    assert (line.session.dials, line.session.peer) == (1, "127.0.0.1")


async def test_a_batch_may_bring_the_largest_body_of_its_calls() -> None:
    async with kept_server([answer(b"x" * 50), answer(b"x" * 51)]) as server:
        line = line_to(server.url, retries=0)
        calls = [Call("a", max_body=10), Call("b", max_body=50)]
        assert (await line.batch(calls)).failure is None
        assert failure_of(await line.batch(calls)) == (Reason.TOO_LARGE, "transfer")
        line.close()


@pytest.mark.parametrize(
    ("url", "path", "want"),
    [
        ("http://h:1/", "/health", "/health"),
        ("http://h:1", "health", "/health"),
        ("http://h:1/v2/key", "/health", "/v2/key/health"),
        ("http://h:1/v2/key/", "/health?full=1", "/v2/key/health?full=1"),
        ("http://h:1/rpc?key=k", "/health", "/rpc/health?key=k"),
        ("http://h:1/rpc?key=k", "/health?full=1", "/rpc/health?key=k&full=1"),
    ],
)
def test_a_path_stands_below_the_url(url: str, path: str, want: str) -> None:
    assert below(parse_url(url), path) == replace(parse_url(url), path_query=want)


async def test_a_get_has_no_body_and_no_id() -> None:
    async with kept_server([OK, STAY]) as server:
        line = line_to(server.url)
        reply = await line.get("/cosmos/base/tendermint/v1beta1/blocks/latest", max_body=2)
        line.close()
        first, headers, body = server.requests[0]
    assert first == "GET /cosmos/base/tendermint/v1beta1/blocks/latest HTTP/1.1"
    assert "content-type" not in headers
    assert "content-length" not in headers
    assert (reply.body, reply.ids, body) == (b"ok", (), b"")


async def test_headers_of_the_user_win() -> None:
    mine = (("accept", "text/plain"), ("Host", "node.example"), ("X-Api-Key", "canary"))
    recorder = Recorder()
    async with kept_server([OK, STAY]) as server:
        await ask(server, headers=mine, recorder=recorder)
        _, headers, _ = server.requests[0]
    assert headers["accept"] == "text/plain"
    assert headers["host"] == "node.example"
    assert headers["x-api-key"] == "canary"
    assert "canary" in recorder.secrets


async def test_a_user_in_the_url_becomes_basic_auth_that_no_text_shows() -> None:
    recorder = Recorder()
    async with kept_server([OK, STAY]) as server:
        line = line_to(server.url.replace("://", "://me:hunter2@"), recorder)
        await line.call(BLOCK)
        line.close()
        _, headers, _ = server.requests[0]
    assert headers["authorization"] == "Basic bWU6aHVudGVyMg=="
    assert "bWU6aHVudGVyMg==" in recorder.secrets
    assert headers["host"] == f"127.0.0.1:{server.port}"


async def test_a_bearer_token_is_hidden_without_its_scheme_too() -> None:
    recorder = Recorder()
    line_to("http://127.0.0.1:1/", recorder, headers=(("Authorization", "Bearer canary"),)).close()
    assert set(recorder.secrets) == {"Bearer canary", "canary"}


# --- tries


@pytest.mark.parametrize(
    ("scripts", "tries", "status"),
    [
        pytest.param([[LATER, OK, STAY]], [503], 200, id="5xx"),
        pytest.param([[CLOSE], [OK, STAY]], [0], 200, id="ends without a word"),
        pytest.param([[OK[:-1]], [OK, STAY]], [200], 200, id="cut off"),
        pytest.param([[LATER, LATER, OK, STAY]], [503], 503, id="once only"),
        pytest.param([[answer(b"no", "429 Slow"), OK, STAY]], [], 429, id="not 429"),
        pytest.param([[answer(b"no", "401 No"), OK, STAY]], [], 401, id="not 4xx"),
        pytest.param([[b"SSH-2.0-x\r\n", OK, STAY]], [], 0, id="not what is no HTTP"),
    ],
)
async def test_what_may_have_passed_is_tried_again(
    scripts: list[list[bytes]], tries: list[int], status: int
) -> None:
    async with kept_server(*scripts) as server:
        reply = await ask(server)
    assert ([earlier.status for earlier in reply.earlier], reply.status) == (tries, status)
    assert all(earlier.ids == reply.ids == (1,) for earlier in reply.earlier)


async def test_a_refused_connection_is_tried_again_and_told() -> None:
    recorder = Recorder()
    line = line_to(f"http://127.0.0.1:{closed_port()}/", recorder, retries=2)
    reply = await line.call(BLOCK)
    line.close()
    assert failure_of(reply) == (Reason.REFUSED, "connect")
    assert [failure_of(earlier) for earlier in reply.earlier] == [(Reason.REFUSED, "connect")] * 2
    assert line.session.dials == 3
    assert phases(recorder) == [("resolve", True), ("connect", False)]
    assert recorder.phase_name is None


async def test_without_retries_there_is_one_try() -> None:
    async with kept_server([LATER, OK, STAY]) as server:
        reply = await ask(server, retries=0)
        assert len(server.requests) == 1
    assert (reply.status, reply.earlier) == (503, ())


async def test_a_wrong_certificate_does_not_pass(
    server_context: ssl.SSLContext, ca_file: Path
) -> None:
    options = Options(tls=TlsOptions(ca_file=str(ca_file), server_name="elsewhere.example"))
    async with kept_server([OK, STAY], context=server_context) as server:
        reply = await ask(server, options=options)
    assert failure_of(reply) == (Reason.CERTIFICATE_NAME, "tls")
    assert reply.earlier == ()


# --- time


@pytest.mark.parametrize(
    ("handler", "scheme", "phase"),
    [
        pytest.param(half_record, "https", "tls", id="handshake"),
        pytest.param(silent, "http", "processing", id="response"),
        pytest.param(talking(OK[:-1]), "http", "transfer", id="body"),
    ],
)
async def test_a_silent_peer_is_told_with_the_phase_that_waited(
    handler: Any, scheme: str, phase: str, ca_file: Path
) -> None:
    recorder = Recorder()
    options = Options(tls=TlsOptions(ca_file=str(ca_file)))
    options.prepare()
    async with tcp_fault(handler) as port:
        url = f"{scheme}://127.0.0.1:{port}/"
        line = line_to(url, recorder, options=options, retries=1, call_timeout_s=0.05)
        reply = await line.call(BLOCK)
        line.close()
    assert failure_of(reply) == (Reason.TIMEOUT, phase)
    assert str(reply.failure) == f"want an answer within 0.05 s, got none in phase {phase}"
    assert [failure_of(earlier) for earlier in reply.earlier] == [(Reason.TIMEOUT, phase)]
    assert phases(recorder)[-1] == (phase, False)


async def test_a_peer_that_drops_the_connection_request_is_told_as_connect() -> None:
    async with full_backlog() as port:
        line = line_to(f"http://127.0.0.1:{port}/", retries=0, call_timeout_s=0.05)
        reply = await line.call(BLOCK)
        line.close()
    assert failure_of(reply) == (Reason.TIMEOUT, "connect")


async def test_a_call_ends_before_the_run_so_that_it_can_be_judged() -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 0.1
    async with kept_server([HANG]) as server:
        reply = await ask(server, recorder=Recorder(deadline))
        assert loop.time() < deadline
        assert len(server.requests) == 1
    assert failure_of(reply) == (Reason.TIMEOUT, "processing")


async def test_without_time_nothing_is_asked() -> None:
    recorder = Recorder(asyncio.get_running_loop().time() + MARGIN_S / 2)
    async with kept_server([OK, STAY]) as server:
        reply = await ask(server, recorder=recorder)
        assert server.connections == 0
    assert str(reply.failure) == "want time for a call, got none left of the run"
    # the peer, which nobody dialled, is not to blame
    assert reply.failure is not None
    assert reply.failure.reason is Reason.EVIDENCE


async def test_who_has_used_up_the_time_of_the_run_is_to_blame_for_it() -> None:
    recorder = Recorder()
    async with kept_server([OK, STAY]) as server:
        line = line_to(server.url, recorder)
        assert (await line.call(BLOCK)).failure is None
        recorder.deadline = asyncio.get_running_loop().time()
        reply = await line.call(BLOCK)
        line.close()
    assert failure_of(reply)[0] is Reason.TIMEOUT
    assert failure_of(reply)[0] is Reason.TIMEOUT


async def test_a_last_try_with_little_time_does_not_hide_what_came_before() -> None:
    recorder = Recorder(asyncio.get_running_loop().time() + 0.2)
    async with kept_server([LATER, HANG]) as server:
        reply = await ask(server, recorder=recorder)
    assert (reply.status, reply.failure) == (503, None)
    (cut,) = reply.earlier
    assert failure_of(cut) == (Reason.TIMEOUT, "processing")


async def test_the_wait_for_ones_turn_is_not_the_peers() -> None:
    """A second call begins its deadline when the first has ended."""
    async with kept_server([HANG], [OK, STAY]) as server:
        line = line_to(server.url, retries=0, call_timeout_s=0.2)
        first, second = await asyncio.gather(line.call(BLOCK), line.call(BLOCK))
        line.close()
    assert failure_of(first) == (Reason.TIMEOUT, "processing")
    assert (second.status, second.failure) == (200, None)


async def test_a_cancelled_call_leaves_no_socket_and_no_slot() -> None:
    async with kept_server([HANG]) as server:
        for _ in range(MAX_TIMED + 1):
            server.asked.clear()
            server.left.clear()
            line = line_to(server.url)
            asking = asyncio.ensure_future(line.call(replace(BLOCK, timed=True)))
            await asyncio.wait_for(server.asked.wait(), 5)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            line.close()
            await asyncio.wait_for(server.left.wait(), 5)


async def test_closing_ends_a_call_under_way() -> None:
    async with kept_server([HANG]) as server:
        line = line_to(server.url)
        asking = asyncio.ensure_future(line.call(BLOCK))
        await asyncio.wait_for(server.asked.wait(), 5)
        line.close()
        line.close()
        reply = await asking
    # the retry finds the line closed: that is ours, and says nothing of the peer
    assert failure_of(reply)[0] is Reason.INTERNAL


# --- timed calls


class Crowd:
    """Peers that answer when they are let; counts who was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        self.asked += 1
        await self.go.wait()
        writer.write(OK)
        await reader.read()


async def test_a_few_timed_calls_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.wire.jsonrpc.SLOT_S", 3600.0)
    crowd = Crowd()
    async with tcp_fault(crowd.serve) as port:
        lines = [line_to(f"http://127.0.0.1:{port}/") for _ in range(MAX_TIMED + 3)]
        asking = asyncio.gather(*(line.call(replace(BLOCK, timed=True)) for line in lines))
        untimed = line_to(f"http://127.0.0.1:{port}/")
        other = asyncio.ensure_future(untimed.call(BLOCK))
        await until(lambda: crowd.asked == MAX_TIMED + 1)
        # the connections of those that wait are open already
        await until(lambda: all(line.session.is_open for line in lines))
        assert crowd.asked == MAX_TIMED + 1
        crowd.go.set()
        assert [reply.status for reply in await asking] == [200] * (MAX_TIMED + 3)
        assert (await other).status == 200
        for line in (*lines, untimed):
            line.close()


async def test_slow_peers_give_their_slots_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.wire.jsonrpc.SLOT_S", 0.01)
    crowd = Crowd()
    async with tcp_fault(crowd.serve) as port, kept_server([OK, STAY]) as server:
        lines = [line_to(f"http://127.0.0.1:{port}/") for _ in range(MAX_TIMED)]
        asking = asyncio.gather(*(line.call(replace(BLOCK, timed=True)) for line in lines))
        await until(lambda: crowd.asked == MAX_TIMED)
        reply = await ask(server, replace(BLOCK, timed=True), call_timeout_s=5.0)
        assert (reply.status, asking.done()) == (200, False)
        crowd.go.set()
        await asking
        for line in lines:
            line.close()


async def test_waiting_for_a_slot_takes_nothing_of_the_peers_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("probes.wire.jsonrpc.SLOT_S", 0.2)
    crowd = Crowd()
    async with tcp_fault(crowd.serve) as port, kept_server([OK, STAY]) as server:
        lines = [line_to(f"http://127.0.0.1:{port}/") for _ in range(MAX_TIMED)]
        asking = asyncio.gather(*(line.call(replace(BLOCK, timed=True)) for line in lines))
        await until(lambda: crowd.asked == MAX_TIMED)
        # it waits longer than its own deadline is
        reply = await ask(server, replace(BLOCK, timed=True), call_timeout_s=0.15, retries=0)
        assert (reply.status, reply.failure) == (200, None)
        assert reply.seconds < 0.15
        crowd.go.set()
        await asking
        for line in lines:
            line.close()


async def test_a_run_that_got_no_slot_blames_the_prober(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.wire.jsonrpc.SLOT_S", 3600.0)
    crowd = Crowd()
    async with tcp_fault(crowd.serve) as port:
        lines = [line_to(f"http://127.0.0.1:{port}/") for _ in range(MAX_TIMED)]
        asking = asyncio.gather(*(line.call(replace(BLOCK, timed=True)) for line in lines))
        await until(lambda: crowd.asked == MAX_TIMED)
        late = line_to(
            f"http://127.0.0.1:{port}/", Recorder(asyncio.get_running_loop().time() + 0.1)
        )
        reply = await late.call(replace(BLOCK, timed=True))
        assert failure_of(reply)[0] is Reason.OVERLOAD
        assert str(reply.failure) == "want one of 8 slots for timed calls, got none in time"
        crowd.go.set()
        await asking
        for line in (*lines, late):
            line.close()


def test_every_loop_of_the_process_has_slots_of_its_own() -> None:
    async def once() -> int:
        async with kept_server([OK, STAY]) as server:
            replies = await asyncio.gather(
                *(ask(server, replace(BLOCK, timed=True)) for _ in range(2 * MAX_TIMED))
            )
        return sum(reply.status == 200 for reply in replies)

    for _ in range(2):
        assert asyncio.run(once()) == 2 * MAX_TIMED


def test_a_failure_of_the_peer_is_a_value() -> None:
    reply = Reply(failure=CheckFailed(Reason.CLOSED, "want an answer, got none"))
    assert not reply.is_server_error
    assert Reply(status=599).is_server_error
    assert not Reply(status=499).is_server_error
