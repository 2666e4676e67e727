"""HAR 1.1 and 1.2: what a browser or a proxy has recorded.

Source:
    http://www.softwareishard.com/blog/har-12-spec/
"""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urljoin, urlsplit

from exporter.importing import traffic
from exporter.importing.foreign import ForeignError, cleaned, mapping, mappings, read_json, text
from exporter.importing.recording import Answer, Body, Call, Recording, clean, one_line
from probes.jsonpath import parse_json
from probes.units import short

VERSIONS = ("1.1", "1.2")
REDIRECTS = frozenset({301, 302, 303, 307, 308})
NOT_MODIFIED = 304
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
# Beyond it nobody looks for a token.
MAX_TEXT_CHARACTERS = 2 * 2**20
FORM_TYPE = "application/x-www-form-urlencoded"
_NUMBER = re.compile(r"[0-9]{3}", re.ASCII)


def read_har(path: Path, content: str, hosts: Collection[str] = ()) -> Recording:
    """Return what of a HAR file is the user's.

    Args:
        path: for messages.
        content: of the file.
        hosts: that belong to the journey beside the one of the first page.

    Raises:
        ForeignError: it is no HAR, or nothing of it is left.
    """
    log = mapping(read_json(path, content)).get("log")
    if not isinstance(log, Mapping) or not isinstance(log.get("entries"), list):
        raise ForeignError(f"{path}: want a HAR with log.entries, got something else")
    version = text(log.get("version")) or "1.2"
    if version not in VERSIONS:
        raise ForeignError(
            f"{path}: log.version: want {' or '.join(VERSIONS)}, got {short(version)}"
        )
    creator = mapping(log.get("creator"))
    titles = [text(page.get("title")) for page in mappings(log.get("pages"))]
    recording = Recording(
        one_line(f"HAR {version} of {text(creator.get('name')) or 'an unknown recorder'}"),
        next((title for title in titles if title and "://" not in title), ""),
    )
    exchanges = list(_exchanges(log["entries"], recording.omitted))
    _keep_hosts(exchanges, set(hosts), recording)
    if not recording.calls:
        counts = ", ".join(f"{why}: {count}" for why, count in recording.omitted.items())
        raise ForeignError(f"{path}: want requests of a user, got {counts or 'none'}")
    return recording


def _exchanges(entries: list[Any], omitted: Counter[str]) -> Iterator[Call]:
    numbered = list(enumerate(mappings(entries), 1))
    for number, entry in sorted(numbered, key=lambda it: _started(it[1])):
        call = _call(f"entry {number}", entry, omitted)
        if call is not None:
            yield call
    odd = len(entries) - len(mappings(entries))
    if odd:
        omitted["entries that are none"] += odd


def _started(entry: Mapping[str, Any]) -> str:
    # ISO 8601 of one recorder sorts as text; without times the order of the file stays
    return text(entry.get("startedDateTime"))


def _call(where: str, entry: Mapping[str, Any], omitted: Counter[str]) -> Call | None:
    asked, came = mapping(entry.get("request")), mapping(entry.get("response"))
    method = text(asked.get("method")).upper()
    try:
        url = urlsplit(text(asked.get("url")))
        authority = _authority(url)
    except ValueError:
        omitted["broken URLs"] += 1
        return None
    status = _status(came.get("status"))
    type_ = _type_of(came)
    headers = _headers(asked)
    why = traffic.left_out(
        method, url, resource=text(entry.get("_resourceType")).lower(), type_=type_,
        status=status, headers={name.lower() for name, _ in headers},
    )  # fmt: skip
    if why is None and method not in METHODS:
        why = "requests with a method that a journey has not"
    if why is not None:
        omitted[why] += 1
        return None
    if url.username is not None:
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
        headers.append(("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"))
    body, notes = _body(mapping(asked.get("postData")), headers)
    return Call(
        where,
        method,
        f"{url.scheme}://{authority}",
        url.path or "/",
        params=tuple(
            pair
            for pair in parse_qsl(url.query, keep_blank_values=True)
            if not traffic.is_noise(*pair)
        ),
        headers=tuple(
            (name, value)
            for name, value in headers
            if not traffic.is_volatile(name.lower())
            and not traffic.is_navigation(name.lower(), value)
        ),
        body=body,
        answer=_answer(status, type_, came),
        cookies=tuple(_cookies(headers)),
        notes=notes,
    )


def _authority(url: SplitResult) -> str:
    """Return host and port as a URL has them.

    Raises:
        ValueError: they are none.
    """
    host = (url.hostname or "").encode("idna").decode() if url.hostname else ""
    if url.hostname and ":" in url.hostname:
        host = f"[{url.hostname}]"
    port = url.port
    standard = {"http": 80, "https": 443}.get(url.scheme)
    made = host if port in (None, standard) else f"{host}:{port}"
    if made and not traffic.is_origin(made):
        raise ValueError("want an authority")
    return made


def _status(value: Any) -> int:
    found = text(value)
    status = int(found) if _NUMBER.fullmatch(found) else 0
    # the body of the first time is what the journey will get
    return 200 if status == NOT_MODIFIED else status


def _headers(message: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (text(it.get("name")), text(it.get("value")))
        for it in mappings(message.get("headers"))
        if text(it.get("name"))
    ]


def _cookies(headers: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        if name.lower() == "cookie":
            for pair in value.split(";"):
                key, sign, inner = pair.strip().partition("=")
                if sign:
                    yield key, inner


def _type_of(message: Mapping[str, Any]) -> str:
    declared = [value for name, value in _headers(message) if name.lower() == "content-type"]
    found = declared[0] if declared else text(mapping(message.get("content")).get("mimeType"))
    return found.partition(";")[0].strip().lower()


def _body(data: Mapping[str, Any], headers: list[tuple[str, str]]) -> tuple[Body | None, Any]:
    type_ = text(data.get("mimeType")).partition(";")[0].strip().lower()
    content = text(data.get("text"))
    pairs = [(text(it.get("name")), text(it.get("value"))) for it in mappings(data.get("params"))]
    if type_ == FORM_TYPE and (content or pairs):
        if content:
            pairs = parse_qsl(content, keep_blank_values=True)
        elif any("%" in value for _, value in pairs):
            # Chromium writes them as they were sent
            pairs = [(unquote(name), unquote(value)) for name, value in pairs]
        return Body("form", pairs), ()
    if content:
        return _content(type_, content)
    if not pairs:
        return None, ()
    headers[:] = [(n, v) for n, v in headers if n.lower() != "content-type"]
    note = f"CHECK: a body of {type_ or 'an unknown type'} was left out: a journey sends no files"
    return None, (note,)


def _content(type_: str, content: str) -> tuple[Body, Any]:
    if type_.endswith("json"):
        try:
            return Body("json", cleaned(parse_json(content.encode()))), ()
        except ValueError:
            return Body("text", content), ("CHECK: its body says that it is JSON, and is none",)
    return Body("text", content), ()


def _answer(status: int, type_: str, came: Mapping[str, Any]) -> Answer:
    content = mapping(came.get("content"))
    headers = tuple((name.lower(), value) for name, value in _headers(came))
    if text(came.get("redirectURL")) and not any(name == "location" for name, _ in headers):
        headers = (*headers, ("location", text(came.get("redirectURL"))))
    body = text(content.get("text"))
    if text(content.get("encoding")).lower() == "base64":
        try:
            body = clean(base64.b64decode(body, validate=True).decode("utf-8", "replace"))
        except (binascii.Error, ValueError):
            body = ""
    document = None
    if type_.endswith("json") and body:
        try:
            document = cleaned(parse_json(body.encode()))
        except ValueError:
            document = None  # cut off by the recorder: nothing can be said of it
    return Answer(status, headers, type_, document, body[:MAX_TEXT_CHARACTERS])


def _keep_hosts(exchanges: list[Call], hosts: set[str], recording: Recording) -> None:
    """Keep the calls of the journey's hosts, each redirect with its end as one call."""
    home = _home(exchanges)
    wanted = {home, *hosts}
    expected: tuple[Call, str] | None = None
    for call in exchanges:
        host = call.origin.partition("://")[2]
        if expected is not None and call.origin + call.path == expected[1]:
            before, expected = expected[0], _redirect(call, expected[0])
            recording.omitted["redirects, which a journey follows by itself"] += 1
            if recording.calls and recording.calls[-1] is before:
                recording.calls[-1] = _joined(before, call)
                expected = expected and (recording.calls[-1], expected[1])
            continue
        if host not in wanted and host.partition(":")[0] not in wanted:
            recording.omitted[traffic.OTHER_HOSTS] += 1
            continue
        recording.calls.append(call)
        expected = _redirect(call, call)


def _home(exchanges: list[Call]) -> str:
    """Return the host of the first page; without pages that of most calls."""
    for call in exchanges:
        if call.answer is not None and call.answer.type == "text/html":
            return call.origin.partition("://")[2]
    hosts = Counter(call.origin.partition("://")[2] for call in exchanges)
    return hosts.most_common(1)[0][0] if hosts else ""


def _redirect(call: Call, first: Call) -> tuple[Call, str] | None:
    """Return what the next call is when it only follows; None: this was the end."""
    answer = call.answer
    if answer is None or answer.status not in REDIRECTS:
        return None
    locations = answer.header("location")
    if not locations:
        return None
    target = urlsplit(urljoin(call.origin + call.path, locations[0]))
    return first, f"{target.scheme}://{target.netloc}{target.path or '/'}"


def _joined(first: Call, last: Call) -> Call:
    """Return the first request with the last answer; cookies of all hops are set."""
    if first.answer is None or last.answer is None:
        return first
    cookies = tuple(it for it in first.answer.headers if it[0] == "set-cookie")
    answer = last.answer
    return Call(
        first.where, first.method, first.origin, first.path, first.title, first.params,
        first.headers, first.body,
        Answer(answer.status, (*answer.headers, *cookies), answer.type, answer.document,
               answer.text),
        first.cookies, notes=first.notes,
    )  # fmt: skip
