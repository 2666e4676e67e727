"""The reference of the kinds, in Markdown, out of their docstrings, fields and metrics.

    kinds_page ── one section for each kind: `kind_section`
                  ├── docstring: what it does, Target, Source
                  ├── keys      dotted, with type, default and description
                  ├── phases
                  └── samples   the numbers that a run may record, and the family each becomes

Pure: knows neither which kinds exist nor where the page is kept. Copes with a missing docstring.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from probes.families import family_name
from probes.kind import Kind, Metric
from probes.settings import Settings
from probes.units import (
    format_duration,
    format_size,
    parse_duration,
    parse_ratio,
    parse_size,
    short,
)

# kinds nest three levels (expect.certificate.expires_in); a fourth would be a design mistake
MAX_DEPTH = 4
_WORDS: Mapping[object, str] = {
    bool: "true or false",
    str: "text",
    int: "whole number",
    float: "number",
    object: "anything",
    Any: "anything",
}
_UNITS: Mapping[object, tuple[str, Callable[[Any], str]]] = {
    parse_duration: ("duration", format_duration),
    parse_size: ("size", format_size),
    parse_ratio: ("share", str),
}


def kinds_page(kinds: Iterable[type[Kind]]) -> str:
    """Return the page of *kinds*, in their order, one section each."""
    head = [
        "# Kinds of checks",
        "",
        "Generated from the code by `make docs`; nobody edits this page.",
        "",
        "The keys of a kind stand beside the [common keys of a probe](config.md). A missed",
        "expectation is `down`, a missed `warn` `degraded`, the prober's own fault `unknown`.",
        "",
    ]
    sections = [kind_section(kind) for kind in kinds]
    return "\n".join(head) + "\n" + "\n".join(sections)


def kind_section(kind: type[Kind]) -> str:
    """Return the section of one kind; it ends with a line break."""
    blocks = [f"## {kind.name}", inspect.cleandoc(kind.__doc__ or "").strip()]
    if kind.requires:
        blocks.append(f"Needs the extra `{kind.requires}`: `pip install 'sonde[{kind.requires}]'`.")
    rows = list(_keys(kind))
    if rows:
        head = ["| key | type | default | what it says |", "| --- | --- | --- | --- |"]
        blocks.append("\n".join(head + [_row(row) for row in rows]))
    if kind.phases:
        blocks.append("Phases: " + ", ".join(f"`{phase}`" for phase in kind.phases) + ".")
    if kind.metrics:
        head = ["| sample | family | labels | what it is |", "| --- | --- | --- | --- |"]
        blocks.append("\n".join(head + [_row(_sample(metric)) for metric in kind.metrics]))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _keys(settings: type[Settings], prefix: str = "", depth: int = 1) -> Iterator[Sequence[str]]:
    for name, field in settings.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        yield f"`{key}`", _type(field.annotation, field.metadata), _default(field), _about(field)
        inner = _settings_in(field.annotation)
        if inner and depth < MAX_DEPTH:
            yield from _keys(inner, f"{key}.", depth + 1)


def _about(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _settings_in(annotation: Any) -> type[Settings] | None:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    if get_origin(annotation) in (Annotated, Union, UnionType):
        found = (_settings_in(part) for part in get_args(annotation))
        return next((settings for settings in found if settings), None)
    return None


def _unit(metadata: Iterable[object]) -> tuple[str, Callable[[Any], str]] | None:
    validators = (item.func for item in metadata if isinstance(item, BeforeValidator))
    return next((_UNITS[function] for function in validators if function in _UNITS), None)


def _type(annotation: Any, metadata: Iterable[object] = ()) -> str:
    """Return what to write for a value, in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(parts[0], parts[1:])
    if unit := _unit(metadata):
        return unit[0]
    if origin is Literal:
        return " | ".join(f"`{part}`" for part in parts)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type(part) for part in parts if part is not NoneType))
    if origin is not None:
        return _container(origin, parts)
    return _word(annotation)


def _word(annotation: Any) -> str:
    if _settings_in(annotation):
        return "mapping"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def _container(origin: Any, parts: Sequence[Any]) -> str:
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of {_type(parts[-1])}"
    return f"list of {_type(parts[0])}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    # not a copy: a default that was used in this process may hold a TLS context
    value = (
        field.default
        if field.default_factory is None
        else field.get_default(call_default_factory=True)
    )
    if value is None or value == "" or isinstance(value, Settings):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    unit = _unit(field.metadata)
    if isinstance(value, list | tuple | dict | frozenset) and not value:
        return ""
    text = unit[1](value) if unit else value if isinstance(value, str) else _plain(value)
    return f"`{text}`"


def _plain(value: object) -> str:
    if isinstance(value, list | tuple | frozenset):
        return f"[{', '.join(map(str, value))}]"
    return short(value) if isinstance(value, dict) else str(value)


def _sample(metric: Metric) -> Sequence[str]:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"`{metric.name}`", f"`{family_name(metric.name)}`", labels, metric.help


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
