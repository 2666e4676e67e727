"""What a step should expect, by what came when it was recorded: status, media type, shape.

Only what is the same each time: types of keys that every answer of a path had, no values, no sizes.
Knows no format.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from exporter.importing.recording import Answer, Call
from probes.jsonpath import json_path

# Enough to tell the page from an error page; more is a second copy of the server.
MAX_KEYS = 6
OK, BAD_REQUEST, SERVER_ERROR = 200, 400, 500
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def type_name(value: Any) -> str | None:
    """Return the type of a value as the matcher ``type`` has it; None of null."""
    if isinstance(value, bool):
        return "boolean"
    for python, name in ((str, "string"), (int | float, "number"), (list, "array")):
        if isinstance(value, python):
            return name
    return "object" if isinstance(value, Mapping) else None


def member(path: str, key: str) -> str:
    """Return the JSONPath of a key below *path*."""
    if _PLAIN.fullmatch(key):
        return f"{path}.{key}"
    # RFC 9535, 2.3.1.1: the escapes of JSON, but for the other quotes
    inner = json.dumps(key, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'")
    return f"{path}['{inner}']"


def is_path(path: str) -> bool:
    """Tell whether a journey takes a path: its reader has no keys with control characters."""
    try:
        json_path(path)
    except ValueError:
        return False
    return True


def shape_of(answers: Iterable[Answer]) -> dict[str, str]:
    """Return JSONPath -> type, of what all *answers* have in common."""
    shapes = [_shape(answer.document) for answer in answers if answer.document is not None]
    if not shapes:
        return {}
    common = set(shapes[0].items()).intersection(*(shape.items() for shape in shapes[1:]))
    return {path: kind for path, kind in shapes[0].items() if (path, kind) in common}


def _shape(document: Any) -> dict[str, str]:
    kind = type_name(document)
    if not isinstance(document, Mapping):
        return {"$": kind} if kind is not None else {}
    kinds = ((member("$", key), type_name(value)) for key, value in document.items())
    return {path: kind for path, kind in kinds if kind is not None and is_path(path)}


def expectations(call: Call, alike: Iterable[Call]) -> tuple[dict[str, Any], list[str]]:
    """Return ``expect`` of a step, and what a person should look at.

    Args:
        call: of the step.
        alike: every call of the same method and path, this one too.
    """
    answer = call.answer
    if answer is None:
        return dict(call.expects), []
    expect: dict[str, Any] = {}
    notes: list[str] = []
    if answer.status >= SERVER_ERROR or not answer.status:
        expect["status"] = "2xx"
        if answer.status:
            notes.append(f"CHECK: the recording has status {answer.status} here; 2xx is wanted")
    else:
        expect["status"] = "2xx" if answer.status == OK else answer.status
        if answer.status >= BAD_REQUEST:
            notes.append(f"CHECK: the recording has status {answer.status} here; is it meant?")
    if answer.status < BAD_REQUEST and call.method != "HEAD":
        expect |= _of_body(answer, alike)
    return {**expect, **call.expects}, notes


def _of_body(answer: Answer, alike: Iterable[Call]) -> dict[str, Any]:
    expect: dict[str, Any] = {}
    if answer.type and (answer.text or answer.document is not None or answer.shape):
        expect["headers"] = {"Content-Type": {"contains": answer.type}}
    shape = dict(answer.shape)
    if not shape:
        shape = shape_of(
            it.answer for it in alike if it.answer is not None and it.answer.status == answer.status
        )
    if shape:
        expect["json"] = {path: {"type": kind} for path, kind in list(shape.items())[:MAX_KEYS]}
    return expect
