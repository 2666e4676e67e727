"""Kind grpc: against grpcio's own health service, and servers that answer by hand."""

import asyncio
import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h2.errors
import pytest
from pydantic import ValidationError

from probes.families import family_name
from probes.kinds.grpc import Grpc, read_target
from probes.redact import Secret
from probes.result import Outcome, Reason, Result
from probes.wire.grpc.unary import NEARLY_S
from probes.wire.http.h2 import TURN_FRAMES
from tests.faults.grpc import HEAD, SERVING, Play, answer, answering
from tests.faults.tcp import Handler, closed_port, ending, resetting, silent, talking, tcp_fault
from tests.harness import Check, Law
from tests.servers.grpc_health import CREDENTIALS, GrpcHealth, start_grpc_health
from tests.servers.process import Server, converse


def grpc(**keys: Any) -> Grpc:
    return Grpc.model_validate(keys)


LAW = Law(
    kind=Grpc(),
    target="{host}:{port}",
    secret=lambda canary: grpc(
        metadata={"authorization": canary, "x": Secret(canary), "y-bin": [Secret(canary)]},
        tls={"cert": "x", "key": Secret(canary)},
    ),
)


def values(result: Result) -> dict[str, float]:
    return {sample.name: sample.value for sample in result.samples}


def serving(result: Result) -> dict[str, float]:
    return {
        dict(sample.labels)["serving_status"]: sample.value
        for sample in result.samples
        if sample.name == "grpc_healthcheck_response"
    }


def verdict(result: Result) -> tuple[Reason, str, float] | None:
    failure = result.failure
    code = values(result)["grpc_status_code"]
    return (failure.reason, failure.phase or "", code) if failure else None


def phases(result: Result) -> list[str]:
    return [phase.name for phase in result.phases if phase.complete]


async def look(check: Check, handler: Handler, timeout_s: float = 5, **keys: Any) -> Result:
    async with tcp_fault(handler) as port:
        return await check(grpc(**keys), f"127.0.0.1:{port}", timeout_s)


# --- a real server


@pytest.fixture(scope="module")
def grpc_health(
    certificates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GrpcHealth]:
    """A real gRPC server with services as its module says."""
    server = start_grpc_health(tmp_path_factory.mktemp("grpc"), certificates)
    yield server
    server.stop()


@pytest.mark.service
async def test_a_server_that_serves_is_up(check: Check, grpc_health: GrpcHealth) -> None:
    result = await check(Grpc(), grpc_health.address)

    assert result.outcome is Outcome.UP, result.failure
    assert phases(result) == ["resolve", "connect", "call"]
    assert (values(result)["grpc_status_code"], values(result)["grpc_ssl"]) == (0, 0)
    assert serving(result) == {
        "UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 0, "SERVICE_UNKNOWN": 0,
    }  # fmt: skip


@pytest.mark.service
@pytest.mark.parametrize(
    ("service", "code", "told", "message"),
    [
        ("down", 0, "NOT_SERVING", "want SERVING as status of 'down', got NOT_SERVING"),
        ("odd", 0, "UNKNOWN", "want SERVING as status of 'odd', got UNKNOWN"),
        ("nobody", 5, None, "want status OK, got NOT_FOUND (5)"),
        ("guarded", 16, None, "want status OK, got UNAUTHENTICATED (16): 'want a token é'"),
    ],
)
async def test_every_other_answer_is_down(
    check: Check, grpc_health: GrpcHealth, service: str, code: int, told: str, message: str
) -> None:
    result = await check(grpc(service=service), grpc_health.address)

    assert verdict(result) == (Reason.STATUS, "call", code)
    assert result.failure is not None
    assert result.failure.message == message
    assert [name for name, value in serving(result).items() if value] == ([told] if told else [])


@pytest.mark.service
@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({"service": "nobody", "expect": {"status": "NOT_FOUND"}}, id="a code"),
        pytest.param({"service": "nobody", "expect": {"status": [0, 5]}}, id="codes by number"),
        pytest.param(
            {"service": "down", "expect": {"serving": ["SERVING", "NOT_SERVING"]}}, id="a status"
        ),
        pytest.param({"expect": {"latency": "5s"}}, id="time"),
    ],
)
async def test_another_answer_can_be_expected(
    check: Check, grpc_health: GrpcHealth, keys: dict[str, Any]
) -> None:
    result = await check(grpc(**keys), grpc_health.address)

    assert result.outcome is Outcome.UP, result.failure


@pytest.mark.service
async def test_metadata_arrives(check: Check, grpc_health: GrpcHealth) -> None:
    metadata = {"X-Token": Secret(str(CREDENTIALS[0][1])), "x-many": ["a", "b"]}
    kind = grpc(service="guarded", metadata={**metadata, "X-Bin": {"hex": "00ff"}})

    result = await check(kind, f"http://{grpc_health.address}/ignored?as=upstream")

    assert result.outcome is Outcome.UP, result.failure


@pytest.mark.service
async def test_tls_is_verified_and_tells_about_the_peer(
    check: Check, grpc_health: GrpcHealth, ca_file: Path
) -> None:
    tls = {"ca_file": str(ca_file)}
    kind = grpc(tls=tls, expect={"certificate": {"expires_in": "1d"}})

    result = await check(kind, f"http://127.0.0.1:{grpc_health.tls_port}")

    assert result.outcome is Outcome.UP, result.failure
    assert phases(result) == ["resolve", "connect", "tls", "call"]
    told = set(values(result))
    assert {"ssl_earliest_cert_expiry", "ssl_last_chain_info", "tls_version_info"} <= told
    assert not {"tls_cipher_info", "ssl_last_chain_expiry_timestamp_seconds"} & told
    assert values(result)["grpc_ssl"] == 1


@pytest.mark.service
@pytest.mark.parametrize(
    ("port", "tls", "want"),
    [
        pytest.param("tls_port", True, (Reason.CERTIFICATE_UNTRUSTED, "tls", 14), id="untrusted"),
        pytest.param("port", True, (Reason.TLS, "tls", 14), id="TLS to a plain port"),
        pytest.param("tls_port", False, (Reason.CLOSED, "call", 14), id="plain to a TLS port"),
        pytest.param(
            "mutual_port", {"verify": False}, (Reason.CLOSED, "call", 14), id="no certificate"
        ),
    ],
)
async def test_a_mismatch_of_tls_is_unavailable(
    check: Check, grpc_health: GrpcHealth, port: str, tls: object, want: tuple[Reason, str, float]
) -> None:
    result = await check(grpc(tls=tls), f"127.0.0.1:{getattr(grpc_health, port)}")

    assert verdict(result) == want
    assert result.failure is not None
    hint = "over TLS 1.3 this also means that a client certificate is wanted"
    assert (hint in result.failure.message) == (port == "mutual_port")


@pytest.mark.service
async def test_a_client_certificate_is_shown(
    check: Check, grpc_health: GrpcHealth, certificates: Path
) -> None:
    files = {"ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key"}
    kind = grpc(tls={key: str(certificates / name) for key, name in files.items()})

    result = await check(kind, f"127.0.0.1:{grpc_health.mutual_port}")

    assert result.outcome is Outcome.UP, result.failure


@pytest.mark.service
@pytest.mark.slow
async def test_a_server_that_knows_the_deadline_gives_the_same_verdict(
    check: Check, grpc_health: GrpcHealth
) -> None:
    """D1: whether the server gives up first or we do."""
    for _ in range(3):
        result = await check(grpc(service="stuck"), grpc_health.address, 0.1)

        assert verdict(result) == (Reason.TIMEOUT, "call", 4)


# --- servers that answer by hand


@pytest.mark.parametrize(
    ("play", "message"),
    [
        pytest.param(lambda peer: answer(peer, SERVING), "", id="one piece"),
        pytest.param(
            lambda peer: answer(peer, *(SERVING[at : at + 1] for at in range(len(SERVING)))), "",
            id="a byte a frame",
        ),
        pytest.param(
            lambda peer: answer(peer, SERVING, trailers=(("grpc-status", "0"), ("x", "y"))), "",
            id="more trailers",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("drip", [0, 1], ids=["at once", "a byte a turn"])
async def test_messages_come_in_pieces(check: Check, play: Play, message: str, drip: int) -> None:
    result = await look(check, answering(play, drip=drip))

    assert result.outcome is Outcome.UP, result.failure


async def test_a_flood_of_frames_before_the_answer_is_taken_in_turns(check: Check) -> None:
    def play(peer: Any) -> None:
        for _ in range(2 * TURN_FRAMES):
            peer.ping(b"are you?")
        answer(peer, SERVING)

    result = await look(check, answering(play))

    assert result.outcome is Outcome.UP, result.failure


async def test_a_reset_of_the_connection_is_unavailable(check: Check) -> None:
    result = await look(check, resetting)

    assert verdict(result) == (Reason.CLOSED, "call", 14)


async def test_what_is_asked_for(check: Check) -> None:
    seen: list[dict[str, str]] = []
    handler = answering(lambda peer: answer(peer, SERVING), seen)
    async with tcp_fault(handler) as port:
        for keys in ({}, {"authority": "elsewhere.example:99"}):
            await check(grpc(**keys), f"127.0.0.1:{port}", 3)

    first, second = seen
    assert 0 < int(first.pop("grpc-timeout").removesuffix("m")) <= 3000
    assert first.pop("user-agent").startswith("sonde")
    assert first == {
        ":method": "POST", ":scheme": "http", ":authority": f"127.0.0.1:{port}",
        ":path": "/grpc.health.v1.Health/Check", "te": "trailers",
        "content-type": "application/grpc", "content-length": "5",
    }  # fmt: skip
    assert second[":authority"] == "elsewhere.example:99"


def goodbye(peer: Any) -> None:
    peer.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM, last_stream_id=0)


def half(peer: Any) -> None:
    peer.send_headers(1, list(HEAD))
    peer.send_data(1, SERVING[:6])


TRAILERS_ONLY = (("content-type", "application/grpc"), ("grpc-message", "not%20here"))


@pytest.mark.parametrize(
    ("play", "reason", "code", "message"),
    [
        pytest.param(
            lambda peer: answer(
                peer, head=((":status", "200"), ("grpc-status", "12"), *TRAILERS_ONLY),
                trailers=None,
            ),
            Reason.STATUS, 12, "want status OK, got UNIMPLEMENTED (12): 'not here'",
            id="trailers only",
        ),
        pytest.param(
            lambda peer: answer(
                peer, b"<html>", head=((":status", "503"), ("content-type", "text/html")),
                trailers=None,
            ),
            Reason.STATUS, 14,
            "want status OK, got HTTP 503 without a gRPC status, which means UNAVAILABLE",
            id="a proxy's page",
        ),
        pytest.param(
            lambda peer: answer(peer, SERVING, trailers=(("x", "y"),)),
            Reason.STATUS, 2,
            "want status OK, got HTTP 200 without a gRPC status, which means UNKNOWN",
            id="no status",
        ),
        pytest.param(
            lambda peer: answer(peer, SERVING, head=(*HEAD, ("grpc-status", "0")), trailers=None),
            Reason.PROTOCOL, 13,
            "want trailers with a status, got the end of the stream behind a message",
            id="a status ahead of the message",
        ),
        pytest.param(
            lambda peer: answer(peer, SERVING, trailers=(("grpc-status", "four"),)),
            Reason.PROTOCOL, 13, "want a number as grpc-status, got b'four'", id="a word as status",
        ),
        pytest.param(
            answer, Reason.PROTOCOL, 13, "want one gRPC message, got none",
            id="no message",
        ),
        pytest.param(
            lambda peer: answer(peer, SERVING * 2), Reason.PROTOCOL, 13,
            "want one gRPC message, got more than one", id="two messages",
        ),
        pytest.param(
            lambda peer: answer(peer, b"\0\0\0\0\x02\x0a\x01"), Reason.PROTOCOL, 13,
            "want a HealthCheckResponse, got a field that is cut off in b'\\n\\x01'",
            id="another message",
        ),
        pytest.param(
            lambda peer: answer(
                peer, b"\1\0\0\0\x02xx",
                head=((":status", "200"), *TRAILERS_ONLY[:1], ("grpc-encoding", "gzip")),
            ),
            Reason.PROTOCOL, 13,
            "want a message that is not compressed, got one compressed by 'gzip'", id="compressed",
        ),
        pytest.param(
            lambda peer: answer(peer, b"\0\xff\xff\xff\xff", trailers=None), Reason.TOO_LARGE, 8,
            "want a message of at most 4MiB, got one of 4294967295 bytes", id="a huge message",
        ),
        pytest.param(
            lambda peer: answer(peer, b"\0\0\0\0\x07\x08\x80\x80\x80\x80\x80\x01"),
            Reason.STATUS, 0, "want SERVING as status, got status 34359738368",
            id="a status nobody knows",
        ),
        pytest.param(
            lambda peer: peer.reset_stream(1, h2.errors.ErrorCodes.REFUSED_STREAM),
            Reason.CLOSED, 14, "want an HTTP/2 answer, got a reset of the stream (REFUSED_STREAM)",
            id="reset",
        ),
        pytest.param(
            lambda peer: peer.reset_stream(1, h2.errors.ErrorCodes.CANCEL),
            Reason.CLOSED, 1, "want an HTTP/2 answer, got a reset of the stream (CANCEL)",
            id="cancelled",
        ),
        pytest.param(
            goodbye, Reason.CLOSED, 14, "want an HTTP/2 answer, got GOAWAY (ENHANCE_YOUR_CALM)",
            id="goodbye",
        ),
        pytest.param(
            lambda peer: answer(peer, trailers=[("x", "y" * 9000)]), Reason.TOO_LARGE, 8,
            "want header lines of at most 8190 bytes, got a longer one", id="long trailers",
        ),
        pytest.param(
            lambda peer: answer(peer, trailers=[("x", "y")] * 200), Reason.TOO_LARGE, 8,
            "want at most 128 headers, got more", id="many trailers",
        ),
    ],
)  # fmt: skip
async def test_an_answer_that_is_wrong_is_told(
    check: Check, play: Play, reason: Reason, code: int, message: str
) -> None:
    result = await look(check, answering(play))

    assert verdict(result) == (reason, "call", code)
    assert result.failure is not None
    assert result.failure.message == message


@pytest.mark.parametrize(
    ("handler", "code", "message"),
    [
        pytest.param(
            answering(half, stays=False),
            14,
            "want a whole body, got the end of the stream", id="half a message",
        ),
        pytest.param(
            answering(lambda peer: peer.send_headers(1, [(":status", "200")]), stays=False), 2,
            "want status OK, got HTTP 200 without a gRPC status, which means UNKNOWN",
            id="a head that is none of gRPC",
        ),
        pytest.param(
            ending(b"HTTP/1.1 400 Bad Request\r\n\r\n"), 14,
            "want a gRPC server (HTTP/2), got HTTP/1: b'HTTP/1.1 400 Bad Request'", id="HTTP/1.1",
        ),
        pytest.param(
            talking(b"\x15\x03\x01\x00\x02\x02\x46"), 14,
            "want a gRPC server (HTTP/2), got one that wants tls", id="TLS",
        ),
    ],
)  # fmt: skip
async def test_a_peer_of_another_kind_is_told(
    check: Check, handler: Handler, code: int, message: str
) -> None:
    result = await look(check, handler)

    assert result.failure is not None
    assert (result.failure.message, values(result)["grpc_status_code"]) == (message, code)


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(silent, id="silent"),
        pytest.param(answering(half), id="half a message"),
        pytest.param(answering(lambda _: None), id="settings alone"),
    ],
)
async def test_a_server_that_ignores_the_deadline_is_late(check: Check, handler: Handler) -> None:
    """D1."""
    result = await look(check, handler, 0.1)

    assert verdict(result) == (Reason.TIMEOUT, "call", 4)


@pytest.mark.parametrize(
    "play",
    [
        pytest.param(
            lambda peer: answer(peer, trailers=(("grpc-status", "4"),)), id="DEADLINE_EXCEEDED"
        ),
        pytest.param(
            lambda peer: peer.reset_stream(1, h2.errors.ErrorCodes.CANCEL), id="a cancelled stream"
        ),
    ],
)
async def test_the_end_of_our_time_at_the_server_is_the_end_of_our_time(
    check: Check, play: Play
) -> None:
    late = await look(check, answering(play), NEARLY_S)
    early = await look(check, answering(play), 30)

    assert verdict(late) == (Reason.TIMEOUT, "call", 4)
    assert early.failure is not None
    assert early.failure.reason in (Reason.STATUS, Reason.CLOSED)


async def test_a_closed_port_is_unavailable_and_no_name_is_no_call(check: Check) -> None:
    closed = await check(Grpc(), f"127.0.0.1:{closed_port()}")
    lost = await check(grpc(ip="6"), "127.0.0.1:1")

    assert values(closed)["grpc_status_code"] == 14
    assert set(serving(closed).values()) == {0}
    assert verdict(lost) == (Reason.DNS_NO_ADDRESS, "resolve", 0)
    assert serving(lost) == {}


# --- settings


@pytest.mark.parametrize(
    ("target", "is_tls", "want"),
    [
        pytest.param("example.org", False, "http://example.org", id="host"),
        pytest.param("example.org", True, "https://example.org", id="host with tls"),
        pytest.param("https://example.org", False, "http://example.org", id="scheme is nothing"),
        pytest.param("HTTP://example.org:/x?y#z", True, "https://example.org", id="path is cut"),
        pytest.param("http://u:p@example.org:99/", True, "https://example.org:99", id="user"),
        pytest.param("example.org:443", False, "http://example.org:443", id="port"),
        pytest.param("[::1]", True, "https://[::1]", id="address of IPv6"),
        pytest.param("https://[::1]:50051", False, "http://[::1]:50051", id="with port"),
    ],
)
def test_targets(target: str, is_tls: bool, want: str) -> None:
    assert read_target(target, is_tls=is_tls).origin == want


@pytest.mark.parametrize(
    "target", ["", ":80", "a b", "host:0", "host:x", "ftp://x", "a@b@c", "h\\x"]
)
def test_what_is_no_target(target: str) -> None:
    with pytest.raises(ValueError, match=r"^want "):
        Grpc().check_target(target)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        pytest.param({"metadata": {"a b": "x"}}, "want a metadata key of letters", id="key"),
        pytest.param({"metadata": {"GRPC-timeout": "x"}}, "does not write itself", id="reserved"),
        pytest.param({"metadata": {"x": "é"}}, "want a text in ASCII for x", id="value"),
        pytest.param({"metadata": {"x": {"hex": "00"}}}, "a key that ends in -bin", id="bytes"),
        pytest.param({"metadata": {"x-bin": {"hex": "0"}}}, "want bytes in hex, got '0'", id="hex"),
        pytest.param({"expect": {"status": "FINE"}}, "Input should be 'OK'", id="code"),
        pytest.param({"expect": {"status": 17}}, "Input should be 'OK'", id="number"),
        pytest.param(
            {"expect": {"certificate": {"expires_in": "1d"}}}, "want tls", id="certificate"
        ),
        pytest.param({"authority": "a b"}, "want a host name", id="authority"),
    ],
)
def test_mistakes_in_settings(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        grpc(**keys)


async def test_what_upstream_takes_at_load_is_judged_when_it_runs(check: Check) -> None:
    """blackbox.md 3.4: a reserved key is left out, an impossible one is our own fault."""
    upstream: dict[str, Any] = {"context": {"dialect": "blackbox"}}
    reserved = Grpc.model_validate({"metadata": {"TE": ["x"]}}, **upstream)
    broken = Grpc.model_validate({"metadata": {"a b": ["x"]}}, **upstream)
    async with tcp_fault(answering(lambda peer: answer(peer, SERVING))) as port:
        fine = await check(reserved, f"127.0.0.1:{port}")
        bad = await check(broken, f"127.0.0.1:{port}", unknown=True)

    assert fine.outcome is Outcome.UP, fine.failure
    assert bad.failure is not None
    assert (bad.outcome, bad.failure.reason) == (Outcome.UNKNOWN, Reason.CONFIG)


async def test_a_server_without_alpn_is_talked_to_by_the_name_it_has(
    check: Check, server_context: ssl.SSLContext, ca_file: Path
) -> None:
    """D6."""
    seen: list[dict[str, str]] = []
    handler = answering(lambda peer: answer(peer, SERVING), seen)
    tls = {"ca_file": str(ca_file), "server_name": "localhost"}
    async with tcp_fault(handler, context=server_context) as port:
        result = await check(grpc(tls=tls), f"127.0.0.1:{port}")

    assert result.outcome is Outcome.UP, result.failure
    assert (seen[0][":authority"], seen[0][":scheme"]) == ("localhost", "https")


# --- the real blackbox_exporter as referee

# Durations differ in every run; of the rest 0.23 tells less of a certificate, and an expiry of 0
# where there is none.
_NOT_COMPARED = re.compile(r"duration_seconds|lookup_time|^sonde_|^probe_(success|ssl_)")


def theirs(page: str) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in page.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines if not _NOT_COMPARED.search(name)}


def ours(result: Result) -> dict[str, float]:
    found = {}
    for sample in result.samples:
        labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels))
        name = family_name(sample.name) + (f"{{{labels}}}" if labels else "")
        found[name] = sample.value
    return {name: value for name, value in found.items() if not _NOT_COMPARED.search(name)}


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_families_and_values_are_those_of_blackbox_exporter(
    check: Check,
    grpc_health: GrpcHealth,
    blackbox_exporter: Callable[[str], Server],
    ca_file: Path,
) -> None:
    upstream = blackbox_exporter(
        "modules:\n"
        + "".join(
            f"  {name}: {{prober: grpc, timeout: 2s, grpc: {{preferred_ip_protocol: ip4{more}}}}}\n"
            for name, more in {
                "plain": "", "down": ", service: down", "nobody": ", service: nobody",
                "tls": f", tls: true, tls_config: {{ca_file: {ca_file}}}",
            }.items()
        )
    )  # fmt: skip
    plain, tls = f"127.0.0.1:{grpc_health.port}", f"127.0.0.1:{grpc_health.tls_port}"
    trusting = {"tls": {"ca_file": str(ca_file)}}
    for module, keys, target in (
        ("plain", {}, plain),
        ("plain", {}, f"https://{plain}/x"),
        ("plain", {}, tls),
        ("plain", {}, f"127.0.0.1:{closed_port()}"),
        ("down", {"service": "down"}, plain),
        ("nobody", {"service": "nobody"}, plain),
        ("tls", trusting, tls),
        ("tls", trusting, plain),
    ):
        query = f"GET /probe?module={module}&target={target} HTTP/1.0\r\n\r\n".encode()
        page = await asyncio.to_thread(
            converse, upstream.port, query, b"probe_success", to_the_end=True
        )

        result = await check(grpc(**keys), target)

        assert ours(result) == theirs(page.decode().partition("\r\n\r\n")[2]), (module, target)
        assert f"probe_success {int(result.failure is None)}".encode() in page
