"""Kind redis: log in, PING, read one key, judge role and memory by INFO.

The home of redis-py, of which it takes the handshake and the parser: dialling, caps and phases are
ours (`probes.wire.resp`), its retries are off.
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from probes.errors import CheckFailed
from probes.expect import CertificateExpect, DurationBand, Matcher, NumberBand, RatioBand, SizeBand
from probes.kind import Kind, Metric
from probes.matcher import MISSING
from probes.recorder import Recorder
from probes.redact import Secret
from probes.result import Reason
from probes.settings import Settings
from probes.units import parse_number, short
from probes.wire.address import ANY_IP, IpChoice
from probes.wire.dns.resolver import ResolverOptions
from probes.wire.driver import load_driver
from probes.wire.dsn import Dsn, parse_dsn
from probes.wire.net import dial, resolve
from probes.wire.resp import ReplyReader, ReplyWriter
from probes.wire.source import Source
from probes.wire.stream import Connection
from probes.wire.tls.settings import NET_METRICS, TLS_METRICS, TlsOptions, judge_certificate

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

# https://www.iana.org/assignments/service-names-port-numbers; rediss is redis-cli's word for TLS
_SCHEMES = {"redis": 6379, "rediss": 6379}
# Redis itself knows no limit; a number beyond this is a typing error.
MAX_DATABASE = 16_383
_ROLES = {"master": "master", "slave": "replica"}
# INFO field -> sample
_GAUGES = {
    "used_memory": "redis_memory_used_bytes",
    "connected_clients": "redis_connected_clients",
    "keyspace_hits": "redis_keyspace_hits_total",
    "keyspace_misses": "redis_keyspace_misses_total",
    "evicted_keys": "redis_evicted_keys_total",
    "uptime_in_seconds": "redis_uptime_seconds",
}


class RedisExpect(Settings):
    """What the run must be."""

    value: Matcher | None = None
    """Text of the key ``get``; a number may be compared as one."""
    role: Literal["master", "replica"] | None = None
    """What the server must be."""
    latency: DurationBand | None = None
    """Time from the resolution of the name to the last answer, INFO apart."""
    certificate: CertificateExpect | None = None
    """What the server's certificate must be."""


class Redis(Kind):
    """Log in to a Redis or Valkey server, PING it, read a key, take its numbers from INFO.

    Only AUTH, SELECT, PING, GET, INFO and CLUSTER INFO are ever sent.

    Target:
        ``redis://[[user]:password@]host[:6379][/database]``; ``rediss://`` for TLS.

    Source:
        https://redis.io/docs/latest/develop/reference/protocol-spec/
    """

    name = "redis"
    requires = "redis"
    driver = "redis"
    phases = ("resolve", "connect", "tls", "auth", "ping", "get", "info")
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("redis_memory_used_bytes", "Bytes allocated by the server"),
        Metric("redis_memory_max_bytes", "Bytes the server may allocate; absent without a limit"),
        Metric("redis_memory_usage_ratio", "Share of maxmemory in use; absent without a limit"),
        Metric("redis_connected_clients", "Connections of clients"),
        Metric("redis_keyspace_hits_total", "Look-ups that found a key", type="counter"),
        Metric("redis_keyspace_misses_total", "Look-ups that found none", type="counter"),
        Metric("redis_evicted_keys_total", "Keys dropped for want of memory", type="counter"),
        Metric("redis_keys", "Keys in all databases"),
        Metric("redis_uptime_seconds", "Seconds since the server started"),
        Metric("redis_cluster_ok", "1 if the cluster is in state ok; absent without cluster mode"),
        *NET_METRICS,
        *TLS_METRICS,
    )

    username: str = ""
    """User of the access control list instead of one in the target."""
    password: Secret | None = None
    """Password instead of one in the target; better from ``{env: NAME}`` or ``{file: path}``."""
    get: str = ""
    """Key to read after PING."""
    info: bool = True
    """Take numbers from INFO."""
    memory: RatioBand | None = None
    """Share of maxmemory in use."""
    memory_used: SizeBand | None = None
    """Bytes in use."""
    clients: NumberBand | None = None
    """Connections of clients."""
    tls: TlsOptions = TlsOptions()
    """How the server is verified, and the client certificate; for ``rediss://``."""
    ip: IpChoice = ANY_IP
    """Which address of the name is dialled: any, 4, 6, prefer_4, prefer_6."""
    source: Source = ""
    """Address or interface of this host to come from."""
    resolver: ResolverOptions = ResolverOptions()
    """Name servers to ask instead of the system's."""
    expect: RedisExpect = RedisExpect()
    """What fails the run when it is missed."""

    def check_target(self, target: str) -> None:
        self._dsn(target)
        if self.expect.value is not None and not self.get:
            raise ValueError("want a key in get to expect a value of, got none")
        if not self.info and (self._bands() or self.expect.role):
            raise ValueError("want info: true to judge role, memory or clients by, got false")

    def _bands(self) -> bool:
        return any(band is not None for band in (self.memory, self.memory_used, self.clients))

    def _dsn(self, target: str) -> Dsn:
        dsn = parse_dsn(target, _SCHEMES)
        if dsn.options:
            raise ValueError(f"want no options in the address, got {short(', '.join(dsn.options))}")
        if dsn.path and not (dsn.path.isascii() and dsn.path.isdigit()):
            raise ValueError(f"want a number of a database after the host, got {short(dsn.path)}")
        if len(dsn.path) > len(str(MAX_DATABASE)) or int(dsn.path or 0) > MAX_DATABASE:
            raise ValueError(f"want a database from 0 to {MAX_DATABASE}, got {short(dsn.path)}")
        if dsn.user and not dsn.password and self.password is None:
            raise ValueError("want user:password@ or :password@, got a user alone")
        if dsn.password and self.password is not None:
            raise ValueError("want a password in the target or in password, got both")
        return dsn

    def prepare(self, target: str) -> None:
        super().prepare(target)
        self.resolver.prepare()
        if target.startswith("rediss:"):
            self.tls.prepare()

    async def run(self, target: str, recorder: Recorder) -> None:
        await load_driver("redis.asyncio.connection", "redis", recorder)
        try:
            dsn = self._dsn(target)
        except ValueError as error:
            raise CheckFailed(Reason.CONFIG, str(error)) from None
        if dsn.scheme == "rediss" and self.tls.has_files:
            await self.tls.reread(recorder)
        context = self.tls.context() if dsn.scheme == "rediss" else None
        servers = self.resolver.addresses
        address = await resolve(dsn.host, dsn.port, recorder, ip=self.ip, servers=servers)
        name, source_ip = self.tls.server_name, self.source or None
        async with dial(
            address,
            recorder,
            context=context,
            server_name=name,
            source_ip=source_ip,
            scheme=dsn.scheme,
        ) as wire:
            session = _Session(self, dsn, wire)
            try:
                value, info = await session.talk(recorder)
            finally:
                await session.close()
        if context is not None:
            judge_certificate(self.expect.certificate, recorder)
        self._judge_value(value)
        self._judge_info(info, recorder)
        if self.expect.latency is not None:
            seconds = sum(p.seconds for p in recorder.phases if p.name != "info")
            self.expect.latency.judge(seconds, recorder)

    def _judge_value(self, value: Any) -> None:
        wanted = self.expect.value
        if wanted is None or (miss := wanted.miss(value)) is None:
            return
        if isinstance(value, str) and wanted.miss(_number_or_text(value)) is None:
            return
        raise CheckFailed(Reason.VALUE, f"{short(self.get)}: {miss}", phase="get")

    def _judge_info(self, info: Mapping[str, str] | None, recorder: Recorder) -> None:
        if info is None:
            return
        role = _ROLES.get(info.get("role", ""), "unknown")
        if self.expect.role is not None and role != self.expect.role:
            message = f"want a {self.expect.role}, got {role!r}"
            raise CheckFailed(Reason.VALUE, message, phase="info")
        told = {sample.name: sample.value for sample in recorder.samples}
        ratio = told.get("redis_memory_usage_ratio")
        if self.memory is not None and ratio is not None:
            self.memory.judge(ratio, recorder, "memory in use")
        elif self.memory is not None:
            recorder.warn(
                Reason.VALUE, "want a maxmemory to judge memory by, got none", phase="info"
            )
        used = told.get("redis_memory_used_bytes")
        if self.memory_used is not None and used is not None:
            self.memory_used.judge(used, recorder, "memory in use")
        clients = told.get("redis_connected_clients")
        if self.clients is not None and clients is not None:
            self.clients.judge(clients, recorder, "connected clients")


class _Session:
    """The commands of one run over one connection."""

    def __init__(self, kind: Redis, dsn: Dsn, wire: Connection) -> None:
        self._kind = kind
        self._dsn = dsn
        self._reader = ReplyReader(wire)
        password = kind.password.get_secret_value() if kind.password else dsn.password
        self._has_login = bool(password)
        self._connection: AbstractConnection = _connection_class()(
            self._reader,
            ReplyWriter(wire),
            username=kind.username or dsn.user or None,
            password=password or None,
            db=int(dsn.path or 0),
        )

    async def talk(self, recorder: Recorder) -> tuple[Any, dict[str, str] | None]:
        """Send the commands; return the text of the key and the fields of INFO."""
        from redis import exceptions

        try:
            return await self._talk(recorder)
        except (exceptions.AuthenticationError, exceptions.AuthorizationError) as error:
            raise _refused(Reason.AUTH, "a login that is accepted", error) from None
        except exceptions.NoPermissionError as error:
            raise _refused(Reason.AUTH, "a user who may do this", error) from None
        except (exceptions.BusyLoadingError, exceptions.ResponseError) as error:
            raise _refused(Reason.STATUS, "an answer without error", error) from None
        except exceptions.ConnectionError as error:
            # the server's own errors that redis-py takes for a lost connection
            raise _refused(Reason.STATUS, "a server that serves", error) from None
        except (exceptions.RedisError, ValueError, RecursionError) as error:
            raise _refused(Reason.PROTOCOL, "a reply of Redis", error) from None

    async def _talk(self, recorder: Recorder) -> tuple[Any, dict[str, str] | None]:
        if self._has_login or self._dsn.path:
            with recorder.phase("auth"):
                await self._connect()
        else:
            await self._connect()
        with recorder.phase("ping"):
            pong = await self._ask("PING")
            if pong != "PONG":
                raise CheckFailed(Reason.PROTOCOL, f"want 'PONG', got {short(pong)}")
        value: Any = None
        if self._kind.get:
            with recorder.phase("get"):
                found = await self._ask("GET", self._kind.get)
            value = MISSING if found is None else found
            recorder.fact("value", short(found))
        info = await self._info(recorder) if self._kind.info else None
        return value, info

    async def _connect(self) -> None:
        # takes our open streams, then sends AUTH and SELECT where they are due
        await self._connection.connect()  # type: ignore[no-untyped-call]

    async def _info(self, recorder: Recorder) -> dict[str, str] | None:
        from redis import exceptions

        with recorder.phase("info"):
            try:
                info = _fields(str(await self._ask("INFO")))
            except exceptions.NoPermissionError as error:
                if self._kind.expect.role or self._kind._bands():  # noqa: SLF001 - one file
                    raise
                recorder.fact("info", f"refused: {short(str(error))}")
                return None
            if info.get("cluster_enabled") == "1":
                self._judge_cluster(_fields(str(await self._ask("CLUSTER", "INFO"))), recorder)
        _record(info, recorder)
        return info

    def _judge_cluster(self, cluster: Mapping[str, str], recorder: Recorder) -> None:
        state = cluster.get("cluster_state", "")
        recorder.sample("redis_cluster_ok", float(state == "ok"))
        if state != "ok":
            raise CheckFailed(Reason.STATUS, f"want a cluster in state 'ok', got {short(state)}")

    async def _ask(self, *words: str) -> Any:
        self._reader.begin()
        await self._connection.send_command(*words, check_health=False)
        return await self._connection.read_response()

    async def close(self) -> None:
        """Let go of the connection; the dial closes it."""
        await self._connection.disconnect(nowait=True)


@cache
def _connection_class() -> Any:
    """Return redis-py's connection over streams that are open already."""
    from redis.asyncio.connection import AbstractConnection
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    class Dialled(AbstractConnection):
        def __init__(self, reader: Any, writer: Any, **login: Any) -> None:
            super().__init__(
                protocol=2,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=None,
                socket_connect_timeout=None,
                decode_responses=True,
                encoding_errors="replace",
                driver_info=None,
                **login,
            )
            self._streams = reader, writer

        async def _connect(self) -> None:
            self._reader, self._writer = self._streams

        def _host_error(self) -> str:
            return "the server"

        def repr_pieces(self) -> Any:
            return []

    return Dialled


def _refused(reason: Reason, wanted: str, error: Exception) -> CheckFailed:
    return CheckFailed(reason, f"want {wanted}, got {short(str(error) or type(error).__name__)}")


def _fields(text: str) -> dict[str, str]:
    """Return the fields of INFO: ``name:value`` lines."""
    pairs = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value.strip() for name, separator, value in pairs if separator}


def _record(info: Mapping[str, str], recorder: Recorder) -> None:
    for field, name in _GAUGES.items():
        if (value := _number(info, field)) is not None:
            recorder.sample(name, value)
    limit, used = _number(info, "maxmemory"), _number(info, "used_memory")
    if limit and used is not None:
        recorder.sample("redis_memory_max_bytes", limit)
        recorder.sample("redis_memory_usage_ratio", used / limit)
    if "uptime_in_seconds" in info:
        # a line db0:keys=1,expires=0 for each database that has keys, so none at all means 0
        databases = [text for name, text in info.items() if name.startswith("db")]
        counts = [text.partition("keys=")[2].partition(",")[0] for text in databases]
        recorder.sample("redis_keys", sum(int(n) for n in counts if n.isascii() and n.isdigit()))
    version = info.get("valkey_version") or info.get("redis_version", "?")
    name = "Valkey" if "valkey_version" in info else "Redis"
    recorder.fact("server", f"{name} {version}, {_ROLES.get(info.get('role', ''), 'unknown')}")


def _number(info: Mapping[str, str], field: str) -> float | None:
    """Return a field as a number; None when the server does not tell it."""
    text = info.get(field)
    if text is None:
        return None
    try:
        return parse_number(text)
    except ValueError:
        return None


def _number_or_text(text: str) -> float | str:
    try:
        return parse_number(text)
    except ValueError:
        return text
