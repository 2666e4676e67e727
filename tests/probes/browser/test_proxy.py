"""The one way out: every address judged at the dial, strangers turned away, limits kept."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest

from probes.browser import proxy
from probes.browser.owners import Owners
from probes.browser.proxy import Outlet
from probes.browser.socks import Reply
from probes.result import Reason
from probes.wire.net import close_resolvers
from probes.wire.policy import Policy, PolicyOptions, Rule
from probes.wire.url import parse_url
from tests.faults.dns import dns_fault
from tests.faults.tcp import closed_port, echoing, ending, flooding, tcp_fault
from tests.waiting import until

TRUSTED = Policy()
NO_LOOPBACK = Policy(deny=(Rule(cidr=ip_network("127.0.0.0/8")), Rule(cidr=ip_network("::1/128"))))


@pytest.fixture(autouse=True)
async def _no_resolver_left() -> AsyncIterator[None]:
    yield
    await close_resolvers()


@asynccontextmanager
async def outlet(
    policy: Policy | None = TRUSTED, first: str = "", **how: object
) -> AsyncIterator[tuple[Outlet, int]]:
    # *how* are keywords of its own, each of another type
    it = Outlet(policy, parse_url(first) if first else None, **how)  # type: ignore[arg-type]
    port = await it.open()
    try:
        yield it, port
    finally:
        await it.close()


@dataclass
class Tunnel:
    """What the browser's side of a connection sees."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    code: int

    def close(self) -> None:
        self.writer.close()

    async def say(self, data: bytes) -> bytes:
        self.writer.write(data)
        return await self.reader.readexactly(len(data))


async def tunnel(port: int, host: str, target: int, early: bytes = b"") -> Tunnel:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    name = host.encode()
    try:
        writer.write(b"\x05\x01\x00")
        assert await reader.readexactly(2) == b"\x05\x00"
        wanted = bytes((len(name),)) + name + target.to_bytes(2)
        writer.write(b"\x05\x01\x00\x03" + wanted + early)
        answer = await reader.readexactly(10)
    except BaseException:
        writer.transport.abort()
        raise
    return Tunnel(reader, writer, answer[1])


async def test_bytes_pass_both_ways_and_are_counted() -> None:
    async with tcp_fault(echoing) as target, outlet() as (it, port):
        with closing(await tunnel(port, "127.0.0.1", target)) as found:
            assert await found.say(b"hello") == b"hello"

    traffic = it.ledger.traffic["127.0.0.1", target]
    assert (found.code, traffic.connections, traffic.sent, traffic.received) == (0, 1, 5, 5)
    assert set(traffic.phases) == {"resolve", "connect"}
    assert (it.ledger.bytes, it.ledger.refused) == (10, {})


async def test_what_came_before_the_dial_was_over_is_not_lost() -> None:
    async with tcp_fault(echoing) as target, outlet() as (_, port):
        with closing(await tunnel(port, "127.0.0.1", target, b"early")) as found:
            assert await found.reader.readexactly(5) == b"early"


async def test_the_end_of_one_direction_leaves_the_other_open() -> None:
    async def last_word(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()

    async with tcp_fault(last_word) as target, outlet() as (_, port):
        with closing(await tunnel(port, "127.0.0.1", target)) as found:
            found.writer.write(b"all")
            found.writer.write_eof()
            assert await found.reader.read() == b"all"


async def test_a_target_that_speaks_first_and_leaves_is_heard_to_the_end() -> None:
    data = b"x" * 3_000_000
    async with tcp_fault(ending(data)) as target, outlet() as (_, port):
        with closing(await tunnel(port, "127.0.0.1", target)) as found:
            assert await found.reader.read(-1) == data


async def test_a_reader_that_is_slow_holds_the_target_back() -> None:
    async with tcp_fault(flooding(b"x" * 65536)) as target, outlet() as (it, port):
        with closing(await tunnel(port, "127.0.0.1", target)) as found:
            seen = -1
            # nobody reads: once all buffers are full nothing passes any more
            while it.ledger.bytes != seen or not seen:
                seen = it.ledger.bytes
                await asyncio.sleep(0.05)  # that nothing comes shows in time alone
            assert 0 < seen < 32 * 1024 * 1024
            found.writer.transport.abort()


# --- the policy


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[fd00:ec2::254]",
        "[64:ff9b::a9fe:a9fe]",
        "100.100.100.200",
        "168.63.129.16",
        "[fe80::1]",
    ],
)
async def test_metadata_is_out_of_reach_for_a_page_in_every_spelling(host: str) -> None:
    async with outlet(TRUSTED, "https://shop.example") as (it, port):
        with closing(await tunnel(port, host, 80)) as found:
            assert found.code == Reply.NOT_ALLOWED

    ((origin, failure),) = it.ledger.refused.items()
    shown = f"[{origin[0]}]" if ":" in origin[0] else origin[0]
    assert failure.reason is Reason.BLOCKED
    assert str(failure) == f"want a request within the target policy, got one to {shown}:80"


async def test_only_the_origin_of_the_journey_is_the_first_hop() -> None:
    async with (
        tcp_fault(echoing) as shop,
        tcp_fault(echoing) as other,
        outlet(NO_LOOPBACK, f"http://127.0.0.1:{shop}") as (it, port),
    ):
        with (
            closing(await tunnel(port, "127.0.0.1", shop)) as first,
            closing(await tunnel(port, "127.0.0.1", other)) as second,
            closing(await tunnel(port, "localhost", shop)) as third,
        ):
            assert (first.code, second.code, third.code) == (0, 2, 2)

    assert set(it.ledger.refused) == {("127.0.0.1", other), ("localhost", shop)}


async def test_a_target_from_outside_is_judged_at_the_first_hop_too() -> None:
    async with tcp_fault(echoing) as shop:
        policy = Policy(trusts_first=False, allow=())
        async with outlet(policy, f"http://127.0.0.1:{shop}") as (it, port):
            with closing(await tunnel(port, "127.0.0.1", shop)) as found:
                assert found.code == Reply.NOT_ALLOWED

    assert it.ledger.refused["127.0.0.1", shop].reason is Reason.POLICY


HOME = {"cidr": "127.0.0.0/8"}


@pytest.mark.parametrize(
    ("allow", "deny", "reached"),
    [
        pytest.param([], [], (True, True), id="any scheme"),
        pytest.param(["http"], [], (True, False), id="its own"),
        pytest.param(["https"], [], (False, False), id="another"),
        pytest.param([], ["https"], (True, False), id="another is denied"),
    ],
)
async def test_what_a_page_speaks_to_others_is_of_no_scheme_that_may_be_counted_on(
    allow: list[str], deny: list[str], reached: tuple[bool, bool]
) -> None:
    denied = [{**HOME, "schemes": deny}] if deny else []
    keys = {"allow": [{**HOME, "schemes": allow}], "deny": denied}
    policy = PolicyOptions.model_validate(keys).policy()
    async with (
        tcp_fault(echoing) as shop,
        tcp_fault(echoing) as other,
        outlet(policy, f"http://127.0.0.1:{shop}") as (_, port),
    ):
        tunnels = [await tunnel(port, "127.0.0.1", there) for there in (shop, other)]

        found = tuple(it.code == Reply.GRANTED for it in tunnels)

        for it in tunnels:
            it.close()
    assert found == reached


async def test_a_name_that_changes_its_mind_reaches_nobody_who_is_forbidden() -> None:
    """``flip`` answers with another address each time: the second one is not looked up again."""
    arrived: list[str] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(writer.get_extra_info("sockname")[0])
        writer.close()

    async with dns_fault() as dns, tcp_fault(note) as target:
        forbidden = Policy(deny=(Rule(cidr=ip_network("127.0.0.0/8")),))
        async with outlet(forbidden, servers=(dns.server,)) as (it, port):
            for _ in range(4):
                with closing(await tunnel(port, "flip.example", target)) as found:
                    assert found.code == Reply.NOT_ALLOWED

    assert arrived == []
    assert it.ledger.refused["flip.example", target].reason is Reason.BLOCKED


async def test_outside_of_a_run_nothing_goes_anywhere() -> None:
    async with tcp_fault(echoing) as target, outlet(None) as (it, port):
        with closing(await tunnel(port, "127.0.0.1", target)) as found:
            assert found.code == Reply.NOT_ALLOWED

    assert str(it.ledger.refused["127.0.0.1", target]) == (
        f"want no traffic outside of a run, got '127.0.0.1:{target}'"
    )


async def test_what_the_browser_asks_its_maker_is_not_passed_on() -> None:
    async with dns_fault() as dns, outlet(servers=(dns.server,)) as (it, port):
        with closing(await tunnel(port, "content-autofill.googleapis.com", 443)) as found:
            assert found.code == Reply.NOT_ALLOWED

    assert (dns.questions, it.ledger.refused, it.ledger.connections) == ([], {}, 0)


# --- what cannot be reached


async def test_a_refusal_and_a_name_without_an_address_are_told_apart() -> None:
    port_of_nobody = closed_port()
    async with dns_fault() as dns, outlet(servers=(dns.server,)) as (it, port):
        with (
            closing(await tunnel(port, "127.0.0.1", port_of_nobody)) as refused,
            closing(await tunnel(port, "nxdomain.example", 80)) as unknown,
        ):
            assert (refused.code, unknown.code) == (Reply.REFUSED, Reply.HOST_UNREACHABLE)

    assert [failure.reason for failure in it.ledger.refused.values()] == [
        Reason.REFUSED,
        Reason.DNS_NXDOMAIN,
    ]


@pytest.mark.parametrize("home", ["127.0.0.1", "::1"])
async def test_where_nobody_listens_the_other_family_is_tried_under_the_same_policy(
    home: str,
) -> None:
    """As browsers do: ``both`` has the two addresses of localhost."""
    arrived: list[str] = []

    def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(writer.get_extra_info("sockname")[0])
        writer.close()

    server = await asyncio.start_server(note, home, 0)
    there = server.sockets[0].getsockname()[1]
    forbidden = Policy(deny=(Rule(cidr=ip_network(home)),))
    async with server, dns_fault() as dns:
        async with outlet(servers=(dns.server,)) as (_, port):
            with closing(await tunnel(port, "both.example", there)) as found:
                assert found.code == Reply.GRANTED
        async with outlet(forbidden, servers=(dns.server,)) as (it, port):
            with closing(await tunnel(port, "both.example", there)) as found:
                assert found.code in (Reply.REFUSED, Reply.NOT_ALLOWED)

    assert arrived == [home]
    assert it.ledger.refused["both.example", there].reason in (Reason.REFUSED, Reason.BLOCKED)


async def test_a_dial_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.browser.proxy.DIAL_S", 0.1)
    async with dns_fault() as dns, outlet(servers=(dns.server,)) as (it, port):
        with closing(await tunnel(port, "silent.example", 80)) as found:
            assert found.code == Reply.HOST_UNREACHABLE

    failure = it.ledger.refused["silent.example", 80]
    assert (failure.reason, failure.phase) == (Reason.TIMEOUT, "resolve")
    assert str(failure) == "want a connection to silent.example:80 within 0.1 s, got none"


# --- who may come, and how much


async def test_another_user_of_the_machine_gets_nothing() -> None:
    async with outlet(owner=os.geteuid() + 1) as (it, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x05\x01\x00")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()

    assert (it.ledger.strangers, it.ledger.traffic, it.ledger.refused) == (1, {}, {})


async def test_when_the_kernel_does_not_tell_who_comes_the_prober_is_at_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(proxy, "Owners", partial(Owners, table=tmp_path / "none"))
    async with outlet() as (it, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x05\x01\x00")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()

    assert it.ledger.spent is not None
    assert it.ledger.spent.reason is Reason.RESOURCE
    assert it.ledger.strangers == 0


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        pytest.param(b"GET http://127.0.0.1/ HTTP/1.1\r\n\r\n", b"", id="a page that fetches it"),
        pytest.param(b"\x05\x01\x02", b"\x05\xff", id="another method"),
    ],
)
async def test_another_protocol_is_turned_away(said: bytes, heard: bytes) -> None:
    async with outlet() as (it, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        assert await reader.read() == heard
        writer.close()

    assert it.ledger.strangers == 1


async def test_who_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.browser.proxy.HANDSHAKE_S", 0.05)
    async with outlet() as (it, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()

    assert (it.ledger.strangers, it.ledger.connections) == (0, 0)


async def test_a_flood_before_anybody_is_known_is_cut() -> None:
    async with outlet(owner=os.geteuid()) as (it, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x05" * 10_000_000)
        await until(lambda: not it._clients)
        writer.transport.abort()

    assert it.ledger.traffic == {}


async def test_a_page_may_open_so_many_connections_and_no_more() -> None:
    async with tcp_fault(echoing) as target, outlet(max_connections=3) as (it, port):
        found = [await tunnel(port, "127.0.0.1", target) for _ in range(5)]
        for each in found:
            each.close()

    assert [each.code for each in found] == [0, 0, 0, 2, 2]
    assert str(it.ledger.spent) == "want at most 3 connections in a run, got more"


async def test_past_the_limit_of_bytes_everything_is_cut() -> None:
    async with (
        tcp_fault(flooding(b"x" * 65536)) as target,
        outlet(max_bytes=1024 * 1024) as (it, port),
    ):
        first = await tunnel(port, "127.0.0.1", target)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await first.reader.readexactly(64 * 1024 * 1024)
        second = await tunnel(port, "127.0.0.1", target)
        first.close()
        second.close()

    assert second.code == Reply.NOT_ALLOWED
    assert it.ledger.spent is not None
    assert it.ledger.spent.reason is Reason.TOO_LARGE
    assert str(it.ledger.spent) == "want at most 1MiB over the network in a run, got more"


async def test_closing_cuts_what_is_open_and_what_is_being_dialled() -> None:
    async with dns_fault() as dns, tcp_fault(echoing) as target:
        it = Outlet(TRUSTED, servers=(dns.server,))
        port = await it.open()
        open_one = await tunnel(port, "127.0.0.1", target)
        waiting = asyncio.create_task(tunnel(port, "silent.example", 80))
        await until(lambda: it.ledger.connections == 2)

        await it.close()
        await it.close()

        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await waiting
        assert await open_one.reader.read() == b""
        open_one.close()
    await until(lambda: not it._clients)
