"""Request headers and credentials as people write them: the field types that kinds share.

Knows neither a request nor what an answer should be.
"""

import base64
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from probes.redact import Secret
from probes.settings import Settings
from probes.units import short

# RFC 9110, 5.6.2
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}", re.ASCII)
# The wire layer writes these itself: a second one makes two servers on the way read two requests.
_RESERVED = frozenset(
    {"connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer"}
)


def _to_header(value: object) -> object:
    """Take numbers too: ``X-Api-Version: 2`` means the text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _judge_header(value: str | Secret) -> str | Secret:
    if any(sign in plain(value) for sign in "\r\n\0"):
        raise ValueError("want a text of one line, got line breaks or NUL")
    return value


Text = Annotated[str | Secret, Field(union_mode="left_to_right"), BeforeValidator(_to_header)]
"""A text, or ``{env: NAME}`` or ``{file: path}``."""
Line = Annotated[Text, AfterValidator(_judge_header)]
"""A text of one line."""


def _judge_name(name: str) -> str:
    if not TOKEN.fullmatch(name):
        raise ValueError(f"want a header name, got {short(name)}")
    if name.lower() in _RESERVED:
        raise ValueError(f"want a header that sonde does not write itself, got {name}")
    return name


HeaderName = Annotated[str, AfterValidator(_judge_name)]


class BasicAuth(Settings):
    """User name and password (RFC 7617)."""

    username: str = ""
    """User name; may not hold a colon."""
    password: Secret
    """Password; better from ``{env: NAME}`` or ``{file: path}``."""

    @model_validator(mode="after")
    def _without_colon(self) -> Self:
        if ":" in self.username:
            raise ValueError("want a username without colon, got one with a colon")
        return self

    @property
    def encoded(self) -> str:
        """User name and password as they go out."""
        return base64.b64encode(
            f"{self.username}:{self.password.get_secret_value()}".encode()
        ).decode()


def _user_agent() -> str:
    try:
        return f"sonde/{version('sonde')}"
    except PackageNotFoundError:
        # run from the source tree without installation
        return "sonde"


# at import: a run may not touch the disk
USER_AGENT = _user_agent()


def plain(value: str | Secret) -> str:
    """Return a text, or what a secret hides; for the wire alone."""
    return value if isinstance(value, str) else value.get_secret_value()
