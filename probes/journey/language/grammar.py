"""Texts with ``${...}`` as a tree of frozen values. Knows no value of any variable.

    text       := ( characters | "$${" | "${" expression "}" )*
    expression := literal | name ( "." member | "[" index "]" )* | function "(" [ list ] ")"
    literal    := 'text' | "text" | number | true | false | null | "[" [ list ] "]"
    list       := expression ( "," expression )*

A text in quotes may hold ``${...}`` again: ``${base64('${user}:${secrets.password}')}``.
"""

import re
from dataclasses import dataclass
from typing import Any

from probes.journey.language.functions import FUNCTIONS, MAX_WHOLE_DIGITS, Function
from probes.pattern import suggest
from probes.units import parse_number, short

MAX_NESTING = 16
MAX_TEXT_CHARACTERS = 64 * 1024
# A name longer than a label of Prometheus people would write.
MAX_NAME_CHARACTERS = 64
# Only these have members of their own; any other name is looked up among all variables.
SPACES = frozenset({"row", "vars", "secrets"})
_WORDS = {"true": True, "false": False, "null": None}
# What no variable can be called.
RESERVED = SPACES | _WORDS.keys() | {"run_id", "in", "contains"}
NAME = re.compile(r"[a-z][A-Za-z0-9_]{0,63}", re.ASCII)
"""A variable: of ``vars``, of ``--var``, or extracted."""
MEMBER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
"""What stands behind the dot: a column, a secret, a key of a value."""

_OPENING = re.compile(r"\$\$\{|\$\{")
_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
        (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>-?[0-9]{1,300}(?:\.[0-9]{1,300})?)
      | (?P<text>'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")
      | (?P<mark>[()\[\],.}])
    )""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "r": "\r", "t": "\t"}
_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that stands in the text."""

    value: Any


@dataclass(frozen=True, slots=True)
class Read:
    """A variable: ``token``, ``row.user``; ``path`` leads into its value."""

    name: str
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments."""

    function: Function
    arguments: tuple["Node", ...]
    where: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Join:
    """A text of several parts."""

    parts: tuple["Node", ...]


Node = Literal | Read | Call | Items | Join


def parse(source: str, depth: int = 0) -> Node:
    """Read one text.

    Raises:
        ValueError: what is no expression, with its column.
    """
    check_text(source)
    parts: list[Node] = []
    at = 0
    while found := _OPENING.search(source, at):
        _add_text(parts, source[at : found.start()])
        if found[0] == "$${":
            _add_text(parts, "${")
            at = found.end()
            continue
        reader = Reader(source, found.start(), found.end(), depth)
        parts.append(reader.expression())
        at = reader.close()
    _add_text(parts, source[at:])
    if not parts:
        return Literal("")
    return parts[0] if len(parts) == 1 else Join(tuple(parts))


def _add_text(parts: list[Node], text: str) -> None:
    if not text:
        return
    last = parts[-1] if parts else None
    if isinstance(last, Literal) and isinstance(last.value, str):
        parts[-1] = Literal(last.value + text)
    else:
        parts.append(Literal(text))


def check_text(source: str) -> None:
    """Refuse what is no text of a journey.

    Raises:
        ValueError: too long, or not Unicode.
    """
    if len(source) > MAX_TEXT_CHARACTERS:
        raise ValueError(
            f"want a text of at most {MAX_TEXT_CHARACTERS} characters, got {len(source)}"
        )
    try:
        source.encode()
    except UnicodeEncodeError:
        raise ValueError(f"want Unicode text, got {short(source)}") from None


class Reader:
    """Reads expressions out of *source*, from *at* on.

    Args:
        source: the text.
        opened: where its ``${`` stands, for messages.
        at: where to begin.
        depth: of the nesting so far.
    """

    __slots__ = ("_depth", "_opened", "_source", "at")

    def __init__(self, source: str, opened: int, at: int, depth: int = 0) -> None:
        self._source = source
        self._opened = opened
        self._depth = depth
        self.at = at

    def expression(self) -> Node:
        """Read one expression.

        Raises:
            ValueError: it is none, or nests too deep.
        """
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise ValueError(f"want at most {MAX_NESTING} levels of nesting, got more")
        start, (kind, word) = self.at, self._next()
        if kind == "name":
            node = self._named(word, start)
        elif kind == "number":
            node = Literal(number(word))
        elif kind == "text":
            node = self._quoted(word)
        elif word == "[":
            node = _items(self._list("]"))
        else:
            raise self._wrong("a variable, a function or a value", start)
        self._depth -= 1
        return node

    def close(self) -> int:
        """Read the ``}`` and return where what stands behind it begins.

        Raises:
            ValueError: something else stands there.
        """
        start, (_, word) = self.at, self._next()
        if word != "}":
            hint = "; a comparison stands outside of ${}" if self._at_operator(start) else ""
            raise self._wrong("'}'", start, hint)
        return self.at

    def _next(self) -> tuple[str, str]:
        found = _TOKEN.match(self._source, self.at)
        if found is None or found.lastgroup is None:
            return "", ""
        self.at = found.end()
        return found.lastgroup, found[found.lastgroup]

    def _peek(self, mark: str) -> bool:
        found = _TOKEN.match(self._source, self.at)
        return found is not None and found["mark"] == mark

    def _named(self, word: str, start: int) -> Node:
        if self._peek("("):
            return self._call(word, start)
        if word in _WORDS:
            return Literal(_WORDS[word])
        if not NAME.fullmatch(word):
            raise self._wrong(
                f"a name of at most {MAX_NAME_CHARACTERS} characters that begins in lower case",
                start,
                f"; of the environment: env({word!r})" if word.isupper() else "",
            )
        path = self._path()
        if word in SPACES:
            if not path or not isinstance(path[0], str):
                raise self._wrong(f"{word}.name", start)
            return Read(f"{word}.{path[0]}", path[1:])
        return Read(word, path)

    def _path(self) -> tuple[str | int, ...]:
        path: list[str | int] = []
        while self._peek(".") or self._peek("["):
            _, mark = self._next()
            start = self.at
            if mark == ".":
                found = MEMBER.match(self._source, self.at)
                if found is None:
                    raise self._wrong("a name behind the dot", start)
                self.at = found.end()
                path.append(found[0])
                continue
            kind, word = self._next()
            index = number(word) if kind == "number" else None
            if not isinstance(index, int):
                raise self._wrong("an index", start)
            path.append(index)
            start, (_, word) = self.at, self._next()
            if word != "]":
                raise self._wrong("']'", start)
        if len(path) > MAX_NESTING:
            raise ValueError(f"want at most {MAX_NESTING} levels of nesting, got more")
        return tuple(path)

    def _call(self, name: str, start: int) -> Node:
        function = FUNCTIONS.get(name)
        if function is None:
            known = suggest(name, FUNCTIONS) or f" ({', '.join(FUNCTIONS)})"
            raise self._wrong("a function", start, known)
        self._next()
        arguments = self._list(")")
        if not function.least <= len(arguments) <= function.most:
            raise ValueError(
                f"want {name}({function.arguments}), got {len(arguments)} arguments"
                f"{self._where(start)}"
            )
        return Call(function, arguments, self._where(start))

    def _list(self, end: str) -> tuple[Node, ...]:
        items: list[Node] = []
        if self._peek(end):
            self._next()
            return ()
        while True:
            items.append(self.expression())
            start, (_, word) = self.at, self._next()
            if word == end:
                return tuple(items)
            if word != ",":
                raise self._wrong(f"',' or {end!r}", start)

    def _quoted(self, word: str) -> Node:
        def escaped(found: re.Match[str]) -> str:
            if found[1] not in _ESCAPES:
                raise ValueError(rf"want \\ for a backslash in quotes, got {short(found[0])}")
            return _ESCAPES[found[1]]

        return parse(_ESCAPE.sub(escaped, word[1:-1]), self._depth)

    def _wrong(self, wanted: str, start: int, hint: str = "") -> ValueError:
        while start < len(self._source) and self._source[start] in _SPACE:
            start += 1
        found = _TOKEN.match(self._source, start)
        got = found[0] if found else self._source[start : start + 1]
        shown = short(got) if got else "the end of the text"
        return ValueError(f"want {wanted}, got {shown}{self._where(start)}{hint}")

    def _where(self, start: int) -> str:
        # no more of the text than was read: a value of the environment may follow
        while start < len(self._source) and self._source[start] in _SPACE:
            start += 1
        shown = self._source[self._opened : max(start, self._opened + 2) + 1]
        return f" at column {start + 1} of {short(shown)}" if shown else ""

    def _at_operator(self, start: int) -> bool:
        rest = self._source[start : start + 40].lstrip(_SPACE)
        return rest.startswith(("=", "!", "<", ">", "in ", "contains "))


def _items(items: tuple[Node, ...]) -> Node:
    if all(isinstance(item, Literal) for item in items):
        return Literal([item.value for item in items if isinstance(item, Literal)])
    return Items(items)


def number(word: str) -> int | float:
    """Read digits: a whole number stays one."""
    return parse_number(word) if "." in word or len(word) > MAX_WHOLE_DIGITS else int(word)
