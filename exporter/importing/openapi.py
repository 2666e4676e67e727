"""OpenAPI 3.0 and 3.1: the operations that change nothing, called with the values of the file.

A path that wants an id takes one from the answer of the list above it, when the file promises a
list with ids; an operation without a value for what it requires is left out and counted.

Source:
    https://spec.openapis.org/oas/v3.1.1.html
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from exporter.importing.descriptions import Description, shape, value_of
from exporter.importing.expecting import member
from exporter.importing.foreign import ForeignError, mapping, mappings, read_yaml, text
from exporter.importing.naming import Names, is_id, noun_of_key, noun_of_path
from exporter.importing.recording import Answer, Call, Recording, one_line, reference
from probes.units import short

VERSIONS = re.compile(r"3\.[01]\.[0-9]{1,3}(?:-\S{1,20})?")
# RFC 9110, 9.2.1: of the safe methods, the one that says whether it works.
SAFE = "get"
METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
MAX_OPERATIONS = 5000
_SERVER = re.compile(r"https?://[^/?#\s{}@]+(?:/[^?#\s{}]*)?", re.IGNORECASE)
_HOLE = re.compile(r"\{([^{}]{1,100})\}")
_CODE = re.compile(r"2[0-9]{2}", re.ASCII)
_RANGE = re.compile(r"2xx", re.IGNORECASE)

UNSAFE = "operations that change something (other than GET)"
DEPRECATED = "deprecated operations"
VALUELESS = "operations without an example of what they require"


def read_openapi(path: Path, content: str) -> Recording:
    """Return a call for each safe operation of a description.

    Raises:
        ForeignError: it is none, or of another version, or nothing of it can be called.
    """
    document = mapping(read_yaml(path, content))
    version = text(document.get("openapi"))
    if not VERSIONS.fullmatch(version):
        other = text(document.get("swagger"))
        got = f"Swagger {other}" if other else short(version) if version else "none"
        raise ForeignError(f"{path}: openapi: want OpenAPI 3.0 or 3.1, got {got}")
    info = mapping(document.get("info"))
    recording = Recording(one_line(f"OpenAPI {version}"), text(info.get("title")))
    reader = _Reader(recording, Description(document))
    reader.locate(mappings(document.get("servers")))
    for operation in _operations(document, recording):
        reader.take(operation)
    if not recording.calls:
        counts = ", ".join(f"{why}: {count}" for why, count in recording.omitted.items())
        raise ForeignError(f"{path}: paths: want GET operations, got {counts or 'none'}")
    if reader.description.unresolved:
        recording.omitted["references that lead nowhere or out of the file"] += len(
            reader.description.unresolved
        )
    return recording


@dataclass(frozen=True, slots=True)
class _Operation:
    """One operation, with what its path gives to all of them."""

    path: str
    item: Mapping[str, Any]
    keys: Mapping[str, Any]


def _operations(document: Mapping[str, Any], recording: Recording) -> list[_Operation]:
    """Return the safe ones; short paths first, so that a list stands before its items."""
    found: list[_Operation] = []
    for path, item in mapping(document.get("paths")).items():
        inner = mapping(item)
        others = len(METHODS & inner.keys() - {SAFE})
        if others:
            recording.omitted[UNSAFE] += others
        keys = mapping(inner.get(SAFE))
        if not keys:
            continue
        if keys.get("deprecated") is True:
            recording.omitted[DEPRECATED] += 1
        else:
            found.append(_Operation(path, inner, keys))
    if len(found) > MAX_OPERATIONS:
        recording.omitted[f"operations behind the first {MAX_OPERATIONS}"] += (
            len(found) - MAX_OPERATIONS
        )
    return sorted(found[:MAX_OPERATIONS], key=lambda it: it.path.count("{"))


@dataclass(slots=True)
class _Reader:
    """A description that is read."""

    recording: Recording
    description: Description
    names: Names = field(default_factory=Names)
    prefix: str = ""
    lists: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    given: dict[str, str] = field(default_factory=dict[str, str])
    secrets: dict[str, str] = field(default_factory=dict[str, str])

    def locate(self, servers: list[Mapping[str, Any]]) -> None:
        """Take the first server; one without a host is a path behind a base URL to be set."""
        server = servers[0] if servers else {}
        variables = mapping(server.get("variables"))

        def default(found: re.Match[str]) -> str:
            return text(mapping(variables.get(found[1])).get("default"))

        url = _HOLE.sub(default, text(server.get("url"))).rstrip("/")
        if _SERVER.fullmatch(url):
            self.recording.base_url = url
        elif url.startswith("/"):
            self.prefix = url
        elif url:
            self.recording.notes.append(f"CHECK: the server {url} is no base URL")
        if len(servers) > 1:
            self.recording.omitted["further servers"] += len(servers) - 1

    def take(self, operation: _Operation) -> None:
        """Take one operation, or count why not."""
        call = Call(
            f"get {operation.path}",
            "GET",
            "",
            operation.path,
            text(operation.keys.get("operationId")) or text(operation.keys.get("summary")),
        )
        made = self._with_parameters(call, operation)
        if made is None:
            self.recording.omitted[VALUELESS] += 1
            return
        made = self._with_credentials(made, operation)
        answer, promised = self._answer(operation)
        self.recording.calls.append(replace(made, answer=answer))
        if promised:
            self.lists[operation.path.rstrip("/")] = (len(self.recording.calls) - 1, promised)

    # --- parameters

    def _with_parameters(self, call: Call, operation: _Operation) -> Call | None:
        every = (*mappings(operation.item.get("parameters")),
                 *mappings(operation.keys.get("parameters")))  # fmt: skip
        parameters = {
            (text(it.get("in")), text(it.get("name"))): it
            for it in map(self.description.resolved, every)
        }
        values: dict[str, str] = {}
        for (place, name), parameter in parameters.items():
            if parameter.get("required") is not True and place != "path":
                continue
            value = value_of(self.description, parameter)
            if place == "path":
                values[name] = "" if value is None else quote(text(value), "")
            elif value is None:
                return None
            elif place == "query":
                some = value if isinstance(value, list) else [value]
                call = replace(call, params=(*call.params, *((name, text(one)) for one in some)))
            elif place == "header":
                call = replace(call, headers=(*call.headers, (name, text(value))))
            elif place == "cookie":
                call = replace(call, cookies=(*call.cookies, (name, text(value))))
        path = self._filled(operation.path, values)
        return None if path is None else replace(call, path=self.prefix + path)

    def _filled(self, path: str, values: Mapping[str, str]) -> str | None:
        """Return a path with its values; None: one is missing."""
        made, at = "", 0
        for found in _HOLE.finditer(path):
            made += path[at : found.start()]
            value = values.get(found[1]) or self._id_of(path[: found.start()], found[1])
            if not value:
                return None
            made, at = made + value, found.end()
        return made + path[at:]

    def _id_of(self, before: str, name: str) -> str | None:
        """Return a reference to an id out of the list that stands above."""
        above = before.rstrip("/")
        if above not in self.lists:
            return None
        noun = noun_of_path(above)
        if not is_id(name) and noun_of_key(name) != noun:
            return None
        if above not in self.given:
            number, source = self.lists[above]
            call = self.recording.calls[number]
            self.given[above] = self.names.variable(noun, "id")
            extracts = {**call.extracts, self.given[above]: source}
            self.recording.calls[number] = replace(call, extracts=extracts)
        return reference(self.given[above])

    # --- credentials

    def _with_credentials(self, call: Call, operation: _Operation) -> Call:
        document = self.description.document
        wanted = operation.keys.get("security", document.get("security"))
        ways = mappings(wanted)
        if not ways or not all(ways):
            # an empty one says that none is fine as well
            return call
        schemes = mapping(mapping(document.get("components")).get("securitySchemes"))
        for name in ways[0]:
            call = self._with_scheme(call, name, self.description.resolved(schemes.get(name)))
        return call

    def _with_scheme(self, call: Call, name: str, scheme: Mapping[str, Any]) -> Call:
        kind, place = text(scheme.get("type")), text(scheme.get("in"))
        how = text(scheme.get("scheme")).lower()
        if kind == "apiKey" and place in ("header", "query", "cookie"):
            key, secret = text(scheme.get("name")) or name, self._secret(name, "API key")
            if place == "query":
                return replace(call, params=(*call.params, (key, secret)))
            pair = ("Cookie", f"{key}={secret}") if place == "cookie" else (key, secret)
            return replace(call, headers=(*call.headers, pair))
        if kind == "http" and how == "basic":
            secret = self._secret(name, "user:password in base64")
            return replace(call, headers=(*call.headers, ("Authorization", f"Basic {secret}")))
        if kind in ("oauth2", "openIdConnect") or (kind == "http" and how == "bearer"):
            secret = self._secret(name, "bearer token")
            return replace(call, headers=(*call.headers, ("Authorization", f"Bearer {secret}")))
        self.recording.omitted[f"credentials of the kind {one_line(kind or name)}"] += 1
        return call

    def _secret(self, name: str, what: str) -> str:
        if name not in self.secrets:
            key = self.secrets[name] = self.names.variable(name)
            self.recording.secrets[key] = f"{what} of the scheme {name}"
        return reference(f"secrets.{self.secrets[name]}")

    # --- answers

    def _answer(self, operation: _Operation) -> tuple[Answer | None, str]:
        """Return what is promised, and where in it an id stands."""
        responses = mapping(operation.keys.get("responses"))
        codes = [str(code) for code in responses]
        good = [code for code in codes if _CODE.fullmatch(code)]
        chosen = [*good, *(code for code in codes if _RANGE.fullmatch(code))][:1]
        if not chosen:
            return None, ""
        response = self.description.resolved(responses.get(chosen[0]))
        media, schema = next(self._contents(response), ("", {}))
        status = int(good[0]) if len(good) == 1 else 200
        promised = shape(self.description, schema) if media.endswith("json") else {}
        source = self._list_in(schema) if media.endswith("json") else ""
        return Answer(status, (), media, shape=promised, text=media), source

    def _contents(self, response: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        contents = mapping(response.get("content"))
        for media in sorted(contents, key=lambda it: not it.endswith("json")):
            bare = media.partition(";")[0].strip().lower()
            if "*" not in bare:
                schema = mapping(contents[media]).get("schema")
                yield bare, self.description.resolved(schema)

    def _list_in(self, schema: Mapping[str, Any]) -> str:
        """Return the path of the first id in a list of things; empty: none is promised."""
        for path, inner in self.description.arrays(schema):
            things = self.description.properties(self.description.resolved(inner.get("items")))
            for key in things:
                if is_id(key) and not noun_of_key(key):
                    return member(f"{path}[0]", key)
        return ""
