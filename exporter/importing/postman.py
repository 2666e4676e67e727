"""Postman collections 2.0 and 2.1: requests in folders, with variables, credentials and examples.

Scripts are not run; `exporter.importing.scripts` tells what is read of them.

Source:
    https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exporter.importing import scripts, traffic
from exporter.importing.collection import address_of, example, values_of
from exporter.importing.foreign import (
    ForeignError,
    cleaned,
    mapping,
    mappings,
    read_json,
    text,
)
from exporter.importing.naming import Names
from exporter.importing.recording import (
    Body,
    Call,
    Recording,
    mapped,
    names_in,
    one_line,
    reference,
    references,
    unmarked,
)
from probes.journey.playing.evidence import looks_secret
from probes.jsonpath import parse_json
from probes.units import short

SCHEMAS = re.compile(r"/collection/v2\.[01](?:\.[0-9]+)?/")
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
MAX_REQUESTS = 2000
_VARIABLE = re.compile(r"\{\{([^{}]{1,200})\}\}")
# What Postman makes anew for each request, and a journey too.
_DYNAMIC = {
    "$guid": "uuid()", "$randomUUID": "uuid()", "$timestamp": "now('unix')",
    "$isoTimestamp": "now()", "$randomInt": "randint(0, 1000)",
    "$randomEmail": "", "$randomUserName": "",
}  # fmt: skip


def read_postman(path: Path, content: str) -> Recording:
    """Return the requests of a collection in their order.

    Raises:
        ForeignError: it is no collection, or an empty one.
    """
    document = mapping(read_json(path, content))
    info = mapping(document.get("info"))
    schema = text(info.get("schema"))
    if not SCHEMAS.search(schema):
        got = short(schema) if schema else "none"
        raise ForeignError(
            f"{path}: info.schema: want a Postman collection v2.0 or v2.1, got {got}"
        )
    recording = Recording("a Postman collection", text(info.get("name")))
    reader = _Reader(recording)
    reader.declare(mappings(document.get("variable")))
    top = _Folder((), mapping(document.get("auth")))
    for folder, item in _items(top, document):
        reader.take(folder, item)
    if not recording.calls:
        raise ForeignError(f"{path}: item: want requests, got none that a journey can send")
    reader.finish()
    return recording


@dataclass(frozen=True, slots=True)
class _Folder:
    """Where a request stands: names, and the credentials that it takes over."""

    names: tuple[str, ...]
    auth: Mapping[str, Any]


def _items(folder: _Folder, owner: Mapping[str, Any]) -> Iterator[tuple[_Folder, Any]]:
    for item in mappings(owner.get("item")):
        if isinstance(item.get("item"), list):
            auth = mapping(item.get("auth")) or folder.auth
            yield from _items(_Folder((*folder.names, text(item.get("name"))), auth), item)
        else:
            yield folder, item


@dataclass(slots=True)
class _Reader:
    """A collection that is read."""

    recording: Recording
    names: Names = field(default_factory=Names)
    known: dict[str, str] = field(default_factory=dict[str, str])
    extracted: set[str] = field(default_factory=set[str])
    given: set[str] = field(default_factory=set[str])

    def declare(self, variables: list[Mapping[str, Any]]) -> None:
        """Take the variables of the collection; those that look secret without their value."""
        for it in variables:
            key, value = text(it.get("key") or it.get("id")), it.get("value")
            if not key or it.get("disabled") is True:
                continue
            name = self.name(key)
            if it.get("type") == "secret" or looks_secret(key):
                self.recording.secrets[name] = f"variable {key}"
                self._hide(text(value), name)
            elif isinstance(value, str | int | float | bool):
                self.recording.variables[name] = value
            self.given.add(name)

    def name(self, key: str) -> str:
        """Return the name of a variable here."""
        if key not in self.known:
            self.known[key] = self.names.variable(key)
        return self.known[key]

    def resolved(self, source: str) -> str:
        """Return a text with every ``{{x}}`` as a reference."""
        return _VARIABLE.sub(lambda found: self._reference(found[1].strip()), source)

    def _reference(self, key: str) -> str:
        if _DYNAMIC.get(key):
            return reference(_DYNAMIC[key])
        name = self.name(key)
        if name in self.recording.secrets:
            return reference(f"secrets.{name}")
        if name not in self.given:
            self._miss(key, name)
        return self._reference(key) if name in self.recording.secrets else reference(name)

    def _miss(self, key: str, name: str) -> None:
        """Note a variable that neither the collection nor an answer sets."""
        self.given.add(name)
        if looks_secret(key):
            self.recording.secrets[name] = f"variable {key}, which the collection does not set"
        else:
            self.recording.variables[name] = ""
            self.recording.notes.append(f"CHECK: {key} has no value in the collection: vars.{name}")

    def take(self, folder: _Folder, item: Mapping[str, Any]) -> None:
        """Take one request."""
        recording = self.recording
        asked = item.get("request")
        asked = {"url": asked, "method": "GET"} if isinstance(asked, str) else mapping(asked)
        method = (text(asked.get("method")) or "GET").upper()
        title = text(item.get("name"))
        if method not in METHODS or not asked.get("url"):
            recording.omitted["requests without a URL or with an odd method"] += 1
            return
        if len(recording.calls) >= MAX_REQUESTS:
            recording.omitted[f"requests behind the first {MAX_REQUESTS}"] += 1
            return
        call = Call(" / ".join((*folder.names, title)), method, "", "/", title)
        # first: what an answer sets is no secret any more
        call = self._with_scripts(call, mappings(item.get("event")))
        call = self._located(call, asked["url"])
        call = self._with_headers(call, mappings(asked.get("header")))
        call = self._with_auth(call, mapping(asked.get("auth")) or folder.auth)
        call = self._with_body(call, mapping(asked.get("body")))
        call = replace(call, answer=example(item))
        recording.calls.append(call)

    # --- where

    def _located(self, call: Call, url: Any) -> Call:
        parts = mapping(url)
        scheme, authority, path, pairs = address_of(url)
        return replace(
            call,
            origin=self._origin(scheme, authority),
            path=self._path(path, mappings(parts.get("variable"))),
            params=tuple((self.resolved(key), self.resolved(value)) for key, value in pairs),
        )

    def _origin(self, scheme: str | None, authority: str) -> str:
        """Return where a request goes; a variable of the whole base URL is looked up."""
        whole = _VARIABLE.fullmatch(authority.strip())
        if whole is None or scheme is not None:
            if "@" in authority:
                self.recording.omitted["credentials in URLs"] += 1
                authority = authority.rpartition("@")[2]
            return f"{scheme or 'https'}://{self.resolved(authority)}" if authority else ""
        name = self.name(whole[1].strip())
        value = self.recording.variables.get(name)
        return value.rstrip("/") if isinstance(value, str) and "{{" not in value else ""

    def _path(self, path: str, variables: list[Mapping[str, Any]]) -> str:
        values = {text(it.get("key")): text(it.get("value")) for it in variables}
        parts: list[str] = []
        for part in path.split("/"):
            key = part[1:]
            if part[:1] == ":" and key:
                parts.append(self.resolved(values.get(key) or f"{{{{{key}}}}}"))
            else:
                parts.append(self.resolved(part))
        made = "/".join(parts)
        return made if made.startswith("/") else f"/{made}"

    # --- what is sent

    def _with_headers(self, call: Call, headers: list[Mapping[str, Any]]) -> Call:
        pairs = [
            (text(it.get("key")), self.resolved(text(it.get("value"))))
            for it in headers
            if it.get("disabled") is not True and text(it.get("key"))
        ]
        kept = tuple((n, v) for n, v in pairs if not traffic.is_volatile(n.lower()))
        return replace(call, headers=kept)

    def _with_auth(self, call: Call, auth: Mapping[str, Any]) -> Call:
        kind = text(auth.get("type"))
        values = values_of(auth.get(kind))
        made: tuple[str, str] | None = None
        if kind in ("bearer", "oauth2"):
            key = values.get("token") or values.get("accessToken") or ""
            made = ("Authorization", f"Bearer {self._credential(key, 'token', call)}")
        elif kind == "basic":
            user = self.resolved(values.get("username", "")) or self._given("user")
            secret = self._credential(values.get("password", ""), "password", call)
            quoted = unmarked(f"{user}:{secret}").replace("\\", "\\\\").replace("'", "\\'")
            made = ("Authorization", "Basic " + reference(f"base64('{quoted}')"))
        elif kind == "apikey":
            name = values.get("key") or "X-Api-Key"
            value = self._credential(values.get("value", ""), name, call)
            if values.get("in") == "query":
                return replace(call, params=(*call.params, (name, value)))
            made = (name, value)
        elif kind not in ("", "noauth"):
            self.recording.omitted[f"credentials of the kind {one_line(kind)}"] += 1
        if made is None or any(name.lower() == made[0].lower() for name, _ in call.headers):
            return call
        return replace(call, headers=(*call.headers, made))

    def _credential(self, value: str, name: str, call: Call) -> str:
        """Return a reference for a credential; one that is written out becomes a secret."""
        if _VARIABLE.search(value):
            return self.resolved(value)
        if value in self.recording.hidden:
            return self.recording.hidden[value]
        key = self.names.variable(name)
        self.recording.secrets[key] = f"{name} of {call.where}"
        self._hide(value, key)
        return reference(f"secrets.{key}")

    def _hide(self, value: str, key: str) -> None:
        if value and not _VARIABLE.search(value):
            self.recording.hidden.setdefault(value, reference(f"secrets.{key}"))

    def _given(self, key: str) -> str:
        return self.resolved(f"{{{{{key}}}}}")

    def _with_body(self, call: Call, body: Mapping[str, Any]) -> Call:
        mode = text(body.get("mode"))
        if body.get("disabled") is True or not mode:
            return call
        made: Body | None = None
        notes: tuple[str, ...] = ()
        if mode == "raw" and text(body.get("raw")):
            made = self._raw(call, body)
        elif mode == "urlencoded":
            fields = [it for it in mappings(body.get(mode)) if it.get("disabled") is not True]
            pairs = [(text(it.get("key")), self.resolved(text(it.get("value")))) for it in fields]
            made = Body("form", pairs)
        elif mode == "graphql":
            made = self._graphql(mapping(body.get(mode)))
        elif mode in ("formdata", "file"):
            notes = (f"CHECK: its {mode} body was left out: a journey sends no files",)
            self.recording.omitted["bodies of files"] += 1
        return replace(call, body=made, notes=(*call.notes, *notes))

    def _raw(self, call: Call, body: Mapping[str, Any]) -> Body:
        raw = text(body.get("raw"))
        language = text(mapping(mapping(body.get("options")).get("raw")).get("language"))
        types = [value for name, value in call.headers if name.lower() == "content-type"]
        if language == "json" or any("json" in value for value in types):
            try:
                # a variable without quotes is no JSON: it gets them, and is the value itself
                quoted = re.sub(r"(?<![\"\w}{])(\{\{[^{}\"]{1,200}\}\})(?![\"\w])", r'"\1"', raw)
                return Body("json", mapped(cleaned(parse_json(quoted.encode())), self.resolved))
            except ValueError:
                pass  # it is sent as it stands
        return Body("text", self.resolved(raw))

    def _graphql(self, asked: Mapping[str, Any]) -> Body:
        variables: Any = {}
        try:
            variables = cleaned(parse_json(text(asked.get("variables")).encode()))
        except ValueError:
            if text(asked.get("variables")).strip():
                self.recording.omitted["GraphQL variables that are no JSON"] += 1
        made = {"query": text(asked.get("query")), "operation": text(asked.get("operationName"))}
        variables = mapped(mapping(variables), self.resolved)
        return Body("graphql", {**made, "variables": dict(variables)})

    # --- scripts

    def _with_scripts(self, call: Call, events: list[Mapping[str, Any]]) -> Call:
        extracts: dict[str, Any] = dict(call.extracts)
        expects: dict[str, Any] = dict(call.expects)
        left = 0
        for event in events:
            lines = mapping(event.get("script")).get("exec")
            code = "\n".join(map(text, lines)) if isinstance(lines, list) else text(lines)
            if text(event.get("listen")) == "test":
                extracts |= self._extracts(code)
                if status := scripts.status(code):
                    expects["status"] = status
            left += sum(bool(line.strip()) for line in code.split("\n"))
        notes = call.notes
        if left:
            self.recording.omitted["lines of scripts, of which variables and status are read"] += (
                left
            )
            notes = (*notes, "CHECK: its scripts were left out but for variables and status")
        return replace(call, extracts=extracts, expects=expects, notes=notes)

    def _extracts(self, code: str) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, source in scripts.extracts(code):
            name = self.name(key)
            made[name] = source
            self._is_extracted(name)
        return made

    def _is_extracted(self, name: str) -> None:
        self.given.add(name)
        self.extracted.add(name)
        self.recording.variables.pop(name, None)
        if self.recording.secrets.pop(name, None) is not None:
            old, new = reference(f"secrets.{name}"), reference(name)
            self.recording.calls[:] = [
                it.changed(lambda value: value.replace(old, new)) for it in self.recording.calls
            ]

    def finish(self) -> None:
        """Settle what is known only at the end: who sets what, and who reads it."""
        recording = self.recording
        for key, value in list(recording.variables.items()):
            if isinstance(value, str):
                recording.variables[key] = self.resolved(value)
        # one that reads another stands behind it
        ordered = sorted(recording.variables.items(), key=lambda it: bool(references(str(it[1]))))
        recording.variables = dict(ordered)
        done: set[str] = set()
        for at, call in enumerate(recording.calls):
            early = (self.extracted - done) & call.reads()
            recording.calls[at] = self._without(call, early)
            done |= call.extracts.keys()
        read = {name for call in recording.calls for name in call.reads()}
        read |= {name for it in recording.variables.values() for name in names_in(str(it))}
        recording.variables = {k: v for k, v in recording.variables.items() if k in read}
        recording.secrets = {k: v for k, v in recording.secrets.items() if f"secrets.{k}" in read}

    def _without(self, call: Call, early: set[str]) -> Call:
        """Return a call that reads nothing before an answer has given it."""
        for name in early:
            kept = tuple(it for it in call.headers if name not in names_in(it[1]))
            call = replace(call, headers=kept)
            if name in call.reads():
                self.recording.variables.setdefault(name, "")
        return call
