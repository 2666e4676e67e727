"""What is wrong with a module of a blackbox.yml when several keys are looked at together.

The conditions are upstream's, which refuses such a file when it loads; the words are ours. Looks at
the values as they were read, so that one wrong type hides no other mistake. Knows no file.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probes.config.blackbox.reading import read_bool
from probes.units import parse_number, short

Path = tuple[str | int, ...]
# prometheus/common: headers that its HTTP client or a server behind it writes itself.
RESERVED_HEADERS = frozenset(
    {
        "authorization", "host", "content-encoding", "content-length", "content-type",
        "user-agent", "connection", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "www-authenticate", "accept-encoding", "x-prometheus-remote-write-version",
        "x-prometheus-remote-read-version", "x-prometheus-scrape-timeout-seconds", "x-amz-date",
        "x-amz-security-token", "x-amz-content-sha256",
    }
)  # fmt: skip
# Where a secret or a certificate may come from.
SOURCES = ("", "_file", "_ref")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_NO_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_URL = re.compile(
    r"(?:(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*):)?(?://(?P<authority>[^/?#]*))?[^?#]*(?:\?[^#]*)?(?:#.*)?"
)
_HOST = re.compile(r"(?:\[[^\[\]]*\]|[^:\[\]]*)(?::[0-9]*)?", re.ASCII)
# the first segment of a path may hold no colon
_NO_SCHEME = re.compile(r"[^/?#]*:", re.ASCII)


@dataclass(frozen=True, slots=True)
class Flaw:
    """One mistake: where in the module, whether its key is meant, and what to say."""

    path: Path
    message: str
    at_key: bool = False


Flaws = Iterator[Flaw]


def judge(module: Mapping[str, Any]) -> Flaws:
    """Yield what is wrong with a module, whichever of its sections are used."""
    if "prober" not in module or module["prober"] is None:
        yield Flaw((), "want the key 'prober' such as 'prober: http', got none")
    for name, judge_section in _SECTIONS.items():
        section = module.get(name)
        if isinstance(section, Mapping):
            yield from judge_section(section, (name,))


def _http(section: Mapping[str, Any], at: Path) -> Flaws:
    yield from _client(section, at)
    yield from _several(section, at, ("body", "body_file"))
    yield from _compression(section, at)
    yield from _versions(section, at)
    for key in ("fail_if_header_matches", "fail_if_header_not_matches"):
        for index, match in _mappings(section.get(key)):
            for needed in ("header", "regexp"):
                if _lacks(match, needed):
                    text = f"want {needed!r} in a header matcher, got none or an empty one"
                    yield Flaw((*at, key, index, needed), text)


def _client(section: Mapping[str, Any], at: Path) -> Flaws:
    yield from _tls(section, at)
    yield from _proxy(section, at)
    ways = [
        way
        for way in ("basic_auth", "authorization", "oauth2")
        if isinstance(section.get(way), Mapping)
    ]
    ways += [way for way in ("bearer_token", "bearer_token_file") if _text(section, way)]
    if len(ways) > 1:
        text = f"want one of basic_auth, authorization, oauth2, bearer_token, got {_both(ways)}"
        yield Flaw((*at, ways[1]), text, at_key=True)
    yield from _basic_auth(_mapping(section, "basic_auth"), (*at, "basic_auth"))
    yield from _authorization(_mapping(section, "authorization"), (*at, "authorization"))
    if isinstance(section.get("oauth2"), Mapping):
        yield from _oauth2(section["oauth2"], (*at, "oauth2"))
    for name in _mapping(section, "http_headers"):
        if name.lower() in RESERVED_HEADERS:
            text = f"want a header that may be set by http_headers, got {short(name)}"
            yield Flaw((*at, "http_headers", name), f"{text}: use headers", at_key=True)


def _basic_auth(section: Mapping[str, Any], at: Path) -> Flaws:
    yield from _one_source(section, at, "username")
    yield from _one_source(section, at, "password")


def _authorization(section: Mapping[str, Any], at: Path) -> Flaws:
    yield from _one_source(section, at, "credentials")
    if _text(section, "type").strip().lower() == "basic":
        yield Flaw((*at, "type"), "want another type than basic, got it: use basic_auth")


def _oauth2(section: Mapping[str, Any], at: Path) -> Flaws:
    for needed in ("client_id", "token_url"):
        if _lacks(section, needed):
            yield Flaw((*at, needed), f"want {needed!r} for oauth2, got none")
    yield from _one_source(section, at, "client_secret")
    yield from _one_source(section, at, "client_certificate_key")
    yield from _tls(section, at)
    yield from _proxy(section, at)


def _proxy(section: Mapping[str, Any], at: Path) -> Flaws:
    url, from_env = _text(section, "proxy_url"), _true(section, "proxy_from_environment")
    if url and (why := _broken_url(url)):
        yield Flaw((*at, "proxy_url"), f"want the URL of a proxy such as http://host:3128, {why}")
    if section.get("proxy_connect_header") and not url and not from_env:
        text = "want proxy_url or proxy_from_environment beside proxy_connect_header, got neither"
        yield Flaw((*at, "proxy_connect_header"), text, at_key=True)
    if from_env and url:
        text = "want proxy_url or proxy_from_environment, got both"
        yield Flaw((*at, "proxy_from_environment"), text, at_key=True)
    if not _text(section, "no_proxy"):
        return
    if from_env:
        text = "want no_proxy beside proxy_url, got it beside proxy_from_environment"
        yield Flaw((*at, "no_proxy"), f"{text}: set NO_PROXY in the environment", at_key=True)
    elif not url:
        yield Flaw((*at, "no_proxy"), "want proxy_url beside no_proxy, got none", at_key=True)


def _broken_url(url: str) -> str:
    """Return what is wrong with *url*, without its password; empty when Go reads it."""
    if _CONTROL.search(url):
        return "got one with blanks or control characters"
    if _NO_ESCAPE.search(url):
        return "got one with a percent sign that begins no escape"
    found = _URL.fullmatch(url)
    if found is None:
        return "got something else"
    if not found["scheme"] and _NO_SCHEME.match(url):
        return "got one without a scheme"
    host = (found["authority"] or "").rpartition("@")[2]
    return "" if _HOST.fullmatch(host) else "got one with an odd host or port"


def _tls(section: Mapping[str, Any], at: Path) -> Flaws:
    tls, at = _mapping(section, "tls_config"), (*at, "tls_config")
    for what in ("ca", "cert", "key"):
        yield from _one_source(tls, at, what)
    has_cert, has_key = (any(_text(tls, it + end) for end in SOURCES) for it in ("cert", "key"))
    if has_cert and not has_key:
        yield Flaw(at, "want key or key_file to the client certificate, got none", at_key=True)
    if has_key and not has_cert:
        yield Flaw(at, "want cert or cert_file to the key, got none", at_key=True)


def _one_source(section: Mapping[str, Any], at: Path, what: str) -> Flaws:
    return _several(section, at, [what + end for end in SOURCES])


def _several(section: Mapping[str, Any], at: Path, keys: Sequence[str]) -> Flaws:
    found = [key for key in keys if _text(section, key)]
    if len(found) > 1:
        yield Flaw(
            (*at, found[1]), f"want {' or '.join(keys[:2])}, got {_both(found)}", at_key=True
        )


def _compression(section: Mapping[str, Any], at: Path) -> Flaws:
    compression = _text(section, "compression")
    for name, value in _mapping(section, "headers").items():
        if name.lower() != "accept-encoding" or not isinstance(value, str):
            continue
        if not is_acceptable(compression, value):
            text = f"want an Accept-Encoding that admits {short(compression)}, got {short(value)}"
            yield Flaw((*at, "headers", name), text)


def is_acceptable(compression: str, accepted: str) -> bool:
    """Return whether a header Accept-Encoding admits *compression*."""
    if not compression or not accepted:
        return True
    items = []
    for part in accepted.split(","):
        name, semicolon, parameter = part.rpartition(";")
        quality = _quality(parameter) if semicolon else 1.0
        items.append(((name if semicolon else part).strip(), quality))
    items.sort(key=lambda item: -item[1])
    return next((q > 0 for name, q in items if name in (compression, "*")), False)


def _quality(parameter: str) -> float:
    key, _, number = parameter.strip().partition("=")
    if key != "q":
        return 0.0
    try:
        return round(parse_number(number), 3)
    except ValueError:
        return 0.0


def _versions(section: Mapping[str, Any], at: Path) -> Flaws:
    versions = section.get("valid_http_versions")
    wanted = [str(it) for it in versions] if isinstance(versions, list) else []
    if not _true(section, "enable_http3"):
        if "HTTP/3.0" in wanted:
            place = (*at, "valid_http_versions", wanted.index("HTTP/3.0"))
            yield Flaw(place, "want enable_http3 beside HTTP/3.0, got none")
        return
    if _true(section, "enable_http2", default=True):
        text = "want 'enable_http2: false' beside enable_http3, got true, which is the default"
        yield Flaw((*at, "enable_http3"), text)
    for old in ("HTTP/1.1", "HTTP/2.0"):
        if old in wanted:
            place = (*at, "valid_http_versions", wanted.index(old))
            yield Flaw(place, f"want no {old} beside enable_http3, got it: nothing else is spoken")


def _dialog(section: Mapping[str, Any], at: Path) -> Flaws:
    yield from _tls(section, at)
    for index, step in _mappings(section.get("query_response")):
        place = (*at, "query_response", index)
        if step.get("expect") is not None and _text(step, "expect_bytes"):
            yield Flaw(
                (*place, "expect_bytes"), "want expect or expect_bytes, got both", at_key=True
            )
        yield from _labels(step, place)


def _labels(step: Mapping[str, Any], at: Path) -> Flaws:
    seen: set[str] = set()
    for index, label in _mappings(step.get("labels")):
        name, place = _text(label, "name"), (*at, "labels", index, "name")
        if not _LABEL.fullmatch(name):
            yield Flaw(place, f"want a label name such as 'user_id', got {short(name)}")
        elif name in seen:
            yield Flaw(place, f"want each label once in a step, got {short(name)} again")
        seen.add(name)


def _dns(section: Mapping[str, Any], at: Path) -> Flaws:
    yield from _tls(section, at)
    if _lacks(section, "query_name"):
        yield Flaw((*at, "query_name"), "want 'query_name', the name to ask for, got none")


def _websocket(section: Mapping[str, Any], at: Path) -> Flaws:
    yield from _client(_mapping(section, "http_config"), (*at, "http_config"))
    yield from _dialog(section, at)


_SECTIONS: Mapping[str, Callable[[Mapping[str, Any], Path], Flaws]] = {
    "http": _http,
    "tcp": _dialog,
    "unix": _dialog,
    "dns": _dns,
    "grpc": _tls,
    "websocket": _websocket,
}


def _mapping(section: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = section.get(key)
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, Mapping):
                yield index, item


def _lacks(section: Mapping[str, Any], key: str) -> bool:
    """Return whether there is nothing; what is of another type is told where that is judged."""
    return section.get(key) in (None, "")


def _text(section: Mapping[str, Any], key: str) -> str:
    value = section.get(key)
    return value if isinstance(value, str) else ""


def _true(section: Mapping[str, Any], key: str, *, default: bool = False) -> bool:
    value = section.get(key)
    if value is None:
        return default
    try:
        return read_bool(value)
    except ValueError:
        return default  # told where its type is judged


def _both(keys: Sequence[str]) -> str:
    return " and ".join(keys)
