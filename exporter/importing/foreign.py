"""Foreign files: JSON or YAML of bounded size and depth, and where in it something is wrong.

Knows no format.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from exporter.importing.recording import clean
from probes.regular import NotRegular, TooLarge, read_regular
from probes.units import format_size, short

# A HAR of a long session with its bodies: tens of megabytes.
MAX_FILE_BYTES = 128 * 2**20
# The C reader of YAML makes a node of each scalar: a second for each megabyte.
MAX_YAML_BYTES = 16 * 2**20
MAX_DEPTH = 100
# A megabyte of aliases can stand for more values than there is memory.
MAX_VALUES = 5_000_000


# First letters of yes, no, on and off: truths of YAML 1.1 alone.
_1_1 = "yYnNoO"


class ForeignError(ValueError):
    """A file that cannot be taken over; the message says where and why."""


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        ForeignError: it cannot be read, or is no text.
    """
    try:
        data = read_regular(path, MAX_FILE_BYTES)
    except NotRegular:
        raise ForeignError(f"want a regular file, got {path}") from None
    except TooLarge:
        limit = format_size(MAX_FILE_BYTES)
        raise ForeignError(f"{path}: want at most {limit}, got more") from None
    except OSError as error:
        raise ForeignError(f"want a file that can be read, got {path}: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ForeignError(f"{path}:{line}: want UTF-8, got other bytes") from None


def read_json(path: Path, text: str) -> Any:
    """Return the document in *text*.

    Raises:
        ForeignError: it is no JSON, or too deep.
    """
    try:
        document = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ForeignError(f"{path}:{error.lineno}: want JSON, got {error.msg}") from None
    except RecursionError:
        raise ForeignError(f"{path}: want at most {MAX_DEPTH} levels, got more") from None
    except ValueError as error:
        raise ForeignError(f"{path}: want JSON, got {short(str(error))}") from None
    _judge(path, document)
    return cleaned(document)


def read_yaml(path: Path, text: str) -> Any:
    """Return the document in *text*, which may be JSON too.

    Raises:
        ForeignError: it is neither, too large or too deep.
    """
    if text.lstrip()[:1] in ("{", "["):
        return read_json(path, text)
    if len(text) > MAX_YAML_BYTES:
        raise ForeignError(f"{path}: want YAML of at most {format_size(MAX_YAML_BYTES)}, got more")
    try:
        _judge_events(path, text)
        document = yaml.load(text, Loader=_Texts)  # noqa: S506 - a safe loader that makes fewer types
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        got = short(getattr(error, "problem", None) or "something else")
        raise ForeignError(f"{path}{line}: want YAML, got {got}") from None
    except ForeignError:
        raise
    except (RecursionError, ValueError) as error:
        raise ForeignError(f"{path}: want YAML, got {short(str(error))}") from None
    _judge(path, document)
    return cleaned(document)


def _judge_events(path: Path, text: str) -> None:
    """Refuse what is too deep before anything is made of it.

    Raises:
        ForeignError: it is.
        YAMLError: it is no YAML.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ForeignError(f"{path}: want at most {MAX_DEPTH} levels, got more")


class _Texts(yaml.CSafeLoader):
    """The safe loader with the words of YAML 1.2, which OpenAPI is written in.

    ``on`` and ``no`` are texts, so are ``2026-01-01`` and ``12:30``.
    """


_Texts.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if not tag.endswith((":timestamp", ":int"))
        and not (tag.endswith(":bool") and first in _1_1)
    ]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Texts.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9][0-9]*)$", re.ASCII), list("-+0123456789")
)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text}, which JSON has not")


def _judge(path: Path, document: Any) -> None:
    """Refuse what is too deep or, by aliases, without end.

    Raises:
        ForeignError: it is.
    """
    layer, values = [document], 0
    for _ in range(MAX_DEPTH):
        inner = (one for value in layer for one in _inner(value))
        layer = list(islice(inner, MAX_VALUES + 1))
        values += len(layer)
        if values > MAX_VALUES:
            raise ForeignError(f"{path}: want at most {MAX_VALUES} values, got more")
        if not layer:
            return
    raise ForeignError(f"{path}: want at most {MAX_DEPTH} levels, got more")


def _inner(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        return iter(value.values())
    return iter(value) if isinstance(value, list) else iter(())


def cleaned(value: Any) -> Any:
    """Return a document whose texts hold none of our marks, and whose keys are texts."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): cleaned(item) for key, item in value.items()}
    return [cleaned(item) for item in value] if isinstance(value, list) else value


# --- the parts of a document that nobody has judged


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """Return the mappings in a list; of anything else none."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """Return a text or a number as text; of anything else an empty one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""
