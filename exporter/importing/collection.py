"""Parts of a Postman collection, in any of the spellings of both versions.

Knows no journey; variables stay ``{{x}}``.
"""

import re
from collections.abc import Mapping
from typing import Any

from exporter.importing.foreign import cleaned, mapping, mappings, text
from exporter.importing.recording import Answer
from probes.jsonpath import parse_json

_URL = re.compile(r"(?:([a-z]+)://)?([^/?#]*)([^?#]*)(?:\?([^#]*))?", re.IGNORECASE)


def address_of(url: Any) -> tuple[str | None, str, str, list[tuple[str, str]]]:
    """Return scheme (None: it has none), authority, path and query of a URL."""
    parts = mapping(url)
    raw = url if isinstance(url, str) else text(parts.get("raw")) or _assembled(parts)
    found = _URL.match(raw.strip())
    scheme, authority, path, query = found.groups() if found else (None, raw, "", None)
    if isinstance(parts.get("query"), list):
        pairs = [
            (text(it.get("key")), text(it.get("value")))
            for it in mappings(parts["query"])
            if it.get("disabled") is not True and text(it.get("key"))
        ]
    else:
        cut = (pair.partition("=") for pair in (query or "").split("&") if pair)
        pairs = [(key, value) for key, _, value in cut]
    return scheme, authority, path, pairs


def values_of(value: Any) -> dict[str, str]:
    """Return the settings of credentials: a list of pairs (2.1) or a mapping (2.0)."""
    if isinstance(value, list):
        return {text(it.get("key")): text(it.get("value")) for it in mappings(value)}
    return {key: text(inner) for key, inner in mapping(value).items()}


def _assembled(parts: Mapping[str, Any]) -> str:
    host, path = parts.get("host"), parts.get("path")
    authority = ".".join(map(text, host)) if isinstance(host, list) else text(host)
    port = f":{text(parts.get('port'))}" if text(parts.get("port")) else ""
    tail = "/".join(map(text, path)) if isinstance(path, list) else text(path).lstrip("/")
    scheme = f"{text(parts.get('protocol'))}://" if text(parts.get("protocol")) else ""
    return f"{scheme}{authority}{port}/{tail}"


def example(item: Mapping[str, Any]) -> Answer | None:
    """Return the first example that went well."""
    for came in mappings(item.get("response")):
        status = came.get("code")
        if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status < 400:  # noqa: PLR2004 - HTTP
            continue
        headers = tuple(
            (text(it.get("key")).lower(), text(it.get("value")))
            for it in mappings(came.get("header"))
        )
        types = [value for name, value in headers if name == "content-type"]
        media = types[0].partition(";")[0].strip().lower() if types else ""
        body = text(came.get("body"))
        document = None
        if media.endswith("json") and body:
            try:
                document = cleaned(parse_json(body.encode()))
            except ValueError:
                document = None  # an example is not judged
        return Answer(status, headers, media, document, body)
    return None
