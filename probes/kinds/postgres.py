"""Kind postgres: log in, run one query that only reads, judge rows and value.

The home of asyncpg. Reaching the server and answering its login: `probes.wire.postgres.login`; what
the server tells about itself: `probes.wire.postgres.stats`.
"""
# pyright: basic, reportMissingTypeStubs=false

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, ClassVar, Self

from pydantic import model_validator

from probes.errors import CheckFailed
from probes.expect import DurationBand, NumberBand, RatioBand, suggest
from probes.kind import Kind, Metric
from probes.recorder import Recorder
from probes.redact import Secret
from probes.result import Reason
from probes.units import Duration, short
from probes.wire.address import ANY_IP, IpChoice
from probes.wire.dns.resolver import ResolverOptions
from probes.wire.driver import load_driver
from probes.wire.dsn import Dsn, is_loopback, parse_dsn
from probes.wire.failures import classify
from probes.wire.net import resolve
from probes.wire.postgres.answer import Answer, plain, server_failure
from probes.wire.postgres.expect import PostgresExpect, PostgresWarn
from probes.wire.postgres.login import BROKEN_DRIVER, DialLoop, Login, Transit
from probes.wire.postgres.stats import (
    DB_METRICS,
    IS_REPLICA,
    STATS,
    record_stats,
    slow_statements_query,
)
from probes.wire.source import Source
from probes.wire.stream import HANDSHAKE_TIMEOUT_S
from probes.wire.tls.settings import NET_METRICS, TLS_METRICS, TlsOptions, judge_certificate
from probes.wire.tls.x509 import load_library

# https://www.iana.org/assignments/service-names-port-numbers
_SCHEMES = {"postgresql": 5432, "postgres": 5432}
_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
_OPTIONS = ("sslmode", "application_name", "connect_timeout", "sslrootcert")
# reliability.md 4: SQL, first 100 rows.
MAX_ROWS = 100
# The server gives up this much before our deadline, so that its own words reach the Result.
STATEMENT_MARGIN_S = 0.1
MIN_STATEMENT_TIMEOUT_S = 0.05
# A goodbye is a courtesy to the server's log; it may not cost the verdict.
CLOSE_S = 0.1

Work = Callable[[Any], Awaitable[Any]]
"""What is done with a connection that has logged in."""


class Postgres(Kind):
    """Log in to a PostgreSQL server and run one query in a transaction that only reads.

    Without ``sslmode`` a loopback address is dialled in plain text; any other is asked for TLS, and
    one that refuses it degrades the run. ``require`` encrypts, ``verify-ca`` checks the chain,
    ``verify-full`` the name too; with a ``tls:`` block the default is ``verify-full``.

    Target:
        ``postgresql://user[:password]@host[:5432]/database[?sslmode=...]``

    Source:
        https://www.postgresql.org/docs/current/protocol.html
    """

    name = "postgres"
    requires = "postgres"
    driver = "asyncpg"
    phases = ("resolve", "connect", "tls", "auth", "query", "stats")
    answers_queries = True
    metrics: ClassVar[tuple[Metric, ...]] = (*DB_METRICS, *NET_METRICS, *TLS_METRICS)

    password: Secret | None = None
    """Password instead of one in the target; better from ``{env: NAME}`` or ``{file: path}``."""
    query: str = "SELECT 1"
    """One SQL statement."""
    read_only: bool = True
    """Run the query in a transaction that cannot write."""
    login: Login = "md5"
    """Weakest login that is answered without TLS: clear, md5 or scram."""
    tls: TlsOptions | None = None
    """How the server is verified, and the client certificate."""
    ip: IpChoice = ANY_IP
    """Which address of the name is dialled: any, 4, 6, prefer_4, prefer_6."""
    source: Source = ""
    """Address or interface of this host to come from."""
    resolver: ResolverOptions = ResolverOptions()
    """Name servers to ask instead of the system's."""
    expect: PostgresExpect = PostgresExpect()
    """What fails the run when it is missed."""
    warn: PostgresWarn | None = None
    """What degrades the run when it is missed."""
    stats: bool = False
    """Measure connections, sizes and delays; any of the next four keys turns it on."""
    slow_statement: Duration = 1.0
    """From this mean time on a statement of pg_stat_statements counts as slow."""
    connections: RatioBand | None = None
    """Share of max_connections in use."""
    longest_transaction: DurationBand | None = None
    """Age of the oldest open transaction."""
    replication_lag: DurationBand | None = None
    """Delay of a replica."""
    slow_statements: NumberBand | None = None
    """Number of slow statements."""

    @model_validator(mode="after")
    def _one_statement(self) -> Self:
        if not self.query.strip().rstrip(";"):
            raise ValueError("want an SQL statement, got an empty query")
        return self

    def check_target(self, target: str) -> None:
        self._dsn(target)

    def _dsn(self, target: str) -> Dsn:
        dsn = parse_dsn(target, _SCHEMES)
        if not dsn.user:
            raise ValueError("want a user as in postgresql://user@host/database, got none")
        if dsn.password and self.password is not None:
            raise ValueError("want a password in the target or in password, got both")
        for name in dsn.options:
            if name not in _OPTIONS:
                known = ", ".join(_OPTIONS)
                raise ValueError(
                    f"want an option of {known}, got {short(name)}{suggest(name, _OPTIONS)}"
                )
        mode = dsn.options.get("sslmode", "prefer")
        if mode not in _MODES:
            raise ValueError(f"want sslmode {', '.join(_MODES)}, got {short(mode)}")
        return dsn

    @cached_property
    def _wants_stats(self) -> bool:
        bands = (self.connections, self.longest_transaction)
        more = (self.replication_lag, self.slow_statements)
        return self.stats or any(band is not None for band in (*bands, *more))

    def prepare(self, target: str) -> None:
        super().prepare(target)
        self.resolver.prepare()
        # the run tells what is wrong with target or files
        with suppress(ValueError, CheckFailed):
            dsn = self._dsn(target)
            if self._mode(dsn) != "disable":
                load_library()
                self._transit(self._mode(dsn), dsn)

    async def run(self, target: str, recorder: Recorder) -> None:
        dsn, loop = await self._approach(target, recorder)

        async def work(connection: Any) -> Answer:
            answer = await self._query(connection, recorder)
            if self._wants_stats:
                with recorder.phase("stats"):
                    await self._measure(connection, answer, recorder)
            return answer

        answer: Answer = await self._session(dsn, loop, recorder, work)
        mode = self._mode(dsn)
        if loop.is_encrypted:
            judge_certificate(self.expect.certificate, recorder)
        elif mode != "disable":
            recorder.warn(
                Reason.TLS,
                "want TLS, got a server that refuses it: say sslmode=disable if that is right",
                phase="tls",
            )
        self._judge(answer, recorder)

    async def rows(
        self,
        target: str,
        query: str,
        parameters: Sequence[Any],
        recorder: Recorder,
        *,
        max_rows: int,
    ) -> tuple[Mapping[str, Any], ...]:
        dsn, loop = await self._approach(target, recorder)
        import asyncpg

        async def work(connection: Any) -> Sequence[Any]:
            with recorder.phase("query"):
                transaction = await _begin(connection, recorder, readonly=True)
                try:
                    cursor = await connection.cursor(query, *parameters)
                except asyncpg.InterfaceError as error:
                    got = short(str(error).partition("\n")[0])
                    raise CheckFailed(
                        Reason.CONFIG, f"want a parameter for each $n, got {got}"
                    ) from None
                found: Sequence[Any] = await cursor.fetch(max_rows + 1)
                await transaction.rollback()
            return found

        found = await self._session(dsn, loop, recorder, work)
        if len(found) > max_rows:
            raise CheckFailed(
                Reason.TOO_LARGE, f"want {max_rows} rows or less, got more", phase="query"
            )
        return tuple([{name: plain(value) for name, value in row.items()} for row in found])

    async def _approach(self, target: str, recorder: Recorder) -> tuple[Dsn, DialLoop]:
        """Return what is dialled and the loop that dials it; the driver is loaded."""
        await load_driver("asyncpg", "postgres", recorder)
        try:
            dsn = self._dsn(target)
        except ValueError as error:
            raise CheckFailed(Reason.CONFIG, str(error)) from None
        mode, root = self._mode(dsn), dsn.options.get("sslrootcert", "")
        if mode != "disable" and (trust := self._trust(mode, root)[0]).has_files:
            await trust.reread(recorder)
        transit = self._transit(mode, dsn)
        servers = self.resolver.addresses
        address = await resolve(dsn.host, dsn.port, recorder, ip=self.ip, servers=servers)
        return dsn, DialLoop(address, recorder, transit, scheme=dsn.scheme)

    def _mode(self, dsn: Dsn) -> str:
        mode = dsn.options.get("sslmode")
        if mode is not None:
            return mode
        if self.tls is not None:
            return "verify-full" if self.tls.verify else "require"
        return "disable" if is_loopback(dsn.host) else "prefer"

    def _transit(self, mode: str, dsn: Dsn) -> Transit:
        if mode == "disable":
            return Transit(weakest=self.login, source_ip=self.source)
        trust, checks_name = self._trust(mode, dsn.options.get("sslrootcert", ""))
        context = trust.context(check_name=checks_name)
        return Transit(context, mode != "prefer", trust.server_name, self.login, self.source)

    @cached_property
    def _trusts(self) -> dict[tuple[str, str], tuple[TlsOptions, bool]]:
        # no private attribute: a kind that was used must equal the same one that was not
        return {}

    def _trust(self, mode: str, root: str) -> tuple[TlsOptions, bool]:
        """Return how a server is verified in *mode*, and whether its name is checked; made once."""
        found = self._trusts.get((mode, root))
        if found is None:
            options = self.tls or TlsOptions()
            if root:
                options = options.model_copy(update={"ca_file": root})
            # libpq: with a root certificate at hand ``require`` checks the chain
            chain = mode == "verify-ca" or (
                mode == "require" and options.verify and bool(options.ca or options.ca_file)
            )
            verify = options.verify and (chain or mode == "verify-full")
            found = options.model_copy(update={"verify": verify}), not chain
            self._trusts[mode, root] = found
        return found

    async def _session(self, dsn: Dsn, loop: DialLoop, recorder: Recorder, work: Work) -> Any:
        import asyncpg

        try:
            connection = await self._connect(asyncpg, dsn, loop, recorder)
            return await self._talk(connection, loop, recorder, work)
        except asyncpg.PostgresError as error:
            raise loop.failure or server_failure(
                getattr(error, "sqlstate", None), str(error)
            ) from None
        except OSError as error:
            raise loop.failure or classify(error, phase=recorder.phase_name) from None
        except (*BROKEN_DRIVER, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            if loop.gate is None:
                raise  # the driver has not read a byte yet: a mistake of ours
            got = f"{type(error).__name__}: {short(str(error))}"
            message = f"want an answer that can be read, got {got}"
            raise loop.failure or CheckFailed(Reason.PROTOCOL, message) from None

    async def _talk(self, connection: Any, loop: DialLoop, recorder: Recorder, work: Work) -> Any:
        import asyncpg

        try:
            recorder.fact("server", f"PostgreSQL {connection.get_settings().server_version}")
            recorder.fact("login", loop.gate.login if loop.gate else "")
            found = await work(connection)
        except asyncpg.PostgresError:
            await _close(connection)
            raise
        except BaseException:
            connection.terminate()
            raise
        await _close(connection)
        return found

    async def _connect(self, asyncpg: Any, dsn: Dsn, loop: DialLoop, recorder: Recorder) -> Any:
        password = self.password.get_secret_value() if self.password else dsn.password
        # every argument is given: what is missing the driver reads from variables and home files
        connection = await asyncpg.connect(
            host=dsn.host,
            port=dsn.port,
            user=dsn.user,
            password=password,
            database=dsn.path or dsn.user,
            loop=loop,
            ssl=False,
            direct_tls=False,
            timeout=HANDSHAKE_TIMEOUT_S,
            statement_cache_size=0,
            server_settings={"application_name": dsn.options.get("application_name", "sonde")},
            target_session_attrs="any",
            krbsrvname="postgres",
            gsslib="gssapi",
        )
        recorder.leave()
        return connection

    async def _query(self, connection: Any, recorder: Recorder) -> Answer:
        answer = Answer()
        with recorder.phase("query"):
            transaction = await _begin(connection, recorder, readonly=self.read_only)
            if self.expect.role is not None:
                answer.is_replica = await connection.fetchval(IS_REPLICA)
            cursor = await connection.cursor(self.query)
            rows = await cursor.fetch(MAX_ROWS)
            await (transaction.rollback() if self.read_only else transaction.commit())
        answer.rows = len(rows)
        if rows and len(rows[0]):
            answer.value = plain(rows[0][0])
            answer.first = {name: plain(value) for name, value in rows[0].items()}
            recorder.fact("value", short(answer.value))
        recorder.fact("rows", str(answer.rows))
        return answer

    async def _measure(self, connection: Any, answer: Answer, recorder: Recorder) -> None:
        row = await connection.fetchrow(STATS)
        answer.told = record_stats(row, recorder)
        if not row["has_statements"]:
            return
        query = slow_statements_query(connection.get_server_version().major)
        import asyncpg

        # the extension may lack its library, or we the right to read it: then it is absent
        with suppress(asyncpg.PostgresError):
            count = await connection.fetchval(query, self.slow_statement * 1000)
            recorder.sample("db_slow_statements", count)
            answer.told["slow"] = count

    def _judge(self, answer: Answer, recorder: Recorder) -> None:
        wanted = self.expect.role
        if wanted is not None and answer.is_replica is not (wanted == "replica"):
            got = "replica" if answer.is_replica else "primary"
            raise CheckFailed(Reason.VALUE, f"want a {wanted}, got a {got}", phase="query")
        for miss in self.expect.misses(answer):
            raise CheckFailed(Reason.VALUE, miss, phase="query")
        for miss in self.warn.misses(answer) if self.warn else ():
            recorder.warn(Reason.VALUE, miss, phase="query")
        self._judge_stats(answer.told, recorder)
        if self.expect.latency is not None:
            seconds = sum(p.seconds for p in recorder.phases if p.name != "stats")
            self.expect.latency.judge(seconds, recorder)

    def _judge_stats(self, told: Mapping[str, float], recorder: Recorder) -> None:
        value = Reason.VALUE
        if self.connections is not None and "usage" in told:
            self.connections.judge(told["usage"], recorder, "connections in use")
        if self.longest_transaction is not None and "longest" in told:
            what = "the longest transaction"
            self.longest_transaction.judge(told["longest"], recorder, value, what)
        if self.replication_lag is not None and "lag" in told:
            self.replication_lag.judge(told["lag"], recorder, value, "replication lag")
        if self.slow_statements is not None and "slow" in told:
            self.slow_statements.judge(told["slow"], recorder, "slow statements")


async def _begin(connection: Any, recorder: Recorder, *, readonly: bool) -> Any:
    """Begin a transaction whose statements end before our deadline, and return it."""
    transaction = connection.transaction(readonly=readonly)
    await transaction.start()
    left = recorder.remaining(asyncio.get_running_loop().time()) - STATEMENT_MARGIN_S
    limit_ms = int(max(left, MIN_STATEMENT_TIMEOUT_S) * 1000)
    await connection.execute(f"SET LOCAL statement_timeout = {limit_ms}")
    return transaction


async def _close(connection: Any) -> None:
    """Say goodbye; a server that does not answer it is left without."""
    import asyncpg

    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        await connection.close(timeout=CLOSE_S)
