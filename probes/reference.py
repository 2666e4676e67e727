"""The reference of the kinds, in Markdown, out of their docstrings, fields and metrics.

    kinds_page ── one section for each kind: `kind_section`
                  ├── docstring: what it does, Target, Source
                  ├── keys      dotted, with type, default and description
                  ├── phases
                  └── samples   the numbers that a run may record, and the family each becomes

    journeys_page ── one section for each family of journeys and steps
    keys_page     ── one section for each group of keys

Pure: knows neither which kinds exist nor where the page is kept. Copes with a missing docstring.
"""

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from probes.families import family_name
from probes.kind import Kind, Metric
from probes.settings import Settings, Word, descriptions
from probes.units import (
    format_duration,
    format_rate,
    format_size,
    parse_duration,
    parse_rate,
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
# Matchers that may hold expressions are matchers for people.
_NAMES = {"wish": "matcher", "csswish": "matcher", "durationwish": "duration or matcher"}
_SCALARS = frozenset({"text", "whole number", "number", "true or false"})
_UNITS: Mapping[object, tuple[str, Callable[[Any], str]]] = {
    parse_duration: ("duration", format_duration),
    parse_size: ("size", format_size),
    parse_ratio: ("share", str),
    parse_rate: ("rate", format_rate),
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
        blocks.append(f"Needs the extra `{kind.requires}` (`sonde[{kind.requires}]`).")
    if kind.model_fields:
        blocks.append(_table(kind))
    if kind.phases:
        blocks.append("Phases: " + ", ".join(f"`{phase}`" for phase in kind.phases) + ".")
    if kind.metrics:
        head = ["| sample | family | labels | what it is |", "| --- | --- | --- | --- |"]
        blocks.append("\n".join(head + [_row(_sample(metric)) for metric in kind.metrics]))
    return "\n\n".join(block for block in blocks if block) + "\n"


def journeys_page(
    settings: Iterable[tuple[str, type[Settings]]], functions: Iterable[Sequence[str]]
) -> str:
    """Return the page of the keys of journeys.

    Args:
        settings: title and class of each section, in order.
        functions: name, arguments and summary of what may stand in ``${}``.
    """
    blocks = [
        "# Keys of journeys",
        "Generated from the code by `make docs`; nobody edits this page.",
        "How journeys are written stands in [config.md](config.md). A text may hold `${...}`.",
    ]
    blocks += _sections(settings)
    head = ["| function | what it gives |", "| --- | --- |"]
    rows = [_row((f"`{name}({arguments})`", text)) for name, arguments, text in functions]
    blocks += ["## Functions", "\n".join(head + rows)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def keys_page(title: str, about: str, settings: Iterable[tuple[str, type[Settings]]]) -> str:
    """Return a page of keys.

    Args:
        title: of the page.
        about: what else to read.
        settings: title and class of each section, in order.
    """
    note = "Generated from the code by `make docs`; nobody edits this page."
    return "\n\n".join((f"# {title}", note, about, *_sections(settings))) + "\n"


def _sections(settings: Iterable[tuple[str, type[Settings]]]) -> list[str]:
    sections = list(settings)
    apart = frozenset(model for _, model in sections)
    blocks: list[str] = []
    for title, model in sections:
        about = inspect.cleandoc(model.__doc__ or "").strip()
        blocks += [f"## {title}", about, _table(model, apart)]
    return blocks


def _table(model: type[Settings], apart: Collection[type[Settings]] = ()) -> str:
    """Return the keys of *model*; those of what is shown *apart* are left out."""
    head = ["| key | type | default | what it says |", "| --- | --- | --- | --- |"]
    return "\n".join(head + [_row(row) for row in _keys(model, apart)])


def _keys(
    settings: type[Settings],
    apart: Collection[type[Settings]] = (),
    prefix: str = "",
    depth: int = 1,
) -> Iterator[Sequence[str]]:
    texts = descriptions(settings)
    for name, field in settings.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        about = " ".join(texts.get(name, "").split())
        yield f"`{key}`", _type(field.annotation, field.metadata), _default(field), about
        inner, of_many = _settings_in(field.annotation), _settings_in_list(field.annotation)
        if inner and inner not in apart and depth < MAX_DEPTH:
            yield from _keys(inner, apart, f"{key}.", depth + 1)
        elif of_many and depth < MAX_DEPTH:
            yield from _keys(of_many, apart, f"{key}[].", depth + 1)


def _settings_in(annotation: Any) -> type[Settings] | None:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    if get_origin(annotation) in (Annotated, Union, UnionType):
        found = (_settings_in(part) for part in get_args(annotation))
        return next((settings for settings in found if settings), None)
    return None


def _settings_in_list(annotation: Any) -> type[Settings] | None:
    """Return what the entries of a list are, where they have keys."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if isinstance(origin, type) and issubclass(origin, list | tuple):
        return _settings_in(parts[0])
    if origin in (Annotated, Union, UnionType):
        found = (_settings_in_list(part) for part in parts)
        return next((settings for settings in found if settings), None)
    return None


def _unit(metadata: Iterable[object]) -> tuple[str, Callable[[Any], str]] | None:
    validators = (item.func for item in metadata if isinstance(item, BeforeValidator))
    return next((_UNITS[function] for function in validators if function in _UNITS), None)


def _written(metadata: Iterable[object]) -> str:
    """Return what values are called that people write in a form of its own."""
    metadata = list(metadata)
    word, unit = _word_of(metadata), _unit(metadata)
    return word.word if word else unit[0] if unit else ""


def _word_of(metadata: Iterable[object]) -> Word | None:
    return next((item for item in metadata if isinstance(item, Word)), None)


def _type(annotation: Any, metadata: Iterable[object] = ()) -> str:
    """Return what to write for a value, in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(parts[0], parts[1:])
    if word := _written(metadata):
        return word
    if origin is Literal:
        return " | ".join(f"`{part}`" for part in parts)
    if origin in (Union, UnionType):
        words = dict.fromkeys(_type(part) for part in parts if part is not NoneType)
        return " or ".join(_shortest(words))
    if origin is not None:
        return _container(origin, parts)
    return _word(annotation)


def _shortest(words: Collection[str]) -> Iterable[str]:
    """Return *words*, those of the plain values as one."""
    if not set(words) >= _SCALARS:
        return words
    return dict.fromkeys("scalar" if word in _SCALARS else word for word in words)


def _word(annotation: Any) -> str:
    if _settings_in(annotation):
        return "mapping"
    name = getattr(annotation, "__name__", str(annotation)).lower()
    return _WORDS.get(annotation, _NAMES.get(name, name))


def _container(origin: Any, parts: Sequence[Any]) -> str:
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of {_type(parts[-1])}"
    return f"list of {_type(parts[0])}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    # not a copy: a default that was used in this process may hold a TLS context
    if (word := _word_of(field.metadata)) and word.default is not None:
        return f"`{word.default}`"
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
