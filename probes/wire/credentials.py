"""Credentials that a file holds and that are read anew for every run, and who is told of them.

    {file: /run/secrets/token}                       read once, when the probe file is loaded
    {file: /run/secrets/token, every_run: true}      read for every run: rotated without a reload

Knows neither a request nor a protocol.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.redact import STARS, Secret, read_secret, secret_of
from probes.result import Reason
from probes.wire.blocking import BlockingCalls

# A file of a healthy disk is read in 0.1 ms: more threads would only wait for one another.
MAX_READERS = 8
# Ahead of the deadline, so that the verdict names the file and not the target.
MARGIN_S = 0.02
# Later than any deadline: only a test runs without one.
MAX_WAIT_S = 3600.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A secret in a file that is read for every run: ``{file: path, every_run: true}``."""

    path: str

    def read(self) -> str:
        """Return what the file holds, without the white space around it. Blocks.

        Raises:
            ValueError: unreadable, larger than 64 KiB or empty.
        """
        text = read_secret({"file": self.path}, Path()).strip()
        if not text:
            raise ValueError(f"want a secret that is not empty, got an empty file {self.path}")
        return text


class _Late:
    """Makes a field take what `Secret` takes, and `SecretFile`.

    Args:
        keeps_text: a text that stands in the file itself stays one: it is no secret.
    """

    def __init__(self, *, keeps_text: bool) -> None:
        self._keeps_text = keeps_text

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            _text_of if self._keeps_text else _credential_of,
            serialization=core_schema.plain_serializer_function_ser_schema(_shown),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        every_run: JsonSchemaValue = {
            "type": "object",
            "properties": {"file": {"type": "string"}, "every_run": {"const": True}},
            "required": ["file", "every_run"],
            "additionalProperties": False,
        }
        text, *sources = Secret.__get_pydantic_json_schema__(schema, handler)["anyOf"]
        first: JsonSchemaValue = {"type": ["string", "number"]} if self._keeps_text else text
        return {"anyOf": [first, *sources, every_run]}


Credential: TypeAlias = Annotated[Secret | SecretFile, _Late(keeps_text=False)]
"""A secret text, ``{env: NAME}``, ``{file: path}`` or ``{file: path, every_run: true}``."""
LateText: TypeAlias = Annotated[str | Secret | SecretFile, _Late(keeps_text=True)]
"""A text that is no secret, or what `Credential` takes otherwise."""


def _text_of(value: object, info: ValidationInfo) -> str | Secret | SecretFile:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # ``X-Api-Version: 2`` means the text
    return value if isinstance(value, str) else _credential_of(value, info)


def _credential_of(value: object, info: ValidationInfo) -> Secret | SecretFile:
    if isinstance(value, SecretFile):
        return value
    if not isinstance(value, Mapping) or "every_run" not in value:
        return secret_of(value, info)
    every_run, path = value["every_run"], value.get("file")
    if len(value) != len(("file", "every_run")) or not isinstance(path, str) or not path:
        raise ValueError("want every_run beside a file, got it without one")
    if every_run is not True:
        raise ValueError("want every_run: true or none at all, got something else")
    context = info.context or {}
    found = Path(context.get("directory", ".")) / path
    # whoever loads the config looks at the modes of these files
    context.get("secret_files", set()).add(found)
    return SecretFile(str(found))


def _shown(value: str | Secret | SecretFile) -> object:
    if isinstance(value, SecretFile):
        return {"file": value.path, "every_run": True}
    return value if isinstance(value, str) else STARS


_readers = BlockingCalls("credential")
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def read_credential(value: str | Secret | SecretFile, recorder: Recorder) -> str:
    """Return what *value* stands for now; what came out of a file is hidden in every text.

    Args:
        value: of the settings.
        recorder: of the run, for its deadline.

    Raises:
        CheckFailed: ``config``: the file is missing, unreadable, empty or too large, or the disk
            hangs.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Secret):
        return value.get_secret_value()
    found = await read_off_loop(value.path, value.read, recorder)
    recorder.hide(found)
    return found


def is_line(text: str) -> bool:
    """Return whether *text* fits a line of a head."""
    return not any(sign in text for sign in "\r\n\0")


async def read_line(value: str | Secret | SecretFile, recorder: Recorder) -> str:
    """Return what *value* stands for now, fit for a line of a head.

    Raises:
        CheckFailed: ``config``: as `read_credential`; or it has line breaks.
    """
    found = await read_credential(value, recorder)
    if not is_line(found):
        what = "text" if isinstance(value, str) else "secret"
        where = value.path if isinstance(value, SecretFile) else "the settings"
        raise CheckFailed(Reason.CONFIG, f"want a {what} of one line in {where}, got several")
    return found


async def read_off_loop(path: str, read: Callable[[], T], recorder: Recorder) -> T:
    """Return what *read* finds in the file at *path*, read by a thread.

    Raises:
        CheckFailed: ``config``: it raised, or the disk hangs.
    """
    turn = _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(MAX_READERS))
    async with reading(path, recorder) as left, turn:
        return await _readers.call(path, read, left)


@asynccontextmanager
async def reading(path: str, recorder: Recorder) -> AsyncIterator[float]:
    """Blame the file at *path* for what goes wrong inside; gives the seconds there are for it.

    Raises:
        CheckFailed: ``config``: it raised, or the time is over.
    """
    left = recorder.remaining(asyncio.get_running_loop().time()) - MARGIN_S
    try:
        async with asyncio.timeout(max(0.0, left) if isfinite(left) else None):
            yield left if isfinite(left) else MAX_WAIT_S
    except ValueError as error:
        raise CheckFailed(Reason.CONFIG, str(error)) from None
    except OSError as error:
        why = "no answer of the disk" if isinstance(error, TimeoutError) else error.strerror
        raise CheckFailed(Reason.CONFIG, f"want a readable file {path}, got {why}") from None
