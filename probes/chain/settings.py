"""Keys of a chain group that the three kinds share, as they stand in the probe file.

Knows no chain and no judgement: `probes.chain.kind` makes a `Group` of them.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from probes.chain.model import CAPABILITIES, Limit, Role
from probes.redact import Secret
from probes.settings import Settings
from probes.units import DURATION_PATTERN, format_duration, parse_duration, short
from probes.wire.http.headers import BasicAuth, HeaderName, Line, plain
from probes.wire.tls.settings import TlsOptions
from probes.wire.url import Url, parse_url

NAME = r"^[a-z0-9][a-z0-9_-]{0,39}$"
MAX_ENDPOINTS = 20
# A hundred blocks a second for a day: more is a slip of the keyboard.
MAX_COUNT = 10_000_000
_WORDS = ("auto", "off")
_TO_HTTP = {"tcp": "http", "ws": "http", "wss": "https"}

_LIMIT_SCHEMA: dict[str, Any] = {"type": "string", "enum": list(_WORDS)}


def _seconds(value: object) -> object:
    if isinstance(value, str) and value in _WORDS:
        return value
    try:
        return parse_duration(value)
    except ValueError:
        raise ValueError(f"want a duration such as 30s, auto or off, got {short(value)}") from None


def _count(value: object) -> object:
    if isinstance(value, str) and value in _WORDS:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT:
        return float(value)
    raise ValueError(f"want a whole number >= 0, auto or off, got {short(value)}")


def _told_seconds(limit: Limit) -> str:
    return limit if isinstance(limit, str) else format_duration(limit)


def _told_count(limit: Limit) -> str | int:
    return limit if isinstance(limit, str) else int(limit)


DurationLimit = Annotated[
    Limit,
    BeforeValidator(_seconds),
    PlainSerializer(_told_seconds, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, _LIMIT_SCHEMA]}),
]
"""A duration, ``auto`` or ``off``."""
CountLimit = Annotated[
    Limit,
    BeforeValidator(_count),
    PlainSerializer(_told_count, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, _LIMIT_SCHEMA]}),
]
"""A whole number, ``auto`` or ``off``."""


def endpoint_url(text: str) -> Url:
    """Read the address of an endpoint; ``tcp``, ``ws`` and ``wss`` mean HTTP, plain or with TLS.

    Raises:
        ValueError: no such URL. The message shows nothing of it: it may hold a key.
    """
    scheme, separator, rest = text.partition("://")
    scheme = _TO_HTTP.get(scheme.lower(), scheme.lower())
    try:
        return parse_url(f"{scheme}{separator}{rest}")
    except ValueError:
        want = "want a URL such as https://rpc.example.org/path"
        raise ValueError(f"{want}, got another text (not shown, it may hold a key)") from None


def _is_url(schemes: tuple[str, ...]) -> AfterValidator:
    def judge(value: Secret) -> Secret:
        text = value.get_secret_value()
        if text.partition("://")[0].lower() not in schemes:
            want = " or ".join(f"{scheme}://" for scheme in schemes[:2])
            raise ValueError(f"want a URL that begins with {want}, got another text")
        endpoint_url(text)
        return value

    return AfterValidator(judge)


HttpAddress = Annotated[Secret, _is_url(("https", "http", "tcp"))]
WsAddress = Annotated[Secret, _is_url(("wss", "ws", "https", "http"))]


def both(value: object) -> object:
    """Read ``off`` and ``auto`` for a whole pair, and a bare limit as its harder half."""
    if isinstance(value, str) and value in _WORDS:
        return {"warn": value, "down": value}
    if isinstance(value, dict | Settings):
        return value
    return {"down": value}


def in_order(warn: Limit, down: Limit) -> None:
    """Refuse a pair whose softer half would never be told."""
    if isinstance(warn, float) and isinstance(down, float) and warn > down:
        raise ValueError(f"want warn of at most down ({down:g}), got {warn:g}")


class LagKeys(Settings):
    """Blocks behind the reference."""

    warn: CountLimit = "auto"
    """Degraded above it; auto: max(2, 10 s of blocks)."""
    down: CountLimit = "auto"
    """Down above it; auto: max(6, 60 s of blocks)."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        in_order(self.warn, self.down)
        return self


class LatencyKeys(Settings):
    """Time the head call takes, without DNS, connect and TLS."""

    warn: DurationLimit = 1.0
    """Degraded above it."""
    down: DurationLimit = "off"
    """Down above it."""


class ThresholdKeys(Settings):
    """Limits; ``off`` ends the judgement and its exported threshold."""

    head_age: DurationLimit = "auto"
    """Age of the head; auto: max(30 s, 10 block times)."""
    lag: Annotated[LagKeys, BeforeValidator(both, json_schema_input_type=LagKeys | CountLimit)] = (
        LagKeys()
    )
    """Blocks behind the reference."""
    finality_lag: CountLimit = "auto"
    """Blocks between head and finalized; auto: 3 times the usual, at least 64."""
    fork_depth: CountLimit = "auto"
    """How deep below the heads blocks are compared; auto: max(3, 30 s of blocks)."""
    latency: Annotated[
        LatencyKeys, BeforeValidator(both, json_schema_input_type=LatencyKeys | DurationLimit)
    ] = LatencyKeys()
    """Time the head call takes."""
    min_peers: CountLimit = "off"
    """Degraded with fewer peers."""


class ConsecutiveKeys(Settings):
    """Runs in a row until the exported state of an endpoint changes."""

    down: int = Field(default=2, ge=1, le=100)
    """To down."""
    up: int = Field(default=2, ge=1, le=100)
    """To up."""


class BudgetKeys(Settings):
    """How much an endpoint is asked."""

    calls_per_minute: int = Field(default=60, ge=1, le=6000)
    """Calls to each endpoint at most; slow ones are shed first."""
    batch: Literal["auto", "off"] = "auto"
    """Whether slow calls travel as one once the endpoint has proven that it can."""


class WebsocketKeys(Settings):
    """Listening to new heads, where an endpoint has ``ws``."""

    enabled: bool = True
    """Whether to listen."""
    silent_after: DurationLimit = "auto"
    """Silence that counts while the head moves over HTTP; auto: ``head_age``."""


class HeaderAuth(Settings):
    """An Authorization header."""

    type: str = Field(default="Bearer", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,31}$")
    """Scheme."""
    credentials: Secret
    """What follows it."""


class AuthKeys(Settings):
    """Credentials; one of the two."""

    basic: BasicAuth | None = None
    """User name and password."""
    header: HeaderAuth | None = None
    """Another Authorization header."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.basic is None) == (self.header is None):
            raise ValueError("want one of basic and header, got both or neither")
        return self

    @property
    def value(self) -> str:
        """The header as it goes out."""
        if self.basic is not None:
            return f"Basic {self.basic.encoded}"
        if self.header is None:
            raise ValueError("want one of basic and header, got neither")
        return f"{self.header.type} {self.header.credentials.get_secret_value()}"


class AccessKeys(Settings):
    """How an endpoint is reached, beside its address."""

    ws: WsAddress | None = None
    """Websocket address for new heads."""
    load_balanced: bool = False
    """Several nodes behind one URL; also detected."""
    headers: dict[HeaderName, Line] = Field(default={})
    """Request headers."""
    auth: AuthKeys | None = None
    """Credentials."""
    tls: TlsOptions | None = None
    """How the server is verified, and the client certificate."""
    health_mode: Literal["rpc", "http_text"] = "rpc"
    """Solana: ``http_text`` reads GET /health and compares its text."""
    lcd: HttpAddress | None = None
    """Cosmos: REST address."""


class EndpointKeys(AccessKeys):
    """One RPC service of the group."""

    name: str = Field(pattern=NAME)
    """All that is ever shown of it."""
    http: HttpAddress
    """Address; a key in it is never shown."""
    role: Role = "primary"
    """``reference`` takes part in the reference head, and never alerts or fails."""

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        url = endpoint_url(self.http.get_secret_value())
        if self.auth is not None and (url.user or url.password):
            raise ValueError("want credentials in the URL or in auth, got both")
        return self


class ReferenceKeys(Settings):
    """A further endpoint to compare a single target with."""

    name: str = Field(pattern=NAME)
    """All that is ever shown of it."""
    http: HttpAddress
    """Address; a key in it is never shown."""


def fit_together(
    endpoints: Sequence[EndpointKeys], reference: Sequence[ReferenceKeys], min_up: int | None
) -> None:
    """Refuse endpoints that cannot stand in one group."""
    names = [keys.name for keys in endpoints] + [keys.name for keys in reference]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"want endpoints with names of their own, got {twice!r} twice")
    if not endpoints:
        return
    if reference:
        raise ValueError("want role: reference in endpoints, got the key reference beside them")
    primaries = [endpoint for endpoint in endpoints if endpoint.role == "primary"]
    if not primaries:
        raise ValueError("want at least one endpoint with role: primary, got none")
    if min_up is not None and min_up > len(primaries):
        got = f"got {min_up} of {len(primaries)}"
        raise ValueError(f"want min_up of at most the number of primaries, {got}")


Capability = Annotated[str, Field(json_schema_extra={"enum": list(CAPABILITIES)})]


def known_capability(value: str) -> str:
    """Refuse a capability that nobody can prove."""
    if value not in CAPABILITIES:
        raise ValueError(f"want one of {', '.join(CAPABILITIES)}, got {short(value)}")
    return value


def _usable_count(value: object) -> object:
    """Read ``all`` or a number of endpoints; None is all."""
    if value in ("all", None):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_ENDPOINTS:
        return value
    raise ValueError(f"want all or a number from 1 to {MAX_ENDPOINTS}, got {short(value)}")


UsableCount = Annotated[
    int | None,
    BeforeValidator(_usable_count, json_schema_input_type=Literal["all"] | int | None),
]
"""How many endpoints must be usable; None: all."""


def header_pairs(
    shared: dict[str, str | Secret], own: dict[str, str | Secret], auth: AuthKeys | None
) -> tuple[tuple[str, str], ...]:
    """Return the headers of an endpoint: its own over the group's, credentials over both."""
    merged = {name.lower(): (name, plain(value)) for name, value in shared.items()}
    merged |= {name.lower(): (name, plain(value)) for name, value in own.items()}
    if auth is not None:
        merged["authorization"] = ("Authorization", auth.value)
    return tuple(merged.values())
