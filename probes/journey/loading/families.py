"""Steps that are no HTTP as the file writes them, and which key makes which family of steps.

FAMILIES
├── HttpKeys GraphqlKeys RpcKeys      in `probes.journey.loading.keys`
├── SocketKeys SqlKeys                ws, sql
├── WaitKeys ThinkKeys LogKeys        wait, think, log
└── IncludeKeys RepeatKeys            include, repeat
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from probes.journey.loading.keys import (
    MAX_ROUNDS,
    MAX_STEPS,
    VERBS,
    Expected,
    Extracts,
    GraphqlKeys,
    Headers,
    HttpKeys,
    Pause,
    RequestKeys,
    RpcKeys,
    Static,
    StepKeys,
    StepName,
)
from probes.pattern import suggest
from probes.settings import Settings
from probes.units import Duration, short

# A message that has not come among so many is not coming.
MAX_MESSAGES = 1000
# What others call our keys, where no likeness of letters helps.
_OTHER_WORDS = {
    "url": "get", "request": "get", "goto": "get", "sleep": "wait", "pause": "think",
    "websocket": "ws", "loop": "repeat", "use": "include", "echo": "log", "query": "sql",
}  # fmt: skip


class Json(Settings):
    """A message that is sent as JSON."""

    json_: Any = Field(alias="json")
    """The message."""


class TurnKeys(Settings):
    """One turn of a talk: something is sent, or something is awaited."""

    send: str | Json | None = None
    """A text, or ``{json: ...}``."""
    expect: Expected | None = None
    """What the message that is awaited must be: ``json`` and ``body``."""
    within: int = Field(default=1, ge=1, le=MAX_MESSAGES)
    """Messages to look at, at most."""
    timeout: Duration | None = None
    """Time for this turn; else that of the step."""
    extract: Extracts
    """Variables for later turns and steps, taken out of the message."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        hears = self.expect is not None or bool(self.extract)
        if hears == (self.send is not None):
            got = "both" if hears else "neither"
            raise ValueError(f"want send, or expect and extract, got {got}")
        return self


class Socket(Settings):
    """A talk over a WebSocket."""

    url: str = ""
    """Path, ws:// or wss:// URL; the base URL itself when there is none."""
    subprotocol: str = ""
    """To ask for."""
    headers: Headers = Field(default={})
    """Of the upgrade, over those of ``http:``."""
    dialog: list[TurnKeys] = Field(min_length=1, max_length=MAX_STEPS)
    """What is sent and awaited, in this order."""


class SocketKeys(StepKeys):
    """Open a WebSocket, talk, close it."""

    told_by = ("ws",)

    # a frozen field may be narrower than that of its base
    name: StepName  # pyright: ignore[reportGeneralTypeIssues, reportIncompatibleVariableOverride]
    """Fixed and unique in the journey; the label ``step`` of its series."""
    timeout: Duration | None = None
    """Time for all of it; else that of ``http:``, 5s."""
    ws: Socket
    """Where, and what is said."""


class Sql(Settings):
    """One query; nothing is written."""

    kind: Literal["postgres"] = "postgres"
    """What speaks to the database."""
    target: str
    """The database in the form of that kind; better ``${secrets.dsn}``."""
    query: Static = Field(min_length=1)
    """Fixed text with ``$1``, ``$2`` ... for the parameters."""
    parameters: list[Any] = Field(default=[])
    """Values of ``$1``, ``$2`` ...; they never become text of the query."""


class SqlKeys(RequestKeys):
    """A read-only query; ``json`` of expect and extract looks at the list of rows."""

    told_by = ("sql",)

    sql: Sql
    """What is asked."""


class WaitKeys(StepKeys):
    """A fixed pause, in a probe and in a load."""

    told_by = ("wait",)

    wait: Duration
    """How long."""


class ThinkKeys(StepKeys):
    """A user's own pause: in a load, and in a probe that says ``think_in_probes: true``."""

    told_by = ("think",)

    think: Pause
    """``1s``, or ``1s..3s`` for anything between."""


class LogKeys(StepKeys):
    """A fact of the run."""

    told_by = ("log",)

    log: str
    """What to note; better no secret."""


class IncludeKeys(StepKeys):
    """The ``steps`` of another journey, as if they stood here."""

    told_by = ("include",)

    include: str
    """Name of the other journey; its ``vars``, ``secrets`` and ``http`` come along."""


class Repeat(Settings):
    """Steps several times."""

    times: int | None = Field(default=None, ge=1, le=MAX_ROUNDS)
    """Rounds."""
    over: Any = None
    """Or one round for each element of a list: inside, ``${item}`` and ``${index}``."""
    steps: "list[AnyStep]" = Field(min_length=1, max_length=MAX_STEPS)
    """Of one round."""

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if (self.times is None) == (self.over is None):
            got = "neither" if self.over is None else "both"
            raise ValueError(f"want times or over, got {got}")
        return self


class RepeatKeys(StepKeys):
    """Steps several times."""

    told_by = ("repeat",)

    repeat: Repeat
    """How often, and what."""


FAMILIES: tuple[type[StepKeys], ...] = (
    HttpKeys, GraphqlKeys, RpcKeys, SocketKeys, SqlKeys,
    WaitKeys, ThinkKeys, LogKeys, IncludeKeys, RepeatKeys,
)  # fmt: skip
_FAMILY_OF = {key: family for family in FAMILIES for key in family.told_by}
_COMMON = frozenset(
    field.alias or name for family in FAMILIES for name, field in family.model_fields.items()
) - frozenset(_FAMILY_OF)


def _one_family(value: object) -> object:
    """Judge which family a step belongs to, in words that no union of classes has.

    Raises:
        ValueError: to none, or to several.
    """
    if isinstance(value, StepKeys):
        return value
    if not isinstance(value, Mapping):
        shown = "nothing" if value is None else short(value)
        raise ValueError(f"want a step such as {{name: home, get: /}}, got {shown}")
    told = [key for key in value if key in _FAMILY_OF]
    if len(told) > 1:
        raise ValueError(f"want one thing to do in a step, got {' and '.join(told)}")
    if not told:
        odd = next((str(key) for key in value if key not in _COMMON), "")
        other = _OTHER_WORDS.get(odd)
        hint = f"; did you mean {other!r}?" if other else suggest(odd, _FAMILY_OF)
        got = f"got {short(odd)}{hint}" if odd else "got none"
        raise ValueError(f"want a key such as {', '.join(VERBS[:3])} or wait, {got}")
    if value[told[0]] is None:
        raise ValueError(f"want a value behind {told[0]}:, got nothing")
    return value


def _tag(value: object) -> str:
    """Return the tag of a step's family; no key can be spelt like one."""
    if isinstance(value, Mapping):
        return f"step {next(_FAMILY_OF[key].__name__ for key in value if key in _FAMILY_OF)}"
    return f"step {type(value).__name__}"


AnyStep = Annotated[
    Annotated[HttpKeys, Tag("step HttpKeys")]
    | Annotated[GraphqlKeys, Tag("step GraphqlKeys")]
    | Annotated[RpcKeys, Tag("step RpcKeys")]
    | Annotated[SocketKeys, Tag("step SocketKeys")]
    | Annotated[SqlKeys, Tag("step SqlKeys")]
    | Annotated[WaitKeys, Tag("step WaitKeys")]
    | Annotated[ThinkKeys, Tag("step ThinkKeys")]
    | Annotated[LogKeys, Tag("step LogKeys")]
    | Annotated[IncludeKeys, Tag("step IncludeKeys")]
    | Annotated[RepeatKeys, Tag("step RepeatKeys")],
    Discriminator(_tag),
    BeforeValidator(_one_family),
]
"""One step; its family is chosen by its key, then judged by that class alone."""
Repeat.model_rebuild()
