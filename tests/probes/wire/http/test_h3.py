"""HTTP/3 against a real Caddy, and against UDP ports that are closed, silent or speak something."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trustme

from probes.errors import CheckFailed
from probes.kinds.http import Http
from probes.recorder import Recorder
from probes.result import Outcome, Reason, Result
from probes.wire.address import Address
from probes.wire.failures import verify_failure
from probes.wire.http.exchange import exchange
from probes.wire.http.message import Limits, Request
from probes.wire.http.options import HTTP3_ALPN, Options
from probes.wire.policy import POLICY, Policy
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import parse_url
from tests.harness import Check, undeclared
from tests.servers.process import Server

service = pytest.mark.service
Make = Callable[..., Http]


@pytest.fixture
def make(ca_file: Path) -> Make:
    """Makes a kind that speaks HTTP/3 and trusts the authority of the tests."""

    def make(**keys: Any) -> Http:
        tls = {"ca": ca_file.read_text(), **keys.pop("tls", {})}
        return Http.model_validate({"versions": [3], "tls": tls, **keys})

    return make


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    """A UDP port that says nothing."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as own:
        own.bind(("127.0.0.1", 0))
        yield own


def sample(result: Result, name: str) -> float | None:
    found = [s.value for s in result.samples if s.name == name]
    return found[-1] if found else None


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not walked


@service
async def test_an_answer_over_quic_has_every_sample_and_phase(
    caddy: Server, make: Make, check: Check
) -> None:
    kind = make(expect={"body": {"contains": "hello world"}, "http_version": ["3"]})

    result = await check(kind, f"https://127.0.0.1:{caddy.port}/hello")

    assert result.outcome is Outcome.UP, result.failure
    assert [p.name for p in result.phases] == [
        "resolve", "connect", "tls", "processing", "transfer",
    ]  # fmt: skip
    assert next(p.seconds for p in result.phases if p.name == "tls") == 0
    assert sample(result, "http_version") == 3
    assert sample(result, "http_ssl") == 1
    assert sample(result, "http_uncompressed_body_length") == len("hello world")
    assert sample(result, "http_last_modified_timestamp_seconds") == 1606014423
    assert sample(result, "probe_tls_verified") == 1
    assert sample(result, "ssl_earliest_cert_expiry") is not None
    assert sample(result, "ssl_last_chain_expiry_timestamp_seconds") is not None
    labels = {s.name: dict(s.labels) for s in result.samples}
    assert labels["tls_version_info"] == {"version": "TLS 1.3"}
    assert labels["tls_cipher_info"]["cipher"].startswith("TLS_")
    assert "localhost" in labels["ssl_last_chain_info"]["subjectalternative"]
    assert undeclared(result, kind) == []


@service
async def test_a_request_arrives_as_it_was_written(caddy: Server, make: Make, check: Check) -> None:
    body = {"contains": "POST /echo?a=b%20c mark some text"}
    kind = make(method="POST", headers={"X-Probe": "mark"}, body="some text", expect={"body": body})

    result = await check(kind, f"https://127.0.0.1:{caddy.port}/echo?a=b%20c")

    assert result.outcome is Outcome.UP, result.failure


@service
async def test_head_has_no_body_and_an_encoded_body_is_unpacked(
    caddy: Server, make: Make, check: Check
) -> None:
    port = caddy.port

    head = await check(make(method="HEAD"), f"https://127.0.0.1:{port}/hello")
    zipped = await check(
        make(compression="gzip", max_body="2MiB"), f"https://127.0.0.1:{port}/big.txt"
    )

    assert head.outcome is Outcome.UP, head.failure
    assert sample(head, "http_uncompressed_body_length") == 0
    assert zipped.outcome is Outcome.UP, zipped.failure
    assert sample(zipped, "http_uncompressed_body_length") == 23 * 60_000


@service
async def test_a_body_beyond_the_cap_is_cut_there(caddy: Server, make: Make, check: Check) -> None:
    result = await check(make(), f"https://127.0.0.1:{caddy.port}/big.txt")

    assert result.failure is not None
    assert result.failure.reason is Reason.TOO_LARGE
    assert result.failure.phase == "transfer"
    assert sample(result, "http_status_code") == 200
    assert sample(result, "http_uncompressed_body_length") == 1024 * 1024


@service
async def test_redirects_go_on_over_quic_and_never_to_plain_text(
    caddy: Server, make: Make, check: Check
) -> None:
    there = f"https://127.0.0.1:{caddy.port}"

    followed = await check(make(), f"{there}/moved")
    left = await check(make(), f"{there}/plain")
    lost = await check(make(max_redirects=2), f"{there}/loop")

    assert followed.outcome is Outcome.UP, followed.failure
    assert sample(followed, "http_redirects") == 1
    assert left.failure is not None
    assert left.failure.reason is Reason.REDIRECT
    assert left.failure.message.startswith("want a redirect to https:// for HTTP/3, got 'http://")
    assert lost.failure is not None
    assert lost.failure.reason is Reason.REDIRECT


@service
@pytest.mark.parametrize(
    ("keys", "reason", "got"),
    [
        pytest.param(
            {"ca": "strange"}, Reason.CERTIFICATE_UNTRUSTED, "issuer", id="unknown issuer"
        ),
        pytest.param({"server_name": "other.test"}, Reason.CERTIFICATE_NAME, "mism", id="name"),
    ],
)
async def test_a_refused_certificate_is_told_with_its_facts(
    keys: dict[str, str], reason: Reason, got: str, caddy: Server, make: Make, check: Check
) -> None:
    if "ca" in keys:
        keys = {"ca": trustme.CA().cert_pem.bytes().decode()}

    result = await check(make(tls=keys), f"https://127.0.0.1:{caddy.port}/hello")

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (reason, "connect")
    assert got in result.failure.message
    assert sample(result, "probe_tls_verified") == 0
    assert sample(result, "ssl_earliest_cert_expiry") is not None
    assert "localhost" in result.facts["certificate"]


@service
async def test_an_unverified_peer_is_up_and_told_as_unverified(
    caddy: Server, make: Make, check: Check
) -> None:
    kind = make(tls={"ca": "", "verify": False, "server_name": "other.test"})

    result = await check(kind, f"https://127.0.0.1:{caddy.port}/hello")

    assert result.outcome is Outcome.UP, result.failure
    assert sample(result, "probe_tls_verified") == 0


@service
async def test_a_client_certificate_opens_the_door(
    caddy: Server, certificates: Path, make: Make, check: Check
) -> None:
    url = f"https://127.0.0.1:{caddy.port}/"
    tls = {"verify": False, "server_name": "mutual.test"}
    shown = {"cert_file": certificates / "client.pem", "key_file": certificates / "client.key"}
    headers = {"Host": f"mutual.test:{caddy.port}"}

    without = await check(make(tls=tls, headers=headers), url)
    known = make(tls=tls | {name: str(path) for name, path in shown.items()}, headers=headers)
    result = await check(known, url)

    assert without.outcome is Outcome.DOWN
    assert result.outcome is Outcome.UP, result.failure


@pytest.mark.parametrize("speaks", [False, True], ids=["silent", "garbage"])
async def test_silence_and_garbage_are_a_timeout_in_the_handshake(
    speaks: bool, udp: socket.socket, make: Make, check: Check
) -> None:
    loop = asyncio.get_running_loop()
    if speaks:
        udp.setblocking(False)
        loop.add_reader(udp, lambda: udp.sendto(b"garbage", udp.recvfrom(65535)[1]))
    before = descriptors()

    result = await check(make(), f"https://127.0.0.1:{udp.getsockname()[1]}/", 0.3)
    loop.remove_reader(udp)
    await Http.release()

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "connect")
    assert descriptors() <= before


async def test_a_closed_port_is_refused(udp: socket.socket, make: Make, check: Check) -> None:
    port = udp.getsockname()[1]
    udp.close()

    result = await check(make(), f"https://127.0.0.1:{port}/")

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.REFUSED, "connect")
    assert result.failure.message == f"want a connection to 127.0.0.1:{port}, got a refusal"


async def test_a_denied_address_gets_no_packet(udp: socket.socket, ca_file: Path) -> None:
    options = Options(alpn=HTTP3_ALPN, tls=TlsOptions(ca_file=str(ca_file)))
    url = f"https://127.0.0.1:{udp.getsockname()[1]}/"
    with POLICY.set(Policy(trusts_first=False, allow=())), pytest.raises(CheckFailed) as refused:
        await exchange(Request(parse_url(url)), Recorder(), options)

    assert refused.value.reason is Reason.POLICY
    udp.setblocking(False)
    with pytest.raises(BlockingIOError):
        udp.recv(1)


@service
async def test_many_at_once_share_an_engine_and_leave_nothing(caddy: Server, ca_file: Path) -> None:
    tls = TlsOptions(ca_file=str(ca_file))
    options = Options(alpn=HTTP3_ALPN, tls=tls, limits=Limits(max_wire=400))
    request = Request(parse_url(f"https://127.0.0.1:{caddy.port}/hello"))
    await Http.release()
    before = descriptors()

    answers = await asyncio.gather(*[exchange(request, Recorder(), options) for _ in range(8)])
    cut = await exchange(
        Request(parse_url(f"https://127.0.0.1:{caddy.port}/big.txt")), Recorder(), options
    )
    await Http.release()

    assert [answer.body.data for answer in answers] == [b"hello world"] * 8
    assert cut.failure is not None
    assert cut.failure.message == "want at most 400B on the wire, got more"
    assert descriptors() <= before


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        pytest.param({"versions": [2, 3]}, r"want versions: \[3\] alone, or of 1 and 2", id="mix"),
        pytest.param({"proxy": {"url": "http://p:1"}}, "want no proxy beside", id="proxy"),
        pytest.param({"tls": {"max_version": "1.2"}}, "want TLS 1.3 beside", id="old TLS"),
        pytest.param({"reuse": "told", "follow_redirects": False}, "want 1 among", id="reuse"),
    ],
)
def test_keys_that_exclude_http3_are_told(keys: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        Http.model_validate({"versions": [3], **keys})


def test_plain_text_is_refused_at_load_and_rewritten_for_a_blackbox_yml() -> None:
    native = Http.model_validate({"versions": [3]})
    foreign = Http.model_validate({"versions": [3]}, context={"dialect": "blackbox"})

    with pytest.raises(ValueError, match="want an https:// URL for HTTP/3, got 'http://x/'"):
        native.check_target("http://x/")
    assert foreign.canonical_target("x/y") == "https://x/y"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (0, Reason.CERTIFICATE_NAME),
        (9, Reason.CERTIFICATE_EXPIRED),
        (10, Reason.CERTIFICATE_EXPIRED),
        (18, Reason.CERTIFICATE_UNTRUSTED),
        (64, Reason.CERTIFICATE_NAME),
        (77, Reason.CERTIFICATE_UNTRUSTED),
    ],
)
def test_the_number_of_a_verdict_tells_why_a_certificate_is_refused(
    code: int, reason: Reason
) -> None:
    failure = verify_failure(code, Address("x", 443, "192.0.2.1", 4))

    assert failure.reason is reason
    assert failure.message.startswith("want a valid certificate of 192.0.2.1:443, got '")
