"""One YAML text as plain data, with the place of every value.

    Document
    ├── value      dict | list | str | int | float | bool | None
    ├── problems   Problem, ...: what is wrong with the text itself
    └── locate()   path -> Spot(line, column, depth)

Knows no key of ours and no file system.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from probes.config.nodes import (
    BOOL,
    FLOAT,
    INT,
    LIST,
    MAP,
    MAX_ALIAS_NODES,
    MAX_DEPTH,
    MERGE,
    NULL,
    PADDED,
    TEXT,
    Budget,
    Refused,
    compose,
    decode,
)  # fmt: skip
from probes.errors import Problem
from probes.units import short

# Longer whole numbers are identifiers that lost their quotes; int() itself stops at 4,300 digits.
MAX_DIGITS = 18

# Some 20 nodes each: a fraction of a millisecond to free.
PIECE = 64

Path = tuple[str | int, ...]
Expand = Callable[[str], str]
NOWHERE: Mapping[str, Expand] = {}


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a text, counted from 1, and how many steps of the wanted path lead to it."""

    line: int
    column: int
    depth: int


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed text. ``value`` is None when it is empty or when ``problems`` says why not."""

    name: str
    value: Any
    problems: tuple[Problem, ...]
    root: Node | None = field(default=None, repr=False)
    is_foreign: bool = False
    """Whether it was read as the dialect that the caller has offered."""

    def locate(self, path: Sequence[str | int], *, key: bool = False) -> Spot:
        """Return the place of the value at *path*, or of the nearest place above it.

        Args:
            path: keys and list indices from the root.
            key: return the place of the key in front of the value.
        """
        if self.root is None:
            return Spot(0, 0, 0)
        spot, node = _spot(self.root, 0), self.root
        for depth, step in enumerate(path, start=1):
            found = _child(node, step)
            if found is None:
                break
            before, node = found
            at_key = before is not None and (key or not isinstance(node, ScalarNode))
            spot = _spot(before if at_key and before is not None else node, depth)
        return spot

    def release(self) -> None:
        """Let go of the nodes in small pieces; `locate` knows no place any more."""
        if isinstance(self.root, MappingNode):
            for _, node in self.root.value:
                release(node.value)
            self.root.value.clear()


def release(value: object) -> None:
    """Empty a long list in pieces, so that other threads may run in between."""
    if isinstance(value, list):
        while value:
            del value[-PIECE:]


def load_document(
    data: bytes,
    name: str,
    *,
    expand: Expand | None = None,
    expand_below: Mapping[str, Expand] = NOWHERE,
    budget: Budget | None = None,
    foreign: "Foreign | None" = None,
) -> Document:
    """Parse *data* and judge everything that can be judged without knowing what it is for.

    Args:
        data: the bytes of the file.
        name: of the file, for the messages.
        expand: applied to every text value; a ValueError becomes a problem at its place.
        expand_below: what is applied instead to the texts below a key of the first level.
        budget: what the files of this config may still use; it is drawn down.
        foreign: a dialect that the text may be in instead of ours.
    """
    budget = budget or Budget()
    try:
        root = _root(decode(data), budget, foreign)
    except Refused as refused:
        return Document(
            name, None, (Problem(name, refused.line, refused.column, "", str(refused)),)
        )
    if root is None:
        return Document(name, None, ())
    is_foreign = foreign is not None and foreign.claims(root)
    if foreign is not None and is_foreign:
        walk = foreign.walk(name, None, NOWHERE, budget)
    else:
        walk = Walk(name, expand, expand_below, budget)
    value = walk.value(root)
    return Document(name, value, tuple(dict.fromkeys(walk.problems)), root, is_foreign)


def _root(text: str, budget: Budget, foreign: "Foreign | None") -> Node | None:
    """Return the root of *text*, or of its first document if that is in the dialect *foreign*."""
    try:
        return compose(text, budget)
    except Refused:
        if foreign is None:
            raise
        first = _first(text, budget)
        if first is None or not foreign.claims(first):
            raise
        return first


def _first(text: str, budget: Budget) -> Node | None:
    with suppress(Refused):
        return compose(text, budget, first_only=True)
    return None


class Walk:
    """Nodes to plain values, one visit for each node, aliases counted."""

    def __init__(
        self, name: str, expand: Expand | None, below: Mapping[str, Expand], budget: Budget
    ) -> None:
        self.problems: list[Problem] = []
        self._name = name
        self._everywhere = expand
        self._below = below
        self._expand = expand
        self._budget = budget
        self._path: list[str | int] = []
        self._visited = 0
        # of each finished list or map: value, nodes and levels below it; None while it is open.
        # By the expansion too: an anchor may be used where `${x}` means something else.
        self._done: dict[tuple[Expand | None, int], tuple[Any, int, int] | None] = {}
        self._levels = 0

    def value(self, node: Node) -> Any:
        """Return the plain value of *node*."""
        self._visited += 1
        tag = node.tag
        if tag is TEXT:
            return self._text(node)
        if tag is MAP or tag is LIST:
            return self._collection(node)
        if isinstance(node, ScalarNode) and tag in _SCALARS and tag is not MERGE:
            return self._number(node) if tag in _NUMBERS else _SCALARS[tag](node.value)
        if tag is MERGE:
            return node.value
        self._problem(node, f"want a value without a tag, got {short(tag)}")
        return ""

    def _text(self, node: Node) -> Any:
        text = node.value
        if self._expand is None or "${" not in text:
            return text
        try:
            return self._expand(text)
        except ValueError as error:
            self._problem(node, str(error))
            return text

    def _number(self, node: ScalarNode) -> Any:
        text = node.value
        if node.tag is PADDED:
            self._problem(
                node, f"want a number without leading zeros, or a text in quotes, got {text[:80]}"
            )
            return text
        if node.tag is INT and len(text) <= MAX_DIGITS:
            return int(text)
        value = float(text) if node.tag is FLOAT else float("inf")
        if value not in (float("inf"), float("-inf")):
            return value
        want = (
            f"a whole number of at most {MAX_DIGITS} digits"
            if node.tag is INT
            else "a finite number"
        )
        self._problem(node, f"want {want}, or a text in quotes, got {text[:80]}")
        return text

    def _collection(self, node: Node) -> Any:
        key = (self._expand, id(node))
        if key in self._done:
            return self._again(node, self._done[key])
        self._done[key] = None
        before, levels, self._levels = self._visited, self._levels, 0
        value = self._mapping(node) if isinstance(node, MappingNode) else self._sequence(node)
        below = self._levels + 1
        self._levels = max(levels, below)
        self._done[key] = (value, self._visited - before + 1, below)
        return value

    def _again(self, node: Node, done: tuple[Any, int, int] | None) -> Any:
        if done is None:
            self._problem(node, "want an anchor without an alias of itself inside, got one")
            return None
        value, count, levels = done
        self._visited += count
        self._levels = max(self._levels, levels)
        self._budget.alias_nodes -= count
        if self._budget.alias_nodes < 0:
            want = f"want at most {MAX_ALIAS_NODES} values made by aliases"
            self._problem(node, f"{want}, got more: use defaults: or modules: instead")
            return None
        if len(self._path) + levels > MAX_DEPTH:
            self._problem(node, f"want at most {MAX_DEPTH} levels, aliases followed, got more")
            return None
        return value

    def _sequence(self, node: Node) -> list[Any]:
        items: list[Any] = []
        self._path.append(0)
        for index, item in enumerate(node.value):
            self._path[-1] = index
            items.append(self.value(item))
        self._path.pop()
        return items

    def _mapping(self, node: MappingNode) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: list[Node] = []
        self._path.append("")
        for key_node, value_node in node.value:
            if key_node.tag is MERGE:
                merged.append(value_node)
                continue
            key = self._key(key_node)
            if key is None:
                continue
            self._path[-1] = key
            if len(self._path) == 1:
                self._expand = self._below.get(key, self._everywhere)
            if key in result:
                self._duplicate(node, key_node)
            result[key] = self.value(value_node)
        self._path.pop()
        for other in merged:
            result = self._merge(other) | result
        return result

    def _key(self, node: Node) -> str | None:
        self._visited += 1
        if isinstance(node, ScalarNode) and node.tag in _SCALARS:
            return cast("str", node.value)
        self._path[-1] = "?"
        self._problem(node, "want a plain text as key, got something else")
        return None

    def _duplicate(self, node: MappingNode, again: Node) -> None:
        first = next(key for key, _ in node.value if key.value == again.value)
        line = first.start_mark.line + 1
        self._problem(
            again, f"want each key once, got {short(again.value)} again (first in line {line})"
        )

    def _merge(self, node: Node) -> dict[str, Any]:
        value = self.value(node)
        parts = value if isinstance(value, list) else [value]
        result: dict[str, Any] = {}
        for part in parts:
            if not isinstance(part, dict):
                self._problem(
                    node, "want a mapping, or a list of them, behind '<<', got something else"
                )
                return {}
            result = part | result
        return result

    def _problem(self, node: Node, message: str) -> None:
        mark = node.start_mark
        path = ".".join(map(str, self._path))
        self.problems.append(Problem(self._name, mark.line + 1, mark.column + 1, path, message))


@dataclass(frozen=True, slots=True)
class Foreign:
    """A dialect of others: only the first document of a text counts, and scalars are its own.

    Args:
        claims: whether a root node is in it.
        walk: what makes values of the nodes.
    """

    claims: Callable[[Node], bool]
    walk: type[Walk]


_SCALARS: dict[str, Callable[[str], Any]] = {
    TEXT: str,
    NULL: lambda _: None,
    BOOL: lambda text: text[0] in "tT",
    INT: str,
    FLOAT: str,
    PADDED: str,
    MERGE: str,
}
_NUMBERS = frozenset({INT, FLOAT, PADDED})


def _child(node: Node | None, step: str | int) -> tuple[Node | None, Node] | None:
    """Return key and value below *node*; the key is None in a list."""
    if isinstance(node, SequenceNode) and isinstance(step, int):
        return (None, node.value[step]) if 0 <= step < len(node.value) else None
    if not isinstance(node, MappingNode):
        return None
    merged: tuple[Node | None, Node] | None = None
    for key, value in node.value:
        if key.tag is MERGE:
            for part in value.value if isinstance(value, SequenceNode) else [value]:
                merged = merged or _child(part, step)
        elif key.value == step:
            return key, value
    return merged


def _spot(node: Node, depth: int) -> Spot:
    return Spot(node.start_mark.line + 1, node.start_mark.column + 1, depth)
