"""Pure judgements about what a target answered: statuses, matchers, bands, certificate days.

    expect:
      status: 2xx                                   Statuses
      headers: {content-type: {contains: json}}     Matcher
      body: {matches: "ok$"}                        Matcher
      json: {$.status: healthy}                     JsonExpect
      latency: {warn: 500ms, fail: 2s}              DurationBand
      certificate: {expires_in: {warn: 21d}}        CertificateExpect

A judgement tells a miss as text (``want X, got Y``), warns the recorder, or raises `CheckFailed`.
Knows no protocol.
"""

import re
from collections.abc import Mapping
from math import inf
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from probes.errors import CheckFailed
from probes.jsonpath import JsonPath, json_path, parse_json
from probes.matcher import MISSING, Matcher, Nodes
from probes.pattern import Pattern, searchable, suggest
from probes.recorder import Recorder
from probes.result import Reason
from probes.settings import Settings
from probes.units import Duration, Ratio, Size, format_duration, format_size, short

# The front door: a kind imports every judgement from here.
__all__ = [
    "CertificateExpect", "DurationBand", "ExpiryBand", "JsonExpect", "JsonPath", "Matcher",
    "NumberBand", "Pattern", "RatioBand", "SizeBand", "Statuses", "judge_json", "miss_in_json",
    "parse_json", "searchable", "suggest",
]  # fmt: skip


class Statuses:
    """A set of status codes: ``200``, ``2xx``, ``200-299``, a list of these, or ``{not: 5xx}``."""

    __slots__ = ("_codes", "_text")
    _ITEM: ClassVar[re.Pattern[str]] = re.compile(
        r"([1-5])xx|([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?", re.ASCII
    )

    def __init__(self, value: object) -> None:
        self._codes: frozenset[int]
        self._text: str
        if isinstance(value, Mapping):
            if set(value) != {"not"}:
                raise ValueError(
                    f"want a status such as 200, 2xx or {{not: 5xx}}, got {short(dict(value))}"
                )
            excluded = Statuses(value["not"])
            self._codes = frozenset(range(100, 1000)) - excluded._codes
            self._text = f"not {excluded}"
            return
        items = value if isinstance(value, list | tuple) else [value]
        if not items:
            raise ValueError("want at least one status, got an empty list")
        self._codes = frozenset(code for item in items for code in self._range(item))
        self._text = ", ".join(map(str, items))

    def _range(self, item: object) -> range:
        text = str(item) if isinstance(item, int) and not isinstance(item, bool) else item
        found = self._ITEM.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ValueError(f"want a status such as 200, 2xx or 200-299, got {short(item)}")
        if found[1]:
            return range(int(found[1]) * 100, int(found[1]) * 100 + 100)
        first, last = int(found[2]), int(found[3] or found[2])
        if last < first:
            raise ValueError(f"want a rising range of statuses, got {short(item)}")
        return range(first, last + 1)

    def admits(self, code: int) -> bool:
        """Tell whether *code* is one of these."""
        return code in self._codes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Statuses) and other._codes == self._codes

    def __hash__(self) -> int:
        return hash(self._codes)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Statuses({self._text!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, Statuses) else cls(value),
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        one: JsonSchemaValue = {
            "anyOf": [
                {"type": "integer", "minimum": 100, "maximum": 999},
                {"type": "string", "pattern": r"^([1-5]xx|[1-9][0-9]{2}(-[1-9][0-9]{2})?)$"},
            ]
        }
        some: JsonSchemaValue = {
            "anyOf": [*one["anyOf"], {"type": "array", "items": one, "minItems": 1}]
        }
        negated: JsonSchemaValue = {
            "type": "object", "properties": {"not": some},
            "required": ["not"], "additionalProperties": False,
        }  # fmt: skip
        return {"anyOf": [*some["anyOf"], negated]}


class _Band(Settings):
    """A value that degrades above ``warn`` and fails above ``fail``; a bare value is ``fail``."""

    @model_validator(mode="before")
    @classmethod
    def _bare_is_fail(cls, data: Any) -> Any:
        return data if isinstance(data, Mapping | _Band) else {"fail": data}

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        warn, fail = getattr(self, "warn", None), getattr(self, "fail", None)
        if warn is None and fail is None and not self._says_more():
            raise ValueError("want warn, fail or both, got neither")
        if warn is not None and fail is not None and not self._softer(warn, fail):
            raise ValueError(
                f"want warn to come before fail, got {self._text(warn)} and {self._text(fail)}"
            )
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        made = handler(schema)
        form = handler.resolve_ref_schema(made)
        bare = next(it for it in form["properties"]["fail"]["anyOf"] if it.get("type") != "null")
        mapping = dict(form)
        form.clear()
        form.update({"anyOf": [dict(bare), mapping]})
        return made

    def _says_more(self) -> bool:
        """Tell whether the band says something without a limit of its own."""
        return False

    def _softer(self, warn: float, fail: float) -> bool:
        return warn < fail

    def _text(self, value: float) -> str:
        return f"{value:g}"

    def _judge(self, value: float, recorder: Recorder, what: str, reason: Reason) -> None:
        warn, fail = getattr(self, "warn", None), getattr(self, "fail", None)
        if fail is not None and value > fail:
            raise CheckFailed(reason, f"want {what} <= {self._text(fail)}, got {self._text(value)}")
        if warn is not None and value > warn:
            recorder.warn(reason, f"want {what} <= {self._text(warn)}, got {self._text(value)}")


class DurationBand(_Band):
    """A time that degrades above ``warn`` and fails above ``fail``."""

    warn: Duration | None = None
    """Above this the run is degraded."""
    fail: Duration | None = None
    """Above this the run is down."""

    @property
    def lowest(self) -> float:
        """The seconds up to which nothing is amiss."""
        return min(inf if self.warn is None else self.warn, inf if self.fail is None else self.fail)

    def _text(self, value: float) -> str:
        return format_duration(round(value, 4))

    def judge(
        self,
        seconds: float,
        recorder: Recorder,
        reason: Reason = Reason.LATENCY,
        what: str = "latency",
    ) -> None:
        """Judge *seconds*.

        Raises:
            CheckFailed: above ``fail``, with *reason*.
        """
        self._judge(seconds, recorder, what, reason)


class RatioBand(_Band):
    """A share (``90%`` or ``0.9``) that degrades above ``warn`` and fails above ``fail``."""

    warn: Ratio | None = None
    """Above this the run is degraded."""
    fail: Ratio | None = None
    """Above this the run is down."""

    def _text(self, value: float) -> str:
        return f"{value * 100:.4g}%"

    def judge(
        self, ratio: float, recorder: Recorder, what: str, reason: Reason = Reason.VALUE
    ) -> None:
        """Judge *ratio* (0 to 1).

        Raises:
            CheckFailed: above ``fail``.
        """
        self._judge(ratio, recorder, what, reason)


class NumberBand(_Band):
    """A number that degrades above ``warn`` and fails above ``fail``."""

    warn: float | None = None
    """Above this the run is degraded."""
    fail: float | None = None
    """Above this the run is down."""

    def judge(
        self, value: float, recorder: Recorder, what: str, reason: Reason = Reason.VALUE
    ) -> None:
        """Judge *value*.

        Raises:
            CheckFailed: above ``fail``.
        """
        self._judge(value, recorder, what, reason)


class SizeBand(_Band):
    """A size (``512MiB``) that degrades above ``warn`` and fails above ``fail``."""

    warn: Size | None = None
    """Above this the run is degraded."""
    fail: Size | None = None
    """Above this the run is down."""

    def _text(self, value: float) -> str:
        return format_size(int(value))

    def judge(
        self, size: float, recorder: Recorder, what: str, reason: Reason = Reason.VALUE
    ) -> None:
        """Judge *size* in bytes.

        Raises:
            CheckFailed: above ``fail``.
        """
        self._judge(size, recorder, what, reason)


class ExpiryBand(_Band):
    """Time left that degrades below ``warn`` and fails below ``fail``."""

    warn: Duration | None = None
    """With less than this left the run is degraded."""
    fail: Duration | None = None
    """With less than this left the run is down."""

    def _softer(self, warn: float, fail: float) -> bool:
        return warn > fail

    def _text(self, value: float) -> str:
        return format_duration(round(value)) if value > 0 else "nothing"

    def judge(self, seconds_left: float, recorder: Recorder, what: str, reason: Reason) -> None:
        """Judge the seconds that are left.

        Raises:
            CheckFailed: less than ``fail`` left.
        """
        got = f"got {self._text(seconds_left)}"
        if self.fail is not None and seconds_left < self.fail:
            raise CheckFailed(reason, f"want {what} in {self._text(self.fail)} or later, {got}")
        if self.warn is not None and seconds_left < self.warn:
            recorder.warn(reason, f"want {what} in {self._text(self.warn)} or later, {got}")


class CertificateExpect(Settings):
    """What is expected of the certificates that the peer sent, over all hops."""

    expires_in: ExpiryBand
    """Time until the earliest certificate expires."""

    def judge(self, seconds_left: float, recorder: Recorder) -> None:
        """Judge the seconds until the earliest certificate expires.

        Raises:
            CheckFailed: ``certificate_expiring``.
        """
        self.expires_in.judge(
            seconds_left, recorder, "the certificate to expire", Reason.CERTIFICATE_EXPIRING
        )


def _path_text(text: str) -> str:
    json_path(text)
    return text


JsonPathText = Annotated[str, AfterValidator(_path_text)]
JsonExpect = dict[JsonPathText, Matcher]
"""JSONPath -> what must stand there."""


def miss_in_json(expect: Mapping[str, Matcher], document: Any) -> str | None:
    """Return the first miss of *document*, with its path; None when all hold.

    A path that may select several nodes compares against the list of them.
    """
    for text, matcher in expect.items():
        path = json_path(text)
        nodes = path.select(document)
        value = (nodes[0] if nodes else MISSING) if path.singular else Nodes(nodes)
        if (miss := matcher.miss(value)) is not None:
            return f"{text}: {miss}"
    return None


def judge_json(expect: Mapping[str, Matcher], document: Any) -> None:
    """Judge *document*.

    Raises:
        CheckFailed: ``body``, with the first miss.
    """
    if (miss := miss_in_json(expect, document)) is not None:
        raise CheckFailed(Reason.BODY, miss)
