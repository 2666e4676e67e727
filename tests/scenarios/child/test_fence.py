"""Packets of a load go where its fence lets them, whoever sends them."""

import json
import socket
import subprocess
import sys
import types
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from probes.journey.model import Part, Request
from probes.result import Reason
from probes.wire.failures import FAR_AWAY, has_route
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import parse_url
from scenarios.child.driver import LoadDriver
from scenarios.child.fence import MAX_REMEMBERED, Fenced, Guard, guard
from scenarios.child.resolver import Resolver
from scenarios.plan import Fences
from scenarios.rails.fences import Fence
from tests.faults.kept import OK, STAY, kept_server
from tests.scenarios.driving import in_thread

LOCAL = Fences(allow=("127.0.0.0/8", "shop.test"), deny=("127.6.6.6/32", "evil.shop.test"))


class Names:
    """A name server whose answers change."""

    def __init__(self, **ips: list[str]) -> None:
        self.ips = {name.replace("_", "."): them for name, them in ips.items()}
        self.asked: list[Any] = []

    def __call__(self, host: Any, port: Any, *args: Any, **options: Any) -> list[Any]:
        self.asked.append(host)
        if host not in self.ips:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port or 0)) for ip in self.ips[host]
        ]


class Unsent(socket.socket):
    """Notes whom it is to connect to, and connects to nobody."""

    dialled: list[Any]

    def connect(self, address: Any) -> None:
        self.dialled.append(address)

    def connect_ex(self, address: Any) -> int:
        self.dialled.append(address)
        return 0


@pytest.fixture
def fenced() -> Any:
    """A module like `socket`, guarded; ``names`` answers, ``dialled`` is what got through."""
    module: Any = types.ModuleType("like_socket")
    module.names = Names(shop_test=["10.1.2.3", "10.1.2.4"])
    module.getaddrinfo = module.names
    module.dialled = []
    module.socket = type("Unsent", (Unsent,), {"dialled": module.dialled})
    guard(Fence(LOCAL), module)
    return module


def dials(module: Any, family: int, address: Any, kind: int = socket.SOCK_STREAM) -> bool:
    """Tell whether a socket gets to *address*."""
    before = len(module.dialled)
    for name in ("connect", "connect_ex"):
        with module.socket(family, kind) as sock, suppress(Fenced):
            getattr(sock, name)(address)
    assert len(module.dialled) - before in (0, 2)
    return len(module.dialled) > before


@pytest.mark.parametrize(
    ("ip", "may"),
    [
        pytest.param("127.0.0.1", True, id="a network of the list"),
        pytest.param("127.6.6.6", False, id="denied inside of it"),
        pytest.param("10.1.2.3", False, id="nobody asked for it"),
        pytest.param("169.254.169.254", False, id="metadata"),
        pytest.param("::1", False, id="of another family"),
        pytest.param("::ffff:127.0.0.1", True, id="the same in IPv6"),
    ],
)
def test_an_address_is_judged_before_it_is_dialled(fenced: Any, ip: str, may: bool) -> None:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET

    assert dials(fenced, family, (ip, 80)) is may
    assert dials(fenced, family, (ip, 80), socket.SOCK_DGRAM) is may


def test_what_an_allowed_name_stands_for_may_be_dialled(fenced: Any) -> None:
    fenced.getaddrinfo("shop.test", 80)

    assert dials(fenced, socket.AF_INET, ("10.1.2.4", 80))
    assert not dials(fenced, socket.AF_INET, ("10.1.2.5", 80))


def test_a_name_off_the_list_is_not_even_asked_for(fenced: Any) -> None:
    """Target 5: no packet goes there."""
    for host in ("other.test", "evil.shop.test", b"other.test"):
        with pytest.raises(Fenced, match=r"want a host of safety\.targets, got"):
            fenced.getaddrinfo(host, 80)

    assert not fenced.names.asked


def test_a_name_that_moves_to_a_forbidden_address_is_left_there(fenced: Any) -> None:
    """Target 5: a name that resolves outside of the list later."""
    fenced.names.ips["shop.test"] = ["127.6.6.6", "10.9.9.9"]
    assert [it[4][0] for it in fenced.getaddrinfo("shop.test", 80)] == ["10.9.9.9"]

    fenced.names.ips["shop.test"] = ["169.254.169.254"]
    with pytest.raises(Fenced, match=r"want an address of 'shop\.test' within safety\.targets"):
        fenced.getaddrinfo("shop.test", 80)
    assert not dials(fenced, socket.AF_INET, ("169.254.169.254", 80))


def test_a_socket_that_is_given_a_name_asks_as_everybody_does(fenced: Any) -> None:
    """Rails 3: a socket that a locust file opens itself."""
    assert dials(fenced, socket.AF_INET, ("shop.test", 80))
    assert fenced.dialled == [("10.1.2.3", 80)] * 2
    assert not dials(fenced, socket.AF_INET, ("other.test", 80))


def test_no_unix_socket_is_dialled(fenced: Any) -> None:
    assert not dials(fenced, socket.AF_UNIX, "/run/docker.sock")
    assert not dials(fenced, socket.AF_UNIX, b"\0abstract")


def test_what_is_posted_without_a_connection_is_judged_too(fenced: Any) -> None:
    with (
        fenced.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard,
    ):
        heard.bind(("127.0.0.1", 0))
        heard.settimeout(5)
        sock.sendto(b"a", heard.getsockname())
        sock.sendto(b"b", 0, heard.getsockname())
        assert [heard.recv(9), heard.recv(9)] == [b"a", b"b"]
        for address in (("10.9.9.9", 53), ("other.test", 53), FAR_AWAY[4]):
            with pytest.raises(Fenced):
                sock.sendto(b"x", address)


def test_asking_the_kernel_for_a_route_sends_nothing(fenced: Any) -> None:
    assert dials(fenced, socket.AF_INET, FAR_AWAY[4], socket.SOCK_DGRAM)
    assert not dials(fenced, socket.AF_INET, FAR_AWAY[4])
    assert has_route(4) in (True, False)


def test_memory_is_bounded() -> None:
    made = Guard(Fence(LOCAL))
    ips = [f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(MAX_REMEMBERED + 1)]
    made.remember("shop.test", ips)

    made.judge_address(ips[-1])
    with pytest.raises(Fenced):
        made.judge_address(ips[0])


# --- the driver behind it


@pytest.mark.parametrize(
    ("hop", "reason"),
    [pytest.param(0, Reason.POLICY, id="asked"), pytest.param(1, Reason.BLOCKED, id="redirected")],
)
@pytest.mark.parametrize("host", ["other.test", "127.6.6.6"])
async def test_what_the_driver_tells(
    host: str, hop: int, reason: Reason, fenced: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", fenced.getaddrinfo)
    monkeypatch.setattr(socket, "socket", fenced.socket)
    driver = LoadDriver(TlsOptions(), Resolver())
    request = Request("a", "GET", parse_url(f"http://{host}/"), part=Part.STEPS, hop=hop)

    response = await in_thread(lambda: driver.fetch(request))

    assert response.failure is not None
    assert response.failure.reason is reason
    assert "within safety.targets, got" in response.failure.message
    assert not fenced.dialled


# --- and locust's own clients, in a child that is patched

CHILD = """
from gevent import monkey
monkey.patch_all()
import json, socket, sys
import gevent.socket
from geventhttpclient import HTTPClient
from scenarios.child.fence import Fenced, guard
from scenarios.plan import Fences
from scenarios.rails.fences import Fence

guard(Fence(Fences(("127.0.0.1/32", "localhost"))), socket, gevent.socket)

def ask(host, port):
    client = HTTPClient(host, port, connection_timeout=3, network_timeout=3)
    try:
        return client.get("/").status_code
    except Exception as error:
        return type(error).__name__
    finally:
        client.close()

port = int(sys.argv[1])
print(json.dumps([ask(host, port) for host in ("127.0.0.1", "localhost", "127.0.0.2", "a.test")]))
"""


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_client_of_locust_stands_behind_the_same_fence() -> None:
    async with kept_server([OK, STAY]) as server:

        def child() -> Any:
            line = [sys.executable, "-c", CHILD, str(server.port)]
            done = subprocess.run(line, capture_output=True, timeout=30, check=True)
            return json.loads(done.stdout)

        run: Callable[[], Any] = child
        assert await in_thread(run) == [200, 200, "Fenced", "Fenced"]
        assert server.connections == 2
