"""Steps that speak HTTP as the file writes them, and what every family of steps is made of.

    StepKeys                          name, if, load
    └── RequestKeys                   timeout, expect, warn, extract
        └── WebKeys                   headers, redirects, max_body, poll
            ├── HttpKeys              get post put patch delete head options
            └── GraphqlKeys, RpcKeys  HTTP with an envelope

Fields are the keys, docstrings their descriptions in the schema. Texts with ``${}`` are still texts
here; `probes.journey.loading.compile` makes steps of them.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)

from probes.expect import Statuses
from probes.journey.language.extract import ExtractKeys
from probes.journey.language.grammar import NAME, RESERVED
from probes.journey.language.judge import ExpectKeys
from probes.settings import Bare, Settings, describe
from probes.units import Duration, Size, format_duration, parse_duration, short
from probes.wire.http.headers import HeaderName
from probes.wire.http.message import MAX_REDIRECTS

# load.md 2.3: a step's name is a label value and a part of file names.
STEP_NAME = r"[a-z][a-z0-9-]{0,62}"
MAX_NAME_CHARACTERS = 63
_STEP_NAME = re.compile(STEP_NAME, re.ASCII)
# load.md 2.3
MAX_ROUNDS = 1000
MAX_STEPS = 200
# A message that has not come among so many is not coming.
MAX_MESSAGES = 1000
# A poll that asks more often is a load.
MIN_POLL_S = 0.1
# `$${`, or a `${` that begins a reference; what stands behind the former may hold one
REFERENCE = re.compile(r"\$(\$)\{|\$\{[^}]*\}?")
VERBS = ("get", "post", "put", "patch", "delete", "head", "options")


def static(text: str) -> str:
    """Return *text* with ``$${`` as ``${``.

    Raises:
        ValueError: it holds a ``${...}`` of the run, and is needed before.
    """
    for found in REFERENCE.finditer(text):
        if not found[1]:
            shown = short(found[0])
            raise ValueError(f"want a fixed text, got {shown}: it is known in a run alone")
    return text.replace("$${", "${")


def static_tree(value: Any) -> Any:
    """Return *value* with every text of it as `static` makes it.

    Raises:
        ValueError: as `static`.
    """
    if isinstance(value, str):
        return static(value)
    if isinstance(value, list):
        return [static_tree(item) for item in value]
    if isinstance(value, dict):
        return {key: static_tree(item) for key, item in value.items()}
    return value


def _step_name(text: str) -> str:
    if len(text) > MAX_NAME_CHARACTERS:
        raise ValueError(
            f"want a name of at most {MAX_NAME_CHARACTERS} characters, got {short(text)}"
        )
    if not _STEP_NAME.fullmatch(text):
        raise ValueError(
            f"want a fixed name of a-z, 0-9 and '-' such as 'add-to-cart', got {short(text)}"
        )
    return text


def _variable_name(text: str) -> str:
    if text in RESERVED:
        raise ValueError(f"want a name that means nothing else in ${{}}, got {short(text)}")
    if not NAME.fullmatch(text):
        raise ValueError(f"want a name such as 'token' or 'cart_id', got {short(text)}")
    return text


def _path_or_keys(value: object) -> object:
    """Take ``token: $.token`` for ``token: {json: $.token}``."""
    return {"json": value} if isinstance(value, str) else value


def _to_text(value: object) -> object:
    """Take numbers too: ``X-Api-Version: 2`` means the text."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _think(value: object) -> tuple[float, float]:
    if isinstance(value, tuple):
        return value
    low, dots, high = value.partition("..") if isinstance(value, str) else ("", "", "")
    try:
        ends = parse_duration(low), parse_duration(high if dots else low)
    except ValueError:
        raise ValueError(f"want a pause such as 1s or 1s..3s, got {short(value)}") from None
    if ends[0] > ends[1]:
        raise ValueError(f"want a rising range such as 1s..3s, got {short(value)}")
    return ends


def _think_text(ends: tuple[float, float]) -> str:
    low, high = map(format_duration, ends)
    return low if low == high else f"{low}..{high}"


def _not_too_often(seconds: float) -> float:
    if seconds < MIN_POLL_S:
        want = f"want at least {format_duration(MIN_POLL_S)}"
        raise ValueError(f"{want}, got {format_duration(seconds)}")
    return seconds


Static = Annotated[str, AfterValidator(static)]
"""A text that is needed before a run: no ``${}`` in it."""
StepName = Annotated[
    str,
    AfterValidator(_step_name),
    WithJsonSchema({"type": "string", "pattern": f"^{STEP_NAME}$"}),
]
VariableName = Annotated[str, AfterValidator(_variable_name)]
Expected = Annotated[ExpectKeys, Bare(TypeAdapter(Statuses).json_schema())]
"""``{status: 200, ...}``, or a bare status."""
Extracts = Annotated[
    dict[
        VariableName,
        Annotated[
            ExtractKeys,
            Bare({"type": "string", "pattern": r"^\$"}),
            BeforeValidator(_path_or_keys),
        ],
    ],
    Field(default={}),
]
HeaderText = Annotated[
    str | None,
    BeforeValidator(_to_text),
    WithJsonSchema({"type": ["string", "number", "null"]}),
]
"""Null takes an inherited header away; a number is its text."""
Headers = dict[HeaderName, HeaderText]
Pause = Annotated[
    tuple[float, float],
    BeforeValidator(_think),
    PlainSerializer(_think_text, when_used="json"),
    WithJsonSchema({"type": "string", "examples": ["1s", "1s..3s"]}),
]
Scalar = str | int | float | bool | None


class StepKeys(Settings):
    """What every step may have."""

    told_by: ClassVar[tuple[str, ...]] = ()
    """Keys of which exactly one makes a step one of this family."""

    name: StepName | None = None
    """Fixed and unique in the journey; the label ``step`` of its series."""
    if_: str | None = Field(default=None, alias="if")
    """Played only when it holds: ``"${row.can_pay} == true"``, or the truth of ``"${token}"``."""
    load: Literal["skip", "only"] | None = None
    """``skip``: a probe plays it, a load does not; ``only``: the other way round."""

    @classmethod
    def claims(cls, value: object) -> bool:
        """Return whether *value* was meant to be a step of this family."""
        return isinstance(value, Mapping) and not value.keys().isdisjoint(cls.told_by)


class RequestKeys(StepKeys):
    """What every step may have that asks somebody something."""

    # a frozen field may be narrower than that of its base
    name: StepName  # pyright: ignore[reportGeneralTypeIssues, reportIncompatibleVariableOverride]
    """Fixed and unique in the journey; the label ``step`` of its series."""
    timeout: Duration | None = None
    """Time for one request, all of it; else that of ``http:``, 5s."""
    expect: Expected | None = None
    """What fails the step when it is missed; by default a status of 2xx where there is one."""
    warn: Expected | None = None
    """The same keys; a miss degrades the run and does not fail it."""
    extract: Extracts
    """Variables for later steps, taken out of the answer."""


class Poll(Settings):
    """Repeat a request until its answer is as wanted."""

    until: Expected
    """What ends it."""
    every: Annotated[Duration, AfterValidator(_not_too_often)] = 0.5
    """Time between two attempts; at least 100ms."""
    timeout: Duration = 10.0
    """Time for all attempts together."""


class WebKeys(RequestKeys):
    """What the steps over HTTP share."""

    headers: Headers = Field(default={})
    """Request headers, over those of ``http:``; null takes one of those away."""
    redirects: Annotated[int, Field(ge=0, le=MAX_REDIRECTS)] | None = None
    """Redirects at most; else those of ``http:``, 5."""
    max_body: Size | None = None
    """Size of the decoded body at most; else that of ``http:``, 2MiB."""
    poll: Poll | None = None
    """Ask again until the answer is as wanted."""


def _with_one_verb(schema: dict[str, Any], model: type[BaseModel]) -> None:
    describe(schema, model)
    schema["oneOf"] = [{"required": [verb]} for verb in VERBS]


class HttpKeys(WebKeys):
    """One HTTP request."""

    told_by = VERBS
    model_config = ConfigDict(json_schema_extra=_with_one_verb)

    get: str | None = None
    """GET this path or URL."""
    post: str | None = None
    """POST to this path or URL."""
    put: str | None = None
    """PUT to this path or URL."""
    patch: str | None = None
    """PATCH this path or URL."""
    delete: str | None = None
    """DELETE this path or URL."""
    head: str | None = None
    """HEAD of this path or URL."""
    options: str | None = None
    """OPTIONS of this path or URL."""
    params: dict[Static, Scalar | list[Scalar]] = Field(default={})
    """Added to the query."""
    json_: Any = Field(default=None, alias="json")
    """Request body, sent as JSON."""
    form: dict[str, Scalar | list[Scalar]] | None = None
    """Request body, sent as the fields of a form."""
    body: str | None = None
    """Request body as it is."""

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        given = self.bodies
        if len(given) > 1:
            raise ValueError(f"want one of json, form and body, got {' and '.join(given)}")
        return self

    @property
    def bodies(self) -> list[str]:
        """The keys of its body; `json: null` is one."""
        fields = {"json": "json_", "form": "form", "body": "body"}
        return [key for key, field in fields.items() if field in self.model_fields_set]

    @property
    def verb(self) -> str:
        """The key that says what to do."""
        return next(verb for verb in VERBS if getattr(self, verb) is not None)


class Graphql(Settings):
    """One GraphQL request over HTTP."""

    url: str = ""
    """Path or URL; the base URL itself when there is none."""
    query: Static
    """Fixed text; what differs from run to run belongs into ``variables``."""
    variables: dict[str, Any] = Field(default={})
    """Values of its variables."""
    operation: Static | None = None
    """Which operation of the query."""


class GraphqlKeys(WebKeys):
    """A GraphQL request; ``errors`` in the answer fail the step."""

    told_by = ("graphql",)

    graphql: Graphql
    """What is asked."""


class Rpc(Settings):
    """One JSON-RPC request over HTTP."""

    url: str = ""
    """Path or URL; the base URL itself when there is none."""
    method: str = Field(min_length=1)
    """Such as ``eth_blockNumber``."""
    params: list[Any] | dict[str, Any] | None = None
    """By place or by name."""
    version: Literal["2.0", "1.0"] = "2.0"
    """Of JSON-RPC."""


class RpcKeys(WebKeys):
    """A JSON-RPC request; an ``error`` in the answer fails the step."""

    told_by = ("rpc",)

    rpc: Rpc
    """What is called."""
