"""Names to addresses: each fault of a name server told apart, one address chosen."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import TypeAdapter

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.wire import net
from probes.wire.net import (
    Address,
    IpChoice,
    close_resolvers,
    reachable,
    resolve,
)
from tests.faults.dns import DnsFault, dns_fault
from tests.faults.tcp import (
    closed_port,
    closing,
    full_backlog,
    tcp_fault,
)
from tests.probes.wire.readings import phases, values

WAIT_S = 0.15


@pytest.fixture(autouse=True)
async def _no_resolver_left() -> AsyncIterator[None]:
    yield
    await close_resolvers()


async def ask(server: DnsFault, name: str, recorder: Recorder, ip: IpChoice = "any") -> Address:
    return await resolve(name, 80, recorder, ip=ip, servers=(server.server,))


@pytest.mark.parametrize(
    ("name", "reason", "message"),
    [
        pytest.param("nxdomain.test", "dns_nxdomain", "NXDOMAIN: no such name", id="NXDOMAIN"),
        pytest.param("servfail.test", "dns_servfail", "SERVFAIL", id="SERVFAIL"),
        pytest.param("refused.test", "dns_servfail", "REFUSED", id="REFUSED"),
        pytest.param("formerr.test", "dns_servfail", "FORMERR", id="FORMERR"),
        pytest.param("garbage.test", "dns_servfail", "an answer that cannot be read", id="garbage"),
        pytest.param(
            "empty.test", "dns_no_address", "an answer without any (NODATA)", id="no record"
        ),
        pytest.param(
            "loop.test", "dns_no_address", "an answer without any (NODATA)", id="CNAME loop"
        ),
    ],
)
async def test_each_fault_of_a_name_server_has_its_own_verdict(
    name: str, reason: str, message: str
) -> None:
    """T50, F11"""
    recorder = Recorder()

    async with dns_fault() as server:
        with pytest.raises(CheckFailed) as caught:
            await ask(server, name, recorder)

    assert caught.value.reason == reason
    assert caught.value.message == f"want an address of '{name}', got {message}"
    assert caught.value.phase == "resolve"
    assert values(recorder)["ip_protocol"] == values(recorder)["ip_addr_hash"] == 0
    assert values(recorder)["dns_lookup_time_seconds"] > 0
    assert phases(recorder) == [("resolve", False)]


@pytest.mark.parametrize("name", ["silent.test", "wrongid.test", "othername.test"])
async def test_a_silent_name_server_holds_the_run_until_its_deadline(name: str) -> None:
    """T50: an answer with a foreign id or for another name is none."""
    recorder = Recorder()

    async with dns_fault() as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                await ask(server, name, recorder)

    assert recorder.phase_name == "resolve"
    assert values(recorder)["dns_lookup_time_seconds"] >= WAIT_S * 0.9


async def test_a_slow_name_server_delays_no_other_name() -> None:
    """E5, F11, T50"""
    async with dns_fault() as server:
        held = asyncio.ensure_future(ask(server, "held.test", Recorder()))
        await server.asked.wait()
        for _ in range(20):
            assert (await ask(server, "one.test", Recorder())).ip == "127.0.0.1"
        assert not held.done()
        server.release.set()

        assert (await held).ip == "127.0.0.1"


async def test_no_name_server_at_all_is_our_own_network() -> None:
    with pytest.raises(CheckFailed) as caught:
        await resolve("a.test", 80, Recorder(), servers=(f"127.0.0.1:{closed_port()}",))

    assert caught.value.reason is Reason.NETWORK


@pytest.mark.parametrize(
    ("name", "ip", "expected"),
    [
        pytest.param("both.test", "4", "127.0.0.1", id="only 4"),
        pytest.param("both.test", "6", "::1", id="only 6"),
        pytest.param("both.test", "prefer_4", "127.0.0.1", id="4 first"),
        pytest.param("both.test", "prefer_6", "::1", id="6 first"),
        pytest.param("four.test", "prefer_6", "127.0.0.1", id="falls back to 4"),
        pytest.param("six.test", "prefer_4", "::1", id="falls back to 6"),
        pytest.param("six.test", "any", "::1", id="any"),
        pytest.param("alias.test", "4", "127.0.0.1", id="alias"),
    ],
)
async def test_one_address_of_the_wanted_family_is_chosen(
    name: str, ip: IpChoice, expected: str
) -> None:
    recorder = Recorder()

    async with dns_fault() as server:
        address = await ask(server, name, recorder, ip)

    assert (address.ip, address.host) == (expected, name)
    assert values(recorder)["ip_protocol"] == address.family == (6 if ":" in expected else 4)
    assert recorder.facts["address"] == address.literal


@pytest.mark.parametrize("name", ["four.test", "127.0.0.1"])
async def test_a_missing_family_is_a_verdict_about_the_name(name: str) -> None:
    async with dns_fault() as server:
        with pytest.raises(CheckFailed) as caught:
            await ask(server, name, Recorder(), "6")

    assert caught.value.reason is Reason.DNS_NO_ADDRESS


async def test_of_many_addresses_only_the_first_ones_count() -> None:
    """T50: 2,000 addresses come over TCP after a cut answer."""
    recorder = Recorder()

    async with dns_fault() as server:
        address = await ask(server, "big.test", recorder, "4")

    assert address.ip == "127.1.2.0"
    assert len(recorder.facts["other_addresses"].split(", ")) == 15


@pytest.mark.parametrize("ttl", [0, 3600])
async def test_every_run_asks_anew_whatever_the_ttl(ttl: int) -> None:
    """F11: a moved address is dialled at once, a dead name server noticed at once."""
    async with dns_fault(ttl) as server:
        found = [(await ask(server, "flip.test", Recorder(), "4")).ip for _ in range(3)]

    assert found == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


async def test_the_hosts_file_is_honoured() -> None:
    async with dns_fault() as server:
        address = await ask(server, "localhost", Recorder(), "4")

        assert address.ip == "127.0.0.1"
        assert not server.questions


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1", "fe80::1%lo"])
async def test_an_address_is_not_asked_for(ip: str) -> None:
    recorder = Recorder()

    async with dns_fault() as server:
        address = await ask(server, ip, recorder)

        assert not server.questions
    assert (address.ip, address.host) == (ip, ip)
    assert values(recorder)["dns_lookup_time_seconds"] == 0
    assert phases(recorder) == [("resolve", True)]


@pytest.mark.parametrize(
    ("ip", "number"),
    [pytest.param("127.0.0.1", 3668918509, id="v4"), pytest.param("::1", 1751717746, id="v6")],
)
async def test_the_hash_of_an_address_is_upstreams(ip: str, number: int) -> None:
    recorder = Recorder()

    await resolve(ip, 80, recorder)

    assert values(recorder)["ip_addr_hash"] == number


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "a..b", "a b"])
async def test_what_is_no_name_is_never_asked_for(host: str) -> None:
    async with dns_fault() as server:
        with pytest.raises(CheckFailed) as caught:
            await ask(server, host, Recorder())

        assert not server.questions
    assert caught.value.reason is Reason.CONFIG


async def test_a_later_hop_leaves_the_samples_of_the_first() -> None:
    recorder = Recorder()

    await resolve("127.0.0.1", 80, recorder)
    await resolve("::1", 80, recorder, hop=1)

    assert [s.value for s in recorder.samples if s.name == "ip_protocol"] == [4]
    assert recorder.facts["address"] == "[::1]:80"


async def test_a_cancelled_question_leaves_no_task() -> None:
    async with dns_fault() as server:
        before = asyncio.all_tasks()
        task = asyncio.ensure_future(ask(server, "silent.test", Recorder()))
        await server.asked.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        assert not [t for t in asyncio.all_tasks() - before if "probes" in repr(t)]


@pytest.mark.parametrize(
    ("spelling", "choice"),
    [
        pytest.param(4, "4", id="number"),
        pytest.param("ip6", "6", id="upstream"),
        pytest.param("prefer-ip4", "prefer_4", id="upstream with fallback"),
        pytest.param("any", "any", id="any"),
    ],
)
def test_a_family_may_be_written_in_several_ways(spelling: object, choice: str) -> None:
    assert TypeAdapter(IpChoice).validate_python(spelling) == choice


# --- the control targets


async def test_a_control_is_reachable_when_it_answers_or_refuses() -> None:
    async with tcp_fault(closing) as port:
        assert await reachable(f"127.0.0.1:{port}")
    assert await reachable(f"127.0.0.1:{closed_port()}")
    assert await reachable("localhost")


async def test_a_control_that_is_silent_is_not_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.wire.net.CONTROL_TIMEOUT_S", 0.05)

    async with full_backlog() as port:
        assert not await reachable(f"127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("fault", "answers"),
    [
        pytest.param("one", True, id="an address"),
        pytest.param("nxdomain", True, id="a denial"),
        pytest.param("empty", True, id="no address"),
        pytest.param("silent", False, id="silence"),
        pytest.param("wrongid", False, id="somebody else's answer"),
        pytest.param("othername", False, id="an answer to another question"),
        pytest.param("garbage", False, id="nonsense"),
        pytest.param("servfail", False, id="a failure of the name server"),
    ],
)
async def test_a_name_counts_when_its_name_server_says_anything_of_it(
    fault: str, answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probes.wire.net.CONTROL_TIMEOUT_S", 0.3 if answers else 0.05)
    loop = asyncio.get_running_loop()

    async with dns_fault() as dns:
        net._resolvers[loop] = {(): net._Resolver(nameservers=[dns.server], loop=loop)}
        found = await reachable(f"{fault}.test")
        await close_resolvers()

    assert (found, bool(dns.questions)) == (answers, True)


async def test_a_bare_address_counts_when_there_is_a_route(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.wire.net.has_route", lambda family: family == 4)

    assert await reachable("198.41.0.4")
    assert not await reachable("2001:503:ba3e::2:30")
