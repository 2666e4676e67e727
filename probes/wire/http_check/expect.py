"""The settings of what an HTTP answer should be: ``expect`` and ``warn`` of HTTP checks.

    expect:
      status: 2xx
      headers: {content-type: {contains: json}}     or [{name: Content-Type, regex: json}]
      headers_lack: [{name: Server, regex: nginx/1, optional: true}]
      body: {contains: healthy}                     or [RE2, RE2]: each is found in it
      body_lacks: [RE2]                             none is found in it
      json: {$.status: healthy}
      cel: body.lag <= 5
      http_version: ["2"]
      tls: present
      latency: {warn: 500ms, fail: 2s, phases: {tls: 300ms}}
      certificate: {expires_in: {warn: 21d, fail: 7d}}

Knows no answer: `probes.wire.http_check.answer` judges one.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from probes.cel import Cel
from probes.expect import (
    CertificateExpect,
    DurationBand,
    JsonExpect,
    Matcher,
    Pattern,
    Statuses,
)
from probes.pattern import pattern
from probes.recorder import Recorder
from probes.settings import AnyForm, Settings, Word, is_blackbox
from probes.sourced import Sourced
from probes.units import short
from probes.wire.http.headers import HeaderName

PhaseName = Literal["resolve", "connect", "tls", "processing", "transfer"]
HTTP_VERSIONS = ("1.0", "1.1", "2", "3")


class Patterns(Sourced):
    """Several patterns: all of them are to be found.

    Raises:
        ValueError: one is not RE2.
    """

    __slots__ = ("each",)

    def __init__(self, source: Any) -> None:
        if not all(isinstance(item, str) for item in source):
            raise ValueError(f"want RE2 patterns, got {short(source)}")
        super().__init__(source)
        self.each: tuple[Pattern, ...] = tuple(map(pattern, source))

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "array", "items": {"type": "string", "description": "RE2 pattern"}}


def _form(value: Any) -> str:
    return "list" if isinstance(value, list | tuple | Patterns) else "mapping"


def _to_list(value: Any) -> Any:
    return [value] if isinstance(value, str | Mapping) else value


BodyExpect = Annotated[
    Annotated[Matcher, Tag("mapping")] | Annotated[Patterns, Tag("list")],
    Discriminator(_form),
    AnyForm(),
    Word("matcher or list of RE2 patterns"),
]
"""What a body must be, or the patterns that are found in it."""
SomePatterns = Annotated[
    list[Pattern], BeforeValidator(_to_list, json_schema_input_type=list[Pattern] | Pattern)
]
"""Patterns; one alone needs no list."""


class HeaderPattern(Settings):
    """A header and the pattern for its values."""

    name: HeaderName
    """Name of the header, in any case."""
    regex: Pattern
    """RE2 pattern."""
    optional: bool = False
    """Whether the header may be missing; otherwise that is a miss, of ``headers_lack`` too."""


HeaderPatterns = Annotated[
    list[HeaderPattern],
    BeforeValidator(_to_list, json_schema_input_type=list[HeaderPattern] | HeaderPattern),
]
HeadersExpect = Annotated[
    Annotated[dict[str, Matcher], Tag("mapping")] | Annotated[list[HeaderPattern], Tag("list")],
    Discriminator(_form),
    AnyForm(),
]
"""What headers must be, or the patterns that are found in them."""


def _to_version(value: Any, info: ValidationInfo) -> Any:
    if is_blackbox(info):
        # upstream loads any text; what is no version never matches
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{value:g}" if value >= 2 else f"{value:.1f}"  # noqa: PLR2004 - HTTP/2
    if value not in HTTP_VERSIONS:
        raise ValueError(f"want a version of HTTP ({', '.join(HTTP_VERSIONS)}), got {short(value)}")
    return value


HttpVersion = Annotated[
    str, BeforeValidator(_to_version, json_schema_input_type=Literal[HTTP_VERSIONS] | float)
]
HttpVersions = Annotated[
    list[HttpVersion],
    BeforeValidator(
        lambda value: value if isinstance(value, list | tuple) else [value],
        json_schema_input_type=list[HttpVersion] | HttpVersion,
    ),
    Word("`1.0` | `1.1` | `2` | `3`, or a list of them"),
]


def _to_cel(value: Any, info: ValidationInfo) -> Any:
    # a blackbox.yml loads without the extra; the run tells
    return Cel(value, may_wait=True) if isinstance(value, str) and is_blackbox(info) else value


Expression = Annotated[
    Cel, BeforeValidator(_to_cel, json_schema_input_type=Cel), Word("CEL expression")
]


class LatencyBand(DurationBand):
    """A time that degrades above ``warn`` and fails above ``fail``: of the run, of its phases."""

    phases: dict[PhaseName, DurationBand] = Field(default={})
    """Phase -> the same for its duration, over all redirects."""

    def _says_more(self) -> bool:
        return bool(self.phases)

    def judge_phases(self, recorder: Recorder) -> None:
        """Judge the phases of a run.

        Raises:
            CheckFailed: ``latency``.
        """
        for phase in recorder.phases:
            if (band := self.phases.get(phase.name)) is not None:  # type: ignore[call-overload]
                band.judge(phase.seconds, recorder, what=f"{phase.name}")


class HttpWarn(Settings):
    """What degrades a run when it is missed."""

    status: Statuses | None = None
    """Status codes: ``200``, ``2xx``, ``200-299``, a list, or ``{not: 5xx}``."""
    headers: HeadersExpect = Field(default={})
    """Header -> what one of its values must be; or a list of ``{name, regex, optional}``."""
    headers_lack: HeaderPatterns = Field(default=[])
    """List of ``{name, regex, optional}``: no value of the header may be like the pattern; a header
    that is missing is a miss, too, unless it is optional."""
    body: BodyExpect | None = None
    """What the decoded body must be, as text: ``{contains: healthy}``, ``{matches: "^ok"}``; or a
    list of RE2 patterns, each of which is found in it."""
    body_lacks: SomePatterns = Field(default=[])
    """RE2 patterns that are not found in the decoded body."""
    json_: JsonExpect = Field(default={}, alias="json")
    """JSONPath -> what must stand there."""
    cel: Expression | None = None
    """CEL expression over ``body``, the JSON of the body, that must be true; needs the extra
    ``cel``."""
    cel_not: Expression | None = None
    """The same, that must be false."""
    http_version: HttpVersions = Field(default=[])
    """Versions of HTTP that the last answer may have: ``1.0``, ``1.1``, ``2``, ``3``; by default
    those of ``versions``."""
    tls: Literal["absent", "present"] | None = None
    """Whether the last answer must have come over TLS, or must not."""
    latency: LatencyBand | None = None
    """Duration of the whole run: DNS, connection, TLS, redirects and body; or of its phases."""
    certificate: CertificateExpect | None = None
    """Certificates of all hops."""

    @model_validator(mode="before")
    @classmethod
    def _bare_is_status(cls, data: Any) -> Any:
        return {"status": data} if isinstance(data, int | str | list) else data

    @property
    def judges_body(self) -> bool:
        """Whether the body must be kept."""
        return self.searches_body or self.asks_cel

    @property
    def searches_body(self) -> bool:
        """Whether a body that cannot be read is a miss of a pattern."""
        return self.body is not None or bool(self.body_lacks or self.json_)

    @property
    def asks_cel(self) -> bool:
        """Whether there is a CEL expression."""
        return self.cel is not None or self.cel_not is not None


class HttpExpect(HttpWarn):
    """What fails a run when it is missed."""

    status: Statuses | None = Statuses("2xx")
    """Status codes: ``200``, ``2xx``, ``200-299``, a list, or ``{not: 5xx}``."""
