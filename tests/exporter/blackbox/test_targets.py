"""No spelling, redirect or answer of a name server leads to an address that is denied (8.3)."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from exporter.on_demand.asked import Asked
from exporter.on_demand.question import Question, Refused
from probes.config.load import Config, load
from probes.prober_health import ProberHealth
from probes.wire import net
from tests.faults.dns import dns_fault
from tests.faults.http import FaultServer, fault_server
from tests.faults.tcp import silent, tcp_fault
from tests.faults.unix import unix_fault
from tests.servers.process import free_port

FORBIDDEN = "127.0.0.66"
MODULES = """version: 1
modules:
  http: {kind: http}
  tcp: {kind: tcp}
  tls: {kind: tls}
  dns: {kind: dns, query_name: a.test, query_type: A}
  dns_tcp: {kind: dns, query_name: a.test, query_type: A, transport: tcp}
  grpc: {kind: grpc}
  grpc_url: {kind: grpc}
  grpc_tls: {kind: grpc, tls: true}
  websocket: {kind: websocket, follow_redirects: true}
  redis: {kind: redis}
  rediss: {kind: redis}
  postgres: {kind: postgres}
  jsonrpc: {kind: jsonrpc, calls: [{method: ping}]}
  udp: {kind: udp, send: hello}
  smtp: {kind: smtp}
  ssh: {kind: ssh}
  unix: {kind: unix}
"""
POLICY = "probe_policy: {{allow: [{{cidr: 127.0.0.0/8}}], deny: [{deny}]}}\n"
DENY = POLICY.format(deny=f"{{cidr: {FORBIDDEN}/32}}")
OPEN = POLICY.format(deny="{cidr: 10.0.0.0/8}")
# Of each kind that dials: how a target is written.
DIALS = {
    "http": "http://{host}:{port}/",
    "tcp": "{host}:{port}",
    "tls": "{host}:{port}",
    "dns": "{host}:{port}",
    "dns_tcp": "{host}:{port}",
    "grpc": "{host}:{port}",
    "grpc_url": "http://{host}:{port}",
    "grpc_tls": "http://{host}:{port}",
    "websocket": "ws://{host}:{port}/",
    "redis": "redis://{host}:{port}",
    "rediss": "rediss://{host}:{port}",
    "postgres": "postgresql://u@{host}:{port}/d",
    "jsonrpc": "http://{host}:{port}/",
    "udp": "{host}:{port}",
    "smtp": "{host}:{port}",
    "ssh": "{host}:{port}",
}
SPELLINGS = (
    "127.0.0.66", "127.0.0.66.", "127.66", "127.0.66", "2130706498", "0x7f000042",
    "0x7f.0.0.0x42", "0177.0.0.0102", "017700000102", "127.0.0.0102", "127.000.000.066",
    "[::ffff:127.0.0.66]", "[::ffff:7f00:42]", "[0:0:0:0:0:ffff:7f00:0042]", "[::127.0.0.66]",
    "[64:ff9b::7f00:42]", "[64:ff9b:1::7f00:42]", "[2002:7f00:42::]", "[::ffff:127.0.0.66%25lo]",
    "\uff11\uff12\uff17.\uff10.\uff10.\uff16\uff16", "127\u30020\u30020\u300266",
    "\u2460\u2461\u2466.0.0.66", "%31%32%37.0.0.66", "127.0.0.1@127.0.0.66", "forbidden.test",
    "FORBIDDEN.test.", "mapped.test",
    "\U0001d7cf\U0001d7d0\U0001d7d5.0.0.66", "\u0661\u0662\u0667.0.0.66", "127.0.0.66\xad",
    "127.0.0.66\u200b", "127.0.0.66%00", "127.0.0.66\uff0f", "::ffff:127.0.0.66",
    "[64:ff9b::7f00:42%25lo]", "[::ffff:0:127.0.0.66]", "[127.0.0.66]", "[::ffff:127.0.0.66]x",
    "\uff26orbidden\u3002test",
)  # fmt: skip
# Only a URL has a user.
TRICKS = (
    "127.0.0.1:80@127.0.0.66", "127.0.0.1\\@127.0.0.66", "127.0.0.1@x@127.0.0.66",
    "127.0.0.1%09@127.0.0.66", "127.0.0.66\t", "127.0.0.66\\.example",
    "127.0.0.1\uff20127.0.0.66", "127.0.0.1;@127.0.0.66", "@127.0.0.66", ":@127.0.0.66",
)  # fmt: skip


@dataclass
class Trap:
    """A listener that nobody may reach, on TCP and UDP."""

    port: int = 0
    hits: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    def hit(self) -> None:
        self.hits += 1
        self.reached.set()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, trap: Trap) -> None:
        self.trap = trap

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.trap.hit()


@pytest.fixture
async def trap() -> AsyncIterator[Trap]:
    trap, port = Trap(), free_port()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        trap.hit()
        writer.close()

    server = await asyncio.start_server(accept, FORBIDDEN, port)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(trap), local_addr=(FORBIDDEN, port)
    )
    trap.port = port
    yield trap
    transport.close()
    server.close()
    await asyncio.sleep(0)


@pytest.fixture
async def names() -> AsyncIterator[None]:
    """Ask the toy name server for names of this loop."""
    loop = asyncio.get_running_loop()
    async with dns_fault() as dns:
        net._resolvers[loop] = {(): net._Resolver(nameservers=[dns.server], loop=loop)}
        yield
        await net.close_resolvers()


@pytest.fixture
async def web() -> AsyncIterator[FaultServer]:
    async with fault_server() as server:
        yield server


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Awaitable[Config]]:
    def read(policy: str) -> Config:
        path = tmp_path / "probes.yaml"
        path.write_text(MODULES + policy)
        return load(path)

    return lambda policy: asyncio.to_thread(read, policy)


Read = Callable[[str], Awaitable[Config]]


async def outcome(
    config: Config, module: str, target: str, timeout_s: float = 0.3, controls: tuple[str, ...] = ()
) -> str:
    """Return the status of a refusal, or the reason of a run; ``up`` when it was none."""
    asked = Asked(ProberHealth(controls, net.reachable))
    try:
        question = Question(module=module, target=target, timeout=str(timeout_s + 0.5))
        page = (await asked.answer(config, question)).decode()
    except Refused as refused:
        return str(refused.status)
    finally:
        asked.close()
    _, found, rest = page.partition('reason="')
    return rest.partition('"')[0] if found else "up"


# What may stand for "nobody was asked": 400 a spelling that no parser should judge, 403 the policy.
REFUSALS = {"400", "403", "config", "dns_nxdomain", "dns_no_address", "dns_servfail", "policy"}


@pytest.mark.parametrize("module", DIALS)
async def test_the_trap_works(trap: Trap, names: None, config: Read, module: str) -> None:
    target = DIALS[module].format(host="forbidden.test", port=trap.port)

    await outcome(await config(OPEN), module, target)

    async with asyncio.timeout(5):
        await trap.reached.wait()


@pytest.mark.parametrize("module", DIALS)
async def test_no_spelling_reaches_what_is_denied(
    trap: Trap, names: None, config: Read, module: str
) -> None:
    loaded = await config(DENY)
    hosts = SPELLINGS + (TRICKS if "://" in DIALS[module] else ())
    targets = [DIALS[module].format(host=host, port=trap.port) for host in hosts]

    found = {target: await outcome(loaded, module, target) for target in targets}

    assert trap.hits == 0
    assert {target: it for target, it in found.items() if it not in REFUSALS} == {}


# Of each kind whose targets are URLs: the scheme that it speaks.
SCHEMES = {
    "http": "http", "grpc_url": "http", "grpc_tls": "https", "websocket": "ws", "redis": "redis",
    "rediss": "rediss", "postgres": "postgresql", "jsonrpc": "http",
}  # fmt: skip
ALL_SCHEMES = "http, https, ws, wss, redis, rediss, postgresql, postgres"


@pytest.mark.parametrize("host", [FORBIDDEN, "forbidden.test"], ids=["address", "name"])
@pytest.mark.parametrize("module", DIALS)
async def test_what_another_scheme_may_reach_stays_out_of_reach(
    trap: Trap, names: None, config: Read, module: str, host: str
) -> None:
    """The first entry lets any name be tried; where it leads is for the second one to say."""
    others = ALL_SCHEMES.replace(f"{SCHEMES.get(module)}, ", "")
    entry = f"{{cidr: 127.0.0.0/8, schemes: [{others}]}}"
    loaded = await config(f"probe_policy: {{allow: [{{host: '*'}}, {entry}]}}\n")

    found = await outcome(loaded, module, DIALS[module].format(host=host, port=trap.port))

    assert (found, trap.hits) == ("403", 0)


@pytest.mark.parametrize("module", SCHEMES)
async def test_its_own_scheme_opens_the_way(
    trap: Trap, names: None, config: Read, module: str
) -> None:
    written = DIALS[module].partition("://")[0]
    entry = f"{{cidr: 127.0.0.0/8, schemes: [{SCHEMES[module]}, {written}]}}"
    loaded = await config(f"probe_policy: {{allow: [{entry}]}}\n")

    await outcome(loaded, module, DIALS[module].format(host=FORBIDDEN, port=trap.port))

    async with asyncio.timeout(5):
        await trap.reached.wait()


async def test_a_websocket_is_not_led_to_a_place_of_another_scheme(
    trap: Trap, config: Read, web: FaultServer
) -> None:
    entries = (
        "{cidr: 127.0.0.1/32, schemes: [ws]}, "
        f"{{cidr: {FORBIDDEN}/32, schemes: [http, https, wss]}}"
    )
    loaded = await config(f"probe_policy: {{allow: [{entries}]}}\n")

    found = {
        scheme: await outcome(
            loaded,
            "websocket",
            web.url(f"/to/302?{scheme}://{FORBIDDEN}:{trap.port}/").replace("http", "ws", 1),
        )
        for scheme in ("ws", "http")
    }

    assert trap.hits == 0
    assert found == {"ws": "blocked", "http": "blocked"}


async def test_what_a_request_may_reach_does_not_bind_the_control_targets(config: Read) -> None:
    """Else whoever asks for a closed port makes every failure of the prober its own."""
    loaded = await config(f"probe_policy: {{allow: [{{cidr: {FORBIDDEN}/32}}]}}\n")

    async with tcp_fault(silent) as control:
        controls = (f"127.0.0.1:{control}",)
        found = await outcome(loaded, "tcp", f"{FORBIDDEN}:{free_port()}", controls=controls)

    assert found == "refused"


async def test_no_redirect_leads_there(
    trap: Trap, names: None, config: Read, web: FaultServer
) -> None:
    loaded = await config(DENY)
    places = [f"http://{host}:{trap.port}/" for host in (*SPELLINGS, *TRICKS)]
    others = [f"//{FORBIDDEN}:{trap.port}/", f"gopher://{FORBIDDEN}:{trap.port}/", "file:///etc/x"]

    found = {
        place: await outcome(loaded, "http", web.url(f"/to/302?{quote(place, safe='')}"))
        for place in (*places, *others)
    }

    assert trap.hits == 0
    allowed = {"blocked", "redirect", "protocol", "dns_nxdomain", "dns_no_address"}
    assert {place: it for place, it in found.items() if it not in allowed} == {}


@pytest.mark.parametrize("module", DIALS)
async def test_a_name_that_changes_its_address_is_judged_where_it_is_dialled(
    trap: Trap, names: None, config: Read, module: str
) -> None:
    loaded = await config(DENY)
    target = DIALS[module].format(host="rebind.test", port=trap.port)

    found = [await outcome(loaded, module, target) for _ in range(6)]

    assert trap.hits == 0
    # every other answer is the one that is denied
    assert found.count("403") >= 2


async def test_a_redirect_to_a_name_that_changes_is_judged_again(
    trap: Trap, names: None, config: Read
) -> None:
    loaded = await config(DENY)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", trap.port))
        faults = FaultServer()
        server = await asyncio.start_server(faults.serve, sock=listener)
        target = f"http://rebind.test:{trap.port}/loop"

        found = await outcome(loaded, "http", target)

        server.close()
        await faults.stop()
    assert trap.hits == 0
    assert found == "blocked"
    assert len(faults.paths) == 1


async def test_a_path_is_none_but_those_that_are_admitted(config: Read, tmp_path: Path) -> None:
    hits: list[bool] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hits.append(True)

    policy = f"probe_policy: {{allow: [{{unix: '{tmp_path}/ok-*.sock'}}]}}\n"
    loaded = await config(policy)
    denied = (
        f"{tmp_path}/no.sock", f"{tmp_path}/ok-/../no.sock", f"{tmp_path}/./no.sock",
        f"{tmp_path}//no.sock", f"{tmp_path}/ok-x.sock/../no.sock", "no.sock", "@no.sock",
        f"{tmp_path}/no.sock\0{tmp_path}/ok-1.sock", f"unix:{tmp_path}/no.sock",
    )  # fmt: skip
    async with (
        unix_fault(handle, f"{tmp_path}/no.sock"),
        unix_fault(handle, f"{tmp_path}/ok-1.sock"),
    ):
        refused = {path: await outcome(loaded, "unix", path) for path in denied}
        assert hits == []
        assert {path: it for path, it in refused.items() if it not in REFUSALS} == {}

        assert await outcome(loaded, "unix", f"{tmp_path}/ok-1.sock") == "up"
