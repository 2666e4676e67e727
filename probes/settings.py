"""Base of what is read from the probe file: frozen, strict about names, silent about values."""

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Settings(BaseModel):
    """A group of keys of the probe file; the docstring below a field describes its key."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )


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
