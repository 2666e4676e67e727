"""The keys that say what an HTTP request is, and the request made of them.

    keys = RequestKeys(method="POST", body={"file": "order.xml"})
    late = await keys.read(recorder)          what files hold now; LATELESS when no file is asked
    request = keys.request(url, late)

Knows neither how the request travels nor what its answer should be.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlencode

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from probes.recorder import Recorder
from probes.redact import SECRET_HEADER, Secret
from probes.regular import NotRegular, TooLarge, read_regular
from probes.settings import AnyForm, Settings, Word
from probes.units import format_size, short
from probes.wire.credentials import (
    Credential,
    SecretFile,
    read_credential,
    read_line,
    read_off_loop,
)
from probes.wire.http.headers import (
    TOKEN,
    USER_AGENT,
    Authorization,
    HeaderName,
    Line,
    Login,
    Text,
    Token,
    plain,
)
from probes.wire.http.message import Request
from probes.wire.url import Url, split_host_port

# As much as an answer may hold that is judged; it is in memory once for each run.
MAX_BODY_FILE_BYTES = 4 * 1024 * 1024


def _judge_method(method: str) -> str:
    if not TOKEN.fullmatch(method) or method.upper() == "CONNECT":
        raise ValueError(f"want a method such as GET, got {short(method)}")
    return method.upper()


Method = Annotated[str, AfterValidator(_judge_method)]


class BodyFile(Settings):
    """A request body that is read for every run."""

    file: str = Field(min_length=1)
    """Path; what it holds is sent as it is, at most 4 MiB."""
    every_run: Literal[True] = True
    """It is always so; a credential has the choice."""

    @field_validator("file", mode="after")
    @classmethod
    def _beside_the_probe_file(cls, path: str, info: ValidationInfo) -> str:
        directory = (info.context or {}).get("directory")
        return str(Path(directory) / path) if directory else path

    def read(self) -> bytes:
        """Return what the file holds. Blocks.

        Raises:
            OSError: unreadable.
            ValueError: no regular file, or too large.
        """
        try:
            return read_regular(self.file, MAX_BODY_FILE_BYTES)
        except NotRegular:
            text = f"want a regular file {self.file}, got something else"
        except TooLarge:
            limit = format_size(MAX_BODY_FILE_BYTES)
            text = f"want a file of at most {limit}, got a larger one: {self.file}"
        raise ValueError(text)


def _sort_of_body(value: Any) -> str:
    is_file = isinstance(value, BodyFile) or (isinstance(value, Mapping) and "file" in value)
    return "file" if is_file else "text"


def _sort_of_value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "list"
    is_late = isinstance(value, SecretFile) or (isinstance(value, Mapping) and "every_run" in value)
    return "every_run" if is_late else "text"


OneValue = Annotated[
    Annotated[Line, Tag("text")] | Annotated[Credential, Tag("every_run")],
    Discriminator(_sort_of_value),
    AnyForm(),
]
HeaderValue = Annotated[
    Annotated[Line, Tag("text")]
    | Annotated[Credential, Tag("every_run")]
    | Annotated[list[OneValue], Tag("list")],
    Discriminator(_sort_of_value),
    AnyForm(),
    Word("text or secret, or a list of them"),
]
"""The value of a header, or those of several headers of one name."""
RequestBody = Annotated[
    Annotated[Text, Tag("text")] | Annotated[BodyFile, Tag("file")],
    Discriminator(_sort_of_body),
    AnyForm(),
]

_Value = str | Secret | SecretFile


@dataclass(frozen=True, slots=True)
class Late:
    """What files held when a run began."""

    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    """Path of a `SecretFile` -> its text."""
    body: bytes = b""

    def plain(self, value: _Value) -> str:
        """Return a text, or what a secret hides; for the wire alone."""
        return self.texts[value.path] if isinstance(value, SecretFile) else plain(value)


NOT_LATE = Late()


class RequestKeys(Settings):
    """What is sent."""

    method: Method = "GET"
    """Request method."""
    headers: dict[HeaderName, HeaderValue] = Field(default={})
    """Request headers, a list for several lines of one name; those of your own never follow a
    redirect to another origin."""
    body: RequestBody | None = None
    """Request body as it is; ``{file: path}`` is read for every run."""
    json_: Any = Field(default=None, alias="json")
    """Request body, sent as JSON."""
    form: dict[str, Text] | None = None
    """Request body, sent as the fields of a form."""
    basic_auth: Login | None = None
    """User name and password."""
    bearer: Token | None = None
    """Bearer token."""
    authorization: Authorization | None = None
    """A header ``Authorization`` of another type."""
    compression: Literal["none", "gzip", "deflate", "br", "any"] = "none"
    """Content encoding that is asked for."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        bodies = [key for key, value in self._bodies().items() if value is not None]
        if len(bodies) > 1:
            raise ValueError(f"want one of body, json and form, got {' and '.join(bodies)}")
        named = any(name.lower() == "authorization" for name in self.headers)
        ways = (self.basic_auth, self.bearer, self.authorization)
        if sum(way is not None for way in ways) + named > 1:
            raise ValueError(
                "want one of basic_auth, bearer, authorization and an Authorization header,"
                " got several"
            )
        for name, value in self.headers.items():
            if name.lower() == "host":
                if isinstance(value, SecretFile | list):
                    raise ValueError("want one Host that stands in this file, got another form")
                split_host_port(plain(value), 443)
        return self

    @property
    def shows_who_asks(self) -> bool:
        """Whether a header ``Authorization`` is sent, whatever it is made of."""
        ways = (self.basic_auth, self.bearer, self.authorization)
        named = any(name.lower() == "authorization" for name in self.headers)
        return named or any(way is not None for way in ways)

    @cached_property
    def _private(self) -> frozenset[str]:
        """Headers whose values are secrets, whatever their names say."""
        secret = (name for name, value in self._lines() if not isinstance(value, str))
        return frozenset(name.lower() for name in secret)

    @property
    def is_late(self) -> bool:
        """Whether files are to be read before each request."""
        return isinstance(self.body, BodyFile) or bool(self._login_files() or self._line_files())

    async def read(self, recorder: Recorder) -> Late:
        """Read what files hold now.

        Raises:
            CheckFailed: ``config``: one cannot be read, or does not fit a line of a head.
        """
        # user and password are packed: they may be anything
        texts = {file.path: await read_credential(file, recorder) for file in self._login_files()}
        for file in self._line_files():
            texts[file.path] = await read_line(file, recorder)
        if self.basic_auth is not None and texts:
            recorder.hide(self._pair(self.basic_auth, Late(texts)))
        body = b""
        if isinstance(self.body, BodyFile):
            body = await read_off_loop(self.body.file, self.body.read, recorder)
        return Late(texts, body)

    def request(self, url: Url, late: Late = NOT_LATE) -> Request:
        """Return the request to *url*."""
        lines = [(name, late.plain(value)) for name, value in self._lines()]
        host = next((value for name, value in lines if name.lower() == "host"), "")
        lines = [(name, value) for name, value in lines if name.lower() != "host"]
        body, content_type = self._body(late)
        own = {"User-Agent": USER_AGENT}
        if self.compression != "none":
            own["Accept-Encoding"] = (
                "gzip, deflate, br" if self.compression == "any" else self.compression
            )
        if credentials := self._credentials(url, late):
            own["Authorization"] = credentials
        if content_type:
            own["Content-Type"] = content_type
        configured = {name.lower() for name, _ in lines}
        merged = [(name, value) for name, value in own.items() if name.lower() not in configured]
        return Request(
            url=url,
            method=self.method,
            headers=(*merged, *lines),
            body=body,
            host=host,
            private=self._private,
            body_is_secret=isinstance(self.body, Secret | BodyFile)
            or any(isinstance(value, Secret) for value in (self.form or {}).values()),
        )

    def header_secrets(self) -> Iterator[str]:
        """Yield the values of headers that tell by their name that they are secret."""
        for name, value in self._lines():
            if SECRET_HEADER.search(name) and not isinstance(value, SecretFile):
                yield plain(value)
        login = self.basic_auth
        if login is not None and not self._is_file(login.username, login.password):
            yield self._pair(login, NOT_LATE)

    def _lines(self) -> Iterator[tuple[str, _Value]]:
        for name, value in self.headers.items():
            for one in value if isinstance(value, list) else [value]:
                yield name, one

    def _line_files(self) -> list[SecretFile]:
        values: list[object] = [value for _, value in self._lines()]
        values += [self.bearer, self.authorization and self.authorization.credentials]
        return [value for value in values if isinstance(value, SecretFile)]

    def _login_files(self) -> list[SecretFile]:
        login = self.basic_auth
        values = () if login is None else (login.username, login.password)
        return [value for value in values if isinstance(value, SecretFile)]

    @staticmethod
    def _is_file(*values: object) -> bool:
        return any(isinstance(value, SecretFile) for value in values)

    @staticmethod
    def _pair(login: Login, late: Late) -> str:
        password = "" if login.password is None else late.plain(login.password)
        return base64.b64encode(f"{late.plain(login.username)}:{password}".encode()).decode()

    def _credentials(self, url: Url, late: Late) -> str:
        if self.basic_auth is not None:
            return f"Basic {self._pair(self.basic_auth, late)}"
        if self.bearer is not None:
            return f"Bearer {late.plain(self.bearer)}"
        if self.authorization is not None:
            return f"{self.authorization.type} {late.plain(self.authorization.credentials)}"
        if url.user or url.password:
            return f"Basic {base64.b64encode(f'{url.user}:{url.password}'.encode()).decode()}"
        return ""

    def _bodies(self) -> dict[str, object]:
        return {"body": self.body, "json": self.json_, "form": self.form}

    def _body(self, late: Late) -> tuple[bytes, str]:
        if self.json_ is not None:
            return json.dumps(self.json_).encode(), "application/json"
        if self.form is not None:
            fields = {name: plain(value) for name, value in self.form.items()}
            return urlencode(fields).encode(), "application/x-www-form-urlencoded"
        if self.body is None or isinstance(self.body, BodyFile):
            return late.body, ""
        return plain(self.body).encode(), ""
