"""Proxies that others wrote: tinyproxy, proxy.py behind TLS and Dante, in front of nginx."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire.http.exchange import exchange
from probes.wire.http.message import Request, Response
from probes.wire.http.options import BOTH_ALPN, Options
from probes.wire.http.proxies.settings import ProxyOptions
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import parse_url
from tests.servers.nginx import Nginx
from tests.servers.process import Server, free_port
from tests.servers.proxies import PASSWORD, USER, start_danted, start_proxy_py, start_tinyproxy

pytestmark = pytest.mark.service
Temporary = pytest.TempPathFactory


@pytest.fixture(scope="module")
def tinyproxy(tmp_path_factory: Temporary) -> Iterator[Server]:
    server = start_tinyproxy(tmp_path_factory.mktemp("tinyproxy"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def closed_tinyproxy(tmp_path_factory: Temporary) -> Iterator[Server]:
    server = start_tinyproxy(tmp_path_factory.mktemp("tinyproxy"), login=True)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def dante(tmp_path_factory: Temporary) -> Iterator[Server]:
    server = start_danted(tmp_path_factory.mktemp("dante"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def proxy_py(tmp_path_factory: Temporary, certificates: Path) -> Iterator[Server]:
    server = start_proxy_py(tmp_path_factory.mktemp("proxy"), certificates)
    yield server
    server.stop()


@pytest.fixture
def trusting(ca_file: Path) -> TlsOptions:
    return TlsOptions(ca_file=str(ca_file))


async def fetch(
    target: str, trust: TlsOptions, recorder: Recorder | None = None, **keys: Any
) -> Response:
    proxies = ProxyOptions.model_validate(keys).proxies
    how = Options(tls=trust, ip="4", alpn=BOTH_ALPN, proxies=proxies)
    response = await exchange(Request(parse_url(target)), recorder or Recorder(), how)
    response.check()
    return response


@pytest.mark.parametrize("path", ["/hello.txt", "/big.txt"])
@pytest.mark.parametrize("resolve", [True, False], ids=["address", "name"])
async def test_tinyproxy_carries_plain_text_and_http_2(
    tinyproxy: Server, nginx: Nginx, trusting: TlsOptions, resolve: bool, path: str
) -> None:
    how: dict[str, Any] = {"url": f"http://{tinyproxy.address}", "resolve": resolve}
    plain = await fetch(f"http://localhost:{nginx.port}{path}", trusting, **how)
    secure = await fetch(f"https://localhost:{nginx.tls_port}{path}", trusting, **how)
    assert (plain.status, plain.version, secure.status, secure.version) == (200, "1.1", 200, "2")
    assert plain.body.data == secure.body.data


async def test_tinyproxy_asks_for_its_user(
    closed_tinyproxy: Server, nginx: Nginx, trusting: TlsOptions
) -> None:
    address, target = closed_tinyproxy.address, f"https://127.0.0.1:{nginx.tls_port}/"
    with pytest.raises(CheckFailed) as caught:
        await fetch(target, trusting, url=f"http://{address}")
    assert (caught.value.reason, caught.value.phase) == (Reason.AUTH, "connect")
    assert "407 Proxy Authentication Required" in caught.value.message

    plain = await fetch(f"http://127.0.0.1:{nginx.port}/", trusting, url=f"http://{address}")
    assert plain.status == 407

    user = f"http://{USER}:{PASSWORD}@{address}"
    for url in (target, f"http://127.0.0.1:{nginx.port}/hello.txt"):
        assert (await fetch(url, trusting, url=user)).status in (200, 403)


async def test_tinyproxy_tells_that_nobody_is_there(
    tinyproxy: Server, trusting: TlsOptions
) -> None:
    with pytest.raises(CheckFailed) as caught:
        await fetch(
            f"https://127.0.0.1:{free_port()}/", trusting, url=f"http://{tinyproxy.address}"
        )
    assert caught.value.reason in (Reason.UNREACHABLE, Reason.STATUS)
    assert caught.value.message.startswith(f"proxy {tinyproxy.address}: want a tunnel")


async def test_proxy_py_carries_tls_in_tls(
    proxy_py: Server, nginx: Nginx, trusting: TlsOptions
) -> None:
    recorder = Recorder()
    how: dict[str, Any] = {
        "url": f"https://{USER}:{PASSWORD}@localhost:{proxy_py.port}", "tls": trusting,
    }  # fmt: skip
    big = f"https://localhost:{nginx.tls_port}/big.txt"
    response = await fetch(big, trusting, recorder, **how)
    plain = await fetch(f"http://127.0.0.1:{nginx.port}/big.txt", trusting, **how)
    assert (response.version, plain.version) == ("2", "1.1")
    assert response.body.data == plain.body.data
    assert [phase.name for phase in recorder.phases] == [
        "resolve", "connect", "tls", "processing", "transfer",
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
async def test_dante_carries_plain_text_and_tls(
    dante: Server, nginx: Nginx, trusting: TlsOptions, scheme: str
) -> None:
    # Dante tries the first address of a name only, and that of localhost is of IPv6
    host = "127.0.0.1" if scheme == "socks5h" else "localhost"
    how = f"{scheme}://{dante.address}"
    for url in (f"http://{host}:{nginx.port}", f"https://{host}:{nginx.tls_port}"):
        assert (await fetch(f"{url}/hello.txt", trusting, url=how)).body.data == b"hello world\n"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://192.0.2.1/", Reason.UNREACHABLE),
        ("http://127.0.0.1:{closed}/", Reason.REFUSED),
    ],
)
async def test_dante_tells_why_it_does_not(
    dante: Server, trusting: TlsOptions, url: str, reason: Reason
) -> None:
    with pytest.raises(CheckFailed) as caught:
        await fetch(url.format(closed=free_port()), trusting, url=f"socks5://{dante.address}")
    assert (caught.value.reason, caught.value.phase) == (reason, "connect")
