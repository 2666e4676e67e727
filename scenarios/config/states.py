"""States of a service in which a scenario does not want to be played: ``skip_if``.

Knows no service: which of them hold, whoever makes the run is told.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator

# A state that no service can be in would be a promise: whoever writes it believes to be safe.
_MAINTENANCE = "maintenance"


def _is_there(value: object) -> object:
    if value == _MAINTENANCE:
        raise ValueError(
            "want 'incident_open', got 'maintenance': this version has no maintenance windows yet, "
            "so it would never hold"
        )
    return value


State = Annotated[Literal["incident_open"], BeforeValidator(_is_there)]
