"""Request headers and credentials as people write them: the field types that kinds share.

Knows neither a request nor what an answer should be.
"""

import base64
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from probes.redact import Secret
from probes.settings import Settings, is_blackbox
from probes.units import short
from probes.wire.credentials import Credential, LateText, SecretFile, is_line

# RFC 9110, 5.6.2
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}", re.ASCII)
# The wire layer writes these itself: a second one makes two servers on the way read two requests.
RESERVED = frozenset(
    {"connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer"}
)


def _to_header(value: object) -> object:
    """Take numbers too: ``X-Api-Version: 2`` means the text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def judge_line(value: str | Secret) -> str | Secret:
    """Return *value*, which becomes a line of a head.

    Raises:
        ValueError: more than one line.
    """
    if not is_line(plain(value)):
        raise ValueError("want a text of one line, got line breaks or NUL")
    return value


Text = Annotated[str | Secret, Field(union_mode="left_to_right"), BeforeValidator(_to_header)]
"""A text, or ``{env: NAME}`` or ``{file: path}``."""
Line = Annotated[Text, AfterValidator(judge_line)]
"""A text of one line."""


def _judge_name(name: str) -> str:
    if not TOKEN.fullmatch(name):
        raise ValueError(f"want a header name, got {short(name)}")
    if name.lower() in RESERVED:
        raise ValueError(f"want a header that sonde does not write itself, got {name}")
    return name


HeaderName = Annotated[str, AfterValidator(_judge_name)]


def _judge_token(value: Secret | SecretFile) -> Secret | SecretFile:
    if not isinstance(value, SecretFile):
        judge_line(value)
    return value


Token = Annotated[Credential, AfterValidator(_judge_token)]
"""A secret of one line; that of a file which is read for every run is judged by the run."""


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


class Login(Settings):
    """User name and password (RFC 7617), read for every run where a file is to be."""

    username: LateText = ""
    """User name; may not hold a colon."""
    password: Credential | None = None
    """Password; better from ``{env: NAME}`` or ``{file: path}``."""

    @model_validator(mode="after")
    def _without_colon(self, info: ValidationInfo) -> Self:
        if self.password is None and not is_blackbox(info):
            raise ValueError("want a password, got none")
        if not isinstance(self.username, SecretFile) and ":" in plain(self.username):
            raise ValueError("want a username without colon, got one with a colon")
        return self


def _judge_type(text: str) -> str:
    if not TOKEN.fullmatch(text):
        raise ValueError(f"want a type such as Bearer, got {short(text)}")
    if text.lower() == "basic":
        raise ValueError("want basic_auth for the type Basic, got an authorization")
    return text


class Authorization(Settings):
    """A header ``Authorization`` of any type."""

    type: Annotated[str, AfterValidator(_judge_type)] = "Bearer"
    """First word of the header; Basic has a key of its own."""
    credentials: Token
    """What follows it."""


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
