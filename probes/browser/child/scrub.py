"""HAR files and Playwright's traces without credentials: bytes in, bytes out. Pure.

Headers that carry credentials, cookies and bodies of logins are starred by name; every known secret
is starred wherever it stands, in all its spellings, in every member that is text. A file that
cannot be read is refused, never passed on.
"""

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from probes.redact import SECRET_HEADER, STARS, Redactor

# A trace of a small journey has 200 members and a few MB; what unpacks to more is a bomb.
MAX_MEMBERS = 20_000
MAX_UNPACKED_BYTES = 200 * 1024 * 1024
# No text: pixels, fonts. What is in a picture cannot be starred.
_BINARY = (".png", ".jpeg", ".jpg", ".webp", ".gif", ".woff", ".woff2", ".ttf", ".avif", ".ico")
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"wOF2", b"wOFF")
_NAMED = frozenset({"name", "value"})


def scrub_har(data: bytes, redact: Redactor) -> bytes:
    """Return a HAR without credentials.

    Raises:
        ValueError: it is no JSON.
    """
    return _dump(_clean(_load(data), redact))


def scrub_trace(data: bytes, redact: Redactor) -> bytes:
    """Return a trace without credentials: a zip again, its lines JSON again.

    Raises:
        ValueError: it is no zip, too large, or its lines are no JSON.
    """
    target = io.BytesIO()
    try:
        with (
            zipfile.ZipFile(io.BytesIO(data)) as source,
            zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made,
        ):
            members = source.infolist()
            size = sum(member.file_size for member in members)
            if len(members) > MAX_MEMBERS or size > MAX_UNPACKED_BYTES:
                raise ValueError(f"want a trace that can be read, got {size} bytes in it")
            for member in members:
                made.writestr(
                    member.filename, _member(member.filename, source.read(member), redact)
                )
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"want a zip file, got {error}") from None
    return target.getvalue()


def _member(name: str, data: bytes, redact: Redactor) -> bytes:
    if name.endswith((".trace", ".network", ".stacks")):
        lines = [line for line in data.split(b"\n") if line.strip()]
        return b"".join(_dump(_clean(_load(line), redact)) + b"\n" for line in lines)
    if name.lower().endswith(_BINARY) or data.startswith(_MAGIC):
        return data
    if name.endswith(".json"):
        try:
            return _dump(_clean(_load(data), redact))
        except ValueError:
            # a body of the target that only calls itself JSON: a text like any other
            pass
    return _text(data, redact)


def _text(data: bytes, redact: Redactor) -> bytes:
    # Latin-1 keeps every byte; a secret with other letters is looked for as UTF-8
    text = redact(data.decode("utf-8", "surrogateescape"))
    return text.encode("utf-8", "surrogateescape")


def _load(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("want JSON, got something else") from None


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def _clean(value: Any, redact: Redactor) -> Any:
    """Return *value* without secrets; a pair of name and value is judged by its name."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_clean(item, redact) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("encoding") == "base64" and isinstance(value.get("text"), str):
        # a body of the HAR that is no text to the browser
        return {**_plain(value, redact), "text": _encoded(value["text"], redact)}
    if value.keys() >= _NAMED and _is_telling(value["name"]):
        return {**{key: _clean(item, redact) for key, item in value.items()}, "value": STARS}
    return _plain(value, redact)


def _plain(value: Mapping[str, Any], redact: Redactor) -> dict[str, Any]:
    return {redact(key): _of_key(key, item, redact) for key, item in value.items()}


def _encoded(text: str, redact: Redactor) -> str:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return STARS
    return text if data.startswith(_MAGIC) else base64.b64encode(_text(data, redact)).decode()


def _of_key(key: str, item: Any, redact: Redactor) -> Any:
    if key == "cookies" and isinstance(item, list):
        return [_cookie(cookie, redact) for cookie in item]
    # a mapping of headers, as the trace has them in places
    if isinstance(item, str) and item and _is_header(key):
        return STARS
    return _clean(item, redact)


def _cookie(cookie: Any, redact: Redactor) -> Any:
    cleaned = _clean(cookie, redact)
    return {**cleaned, "value": STARS} if isinstance(cleaned, Mapping) else cleaned


def _is_telling(name: Any) -> bool:
    return isinstance(name, str) and SECRET_HEADER.search(name) is not None


def _is_header(key: str) -> bool:
    return key.lower() in {"authorization", "cookie", "set-cookie", "proxy-authorization"}
