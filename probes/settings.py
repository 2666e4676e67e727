"""Base of what is read from the probe file: frozen, strict about names, silent about values."""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


def describe(schema: JsonSchemaValue, model: type[BaseModel]) -> None:
    """Give the keys in the schema of *model* their descriptions."""
    properties = schema.get("properties", {})
    for name, text in descriptions(model).items():
        properties[model.model_fields[name].alias or name]["description"] = text


class Settings(BaseModel):
    """A group of keys of the probe file; the docstring below a field describes its key."""

    # pydantic's own way of reading docstrings takes 0.4 s for all kinds, at each start of a process
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra=describe,
        allow_inf_nan=False,
    )


@cache
def descriptions(model: type[BaseModel]) -> Mapping[str, str]:
    """Return what stands in the source below each field of *model*; nothing without a source."""
    texts: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        # a field that is declared anew is described anew
        for name in vars(cls).get("__annotations__", ()):
            texts.pop(name, None)
        texts |= _classes(cls.__module__).get(cls.__qualname__, {})
    return MappingProxyType({name: texts[name] for name in model.model_fields if name in texts})


@cache
def _classes(module: str) -> Mapping[str, Mapping[str, str]]:
    """Return what the source of *module* says below the fields of each of its classes."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError):
        return {}  # made at run time, or shipped without its source
    return {name: dict(_texts(node)) for name, node in _definitions(tree, "")}


def _definitions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.ClassDef]]:
    # classes are statements: to walk expressions, too, would take as long as all the rest
    for inner in (*getattr(node, "body", ()), *getattr(node, "orelse", ())):
        if isinstance(inner, ast.ClassDef):
            yield f"{prefix}{inner.name}", inner
            yield from _definitions(inner, f"{prefix}{inner.name}.")
        elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _definitions(inner, f"{prefix}{inner.name}.<locals>.")
        else:
            yield from _definitions(inner, prefix)


def _texts(definition: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, inspect.cleandoc(text)
            case _:
                pass


def is_blackbox(info: ValidationInfo) -> bool:
    """Return whether the settings come from a blackbox.yml, which takes more at load."""
    return (info.context or {}).get("dialect") == "blackbox"


class Word:
    """What pages of reference call the values of a field that people write in a form of its own.

    Args:
        word: such as ``rate or ramp``.
        default: how the default is written; None: as any other.
    """

    def __init__(self, word: str, default: str | None = None) -> None:
        self.word = word
        self.default = default


class Bare:
    """Adds the short form of a class to its schema: what may stand there instead of a mapping."""

    def __init__(self, schema: JsonSchemaValue) -> None:
        self.schema = schema

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [handler(schema), self.schema]}


class AnyForm:
    """Lets forms of a value overlap in its schema; the code tells which of them is meant."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        made = handler(schema)
        made["anyOf"] = made.pop("oneOf")
        made.pop("discriminator", None)
        return made
