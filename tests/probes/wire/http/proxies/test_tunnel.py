"""The way through a proxy: what it is asked for, what it may do to us, and who is judged."""

import asyncio
import base64
import shutil
import ssl
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trustme

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.http.exchange import exchange
from probes.wire.http.message import Request, Response
from probes.wire.http.options import HTTP1_ALPN, Options
from probes.wire.http.proxies.settings import ProxyOptions
from probes.wire.policy import POLICY, Policy, PolicyOptions, Rule
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import parse_url
from tests.faults.http import BODY, fault_server
from tests.faults.proxy import GRANTED, Guest, Speak, answering, over_socks, proxy_server

PLAIN = ["resolve", "connect", "processing", "transfer"]
OVER_TLS = ["resolve", "connect", "tls", "processing", "transfer"]
TOKEN = base64.b64encode(b"anna:s3cret").decode()


@pytest.fixture
def trusting(ca_file: Path) -> TlsOptions:
    """Trust the authority of the session; read here, for a run may not touch the disk."""
    return TlsOptions(ca_file=str(ca_file))


def options(trust: TlsOptions | None = None, **keys: Any) -> Options:
    proxies = ProxyOptions.model_validate(keys).proxies
    return Options(tls=trust or TlsOptions(), ip="4", alpn=HTTP1_ALPN, proxies=proxies)


T = TypeVar("T")


async def off_loop(work: Callable[[], T]) -> T:
    """Do what may touch the disk."""
    return await asyncio.get_running_loop().run_in_executor(None, work)


async def fetch(url: str, how: Options, recorder: Recorder | None = None) -> Response:
    response = await exchange(Request(parse_url(url)), recorder or Recorder(), how)
    response.check()
    return response


def names(recorder: Recorder) -> list[str]:
    return [phase.name for phase in recorder.phases if phase.complete]


async def test_plain_http_is_asked_for_by_the_whole_url() -> None:
    recorder = Recorder()
    async with fault_server() as server, proxy_server() as proxy:
        proxy.names["localhost"] = "127.0.0.1"
        url = f"http://localhost:{server.port}/ok?x=1"
        response = await fetch(url, options(url=f"http://anna:s3cret@{proxy.url[7:]}"), recorder)
        (head,) = proxy.heads
        assert response.body.data == BODY
        assert head.startswith(f"GET {url} HTTP/1.1\r\n")
        assert f"Host: localhost:{server.port}\r\n" in head
        assert f"Proxy-Authorization: Basic {TOKEN}\r\n" in head
        assert "proxy-authorization" not in server.requests[0].headers
        assert (names(recorder), recorder.facts["proxy"]) == (PLAIN, proxy.url)
        assert recorder.secrets == ["s3cret", TOKEN]
        assert not response.over_tls


async def test_https_goes_through_a_tunnel_that_ends_at_the_target(
    server_context: ssl.SSLContext, trusting: TlsOptions
) -> None:
    recorder = Recorder()
    headers = {"X-Team": ["one", "two"], "User-Agent": "we"}
    async with fault_server(server_context) as server, proxy_server() as proxy:
        how = options(trusting, url=proxy.url, connect_headers=headers)
        response = await fetch(f"https://localhost:{server.port}/ok", how, recorder)
        assert response.over_tls
        (head,) = proxy.heads
        goal = f"127.0.0.1:{server.port}"
        assert head.startswith(f"CONNECT {goal} HTTP/1.1\r\nHost: {goal}\r\n")
        assert head.endswith("\r\nX-Team: one\r\nX-Team: two\r\nUser-Agent: we\r\n\r\n")
        assert names(recorder) == OVER_TLS
        assert "x-team" not in server.requests[0].headers
    told = {sample.name: sample for sample in recorder.samples}
    assert told["probe_tls_verified"].value == 1
    assert told["ip_protocol"].value == 4


@pytest.mark.parametrize("is_outer_tls", [False, True], ids=["plain target", "TLS in TLS"])
@pytest.mark.parametrize("size", [12, 300_000])
async def test_a_proxy_may_be_reached_over_tls(
    server_context: ssl.SSLContext, trusting: TlsOptions, ca_file: Path, is_outer_tls: bool,
    size: int,
) -> None:  # fmt: skip
    recorder = Recorder()
    target = server_context if is_outer_tls else None
    async with (
        fault_server(target) as server,
        proxy_server(context=server_context) as proxy,
    ):
        proxies: dict[str, Any] = {
            "url": f"https://localhost:{proxy.port}",
            "tls": trusting,
        }
        response = await fetch(
            server.url(f"/ok/big/{size}"), options(trusting, **proxies), recorder
        )
    assert response.body.size == size
    assert response.over_tls is is_outer_tls
    assert names(recorder) == (OVER_TLS if is_outer_tls else PLAIN)
    # the certificate of the proxy is no fact of the target
    verified = [sample for sample in recorder.samples if sample.name == "probe_tls_verified"]
    assert len(verified) == is_outer_tls


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
async def test_socks_carries_plain_text_and_tls(
    server_context: ssl.SSLContext, trusting: TlsOptions, scheme: str
) -> None:
    asked = "127.0.0.1" if scheme == "socks5" else "localhost"
    async with (
        proxy_server(over_socks("anna", "s3cret", kind=3)) as proxy,
        fault_server() as plain,
        fault_server(server_context) as secure,
    ):
        how = options(trusting, url=f"{scheme}://anna:s3cret@127.0.0.1:{proxy.port}")
        for recorder, server in ((Recorder(), plain), (Recorder(), secure)):
            url = f"{server.scheme}://localhost:{server.port}/ok"
            assert (await fetch(url, how, recorder)).status == 200
            assert ("resolve" in names(recorder)) is (scheme == "socks5")
        assert proxy.goals == [(asked, plain.port), (asked, secure.port)]
        assert plain.requests[0].headers["host"] == f"localhost:{plain.port}"


async def test_a_name_that_only_the_proxy_knows_is_left_to_it(trusting: TlsOptions) -> None:
    recorder = Recorder()
    async with fault_server() as server, proxy_server() as proxy:
        proxy.names["inner.test"] = "127.0.0.1"
        url = f"http://inner.test:{server.port}/ok"
        await fetch(url, options(url=proxy.url, resolve=False), recorder)
        assert proxy.heads[0].startswith(f"GET {url} HTTP/1.1\r\n")
    assert names(recorder) == ["connect", "processing", "transfer"]
    assert not recorder.samples


async def test_redirects_go_through_the_proxy_too() -> None:
    async with fault_server() as server, proxy_server() as proxy:
        await fetch(server.url("/hops/2"), options(url=proxy.url))
        assert [head.split(" ")[1] for head in proxy.heads] == [
            server.url("/hops/2"), server.url("/hops/1"), server.url("/ok"),
        ]  # fmt: skip


async def test_what_goes_straight_on_does_not_see_the_proxy() -> None:
    recorder = Recorder()
    async with fault_server() as server, proxy_server() as proxy:
        await fetch(server.url(), options(url=proxy.url, no_proxy="example.org"), recorder)
        assert not proxy.heads
    assert names(recorder) == PLAIN
    assert "proxy" not in recorder.facts


def refusal(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nnope".encode()


HUGE = b"HTTP/1.1 200 OK\r\n" + b"X-Pad: " + b"y" * 60 + b"\r\n"
HTTP_FAULTS = [
    pytest.param(
        answering(refusal("407 Proxy Authentication Required")), Reason.AUTH,
        "want user and password of the proxy accepted, got '407 Proxy Authentication Required'",
        id="wants a user",
    ),
    pytest.param(
        answering(refusal("502 Bad Gateway")), Reason.UNREACHABLE,
        "want a tunnel to the target, got '502 Bad Gateway'", id="did not reach the target",
    ),
    pytest.param(
        answering(refusal("403 Forbidden")), Reason.STATUS,
        "want a tunnel to the target, got '403 Forbidden'", id="forbids it",
    ),
    pytest.param(
        answering(b"SSH-2.0-OpenSSH_9.2\r\n"), Reason.PROTOCOL,
        "want an HTTP/1.1 answer, got b'SSH-2'", id="speaks something else",
    ),
    pytest.param(
        answering(b"HTTP/9.9 200 OK\r\n\r\n"), Reason.PROTOCOL, None, id="speaks another version",
    ),
    pytest.param(
        answering(HUGE * 200), Reason.TOO_LARGE,
        "want a head of a usual size, got a larger one", id="too many headers",
    ),
    pytest.param(
        answering(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000), Reason.TOO_LARGE,
        "want a line of at most 8190 bytes, got more", id="an endless line",
    ),
    pytest.param(
        answering(b"HTTP/1.1 100 Continue\r\n\r\n" * 20), Reason.PROTOCOL,
        "want at most 10 informational answers, got more", id="endless hope",
    ),
    pytest.param(
        answering(ends=True), Reason.CLOSED, None, id="closes without a word",
    ),
    pytest.param(
        answering(b"HTTP/1.1 200 OK\r\nX: y", ends=True), Reason.CLOSED, None, id="closes midway",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("speak", "reason", "text"), HTTP_FAULTS)
async def test_a_proxy_that_opens_no_tunnel_is_named_with_what_it_did(
    speak: Speak, reason: Reason, text: str | None
) -> None:
    recorder = Recorder()
    async with proxy_server(speak) as proxy:
        with pytest.raises(CheckFailed) as caught:
            await fetch("https://192.0.2.1/", options(url=proxy.url), recorder)
    failure = caught.value
    assert (failure.reason, failure.phase) == (reason, "connect")
    assert failure.message.startswith(f"proxy 127.0.0.1:{proxy.port}: want ")
    assert text is None or failure.message == f"proxy 127.0.0.1:{proxy.port}: {text}"


@pytest.mark.parametrize(
    ("speak", "phase"),
    [
        pytest.param(answering(), "connect", id="says nothing"),
        pytest.param(
            answering(*(bytes((b,)) for b in GRANTED), pause_s=0.02), "connect", id="drips"
        ),
        pytest.param(answering(GRANTED), "tls", id="grants and then says nothing"),
    ],
)
async def test_a_proxy_that_hangs_holds_the_phase_that_waits_for_it(
    speak: Speak, phase: str
) -> None:
    recorder = Recorder()
    async with proxy_server(speak) as proxy:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await fetch("https://192.0.2.1/", options(url=proxy.url), recorder)
    assert (recorder.phase_name, recorder.phases[-1].complete) == (phase, False)


@pytest.mark.parametrize(
    ("more", "reason", "text"),
    [
        pytest.param(
            b"\x15\x03\x01\x00\x02\x02\x28", Reason.PROTOCOL,
            "want nothing before TLS, got b'\\x15\\x03\\x01\\x00\\x02\\x02('", id="speaks first",
        ),
    ],
)  # fmt: skip
async def test_what_comes_behind_the_grant_never_passes_for_encrypted(
    more: bytes, reason: Reason, text: str
) -> None:
    async with proxy_server(answering(GRANTED + more)) as proxy:
        with pytest.raises(CheckFailed) as caught:
            await fetch("https://192.0.2.1/", options(url=proxy.url))
    assert (caught.value.reason, caught.value.message) == (reason, text)


@pytest.mark.parametrize(
    ("speak", "login", "reason", "text"),
    [
        pytest.param(
            over_socks("anna", "s3cret"), "", Reason.AUTH,
            "want a client without user and password accepted, got a refusal", id="wants a user",
        ),
        pytest.param(
            over_socks("anna", "s3cret"), "anna:wrong@", Reason.AUTH,
            "want the user accepted, got a refusal (1)", id="another password",
        ),
        pytest.param(
            over_socks(code=5), "", Reason.REFUSED,
            "want the target connected, got 'connection refused' (5)", id="the target refuses",
        ),
        pytest.param(
            over_socks(code=4), "", Reason.UNREACHABLE,
            "want the target connected, got 'host unreachable' (4)", id="no way there",
        ),
        pytest.param(
            over_socks(code=99), "", Reason.PROTOCOL,
            "want the target connected, got the unknown code 99", id="a code of its own",
        ),
        pytest.param(
            over_socks(kind=9), "", Reason.PROTOCOL,
            "want an address in the reply, got type 9", id="an address of its own",
        ),
    ],
)  # fmt: skip
async def test_a_socks_server_that_refuses_is_named_with_what_it_said(
    speak: Speak, login: str, reason: Reason, text: str
) -> None:
    async with proxy_server(speak) as proxy:
        with pytest.raises(CheckFailed) as caught:
            await fetch("http://192.0.2.1/", options(url=f"socks5://{login}127.0.0.1:{proxy.port}"))
    failure = caught.value
    assert (failure.reason, failure.phase) == (reason, "connect")
    assert failure.message == f"proxy 127.0.0.1:{proxy.port}: {text}"


async def test_an_http_server_is_no_socks_server() -> None:
    async def speak(guest: Guest) -> None:
        await guest.reader.read(1)
        await guest.send(refusal("400 Bad Request"))

    async with proxy_server(speak) as proxy:
        with pytest.raises(CheckFailed) as caught:
            await fetch("http://192.0.2.1/", options(url=f"socks5://127.0.0.1:{proxy.port}"))
    text = f"proxy 127.0.0.1:{proxy.port}: want a SOCKS5 answer, got b'HT'"
    assert (caught.value.reason, caught.value.message) == (Reason.PROTOCOL, text)


async def test_a_proxy_that_is_not_there_is_named() -> None:
    async with proxy_server() as proxy:
        port = proxy.port
    recorder = Recorder()
    with pytest.raises(CheckFailed) as caught:
        await fetch("http://192.0.2.1/", options(url=f"http://127.0.0.1:{port}"), recorder)
    failure = caught.value
    assert (failure.reason, failure.phase) == (Reason.REFUSED, "connect")
    assert failure.message == (
        f"proxy 127.0.0.1:{port}: want a connection to 127.0.0.1:{port}, got a refusal"
    )


FREE = Policy(trusts_first=False, allow=(Rule(host="*.example.org"),), deny=())
BOTH = Policy(
    trusts_first=False,
    allow=(Rule(cidr=ip_network("127.0.0.0/8")), Rule(host="localhost")),
)
INNER = Policy(trusts_first=False, allow=(Rule(cidr=ip_network("127.0.0.0/8")),))


@pytest.mark.parametrize(
    ("policy", "url", "resolve", "reason"),
    [
        pytest.param(INNER, "http://127.0.0.1:{port}/ok", True, None, id="an address within"),
        pytest.param(FREE, "http://127.0.0.1:{port}/ok", True, Reason.POLICY, id="one outside"),
        pytest.param(
            INNER, "http://localhost:{port}/ok", True, Reason.POLICY,
            id="a name that the proxy resolves again",
        ),
        pytest.param(BOTH, "http://localhost:{port}/ok", True, None, id="address and name within"),
        pytest.param(
            FREE, "http://127.0.0.1:{port}/ok", False, Reason.POLICY, id="an address is no name"
        ),
        pytest.param(FREE, "http://a.example.org:{port}/ok", False, None, id="a name within"),
        pytest.param(
            FREE, "http://example.com:{port}/ok", False, Reason.POLICY, id="a name outside"
        ),
        pytest.param(
            INNER, "http://a.example.org:{port}/ok", False, Reason.POLICY, id="no entry by name"
        ),
        pytest.param(
            Policy(), "http://127.0.0.1:{port}/to/302?http://169.254.169.254/", False,
            Reason.BLOCKED, id="a redirect to a built-in address",
        ),
        pytest.param(
            Policy(deny=(Rule(host="*.inner"),)),
            "http://127.0.0.1:{port}/to/302?http://db.inner/", False,
            Reason.BLOCKED, id="a redirect to a denied name",
        ),
    ],
)  # fmt: skip
async def test_the_target_is_judged_and_the_proxy_is_trusted(
    policy: Policy, url: str, resolve: bool, reason: Reason | None
) -> None:
    async with fault_server() as server, proxy_server() as proxy:
        proxy.names |= {"a.example.org": "127.0.0.1", "localhost": "127.0.0.1"}
        how = options(url=proxy.url, resolve=resolve)
        with POLICY.set(policy):
            if reason is None:
                assert (await fetch(url.format(port=server.port), how)).status == 200
                return
            with pytest.raises(CheckFailed) as caught:
                await fetch(url.format(port=server.port), how)
        asked = len(proxy.heads)
    assert caught.value.reason is reason
    assert asked == (1 if reason is Reason.BLOCKED else 0)


async def test_a_run_that_is_cancelled_leaves_no_connection() -> None:
    async with proxy_server(answering()) as proxy:
        run = asyncio.create_task(fetch("https://192.0.2.1/", options(url=proxy.url)))
        await proxy.asked.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run


@pytest.mark.parametrize("resolve", [True, False])
async def test_a_certificate_that_is_refused_is_the_targets_and_not_the_proxys(
    server_context: ssl.SSLContext, resolve: bool
) -> None:
    async with fault_server(server_context) as server, proxy_server() as proxy:
        proxy.names["localhost"] = "127.0.0.1"
        with pytest.raises(CheckFailed) as caught:
            await fetch(
                f"https://localhost:{server.port}/ok", options(url=proxy.url, resolve=resolve)
            )
        there = f"127.0.0.1:{server.port}" if resolve else "the peer"

    failure = caught.value
    assert (failure.reason, failure.phase) == (Reason.CERTIFICATE_UNTRUSTED, "tls")
    assert failure.message.startswith(f"want a valid certificate of {there}, got ")


async def test_the_authority_of_a_proxy_is_read_anew_when_its_file_changes(
    server_context: ssl.SSLContext, ca_file: Path, tmp_path: Path
) -> None:
    own = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(own)
    tls = await off_loop(lambda: TlsOptions(ca_file=str(own)))
    async with fault_server() as server, proxy_server(context=server_context) as proxy:
        how = options(url=f"https://localhost:{proxy.port}", tls=tls)
        with pytest.raises(CheckFailed) as caught:
            await fetch(server.url("/ok"), how)
        assert caught.value.reason is Reason.CERTIFICATE_UNTRUSTED

        await off_loop(lambda: shutil.copy(ca_file, own))
        tls._looked.clear()
        assert (await fetch(server.url("/ok"), how)).status == 200


@pytest.mark.parametrize(
    ("scheme", "reason"),
    [
        pytest.param("http", None, id="within"),
        pytest.param("https", Reason.POLICY, id="another one"),
    ],
)
@pytest.mark.parametrize("way", ["straight", "through", "by name"])
async def test_the_scheme_is_judged_whichever_way_a_request_goes(
    scheme: str, reason: Reason | None, way: str
) -> None:
    rules = [
        {"schemes": [scheme], "cidr": "127.0.0.0/8"},
        {"schemes": [scheme], "host": "localhost"},
    ]
    policy = PolicyOptions.model_validate({"allow": rules}).policy()
    async with fault_server() as server, proxy_server() as proxy:
        proxy.names["localhost"] = "127.0.0.1"
        keys: dict[str, Any] = {}
        if way != "straight":
            keys = {"url": proxy.url, "resolve": way == "through"}
        url = f"http://localhost:{server.port}/ok"
        with POLICY.set(policy):
            if reason is None:
                assert (await fetch(url, options(**keys))).status == 200
                return
            with pytest.raises(CheckFailed) as caught:
                await fetch(url, options(**keys))
    assert caught.value.reason is reason
    assert (server.paths, proxy.heads) == ([], [])


async def test_a_redirect_to_a_scheme_outside_the_policy_is_blocked(
    server_context: ssl.SSLContext, trusting: TlsOptions
) -> None:
    allow = [{"cidr": "127.0.0.0/8", "schemes": ["https"]}]
    async with fault_server() as plain, fault_server(server_context) as server:
        with (
            POLICY.set(PolicyOptions.model_validate({"allow": allow}).policy()),
            pytest.raises(CheckFailed) as caught,
        ):
            await fetch(server.url(f"/to/302?{plain.url('/ok')}"), options(trusting))
    assert (caught.value.reason, plain.paths) == (Reason.BLOCKED, [])
