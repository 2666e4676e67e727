"""Values that an answer gave and a later request sends: ``extract`` and ``${token}``.

    answer of login      {"token": "t-81..."}             extract: {token: $.token}
    request of search    Authorization: Bearer t-81...    Bearer ${token}

A value that a request has sent before an answer repeats it is the user's own. A short one, such as
an id of 3, counts only where both places speak of the same thing. Knows no format.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import unquote

from exporter.importing.expecting import is_path, member
from exporter.importing.naming import Names, is_id, noun_of_key, noun_of_path, words
from exporter.importing.recording import Answer, Body, Call, reference
from probes.journey.language.view import View
from probes.journey.playing.evidence import looks_secret

# Values of one answer that are looked at: a list of ten thousand items names nothing new.
MAX_LEAVES = 20_000
MAX_VALUE_CHARACTERS = 4096
# Long enough that it stands in two places by no accident.
MIN_TELLING_CHARACTERS = 8
# Long enough to be looked for inside another text.
MIN_INNER_CHARACTERS = 12
MAX_PAGES = 5
_TELLING = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])\S{16,}")
_FIELD = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,64}", re.ASCII)
_SOURCE_HEADERS = re.compile(r"location|etag|.*(?:token|csrf|xsrf|session|nonce).*")
_METAS = ("csrf-token", "_csrf", "csrf", "xsrf-token", "_token")


@dataclass(slots=True)
class _Source:
    """Where a value came from first."""

    call: int
    extract: Any
    noun: str
    key: str
    is_weak: bool
    name: str = ""


@dataclass(slots=True)
class _Chain:
    """All values that were met so far, by their text."""

    calls: list[Call]
    names: Names
    sources: dict[str, list[_Source]] = field(default_factory=dict[str, list[_Source]])
    sent: set[str] = field(default_factory=set[str])
    extracts: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])

    def use(self, source: _Source) -> str:
        """Return a reference to a value, which is extracted from now on."""
        if not source.name:
            is_bare = not noun_of_key(source.key)
            wanted = (source.noun, source.key) if is_bare and source.noun else (source.key,)
            source.name = self.names.variable(*wanted)
            self.extracts.setdefault(source.call, {})[source.name] = source.extract
        return reference(source.name)

    def find(self, text: str, noun: str) -> str | None:
        """Return the reference for a whole value that stands where *noun* is meant."""
        found = self.sources.get(text)
        if not found:
            return None
        fitting = [it for it in found if noun and noun in (it.noun, noun_of_key(it.key))]
        strong = [it for it in found if not it.is_weak]
        chosen = (fitting or strong)[:1]
        return self.use(chosen[0]) if chosen else None


def chain(calls: list[Call], names: Names) -> list[Call]:
    """Return *calls* with every value that an earlier answer gave as a reference to it."""
    state = _Chain(calls, names)
    made: list[Call] = []
    for number, call in enumerate(calls):
        made.append(_rewritten(state, call, number))
        state.sent.update(_sent(call))
        if call.answer is not None:
            for text, source in _given(call, call.answer, number):
                if text not in state.sent:
                    state.sources.setdefault(text, []).append(source)
    return [
        replace(call, extracts={**call.extracts, **state.extracts.get(number, {})})
        for number, call in enumerate(made)
    ]


# --- what an answer gives


def _given(call: Call, answer: Answer, number: int) -> Iterator[tuple[str, _Source]]:
    noun = noun_of_path(call.path)
    for name, value in answer.headers:
        if name == "set-cookie":
            for key, text in _cookies(value):
                yield (
                    text,
                    _Source(
                        number, {"cookie": key}, "", key, is_weak=len(text) < MIN_TELLING_CHARACTERS
                    ),
                )
        elif _SOURCE_HEADERS.fullmatch(name) and value:
            weak = len(value) < MIN_TELLING_CHARACTERS
            yield value, _Source(number, {"header": name}, noun, name, is_weak=weak)
    for path, key, owner, leaf in _leaves(answer.document):
        text = str(leaf)
        is_telling = is_id(key) or looks_secret(key) or _TELLING.fullmatch(text)
        if is_telling and is_path(path):
            weak = len(text) < MIN_TELLING_CHARACTERS
            yield text, _Source(number, path, noun_of_key(key) or owner or noun, key, is_weak=weak)


def _cookies(line: str) -> Iterator[tuple[str, str]]:
    try:
        jar = SimpleCookie(line)
    except CookieError:
        return
    for name, morsel in jar.items():
        yield name, morsel.value


def _leaves(document: Any) -> Iterator[tuple[str, str, str, str | int]]:
    """Yield path, key, what it belongs to, and value of the texts and whole numbers."""
    waiting: deque[tuple[str, str, str, Any]] = deque([("$", "", "", document)])
    for _ in range(MAX_LEAVES):
        if not waiting:
            return
        path, key, owner, value = waiting.popleft()
        if isinstance(value, dict):
            below = noun_of_key(key) or owner
            waiting += [(member(path, it), it, below, inner) for it, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{path}[{at}]", key, owner, inner) for at, inner in enumerate(value)]
        elif _is_telling(value):
            yield path, key, owner, value


def _is_telling(value: Any) -> bool:
    if not isinstance(value, str | int) or isinstance(value, bool):
        return False
    return 0 < len(str(value)) <= MAX_VALUE_CHARACTERS


# --- what a request sends


def _sent(call: Call) -> Iterator[str]:
    yield from (unquote(part) for part in call.path.split("/") if part)
    yield from (value for _, value in call.params)
    body = call.body
    if body is None:
        return
    if body.form == "form":
        yield from (value for _, value in body.value)
    elif body.form != "text":
        yield from (str(value) for _, _, _, value in _leaves(body.value))


def _rewritten(state: _Chain, call: Call, number: int) -> Call:
    return replace(
        call,
        path=_path(state, call.path),
        params=tuple((key, _whole(state, key, value)) for key, value in call.params),
        headers=tuple((key, _header(state, key, value, number)) for key, value in call.headers),
        body=_body(state, call.body, number),
    )


def _path(state: _Chain, path: str) -> str:
    found = state.find(path, "")
    if found is not None:
        return found
    parts = path.split("/")
    for at, part in enumerate(parts):
        before = noun_of_path("/".join(parts[:at])) if at else ""
        parts[at] = (state.find(unquote(part), before) or part) if part else part
    return "/".join(parts)


def _whole(state: _Chain, key: str, value: str) -> str:
    return state.find(value, noun_of_key(key)) or value


def _header(state: _Chain, name: str, value: str, number: int) -> str:
    found = state.find(value, "") or _meta(state, name, value, number)
    if found is not None:
        return found
    head, blank, last = value.rpartition(" ")
    found = state.find(last, "") if blank else None
    return f"{head}{blank}{found}" if found is not None else value


def _body(state: _Chain, body: Body | None, number: int) -> Body | None:
    if body is None:
        return None
    if body.form == "form":
        return Body("form", [(k, _field(state, k, v, number)) for k, v in body.value])
    if body.form == "text":
        return Body("text", _inner(state, body.value))
    return Body(body.form, _tree(state, "", body.value))


def _tree(state: _Chain, key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _tree(state, name, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_tree(state, key, inner) for inner in value]
    if isinstance(value, str | int) and not isinstance(value, bool):
        found = state.find(str(value), noun_of_key(key))
        return value if found is None else found
    return value


def _inner(state: _Chain, text: str) -> str:
    for value, sources in state.sources.items():
        if len(value) >= MIN_INNER_CHARACTERS and value in text:
            text = text.replace(value, state.use(sources[0]))
    return text


# --- pages: hidden fields and the tokens in their head


def _field(state: _Chain, name: str, value: str, number: int) -> str:
    found = state.find(value, noun_of_key(name))
    if found is not None or not value or not _FIELD.fullmatch(name):
        return found or value
    selector = f'input[type="hidden"][name="{name}"]'
    return _in_page(state, (selector, "value", name), value, number) or value


def _meta(state: _Chain, name: str, value: str, number: int) -> str | None:
    if len(value) < MIN_TELLING_CHARACTERS or not {"csrf", "xsrf", "token"} & set(words(name)):
        return None
    for meta in _METAS:
        asked = (f'meta[name="{meta}"]', "content", meta.strip("_"))
        found = _in_page(state, asked, value, number)
        if found is not None:
            return found
    return None


def _in_page(state: _Chain, asked: tuple[str, str, str], value: str, number: int) -> str | None:
    selector, attribute, key = asked
    before = list(enumerate(state.calls[:number]))
    pages = [(at, it.answer) for at, it in reversed(before) if _is_page(it.answer)]
    for at, answer in pages[:MAX_PAGES]:
        if answer is None or value not in answer.text:
            continue
        try:
            shown = View(body=answer.text.encode("utf-8", "replace")).css(selector, attribute)
        except ValueError:
            continue  # too large to be looked at, in a run too
        if shown[:1] == [value]:
            extract = {"css": selector, "attribute": attribute}
            weak = len(value) < MIN_TELLING_CHARACTERS
            source = _Source(at, extract, noun_of_key(key), key, is_weak=weak)
            state.sources.setdefault(value, []).append(source)
            return state.use(source)
    return None


def _is_page(answer: Answer | None) -> bool:
    return answer is not None and "html" in answer.type and bool(answer.text)
