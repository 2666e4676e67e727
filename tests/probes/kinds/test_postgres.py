"""Kind postgres: against scripted servers that misbehave, and against a real one."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from probes.errors import CheckFailed
from probes.kinds.postgres import Postgres
from probes.probe import Probe
from probes.recorder import Recorder
from probes.result import Failure, Outcome, Reason, Result
from probes.run import run_once
from probes.wire.net import close_resolvers
from probes.wire.tls.settings import TlsOptions
from tests.faults.dns import dns_fault
from tests.faults.postgres import (
    CLEAR,
    KERBEROS,
    MD5,
    READY,
    SASL,
    VERSION,
    WELCOME,
    asks_for,
    error,
    message,
    sent,
    serving,
)
from tests.faults.tcp import closing, flooding, tcp_fault
from tests.harness import Check, Law
from tests.servers.postgres import Postgres as Server

WORD = "pw-of-the-probe"


def postgres(**keys: Any) -> Postgres:
    return Postgres.model_validate(keys)


LAW = Law(
    kind=postgres(),
    target="postgresql://probe@{host}:{port}/orders",
    secret=lambda canary: postgres(password=canary, tls={"cert": "x", "key": canary}),
    secret_target="postgresql://probe:{canary}@{host}:{port}/orders",
)


def told(result: Result) -> dict[str, float]:
    return {s.name: s.value for s in result.samples if s.name.startswith("db_")}


def states(result: Result) -> dict[str, float]:
    found = (s for s in result.samples if s.name == "db_connections")
    return {dict(s.labels)["state"]: s.value for s in found}


def phases(result: Result) -> list[str]:
    return [phase.name for phase in result.phases]


def seen_as(result: Result) -> tuple[Reason, str | None] | None:
    return (result.failure.reason, result.failure.phase) if result.failure else None


# ---- servers that misbehave


@pytest.mark.parametrize(
    ("request_", "login", "wanted"),
    [
        pytest.param(CLEAR, "md5", "got a server that asks for the password in clear text", id="a"),
        pytest.param(CLEAR, "scram", "got a server that asks for the password in clear", id="b"),
        pytest.param(MD5, "scram", "got a server that asks for an MD5 of the password", id="c"),
        pytest.param(WELCOME, "scram", "got a server that asks for no password at all", id="d"),
        pytest.param(KERBEROS, "md5", "got one that asks for method 2", id="e"),
    ],
)
async def test_a_rogue_server_does_not_get_the_password(
    request_: bytes, login: str, wanted: str, check: Check
) -> None:
    """T54: a downgrade of the login is down, and nothing is sent."""
    seen: list[bytes] = []
    async with tcp_fault(serving(request_, seen=seen)) as port:
        result = await check(
            postgres(password=WORD, login=login), f"postgresql://u@127.0.0.1:{port}/d"
        )

    assert seen_as(result) == (Reason.AUTH, "auth")
    assert result.failure is not None
    assert wanted in result.failure.message
    assert sent(seen) == b""


async def test_clear_text_goes_out_only_where_it_is_configured(check: Check) -> None:
    seen: list[bytes] = []
    denied = error("28P01", "password authentication failed")
    async with tcp_fault(serving(CLEAR, denied, seen=seen, closes=True)) as port:
        result = await check(
            postgres(password=WORD, login="clear"), f"postgresql://u@127.0.0.1:{port}/d"
        )

    assert seen_as(result) == (Reason.AUTH, "auth")
    assert WORD.encode() in sent(seen)


async def test_endless_hashing_is_refused(check: Check) -> None:
    """P13: the driver hashes on the loop."""
    rounds = asks_for(11, b"r=abc,s=c2FsdA==,i=2000000000")
    async with tcp_fault(serving(SASL, rounds)) as port:
        result = await check(postgres(password=WORD), f"postgresql://u@127.0.0.1:{port}/d")

    assert result.failure == Failure(
        Reason.TOO_LARGE, "want at most 20000 rounds of SCRAM, got 2000000000", "auth"
    )


@pytest.mark.parametrize(
    ("sqlstate", "reason"),
    [
        ("28P01", Reason.AUTH),
        ("28000", Reason.AUTH),
        ("3D000", Reason.STATUS),
        ("53300", Reason.STATUS),
        ("57P03", Reason.STATUS),
        ("XX000", Reason.STATUS),
        ("08P01", Reason.PROTOCOL),
    ],
)
async def test_the_sqlstate_of_a_refused_login_tells_why(
    sqlstate: str, reason: Reason, check: Check
) -> None:
    async with tcp_fault(serving(error(sqlstate, "no, thanks"), closes=True)) as port:
        result = await check(postgres(), f"postgresql://u@127.0.0.1:{port}/d")

    assert seen_as(result) == (reason, "auth")
    assert result.failure is not None
    assert f"got {sqlstate}: 'no, thanks'" in result.failure.message


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", Reason.PROTOCOL, id="web server"),
        pytest.param(b"R\xff\xff\xff\xff", Reason.PROTOCOL, id="4 GiB"),
        pytest.param(b"R\x00\x00\x00\x00", Reason.PROTOCOL, id="no size"),
        pytest.param(b"T\x00\x00\x00\x06\x00\x00", Reason.PROTOCOL, id="rows before login"),
        pytest.param(message(b"R", b""), Reason.AUTH, id="no method"),
    ],
)
async def test_what_is_no_postgresql_is_named_so(
    answer: bytes, reason: Reason, check: Check
) -> None:
    async with tcp_fault(serving(answer)) as port:
        result = await check(postgres(), f"postgresql://u@127.0.0.1:{port}/d")

    assert seen_as(result) == (reason, "auth")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(message(b"T", b"\x00\x05junk"), id="broken description"),
        pytest.param(message(b"D", b"\xff\xff"), id="rows out of the blue"),
        pytest.param(message(b"E", b""), id="empty error"),
        pytest.param(message(b"?", b"what"), id="unknown message"),
        pytest.param(message(b"Z", b""), id="ready without state"),
        pytest.param(message(b"C", b"\xff\xfe"), id="tag that is no text"),
        pytest.param(message(b"1") * 3 + message(b"t", b"\x7f\xff"), id="parameters of nothing"),
    ],
)
async def test_garbage_behind_a_good_login_is_down(answer: bytes, check: Check) -> None:
    welcome = WELCOME + VERSION + READY
    async with tcp_fault(serving(welcome, answer, answer, answer)) as port:
        result = await check(postgres(), f"postgresql://u@127.0.0.1:{port}/d", 0.4)

    assert result.outcome is Outcome.DOWN
    assert result.failure is not None
    assert result.failure.phase == "query"


async def test_an_endless_answer_is_too_large(check: Check) -> None:
    """T55, P13."""
    notice = message(b"N", b"SNOTICE\0C00000\0Mhello\0\0") * 1000
    async with tcp_fault(serving(WELCOME + VERSION + READY, notice * 200)) as port:
        result = await check(postgres(), f"postgresql://u@127.0.0.1:{port}/d")

    assert result.failure == Failure(
        Reason.TOO_LARGE, "want at most 4194304 bytes of answers, got more", "query"
    )


async def test_messages_out_of_order_do_not_break_the_loop(
    check: Check, caplog: pytest.LogCaptureFixture
) -> None:
    async with tcp_fault(flooding(WELCOME + VERSION + READY)) as port:
        result = await check(postgres(), f"postgresql://u@127.0.0.1:{port}/d")

    assert result.failure is not None
    assert result.failure.reason in (Reason.PROTOCOL, Reason.TOO_LARGE)
    assert "Fatal error" not in caplog.text


async def test_a_server_that_hangs_up_is_closed(check: Check) -> None:
    async with tcp_fault(closing) as port:
        result = await check(postgres(), f"postgresql://u@127.0.0.1:{port}/d")

    assert seen_as(result) == (Reason.CLOSED, "auth")


@pytest.mark.parametrize(
    ("steps", "phase"),
    [
        pytest.param([], "auth", id="before the login"),
        pytest.param([SASL], "auth", id="in the login"),
        pytest.param([WELCOME + VERSION + READY], "query", id="in the query"),
    ],
)
async def test_a_server_that_hangs_is_a_timeout_where_it_hangs(
    steps: list[bytes], phase: str, check: Check
) -> None:
    """F20."""
    before = asyncio.all_tasks()
    async with tcp_fault(serving(*steps)) as port:
        result = await check(postgres(password=WORD), f"postgresql://u@127.0.0.1:{port}/d", 0.3)
    await asyncio.sleep(0)

    assert seen_as(result) == (Reason.TIMEOUT, phase)
    assert {t for t in asyncio.all_tasks() - before if not t.done()} == set()


# ---- TLS


@pytest.mark.parametrize(
    ("mode", "answer", "reason"),
    [
        pytest.param("require", b"N", Reason.TLS, id="refused"),
        pytest.param("verify-full", b"N", Reason.TLS, id="refused to who verifies"),
        pytest.param("prefer", b"E", Reason.PROTOCOL, id="error"),
        pytest.param("require", b"X", Reason.PROTOCOL, id="nonsense"),
        pytest.param("require", b"SS", Reason.PROTOCOL, id="bytes behind the yes"),
        pytest.param("require", b"S", Reason.TLS, id="yes and then no TLS"),
    ],
)
async def test_a_server_that_breaks_the_question_for_tls_is_down(
    mode: str, answer: bytes, reason: Reason, check: Check
) -> None:
    seen: list[bytes] = []
    handler = serving(WELCOME, tls=answer, seen=seen)
    if answer == b"S":
        handler = serving(tls=b"S" + b"", seen=seen)
    async with tcp_fault(handler) as port:
        kind = postgres(password=WORD)
        result = await check(kind, f"postgresql://u@127.0.0.1:{port}/d?sslmode={mode}", 0.5)

    assert result.failure is not None
    assert result.failure.phase == "tls"
    assert result.failure.reason in (reason, Reason.TIMEOUT)
    assert WORD.encode() not in sent(seen)


@pytest.mark.parametrize(
    ("options", "host", "is_asked"),
    [
        pytest.param("", "127.0.0.1", False, id="loopback"),
        pytest.param("", "localhost", False, id="localhost"),
        pytest.param("?sslmode=prefer", "127.0.0.1", True, id="told to"),
    ],
)
async def test_plain_text_is_never_a_silent_downgrade(
    options: str, host: str, is_asked: bool, check: Check
) -> None:
    denied = error("28P01", "no")
    async with tcp_fault(serving(denied, closes=True)) as port:
        result = await check(postgres(ip=4), f"postgresql://u@{host}:{port}/d{options}")

    assert ("tls" in phases(result)) is is_asked
    assert seen_as(result) == (Reason.AUTH, "auth")


# ---- the probe file


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("mysql://u@h/d", "want an address that begins with postgresql:// or postgres://, got"),
        ("postgresql://h/d", "want a user as in postgresql://user@host/database, got none"),
        ("postgresql://u@/d", "want a host in the address"),
        ("postgresql://u@a,b/d", "want one host, a probe each for several"),
        ("postgresql://u@h/d?sslmode=on", "want sslmode disable, prefer, require, verify-ca,"),
        ("postgresql://u@h/d?ssl_mode=x", "want an option of sslmode, application_name,"),
        ("postgresql://u@h/d?sslmode=require&sslmode=x", "want each option once"),
        ("postgresql://u@h:99999/d", "want a port from 1 to 65535"),
        ("postgresql://u@h/a b", "want an address without spaces"),
        ("postgresql://u:%ff@h/d", "want UTF-8 in the address"),
    ],
)
def test_a_target_that_is_none_is_refused_at_load(target: str, text: str) -> None:
    with pytest.raises(ValueError, match=rf"^{text}"):
        postgres().check_target(target)


def test_a_password_is_given_once() -> None:
    with pytest.raises(ValueError, match=r"^want a password in the target or in password"):
        postgres(password="x").check_target("postgresql://u:y@h/d")


def test_an_empty_query_is_refused_at_load() -> None:
    with pytest.raises(ValueError, match="want an SQL statement, got an empty query"):
        postgres(query=" ; ")


# ---- a real server


@pytest.fixture
def root(certificates: Path) -> str:
    return str(certificates / "ca.pem")


@pytest.mark.service
async def test_a_real_server_answers_a_query(postgres_server: Server, check: Check) -> None:
    kind = postgres(
        query="SELECT id, state, 1.5::numeric AS price, now() AS at FROM orders ORDER BY id",
        expect={
            "rows": 100, "value": {"lt": 2}, "role": "primary", "latency": "5s",
            "columns": {"state": "paid", "price": 1.5, "at": {"is": "iso_date"}},
        },
    )  # fmt: skip

    result = await check(kind, postgres_server.dsn("scram", password="pw-scram"))

    assert result.outcome is Outcome.UP, result.failure
    assert phases(result) == ["resolve", "connect", "auth", "query"]
    assert result.facts["login"] == "scram"
    assert result.facts["server"].startswith("PostgreSQL ")
    assert result.facts["rows"] == "100"


@pytest.mark.service
@pytest.mark.parametrize(
    ("user", "password", "login", "reason"),
    [
        ("postgres", None, "md5", None),
        ("scram", "pw-scram", "scram", None),
        ("md5", "pw-md5", "md5", None),
        ("md5", "pw-md5", "scram", Reason.AUTH),
        ("clear", "pw-clear", "clear", None),
        ("clear", "pw-clear", "md5", Reason.AUTH),
        ("scram", "wrong", "md5", Reason.AUTH),
        ("nobody", "x", "md5", Reason.AUTH),
        ("tlsonly", "pw-tlsonly", "md5", Reason.AUTH),
    ],
)
async def test_a_real_server_judges_logins(
    user: str, password: str | None, login: str, reason: Reason | None,
    postgres_server: Server, check: Check,
) -> None:  # fmt: skip
    result = await check(postgres(login=login), postgres_server.dsn(user, password=password))

    assert seen_as(result) == ((reason, "auth") if reason else None)


@pytest.mark.service
@pytest.mark.parametrize(
    ("query", "reason", "text"),
    [
        ("DROP TABLE orders", Reason.CONFIG, "want a query that only reads, got 25006"),
        ("SELEC 1", Reason.CONFIG, "want a query that only reads, got 42601"),
        ("SELECT * FROM nowhere", Reason.STATUS, "want an answer without error, got 42P01"),
        ("SELECT * FROM secrets", Reason.AUTH, "want access, got 42501"),
        ("SELECT 1; DELETE FROM orders", Reason.CONFIG, "got 42601"),
        ("SELECT 1/0", Reason.STATUS, "got 22012"),
    ],
)
async def test_a_query_that_fails_says_why(
    query: str, reason: Reason, text: str, postgres_server: Server, check: Check
) -> None:
    """T55."""
    dsn = postgres_server.dsn("scram", password="pw-scram")

    result = await check(postgres(query=query), dsn, unknown=True)

    assert seen_as(result) == (reason, "query")
    assert result.failure is not None
    assert text in result.failure.message


@pytest.mark.service
@pytest.mark.parametrize(
    ("keys", "outcome", "text"),
    [
        ({"expect": {"rows": {"lt": 5}}}, Outcome.DOWN, "rows: want < 5, got 100"),
        ({"expect": {"value": 2}}, Outcome.DOWN, "value: want 2, got 1"),
        ({"expect": {"columns": {"nope": 1}}}, Outcome.DOWN, "nope: want 1, got nothing"),
        ({"expect": {"role": "replica"}}, Outcome.DOWN, "want a replica, got a primary"),
        ({"warn": {"value": 2}}, Outcome.DEGRADED, "value: want 2, got 1"),
    ],
)
async def test_a_miss_is_told(
    keys: dict[str, Any], outcome: Outcome, text: str, postgres_server: Server, check: Check
) -> None:
    kind = postgres(query="SELECT * FROM orders ORDER BY id", **keys)

    result = await check(kind, postgres_server.dsn("scram", password="pw-scram"))

    assert result.outcome is outcome
    assert result.cause == Failure(Reason.VALUE, text, "query")


@pytest.mark.service
async def test_a_lock_ends_by_the_statement_timeout(postgres_server: Server, check: Check) -> None:
    """F21: the server gives up before the deadline, so its words reach the Result."""
    dsn = postgres_server.dsn("scram", password="pw-scram")

    result = await check(postgres(query="SELECT pg_sleep(30)"), dsn, 0.6)

    assert seen_as(result) == (Reason.TIMEOUT, "query")
    assert result.failure is not None
    assert "57014" in result.failure.message
    assert result.seconds < 0.6


@pytest.mark.service
async def test_numbers_about_the_server(postgres_server: Server, check: Check) -> None:
    kind = postgres(stats=True, connections={"warn": "99%"}, slow_statements=1000)

    result = await check(kind, postgres_server.dsn("postgres"))

    found = told(result)
    assert result.outcome is Outcome.UP, result.failure
    assert found["db_connections_max"] == 40
    assert 0 < found["db_connections_usage_ratio"] <= 1
    assert found["db_size_bytes"] > 1_000_000
    assert found["db_read_only"] == 0
    assert "db_longest_transaction_seconds" in found
    assert "db_slow_statements" in found
    assert "db_replication_lag_seconds" not in found
    assert set(states(result)) == {"active", "idle", "idle_in_transaction", "waiting"}


async def run(kind: Postgres, dsn: str) -> Result:
    """Run without counting tasks, as the fixture does: another run is under way."""
    return await run_once(Probe(name="other", kind=kind, target=dsn, timeout_s=5))


@pytest.mark.service
async def test_sessions_are_counted_by_state(postgres_server: Server) -> None:
    dsn = postgres_server.dsn("postgres")
    sleeper = asyncio.get_running_loop().create_task(
        run(postgres(query="SELECT pg_sleep(0.5)"), dsn)
    )
    kind = postgres(stats=True, longest_transaction="1ms")

    result = await run(kind, dsn)
    while states(result)["active"] == 0 and not sleeper.done():
        result = await run(kind, dsn)

    assert states(result)["active"] == 1
    assert result.failure is not None
    assert result.failure.message.startswith("want the longest transaction <= 1ms, got ")
    assert (await sleeper).outcome is Outcome.UP


@pytest.mark.service
async def test_what_a_plain_user_may_not_see_is_absent(postgres_server: Server) -> None:
    """metrics.md 4.9: absent, never 0."""
    sleeper = asyncio.get_running_loop().create_task(
        run(postgres(query="SELECT pg_sleep(0.5)"), postgres_server.dsn("postgres"))
    )
    dsn = postgres_server.dsn("scram", password="pw-scram")

    found = told(await run(postgres(stats=True), dsn))
    while "db_connections" in found and not sleeper.done():
        found = told(await run(postgres(stats=True), dsn))

    assert "db_connections" not in found
    assert "db_longest_transaction_seconds" not in found
    assert found["db_connections_usage_ratio"] > 0
    assert (await sleeper).outcome is Outcome.UP


@pytest.mark.service
@pytest.mark.parametrize(
    ("mode", "host", "reason"),
    [
        ("require", "127.0.0.1", None),
        ("verify-ca", "127.0.0.1", None),
        ("verify-full", "localhost", None),
        ("verify-full", "127.0.0.1", None),
    ],
)
async def test_a_real_server_over_tls(
    mode: str, host: str, reason: Reason | None, root: str, postgres_server: Server, check: Check
) -> None:
    dsn = f"postgresql://tlsonly:pw-tlsonly@{host}:{postgres_server.port}/postgres"

    result = await check(postgres(ip=4), f"{dsn}?sslmode={mode}&sslrootcert={root}")

    assert result.outcome is Outcome.UP, result.failure
    assert phases(result) == ["resolve", "connect", "tls", "auth", "query"]
    verified = next(s.value for s in result.samples if s.name == "probe_tls_verified")
    assert verified == 1


@pytest.mark.service
async def test_a_certificate_that_is_not_trusted_is_named(
    postgres_server: Server, ca: trustme.CA, check: Check
) -> None:
    dsn = f"postgresql://tlsonly:pw-tlsonly@localhost:{postgres_server.port}/postgres"
    strange = {"ca": trustme.CA().cert_pem.bytes().decode()}
    known = {"ca": ca.cert_pem.bytes().decode(), "server_name": "db.example"}

    untrusted = await check(postgres(tls=strange, ip=4), dsn)
    misnamed = await check(postgres(tls=known, ip=4), dsn)
    chain_only = await check(postgres(tls=known, ip=4), f"{dsn}?sslmode=verify-ca")
    anything = await check(postgres(ip=4), f"{dsn}?sslmode=require")

    assert seen_as(untrusted) == (Reason.CERTIFICATE_UNTRUSTED, "tls")
    assert seen_as(misnamed) == (Reason.CERTIFICATE_NAME, "tls")
    assert chain_only.outcome is Outcome.UP, chain_only.failure
    assert anything.outcome is Outcome.UP, anything.failure


@pytest.mark.service
async def test_the_certificate_of_a_real_server_is_judged(
    postgres_server: Server, ca: trustme.CA, check: Check
) -> None:
    options = TlsOptions(ca=ca.cert_pem.bytes().decode())
    dsn = f"postgresql://tlsonly:pw-tlsonly@localhost:{postgres_server.port}/postgres"
    kind = postgres(tls=options, ip=4, expect={"certificate": {"expires_in": {"fail": "7d"}}})

    result = await check(kind, dsn)

    assert result.outcome is Outcome.UP, result.failure
    assert result.facts["tls"].startswith("TLS 1.3")


@pytest.mark.service
async def test_no_session_is_left_behind(postgres_server: Server, check: Check) -> None:
    dsn = postgres_server.dsn("scram", password="pw-scram")
    await check(postgres(), dsn)
    await check(postgres(query="SELECT 1/0"), dsn)

    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sonde'"
    left = "1"
    async with asyncio.timeout(2):
        while left != "0":
            left = await asyncio.get_running_loop().run_in_executor(
                None, postgres_server.sql, count
            )

    assert "unexpected EOF" not in postgres_server.log()


def test_a_kind_that_was_used_equals_one_that_was_not(ca_file: Path) -> None:
    """P8: a reload keeps the run in flight of an unchanged probe."""
    used, new = (Postgres.model_validate({"tls": {"ca_file": str(ca_file)}}) for _ in range(2))

    used.prepare("postgresql://u@db.example/d")

    assert used == new
    assert used._trusts


@pytest.mark.service
@pytest.mark.parametrize("as_option", [False, True], ids=["tls.ca_file", "sslrootcert"])
async def test_authorities_are_read_anew_when_their_file_changes(
    postgres_server: Server, ca: trustme.CA, tmp_path: Path, check: Check, as_option: bool
) -> None:
    own = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(own)
    dsn = f"postgresql://tlsonly:pw-tlsonly@localhost:{postgres_server.port}/postgres"
    dsn += f"?sslmode=verify-full{f'&sslrootcert={own}' if as_option else ''}"
    kind = postgres(ip=4, **({} if as_option else {"tls": TlsOptions(ca_file=str(own))}))
    assert seen_as(await check(kind, dsn)) == (Reason.CERTIFICATE_UNTRUSTED, "tls")

    ca.cert_pem.write_to_path(own)
    for trust, _ in kind._trusts.values():
        trust._looked.clear()  # a second later
    assert (await check(kind, dsn)).outcome is Outcome.UP


async def test_a_run_comes_from_where_it_is_told_and_asks_whom_it_is_told(check: Check) -> None:
    peers: list[str] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[0])

    async with dns_fault() as names, tcp_fault(note) as port:
        kind = postgres(ip=4, source="127.0.0.9", resolver={"servers": [names.server]})
        result = await check(kind, f"postgresql://u@one.test:{port}/d?sslmode=disable")
        await close_resolvers()

    assert seen_as(result) == (Reason.CLOSED, "auth")
    assert (peers, set(names.questions)) == (["127.0.0.9"], {"one.test/1"})


# ---- a query of a journey


async def rows_of(
    server: Server, query: str, *parameters: Any, max_rows: int = 10
) -> tuple[Mapping[str, Any], ...]:
    recorder = Recorder(asyncio.get_running_loop().time() + 5)
    dsn = server.dsn("scram", password="pw-scram")
    return await postgres().rows(dsn, query, parameters, recorder, max_rows=max_rows)


@pytest.mark.service
async def test_rows_come_as_json_and_parameters_are_no_text(postgres_server: Server) -> None:
    query = "SELECT $1::text AS who, id, 1.5::numeric AS price FROM orders ORDER BY id LIMIT 2"

    rows = await rows_of(postgres_server, query, "x' OR 1=1 --")

    assert rows == (
        {"who": "x' OR 1=1 --", "id": 1, "price": 1.5},
        {"who": "x' OR 1=1 --", "id": 2, "price": 1.5},
    )
    assert await rows_of(postgres_server, "SELECT 1 WHERE false") == ()


@pytest.mark.service
@pytest.mark.parametrize(
    ("query", "reason", "text"),
    [
        pytest.param("SELECT * FROM orders", Reason.TOO_LARGE, "want 10 rows or less", id="many"),
        pytest.param("DELETE FROM orders", Reason.CONFIG, "got 25006", id="writes"),
        pytest.param("SELECT $1::int", Reason.CONFIG, "parameter", id="no parameter"),
        pytest.param("SELECT 1; SELECT 2", Reason.CONFIG, "got 42601", id="two"),
    ],
)
async def test_a_query_of_a_journey_that_fails_says_why(
    query: str, reason: Reason, text: str, postgres_server: Server
) -> None:
    with pytest.raises(CheckFailed, match=text) as caught:
        await rows_of(postgres_server, query)

    assert (caught.value.reason) is reason


@pytest.mark.service
async def test_a_parameter_of_a_wrong_type_is_no_fault_of_ours(postgres_server: Server) -> None:
    with pytest.raises(CheckFailed) as caught:
        await rows_of(postgres_server, "SELECT $1::int", "no number")

    assert caught.value.reason is not Reason.INTERNAL
