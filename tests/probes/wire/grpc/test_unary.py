"""One gRPC call: what is asked for, and how a call that was never made looks."""

import pytest

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.grpc import protocol
from probes.wire.grpc.unary import Ask, Call
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import parse_url
from tests.faults.grpc import SERVING, answer, answering
from tests.faults.tcp import tcp_fault

URL = parse_url(f"https://example.org:8443{protocol.HEALTH_PATH}")


@pytest.mark.parametrize(
    ("authority", "tls", "want"),
    [
        pytest.param("", None, "example.org:8443", id="of the target"),
        pytest.param("", TlsOptions(), "example.org:8443", id="with TLS"),
        pytest.param("", TlsOptions(server_name="other.example"), "other.example", id="verified"),
        pytest.param("own:1", TlsOptions(server_name="other.example"), "own:1", id="its own"),
    ],
)
def test_whom_is_asked_for(authority: str, tls: TlsOptions | None, want: str) -> None:
    request = Ask(URL, b"x", authority=authority, tls=tls).request(1.5)

    assert request.authority == want
    assert (request.method, request.body) == ("POST", b"\0\0\0\0\1x")
    assert ("grpc-timeout", "1500m") in request.headers


async def test_any_method_can_be_called() -> None:
    recorder = Recorder()
    async with tcp_fault(answering(lambda peer: answer(peer, SERVING))) as port:
        call = Call(recorder)
        await call.make(Ask(parse_url(f"http://127.0.0.1:{port}/a.B/C"), b""))

    assert (call.code, call.message, str(call.status)) == (protocol.OK, SERVING[5:], "OK (0)")
    assert recorder.phase_name == "call"


async def test_a_call_without_an_address_was_none() -> None:
    call = Call(Recorder())

    with pytest.raises(CheckFailed) as caught:
        await call.make(Ask(parse_url("http://127.0.0.1/"), b"", ip="6"))

    assert caught.value.reason is Reason.DNS_NO_ADDRESS
    assert (call.code, call.is_resolved, call.status) == (protocol.OK, False, None)
