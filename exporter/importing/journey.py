"""A recording becomes a journey: values chained, secrets lifted, steps named; then its YAML.

    Recording ── chain ── lift ── name, expect ── YAML that `sonde lint` takes

What a person has to look at stands as a comment where it matters, and what was left out in the
head. Knows no foreign format.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import yaml

from exporter.importing.chaining import chain
from exporter.importing.expecting import expectations
from exporter.importing.lifting import lift
from exporter.importing.naming import Names, words
from exporter.importing.recording import (
    Body,
    Call,
    Recording,
    mapped,
    one_line,
    references,
    written,
)
from probes.journey.loading.keys import MAX_STEPS
from probes.wire.http.headers import TOKEN

# A journey of one name; it stands in names of variables of the environment, too.
MAX_NAME_CHARACTERS = 40
WIDTH = 96
# A pause between two looks that no service minds.
EVERY = "5m"
LEAST_TIMEOUT_S, STEP_TIMEOUT_S = 30, 5
MAX_TIMEOUT_S = 300
# The two that a journey sends by itself.
_IMPLIED = {"json": "application/json", "form": "application/x-www-form-urlencoded"}
_BREAKS = frozenset(map(chr, (*range(9), *range(10, 32), 127)))
# What a URL cannot hold as it is (RFC 3986, 2).
_UNQUOTED = re.compile(r'[\x00-\x20\x7f-\x9f"<>\\^`|]')
TOO_MANY = f"requests behind the first {MAX_STEPS}"


UNSENDABLE = "headers that HTTP cannot send"


def _is_header(name: str, value: str) -> bool:
    return TOKEN.fullmatch(name) is not None and not set(value) & _BREAKS


def name_of(text: str) -> str:
    """Return the name of a journey after a title or a file."""
    name = "-".join(words(text))[:MAX_NAME_CHARACTERS].strip("-")
    return name if name[:1].isalpha() else f"journey-{name}".strip("-")


def environment_name(journey: str, key: str) -> str:
    """Return the variable of the environment for a value of a journey."""
    return f"{journey}_{key}".upper().replace("-", "_")


def journey_text(recording: Recording, name: str) -> str:
    """Return the probe file of a recording, with one journey called *name*."""
    return "\n".join(_Writing(recording, name).lines()) + "\n"


class _Writing:
    """One journey on its way into text."""

    def __init__(self, recording: Recording, name: str) -> None:
        self.recording = recording
        self.name = name
        names = Names()
        for key in (*recording.variables, *recording.secrets):
            names.take(key)
        more = len(recording.calls) - MAX_STEPS
        if more > 0:
            recording.omitted[TOO_MANY] += more
            del recording.calls[MAX_STEPS:]
        recording.calls = [self._sendable(call) for call in recording.calls]
        recording.calls = chain(recording.calls, names)
        self.calls = lift(recording, names)
        self.base = recording.base_url or _commonest(call.origin for call in self.calls)
        self.shared = _shared(self.calls)

    def _sendable(self, call: Call) -> Call:
        kept = tuple(pair for pair in call.headers if _is_header(*pair))
        if len(kept) < len(call.headers):
            self.recording.omitted[UNSENDABLE] += len(call.headers) - len(kept)
        path = _UNQUOTED.sub(lambda found: quote(found[0], ""), call.path)
        return replace(call, headers=kept, path=path)

    def lines(self) -> Iterator[str]:
        recording = self.recording
        yield from self._head()
        yield "version: 1"
        yield ""
        yield "journeys:"
        yield f"  {self.name}:"
        title = recording.title or recording.source
        yield from _block({"description": one_line(title).replace("${", "$${")}, 4)
        yield from _block({"base_url": self._base_url()}, 4)
        seconds = max(LEAST_TIMEOUT_S, len(self.calls) * STEP_TIMEOUT_S)
        yield from _block({"timeout": f"{min(seconds, MAX_TIMEOUT_S)}s"}, 4)
        if recording.variables:
            yield from _block({"vars": mapped(recording.variables, written)}, 4)
        if recording.secrets:
            yield "    secrets:"
            for key, what in recording.secrets.items():
                variable = environment_name(self.name, key)
                yield f"      # {one_line(what)}"
                yield f"      {key}: {{env: {variable}}}"
        if self.shared:
            yield from _block({"http": {"headers": _texts(self.shared)}}, 4)
        yield "    steps:"
        yield from self._steps()
        yield ""
        yield "probes:"
        probe = {"name": self.name, "kind": "journey", "journey": self.name, "every": EVERY}
        yield from _block([probe], 2)

    def _base_url(self) -> str:
        variable = environment_name(self.name, "url")
        base = self.base
        # a brace would end the default
        return f"${{{variable}:-{base}}}" if base and "}" not in base else f"${{{variable}}}"

    def _head(self) -> Iterator[str]:
        recording = self.recording
        yield f"# Taken over by `sonde import` from {one_line(recording.source)}."
        yield "# Read it before use: what it expects is a guess from what was recorded."
        if not self.base:
            yield f"# To be set: {environment_name(self.name, 'url')} (where it begins)"
        for key in recording.secrets:
            yield f"# To be set: {environment_name(self.name, key)}"
        for why, count in recording.omitted.items():
            yield f"# Left out: {one_line(why)}: {count}"
        for note in recording.notes:
            yield f"# {one_line(note)}"

    def _steps(self) -> Iterator[str]:
        names = Names()
        for call in self.calls:
            alike = [it for it in self.calls if (it.method, it.path) == (call.method, call.path)]
            expect, checks = expectations(call, alike)
            for note in (*call.notes, *checks):
                yield f"      # {one_line(note)}"
            step = {"name": names.step(call.title, call.method, call.path)}
            yield from _block([step | self._request(call) | self._rest(call, expect)], 6)

    def _request(self, call: Call) -> dict[str, Any]:
        is_home = call.origin in ("", self.base)
        url = written(call.path if is_home else call.origin + call.path)
        step: dict[str, Any] = {}
        body = call.body
        if body is not None and body.form == "graphql":
            step["graphql"] = {"url": url, **_graphql(body.value)}
        else:
            step[call.method.lower()] = url
        if call.params:
            step["params"] = _pairs(call.params)
        own = [pair for pair in call.headers if pair not in self.shared]
        own = [pair for pair in own if not _is_implied(pair, body)]
        if own:
            step["headers"] = _texts(own)
        if body is not None and body.form != "graphql":
            key = "body" if body.form == "text" else body.form
            step[key] = _pairs(body.value) if body.form == "form" else mapped(body.value, written)
        return step

    def _rest(self, call: Call, expect: dict[str, Any]) -> dict[str, Any]:
        rest: dict[str, Any] = {}
        if expect:
            rest["expect"] = mapped(expect, written)
        if call.extracts:
            rest["extract"] = dict(call.extracts)
        return rest


def _graphql(value: Any) -> dict[str, Any]:
    """Return the keys of a GraphQL step; the query itself is fixed text."""
    made = {"query": value["query"].replace("${", "$${")}
    if value.get("variables"):
        made["variables"] = mapped(value["variables"], written)
    if value.get("operation"):
        made["operation"] = value["operation"].replace("${", "$${")
    return made


def _commonest(origins: Iterable[str]) -> str:
    counts = Counter(origin for origin in origins if origin and not references(origin))
    return counts.most_common(1)[0][0] if counts else ""


def _shared(calls: list[Call]) -> list[tuple[str, str]]:
    """Return the headers that every call sends alike."""
    if len(calls) < 2:  # noqa: PLR2004 - of one there is nothing to share
        return []
    common = set(calls[0].headers).intersection(*(call.headers for call in calls[1:]))
    return [
        pair
        for pair in calls[0].headers
        if pair in common and not references(pair[1]) and not _is_implied(pair, None)
    ]


def _is_implied(pair: tuple[str, str], body: Body | None) -> bool:
    name, value = pair[0].lower(), pair[1].lower()
    if name == "accept":
        return value == "*/*"
    if name != "content-type":
        return False
    if body is None:
        return True
    media = value.partition(";")[0].strip()
    return body.form == "graphql" or media == _IMPLIED.get(body.form)


def _texts(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: written(value) for name, value in pairs}


def _pairs(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return pairs as a mapping; what has a name several times becomes a list."""
    made: dict[str, Any] = {}
    for name, value in pairs:
        text = written(value)
        if name not in made:
            made[name] = text
        elif isinstance(made[name], list):
            made[name].append(text)
        else:
            made[name] = [made[name], text]
    return made


class _Dumper(yaml.SafeDumper):
    """Writes the same object twice, not once and an alias; a key a line at the outside."""

    def serialize(self, node: Any) -> None:
        node.flow_style = False
        super().serialize(node)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - a hook of PyYAML
        return True


def _block(value: Any, indent: int) -> Iterator[str]:
    text = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH,
        default_flow_style=None,
    )  # fmt: skip
    # a folded text has its lines inside the same block
    return (f"{' ' * indent}{line}".rstrip() for line in text.rstrip("\n").split("\n"))
