"""What a reader has found in a foreign file, before it becomes a journey.

    Recording
    ├── calls       Call: what was asked, Answer: what came
    ├── variables   name -> value          ``vars:``
    ├── secrets     names alone            ``secrets:``
    └── omitted     why -> how often       nothing is dropped without a word

Texts hold what was in the file; a value that a run fills in stands between two marks, so that no
foreign text can be taken for one. Knows no format and no YAML.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

# Of the private use area: no reader lets them through.
_OPEN, _CLOSE = "\ue000", "\ue001"
_MARKS = re.compile(f"[{_OPEN}{_CLOSE}]")
_REFERENCE = re.compile(f"{_OPEN}([^{_CLOSE}]*){_CLOSE}")
_NAME = re.compile(r"(?:secrets\.|vars\.)?[a-z][A-Za-z0-9_]*", re.ASCII)
# A line break and other marks that a comment, a name or a terminal would obey.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
MAX_COMMENT_CHARACTERS = 90

Form = Literal["json", "form", "text", "graphql"]


def reference(expression: str) -> str:
    """Return the text that a run replaces by the value of *expression*."""
    return f"{_OPEN}{expression}{_CLOSE}"


def references(text: str) -> list[str]:
    """Return the expressions in *text*."""
    return _REFERENCE.findall(text)


def names_in(text: str) -> set[str]:
    """Return the names of variables in the references of *text*, such as ``secrets.password``."""
    return {name for inner in references(text) for name in _NAME.findall(inner)}


def unmarked(text: str) -> str:
    """Return *text* with its references as they stand inside another expression."""
    return _REFERENCE.sub(r"${\1}", text)


def replaced(text: str, value: str, by: str) -> str:
    """Return *text* with *value* replaced outside of references."""
    made, at = "", 0
    for found in _REFERENCE.finditer(text):
        made += text[at : found.start()].replace(value, by) + found[0]
        at = found.end()
    return made + text[at:].replace(value, by)


def written(text: str) -> str:
    """Return *text* as a journey writes it."""
    return unmarked(replaced(text, "${", "$${"))


def clean(text: str) -> str:
    """Return foreign *text* without marks and halves of characters."""
    return _MARKS.sub("\ufffd", text).encode("utf-8", "replace").decode()


def one_line(text: str) -> str:
    """Return *text* as a comment may show it."""
    line = _CONTROL.sub(" ", clean(text)).strip()
    return line if len(line) <= MAX_COMMENT_CHARACTERS else line[: MAX_COMMENT_CHARACTERS - 1] + "…"


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """Return a tree with every text of it changed, keys left alone."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [mapped(item, change) for item in value]
    if isinstance(value, dict):
        return {key: mapped(item, change) for key, item in value.items()}
    return value


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a request.

    Args:
        form: how it is sent.
        value: a tree; for a form a list of pairs, for a text the text.
    """

    form: Form
    value: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, or what a description says will come.

    Args:
        status: 0: unknown.
        headers: lower-case names.
        type: media type without parameters, lower case; empty: none.
        document: of JSON; None: none.
        text: of anything else that is text.
        shape: JSONPath -> type that is promised, where the file says so itself.
    """

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    type: str = ""
    document: Any = None
    text: str = ""
    shape: Mapping[str, str] = field(default_factory=dict[str, str])

    def header(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a recording.

    Args:
        where: in the foreign file, for comments.
        method: upper case.
        origin: scheme and authority, or a reference; empty: the base URL.
        path: with a leading slash, without a query.
        title: what people call it; empty: nobody does.
        params: of the query.
        headers: as they were sent.
        body: None: none.
        answer: None: unknown.
        cookies: name and value of each cookie that was sent.
        extracts: variable -> what ``extract`` says.
        expects: what the file itself expects, as ``expect`` says it.
        notes: comments above the step.
    """

    where: str
    method: str
    origin: str
    path: str
    title: str = ""
    params: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: Body | None = None
    answer: Answer | None = None
    cookies: tuple[tuple[str, str], ...] = ()
    extracts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    expects: Mapping[str, Any] = field(default_factory=dict[str, Any])
    notes: tuple[str, ...] = ()

    def texts(self) -> Iterator[str]:
        """Yield every text that is sent."""
        yield from (self.origin, self.path)
        yield from (value for _, value in (*self.params, *self.headers))
        waiting: list[Any] = [self.body.value] if self.body is not None else []
        while waiting:
            value = waiting.pop()
            if isinstance(value, str):
                yield value
            elif isinstance(value, dict):
                waiting += value.values()
            elif isinstance(value, list | tuple):
                waiting += value

    def reads(self) -> set[str]:
        """Return the names of variables that it reads."""
        return set().union(*map(names_in, self.texts()))

    def changed(self, change: Callable[[str], str]) -> "Call":
        """Return it with every text that is sent changed."""
        body = self.body
        if body is not None and body.form == "form":
            body = Body("form", [(key, change(value)) for key, value in body.value])
        elif body is not None:
            body = Body(body.form, mapped(body.value, change))
        return replace(
            self,
            path=change(self.path),
            params=tuple((key, change(value)) for key, value in self.params),
            headers=tuple((key, change(value)) for key, value in self.headers),
            body=body,
        )


@dataclass(slots=True)
class Recording:
    """All of a foreign file.

    Args:
        source: what it is, for the first comment.
        title: of the file; empty: none.
        base_url: where the journey begins; empty: the origin of most calls.
        secrets: variable -> what must be given, in words.
        hidden: value of a secret -> the reference to it.
    """

    source: str
    title: str = ""
    base_url: str = ""
    calls: list[Call] = field(default_factory=list[Call])
    variables: dict[str, Any] = field(default_factory=dict[str, Any])
    secrets: dict[str, str] = field(default_factory=dict[str, str])
    hidden: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    omitted: Counter[str] = field(default_factory=Counter[str])
    notes: list[str] = field(default_factory=list[str])
