"""What pydantic finds, in our words: ``want X, got Y`` and the path into the data. Pure.

Knows neither files nor lines: a finding says where in the data it stands, `probes.config.mistakes`
says where in the file that is.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from probes.pattern import suggest
from probes.redact import SECRET_HEADER
from probes.units import short

Path = tuple[str | int, ...]

# What each type of pydantic error wants. A phrase may name values of the error's context.
WANTS: Mapping[str, str] = {
    "string_type": "a text",
    "string_unicode": "a text in UTF-8",
    "string_too_short": "a text of at least {min_length} characters",
    "string_too_long": "a text of at most {max_length} characters",
    "string_pattern_mismatch": "a text like {pattern}",
    "bytes_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "finite_number": "a finite number",
    "greater_than": "a number > {gt}",
    "greater_than_equal": "a number >= {ge}",
    "less_than": "a number < {lt}",
    "less_than_equal": "a number <= {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "none_required": "nothing",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "iterable_type": "a list",
    "too_short": "at least {min_length} items",
    "too_long": "at most {max_length} items",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "union_tag_invalid": "{expected_tags}",
    "union_tag_not_found": "the key {discriminator}",
    "url_parsing": "a URL",
    "url_type": "a URL",
    "url_scheme": "a URL with {expected_schemes}",
    "uuid_parsing": "a UUID",
    "date_from_datetime_parsing": "a date such as 2026-01-31",
    "datetime_from_date_parsing": "a time such as 2026-01-31T12:00:00Z",
}
# What other probers call our keys, where no likeness of letters helps.
OTHER_WORDS: Mapping[str, str] = {
    "interval": "every", "scrape_interval": "every", "period": "every", "frequency": "every",
    "url": "target", "address": "target", "host": "target", "endpoint": "target", "dsn": "target",
    "urls": "targets", "hosts": "targets", "endpoints": "targets",
    "type": "kind", "prober": "kind", "protocol": "kind", "check": "kind",
    "depends": "depends_on", "requires": "depends_on",
    "assert": "expect", "assertions": "expect", "validate": "expect", "conditions": "expect",
}  # fmt: skip
# pydantic's own sentences begin with this; the rest says what is wanted.
_PYDANTIC_WANTS = ("Input should be ", "Value should be ", "Input should have ", "Input should ")


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake in the data: where, whether its key is meant, and what to say."""

    path: Path
    message: str
    at_key: bool = False


def findings(
    error: ValidationError, data: object, model: type[BaseModel], known: Iterable[str] = ()
) -> list[Finding]:
    """Return the mistakes that *error* tells about *data*, one for each place.

    Args:
        error: of validating *data* by *model*.
        data: as it was read.
        model: to suggest its keys for a misspelt one.
        known: more keys that may stand on the first level.
    """
    found: dict[Path, list[tuple[ErrorDetails, bool]]] = {}
    for detail in error.errors(include_url=False, include_input=False):
        path, exact = _in_data(detail["loc"], data)
        found.setdefault(path, []).append((detail, exact))
    return [
        finding
        for path, details in found.items()
        if not _is_shadow(path, details, found)
        for finding in _tell(path, [detail for detail, _ in details], data, model, known)
    ]


def got(value: object, path: Sequence[str | int] = ()) -> str:
    """Return how a message shows *value*, which stands at *path*."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if any(isinstance(step, str) and SECRET_HEADER.search(step) for step in path):
        return "a hidden value"
    if value is None or isinstance(value, bool):
        return "nothing" if value is None else str(value).lower()
    return short(value)


def _in_data(loc: Sequence[str | int], data: object) -> tuple[Path, bool]:
    """Return the steps of *loc* that are in *data*, and whether that is all of them.

    The rest are tags of pydantic: the branch of a union, a key as opposed to its value.
    """
    path: list[str | int] = []
    for step in loc:
        inside = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if not inside and not (isinstance(data, Mapping) and step in data):
            continue
        data = cast("Any", data)[step]
        path.append(step)
    return tuple(path), len(path) == len(loc)


def _is_shadow(
    path: Path, details: list[tuple[ErrorDetails, bool]], found: Mapping[Path, object]
) -> bool:
    """Whether these only say that one branch of a union is not meant, and another says more."""
    if any(exact or detail["type"] == "missing" for detail, exact in details):
        return False
    return any(len(other) > len(path) and other[: len(path)] == path for other in found)


def _tell(
    path: Path,
    details: list[ErrorDetails],
    data: object,
    model: type[BaseModel],
    known: Iterable[str],
) -> Iterator[Finding]:
    shown = got(_value_at(data, path), path)
    wants: list[str] = []
    for detail in details:
        if detail["type"] == "missing":
            yield Finding(path, f"want the key {str(detail['loc'][-1])!r}, got none")
        elif detail["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            word = str(path[-1])
            beside = [*known_keys(model, path, data), *(known if len(path) == 1 else ())]
            hint = "" if OTHER_WORDS.get(word) in beside else _place_hint(word, model, path, data)
            hint = hint or key_hint(word, beside)
            yield Finding(path, f"want a known key, got {short(path[-1])}{hint}", at_key=True)
        else:
            want, own = _want(detail)
            if own is None:
                wants.append(want)
            elif len(details) == 1 or own not in wants:
                wants.append(want)
                shown = own or shown
    if wants:
        message = f"want {' or '.join(dict.fromkeys(wants))}, got {shown}"
        yield Finding(path, message + _hint(details, _value_at(data, path)))


def _want(detail: ErrorDetails) -> tuple[str, str | None]:
    """Return what is wanted and, if the message is our own, what it says was got."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        text = str(context.get("error", detail["msg"]))
        want, _, shown = text.removeprefix("want ").partition(", got ")
        return want, shown
    if kind in WANTS:
        return WANTS[kind].format_map(context), None
    text = detail["msg"]
    for prefix in _PYDANTIC_WANTS:
        text = text.removeprefix(prefix)
    return text, None


def _hint(details: list[ErrorDetails], value: object) -> str:
    kinds = {detail["type"] for detail in details}
    if "string_type" in kinds and isinstance(value, int | float):
        return ": put it in quotes"
    if isinstance(value, str) and kinds <= {"literal_error", "enum"}:
        expected = str(details[0].get("ctx", {}).get("expected", ""))
        return suggest(value, expected.replace(" or ", ", ").replace("'", "").split(", "))
    return ""


def _value_at(data: Any, path: Path) -> object:
    for step in path:
        data = data[step]
    return data


def known_keys(model: type[BaseModel], path: Sequence[str | int], data: object = None) -> list[str]:
    """Return the keys that *model* allows beside the last step of *path* into *data*."""
    return [name for inner in _models_at(model, path, data) for name, _ in _fields(inner)]


def key_hint(word: str, known: Collection[str]) -> str:
    """Return which of the *known* keys was meant, if any."""
    other = OTHER_WORDS.get(word)
    return f"; did you mean {other!r}?" if other in known else suggest(word, known)


def _place_hint(word: str, model: type[BaseModel], path: Sequence[str | int], data: object) -> str:
    """Return where *word* is known, if that is one level below."""
    models = _models_at(model, path, data)
    for name, field in (pair for it in models for pair in _fields(it)):
        if any(word in model.model_fields for model in _models_in(field.annotation)):
            return f"; did you mean '{name}.{word}'?"
    return ""


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    return ((field.alias or name, field) for name, field in model.model_fields.items())


def _models_at(
    model: type[BaseModel], path: Sequence[str | int], data: Any
) -> list[type[BaseModel]]:
    """Return the models that may hold the last step of *path* into *data*."""
    models = [model]
    for step in path[:-1]:
        is_there = isinstance(data, Mapping | list)
        data = data[step] if is_there else None
        below = [
            inner
            for outer in models
            for name, field in _fields(outer)
            if name == step
            for inner in _models_in(field.annotation)
        ]
        # a number is an item of a list, an unknown word a key of a mapping of models
        models = _claiming(below or models, data)
    return models


def _claiming(models: list[type[BaseModel]], value: object) -> list[type[BaseModel]]:
    """Return those of several models that *value* was meant for, where they can tell."""
    claims = [getattr(model, "claims", None) for model in models]
    meant = [
        model for model, claim in zip(models, claims, strict=True) if claim is None or claim(value)
    ]
    return meant or models


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
