"""``--var NAME=VALUE``: a text of the command line as the variable that it replaces. Pure."""

from typing import Any

from probes.journey.language.expression import literal
from probes.units import parse_number, short


def overridden(value: Any, text: str) -> Any:
    """Return what ``--var`` gives, in the form of the *value* that it replaces.

    A number stays one, ``true`` and ``false`` too; anything else becomes the source of a text.

    Raises:
        ValueError: no number, or neither true nor false.
    """
    if isinstance(value, bool):
        if text in ("true", "false"):
            return text == "true"
        raise ValueError(f"want true or false by --var, got {short(text)}")
    if not isinstance(value, int | float):
        return literal(text)
    try:
        number = parse_number(text)
    except ValueError:
        raise ValueError(f"want a number by --var, got {short(text)}") from None
    return int(number) if number == int(number) and isinstance(value, int) else number
