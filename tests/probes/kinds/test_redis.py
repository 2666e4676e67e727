"""Kind redis: against a scripted server that always runs, and against a real one."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from probes.kinds.redis import Redis
from probes.result import Failure, Outcome, Reason, Result
from probes.wire.net import close_resolvers
from probes.wire.tls.settings import TlsOptions
from tests.faults.dns import dns_fault
from tests.faults.redis import HOSTILE, bulk, replying
from tests.faults.tcp import closing, dripping, tcp_fault
from tests.harness import Check, Law
from tests.servers.redis import Redis as Server

PONG = b"+PONG\r\n"
OK = b"+OK\r\n"
INFO = bulk(
    "# Server\r\nredis_version:7.2.4\r\nuptime_in_seconds:55\r\n"
    "# Clients\r\nconnected_clients:3\r\n"
    "# Memory\r\nused_memory:900\r\nmaxmemory:1000\r\n# Stats\r\nkeyspace_hits:7\r\n"
    "keyspace_misses:2\r\nevicted_keys:1\r\n# Replication\r\nrole:slave\r\n# Cluster\r\n"
    "cluster_enabled:0\r\n# Keyspace\r\ndb0:keys=4,expires=0,avg_ttl=0\r\ndb3:keys=2,expires=1\r\n"
)


def redis(**keys: Any) -> Redis:
    return Redis.model_validate(keys)


LAW = Law(
    kind=redis(),
    target="redis://{host}:{port}/0",
    secret=lambda canary: redis(
        password=canary, tls={"cert": "x", "key": canary}, username="probe"
    ),
    secret_target="redis://probe:{canary}@{host}:{port}/0",
)


def samples(result: Result) -> dict[str, float]:
    return {s.name: s.value for s in result.samples if s.name.startswith("redis_")}


def phases(result: Result) -> list[str]:
    return [phase.name for phase in result.phases]


async def test_ping_and_info_are_enough_to_be_up(check: Check) -> None:
    seen: list[list[bytes]] = []
    async with tcp_fault(replying(PONG, INFO, seen=seen)) as port:
        result = await check(redis(), f"redis://127.0.0.1:{port}")

    assert result.outcome is Outcome.UP, result.failure
    assert phases(result) == ["resolve", "connect", "ping", "info"]
    assert [words[0] for words in seen] == [b"PING", b"INFO"]
    assert samples(result) == {
        "redis_memory_used_bytes": 900, "redis_memory_max_bytes": 1000,
        "redis_memory_usage_ratio": 0.9, "redis_connected_clients": 3,
        "redis_keyspace_hits_total": 7, "redis_keyspace_misses_total": 2,
        "redis_evicted_keys_total": 1, "redis_keys": 6, "redis_uptime_seconds": 55,
    }  # fmt: skip
    assert result.facts["server"] == "Redis 7.2.4, replica"


async def test_what_the_server_does_not_tell_is_absent(check: Check) -> None:
    partial = bulk("redis_version:7\r\nused_memory:lots\r\nmaxmemory:0\r\nrole:master\r\n")
    async with tcp_fault(replying(PONG, partial)) as port:
        result = await check(redis(memory="50%"), f"redis://127.0.0.1:{port}")

    assert samples(result) == {}
    assert result.outcome is Outcome.DEGRADED
    assert result.warnings[0].message == "want a maxmemory to judge memory by, got none"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"expect": {"role": "master"}}, "want a master, got 'replica'"),
        ({"memory": "80%"}, "want memory in use <= 80%, got 90%"),
        ({"memory_used": "512B"}, "want memory in use <= 512B, got 900B"),
        ({"clients": 2}, "want connected clients <= 2, got 3"),
    ],
)
async def test_a_miss_in_info_is_a_wrong_value(
    keys: dict[str, Any], message: str, check: Check
) -> None:
    async with tcp_fault(replying(PONG, INFO)) as port:
        result = await check(redis(**keys), f"redis://127.0.0.1:{port}")

    assert result.failure is not None
    assert (result.failure.reason, result.failure.message) == (Reason.VALUE, message)


@pytest.mark.parametrize(
    ("wanted", "reply", "message"),
    [
        pytest.param("ready", bulk("ready"), None, id="text"),
        pytest.param({"gt": 40}, bulk("41"), None, id="number"),
        pytest.param({"exists": False}, b"$-1\r\n", None, id="absent"),
        pytest.param("ready", bulk("busy"), "'health': want 'ready', got 'busy'", id="other"),
        pytest.param({"gt": 40}, bulk("4"), "'health': want > 40, got '4'", id="too small"),
        pytest.param("ready", b"$-1\r\n", "'health': want 'ready', got nothing", id="no key"),
    ],
)
async def test_a_key_is_read_and_judged(
    wanted: Any, reply: bytes, message: str | None, check: Check
) -> None:
    kind = redis(get="health", expect={"value": wanted}, info=False)
    async with tcp_fault(replying(PONG, reply)) as port:
        result = await check(kind, f"redis://127.0.0.1:{port}")

    assert phases(result) == ["resolve", "connect", "ping", "get"]
    expected = Failure(Reason.VALUE, message, "get") if message else None
    assert result.failure == expected


async def test_login_and_database_are_phase_auth(check: Check) -> None:
    seen: list[list[bytes]] = []
    kind = redis(username="probe", password="pa:ss", info=False)
    async with tcp_fault(replying(OK, OK, PONG, seen=seen)) as port:
        result = await check(kind, f"redis://127.0.0.1:{port}/3")

    assert phases(result) == ["resolve", "connect", "auth", "ping"]
    assert seen == [[b"AUTH", b"probe", b"pa:ss"], [b"SELECT", b"3"], [b"PING"]]


@pytest.mark.parametrize(
    ("replies", "reason", "phase"),
    [
        pytest.param(
            [b"-WRONGPASS invalid username-password pair\r\n"], Reason.AUTH, "auth", id="wrong"
        ),
        pytest.param([OK, b"-NOPERM no access\r\n"], Reason.AUTH, "ping", id="no right"),
        pytest.param([OK, b"-NOAUTH Authentication required.\r\n"], Reason.AUTH, "ping", id="none"),
        pytest.param([OK, b"-LOADING Redis is loading\r\n"], Reason.STATUS, "ping", id="loading"),
        pytest.param([OK, b"-MASTERDOWN Link is down\r\n"], Reason.STATUS, "ping", id="no master"),
        pytest.param([b"-ERR max number of clients reached\r\n"], Reason.STATUS, "auth", id="full"),
    ],
)
async def test_an_error_of_the_server_keeps_its_meaning(
    replies: list[bytes], reason: Reason, phase: str, check: Check
) -> None:
    async with tcp_fault(replying(*replies)) as port:
        result = await check(redis(), f"redis://:secret-pw@127.0.0.1:{port}")

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (reason, phase)
    assert "secret-pw" not in result.failure.message


async def test_a_user_without_the_right_to_info_is_still_up(check: Check) -> None:
    denied = b"-NOPERM this user has no permissions to run the 'info' command\r\n"
    async with tcp_fault(replying(PONG, denied)) as port:
        result = await check(redis(), f"redis://127.0.0.1:{port}")

    assert result.outcome is Outcome.UP
    assert samples(result) == {}
    assert "NOPERM" in result.facts["info"] or "no permissions" in result.facts["info"]

    async with tcp_fault(replying(PONG, denied)) as port:
        judged = await check(redis(expect={"role": "master"}), f"redis://127.0.0.1:{port}")

    assert judged.failure is not None
    assert judged.failure.reason is Reason.AUTH


@pytest.mark.parametrize(("state", "value"), [("ok", 1.0), ("fail", 0.0)])
async def test_a_cluster_must_be_in_state_ok(state: str, value: float, check: Check) -> None:
    info = bulk("role:master\r\ncluster_enabled:1\r\n")
    cluster = bulk(f"cluster_state:{state}\r\ncluster_slots_ok:16384\r\n")
    async with tcp_fault(replying(PONG, info, cluster)) as port:
        result = await check(redis(), f"redis://127.0.0.1:{port}")

    assert samples(result)["redis_cluster_ok"] == value
    assert result.ok is (state == "ok")
    if result.failure:
        assert result.failure == Failure(
            Reason.STATUS, "want a cluster in state 'ok', got 'fail'", "info"
        )


@pytest.mark.parametrize("case", HOSTILE)
async def test_a_hostile_reply_is_capped_and_named(case: str, check: Check) -> None:
    """T53."""
    reply, reason = HOSTILE[case]
    async with tcp_fault(replying(reply)) as port:
        result = await check(redis(), f"redis://127.0.0.1:{port}", 2)

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (reason, "ping")


async def test_an_answer_that_drips_ends_at_the_deadline(check: Check) -> None:
    async with tcp_fault(dripping(b"+P" + b"O" * 200)) as port:
        result = await check(redis(), f"redis://127.0.0.1:{port}", 0.3)

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.TIMEOUT, "ping")


async def test_a_server_that_hangs_up_is_closed(check: Check) -> None:
    async with tcp_fault(closing) as port:
        result = await check(redis(), f"redis://127.0.0.1:{port}")

    assert result.failure is not None
    assert (result.failure.reason, result.failure.phase) == (Reason.CLOSED, "ping")


async def test_latency_is_judged_without_info(check: Check) -> None:
    async with tcp_fault(replying(PONG, INFO)) as port:
        result = await check(redis(expect={"latency": "1ms"}), f"redis://127.0.0.1:{port}")
        seconds = sum(phase.seconds for phase in result.phases if phase.name != "info")

    assert (result.failure is not None) == (seconds > 0.001)


@pytest.fixture
def trusting(certificates: Path) -> TlsOptions:
    """Options as the load of a probe file makes them: outside of the loop."""
    return TlsOptions(
        ca_file=str(certificates / "ca.pem"),
        cert_file=str(certificates / "client.pem"),
        key_file=str(certificates / "client.key"),
    )


async def test_tls_is_verified(
    server_context: ssl.SSLContext, trusting: TlsOptions, check: Check
) -> None:
    stranger = redis(ip=4, tls={"ca": trustme.CA().cert_pem.bytes().decode()})
    async with tcp_fault(replying(PONG), context=server_context) as port:
        good = await check(redis(tls=trusting, ip=4, info=False), f"rediss://localhost:{port}")
        bad = await check(stranger, f"rediss://localhost:{port}")

    assert good.outcome is Outcome.UP, good.failure
    assert phases(good) == ["resolve", "connect", "tls", "ping"]
    assert bad.failure is not None
    assert (bad.failure.reason, bad.failure.phase) == (Reason.CERTIFICATE_UNTRUSTED, "tls")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("localhost:6379", "want an address that begins with redis:// or rediss://, got"),
        ("redis://", "want a host in the address"),
        ("redis://a,b:1/0", "want one host, a probe each for several"),
        ("redis://h/x", "want a number of a database after the host, got 'x'"),
        ("redis://h/99999", "want a database from 0 to 16383, got '99999'"),
        ("redis://user@h", "want user:password@ or :password@, got a user alone"),
        ("redis://h?db=1", "want no options in the address, got 'db'"),
        ("redis://h:0", "want a port from 1 to 65535"),
        ("redis://:p%zz@h", "want %25 for a percent sign"),
    ],
)
def test_a_target_that_is_none_is_refused_at_load(target: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        redis().check_target(target)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"expect": {"value": 1}}, "want a key in get to expect a value of, got none"),
        ({"info": False, "memory": "9%"}, "want info: true to judge role, memory or clients"),
        ({"info": False, "expect": {"role": "master"}}, "want info: true to judge role"),
        ({"password": "x"}, "want a password in the target or in password, got both"),
    ],
)
def test_settings_that_contradict_are_refused_at_load(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        redis(**keys).check_target("redis://:pw@h/0")


def test_an_unknown_role_is_refused_at_load() -> None:
    with pytest.raises(ValidationError):
        redis(expect={"role": "slave"})


@pytest.mark.service
async def test_a_real_redis_is_up(redis_server: Server, check: Check) -> None:
    redis_server.command("SET", "health:ready", "1")

    result = await check(
        redis(get="health:ready", expect={"value": 1, "role": "master"}),
        f"redis://127.0.0.1:{redis_server.port}/0",
    )

    assert result.outcome is Outcome.UP, result.failure
    found = samples(result)
    assert found["redis_connected_clients"] >= 1
    assert found["redis_memory_used_bytes"] > 100_000
    assert found["redis_keys"] == 1
    assert "redis_memory_usage_ratio" not in found


@pytest.mark.service
@pytest.mark.parametrize(
    ("login", "reason"),
    [
        pytest.param("probe:pw-probe", None, id="may all it needs"),
        pytest.param("pinger:pw-pinger", None, id="may ping alone"),
        pytest.param("probe:wrong", Reason.AUTH, id="wrong password"),
        pytest.param("nobody:pw-probe", Reason.AUTH, id="no such user"),
    ],
)
async def test_a_real_redis_judges_logins(
    login: str, reason: Reason | None, redis_server: Server, check: Check
) -> None:
    result = await check(redis(), f"redis://{login}@127.0.0.1:{redis_server.port}/0")

    assert (result.failure.reason if result.failure else None) is reason
    assert ("redis_uptime_seconds" in samples(result)) is login.startswith("probe:pw")


@pytest.mark.service
async def test_a_real_redis_speaks_tls(
    redis_server: Server, trusting: TlsOptions, check: Check
) -> None:
    kind = redis(tls=trusting, ip=4, expect={"certificate": {"expires_in": "7d"}})

    result = await check(kind, f"rediss://localhost:{redis_server.tls_port}/0")
    plain = await check(kind, f"redis://127.0.0.1:{redis_server.tls_port}/0")

    assert result.outcome is Outcome.UP, result.failure
    assert {"connect", "tls", "ping"} <= set(phases(result))
    assert plain.failure is not None
    assert plain.failure.reason in (Reason.CLOSED, Reason.PROTOCOL)


async def test_a_run_comes_from_where_it_is_told_and_asks_whom_it_is_told(check: Check) -> None:
    peers: list[str] = []
    answers = replying(PONG)

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[0])
        await answers(reader, writer)

    async with dns_fault() as names, tcp_fault(note) as port:
        keys = {"ip": 4, "source": "127.0.0.9", "resolver": {"servers": [names.server]}}
        result = await check(redis(info=False, **keys), f"redis://one.test:{port}")
        await close_resolvers()

    assert result.outcome is Outcome.UP, result.failure
    assert (peers, set(names.questions)) == (["127.0.0.9"], {"one.test/1"})
