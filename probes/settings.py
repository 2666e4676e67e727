"""Base of everything that is read from the probe file: frozen, strict about names, silent about values."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A group of keys of the probe file. A field is a key; the docstring below it is its description."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )
