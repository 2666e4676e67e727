"""Base of what is read from the probe file: frozen, strict about names, silent about values."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A group of keys of the probe file; the docstring below a field describes its key."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )
