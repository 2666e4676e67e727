"""``extract``: a value taken out of an answer, by JSONPath, pattern, header, cookie or CSS.

    token: $.token                                  short for {json: $.token}
    csrf: {regex: 'value="([^"]+)"', group: 1, optional: true}
    trace: {header: X-Trace-Id, default: none}
    sid: {cookie: sid}
    form: {css: "form#login", attribute: action}

Knows no step and no variable: what is taken is returned.
"""

from collections.abc import Callable, Mapping
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from probes.errors import CheckFailed
from probes.journey.language.grammar import NAME, RESERVED
from probes.journey.language.view import View, check_selector
from probes.jsonpath import JsonPath, json_path
from probes.matcher import MISSING
from probes.pattern import Pattern, suggest
from probes.result import Reason
from probes.settings import Settings
from probes.units import short

FORMS = ("json", "regex", "header", "cookie", "css")
# Names of headers or keys in a message; more do not help.
MAX_NAMED = 8
MAX_SHOWN = 80


class ExtractKeys(Settings):
    """One value to take; exactly one of `json`, `regex`, `header`, `cookie`, `css`."""

    json_: JsonPath | None = Field(default=None, alias="json")
    """JSONPath; one that may select several nodes gives a list."""

    regex: Pattern | None = None
    """RE2 pattern; the first match in the body."""

    group: int | str | None = None
    """Which group of the pattern: number or name; by default the first, or all without any."""

    header: str | None = Field(default=None, min_length=1)
    """Name of a response header, in any case; its first value."""

    cookie: str | None = Field(default=None, min_length=1)
    """Name of a cookie that the answer's URL would be sent."""

    css: str | None = Field(default=None, min_length=1)
    """CSS selector; the first element in the page."""

    attribute: str | None = Field(default=None, min_length=1)
    """Attribute of the element; by default its text."""

    optional: bool = False
    """Whether the variable may stay without a value."""

    default: Any = None
    """Value when there is none."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = [form for form in FORMS if self.form(form) is not None]
        if len(given) != 1:
            raise ValueError(
                f"want exactly one of {', '.join(FORMS)}, got {' and '.join(given) or 'none'}"
            )
        if self.group is not None:
            self._check_group(self.group)
        if self.attribute is not None and self.css is None:
            raise ValueError("want attribute beside css, got it without")
        if self.optional and "default" in self.model_fields_set:
            raise ValueError("want optional or default, got both")
        if _has_expression(self.default):
            raise ValueError("want a default without ${...}, got one")
        if self.css is not None:
            check_selector(self.css)
        return self

    def _check_group(self, group: int | str) -> None:
        if self.regex is None:
            raise ValueError("want group beside regex, got it without")
        known = [*range(self.regex.groups + 1), *self.regex.group_names]
        if isinstance(group, bool) or group not in known:
            raise ValueError(
                f"want a group of the pattern ({', '.join(map(str, known))}), got {short(group)}"
            )

    def form(self, name: str) -> Any:
        """Return the value of one of `FORMS`."""
        return self.json_ if name == "json" else getattr(self, name)


def _has_expression(value: Any) -> bool:
    if isinstance(value, str):
        return "${" in value
    if isinstance(value, Mapping):
        return any(map(_has_expression, (*value, *value.values())))
    return isinstance(value, list) and any(map(_has_expression, value))


_Taker = Callable[[View], Any]


class Extract:
    """One value to take.

    ``name`` is the variable; ``source`` is what the file says. Strict unless ``optional`` or
    ``default``.
    """

    __slots__ = ("_miss", "_take", "default", "is_optional", "name", "source")

    def __init__(self, name: str, source: Any, keys: ExtractKeys) -> None:
        self.name = name
        self.source = source
        self.is_optional = keys.optional
        self.default: Any = keys.default if "default" in keys.model_fields_set else MISSING
        self._take, self._miss = _compile(keys)

    def take(self, view: View) -> Any:
        """Return the value; `probes.matcher.MISSING` for an optional one that is not there.

        Raises:
            CheckFailed: ``extract``: a strict one is not there; ``want X, got Y`` with its name.
        """
        try:
            value = self._take(view)
        except ValueError as error:
            return self._without(str(error))
        if value is not MISSING:
            return value
        return self._without(None) if self._is_lenient else self._without(self._miss(view))

    @property
    def _is_lenient(self) -> bool:
        return self.is_optional or self.default is not MISSING

    def _without(self, message: str | None) -> Any:
        if self._is_lenient:
            return self.default
        # a name before a colon, such as "token: ", would be taken for a secret and starred
        told = (message or "").removeprefix("want ")
        raise CheckFailed(Reason.EXTRACT, f"want {self.name}, {told}")

    def __repr__(self) -> str:
        return f"Extract({self.name!r}, {self.source!r})"


def extract(name: str, source: Any) -> Extract:
    """Compile what the file says of one value.

    Raises:
        ValueError: an unknown form, a bad path, pattern or selector.
    """
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ValueError(
            f"want a name such as cart_id that begins in lower case, got {short(name)}"
        )
    if isinstance(source, str):
        json_path(source)
        return Extract(name, source, ExtractKeys.model_validate({"json": source}))
    if isinstance(source, ExtractKeys):
        return Extract(name, source, source)
    if not isinstance(source, Mapping):
        raise ValueError(f"want $.path or one of {{{', '.join(FORMS)}}}, got {short(source)}")
    for key in source:
        if key not in _KEYS:
            raise ValueError(f"want one of {', '.join(_KEYS)}, got {short(key)}"
                             f"{suggest(str(key), _KEYS)}")  # fmt: skip
    try:
        return Extract(name, source, ExtractKeys.model_validate(dict(source)))
    except ValidationError as error:
        raise ValueError(_first(error)) from None


_KEYS = tuple(field.alias or name for name, field in ExtractKeys.model_fields.items())


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _compile(keys: ExtractKeys) -> tuple[_Taker, Callable[[View], str]]:
    """Return what takes the value, and what says why there is none."""
    if keys.json_ is not None:
        return _by_path(keys.json_)
    if keys.regex is not None:
        return _by_pattern(keys.regex, keys.group)
    if keys.header is not None:
        return _by_header(keys.header)
    if keys.cookie is not None:
        return _by_cookie(keys.cookie)
    return _by_selector(keys.css or "", keys.attribute)


def _by_path(path: JsonPath) -> tuple[_Taker, Callable[[View], str]]:
    def take(view: View) -> Any:
        nodes = path.select(view.document())
        if not nodes:
            return MISSING
        return nodes[0] if path.singular else list(nodes)

    return take, lambda view: f"want a value at {path}, got {_kind(view.document())}"


def _kind(document: Any) -> str:
    """Name what a document is, by its keys: its values may be secrets."""
    if isinstance(document, dict):
        return f"an object with {_names(document)}"
    if isinstance(document, list):
        return f"a list of {len(document)}"
    if document is None or isinstance(document, bool):
        return "null" if document is None else "a boolean"
    return "a text" if isinstance(document, str) else "a number"


def _names(names: Mapping[str, Any] | list[str]) -> str:
    if not names:
        return "nothing"
    shown = ", ".join(repr(name) for name in list(dict.fromkeys(names))[:MAX_NAMED])
    return shown if len(shown) <= MAX_SHOWN else shown[: MAX_SHOWN - 1] + "…"


def _by_pattern(pattern: Pattern, group: int | str | None) -> tuple[_Taker, Callable[[View], str]]:
    which = min(pattern.groups, 1) if group is None else group

    def take(view: View) -> Any:
        found = pattern.search(view.utf8)
        value: bytes | None = found.group(which) if found else None
        return MISSING if value is None else value.decode("utf-8", "replace")

    return (
        take,
        lambda view: f"want a match of {short(pattern.text)}, got {short(view.text[:MAX_SHOWN])}",
    )


def _by_header(name: str) -> tuple[_Taker, Callable[[View], str]]:
    def take(view: View) -> Any:
        values = view.header(name)
        return values[0] if values else MISSING

    return (
        take,
        lambda view: (
            f"want the header {short(name)}, got {_names([key for key, _ in view.headers])}"
        ),
    )


def _by_cookie(name: str) -> tuple[_Taker, Callable[[View], str]]:
    return (
        lambda view: view.cookies.get(name, MISSING),
        lambda view: f"want the cookie {short(name)}, got {_names(view.cookies)}",
    )


def _by_selector(selector: str, attribute: str | None) -> tuple[_Taker, Callable[[View], str]]:
    def take(view: View) -> Any:
        values = view.css(selector, attribute, limit=1)
        return values[0] if values else MISSING

    wanted = f"an element {short(selector)}"
    if attribute is not None:
        wanted += f" with {short(attribute)}"
    return take, lambda view: f"want {wanted}, got none in {len(view.body)} bytes of HTML"
