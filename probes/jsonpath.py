"""JSONPath (RFC 9535) into documents.

Singular queries (``$.a['b'][0]``), nearly all that people write, run on a closure of our own, sixty
times faster than the library; everything else goes to python-jsonpath in strict mode, with RE2 for
``match()`` and ``search()``. Both select the same nodes. Knows no expectation.
"""

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from probes.document import parse_json
from probes.errors import CheckFailed
from probes.pattern import Pattern, searchable
from probes.result import Reason
from probes.units import short

# Who follows a path reads the document first: one door for both.
__all__ = ["MAX_INDEX", "JsonPath", "json_path", "parse_json"]

# python-jsonpath parses by recursion; no path that a person writes is longer.
MAX_PATH_CHARACTERS = 4096
# RFC 9535 2.1: indexes beyond I-JSON's exact integers are not valid.
MAX_INDEX = 2**53 - 1

# Values that one path may look at, each 1 to 10 us: no target may hold up the prober for longer.
# ``$..a..b`` would look 2 minutes into a document of 2 MiB that nests (2026-11).
MAX_VISITS = 50_000

# Those of a path; more only come out of documents.
KEPT_PATTERNS = 64

_SINGULAR_STEP = re.compile(
    r"""[ \t\n\r]*(?:
        \.(?P<member>
            [A-Za-z_\u0080-\ud7ff\ue000-\U0010ffff][A-Za-z0-9_\u0080-\ud7ff\ue000-\U0010ffff]*)
      | \[[ \t\n\r]*(?:
            '(?P<single>[^'"\\\x00-\x1f]*)'
          | "(?P<double>[^'"\\\x00-\x1f]*)"
          | (?P<index>0|-?[1-9][0-9]{0,15})
        )[ \t\n\r]*\]
    )""",
    re.VERBOSE | re.ASCII,
)


class JsonPath:
    """A compiled path.

    ``singular`` tells whether it selects at most one node.

    Raises:
        ValueError: not a path of RFC 9535.
    """

    __slots__ = ("_select", "singular", "text")

    def __init__(self, text: str) -> None:
        if len(text) > MAX_PATH_CHARACTERS:
            raise ValueError(
                f"want a path of at most {MAX_PATH_CHARACTERS} characters, got {len(text)}"
            )
        if not text.startswith("$"):
            raise ValueError(f"want a JSONPath such as $.a.b, got {short(text)} without the $")
        self.text = text
        steps = _singular_steps(text)
        self.singular = steps is not None
        self._select: Callable[[Any], list[Any]] = (
            _library(text) if steps is None else _walker(steps)
        )

    def select(self, document: Any) -> list[Any]:
        """Return the values of the nodes that the path selects, in document order.

        Raises:
            CheckFailed: ``too_large``: a path that is not singular would look at too many values.
        """
        return self._select(document)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonPath) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"JsonPath({self.text!r})"

    def __str__(self) -> str:
        return self.text

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            json_path, core_schema.str_schema(), serialization=core_schema.to_string_ser_schema()
        )


@lru_cache(maxsize=4096)
def json_path(text: str) -> JsonPath:
    """Return the compiled path; equal texts share one.

    Raises:
        ValueError: not a path of RFC 9535.
    """
    return JsonPath(text)


def _singular_steps(text: str) -> list[str | int] | None:
    if not text.startswith("$"):
        return None
    steps: list[str | int] = []
    at = 1
    while at < len(text):
        found = _SINGULAR_STEP.match(text, at)
        if found is None:
            return None
        index = found["index"]
        if index is None:
            name = next(
                found[group] for group in ("member", "single", "double") if found[group] is not None
            )
            steps.append(name)
        elif abs(int(index)) <= MAX_INDEX:
            steps.append(int(index))
        else:
            return None
        at = found.end()
    return steps


def _walker(steps: list[str | int]) -> Callable[[Any], list[Any]]:
    def select(node: Any) -> list[Any]:
        for step in steps:
            if isinstance(step, str):
                if not isinstance(node, dict) or step not in node:
                    return []
                node = node[step]
            elif isinstance(node, list) and -len(node) <= step < len(node):
                node = node[step]
            else:
                return []
        return [node]

    return select


def _library(text: str) -> Callable[[Any], list[Any]]:
    import jsonpath  # noqa: PLC0415 - 40 ms that most files never need

    try:
        query = _queries()(env=_environment(), segments=_environment().compile(text).segments)
    except (jsonpath.JSONPathError, RecursionError) as error:
        # not str(): the library's own rendering raises on an error at the end of the text
        reason = str(error.args[0]) if error.args else type(error).__name__
        raise ValueError(f"want a JSONPath such as $.a.b, got {short(text)}: {reason}") from None

    def select(node: Any) -> list[Any]:
        # a scalar is not a container for the library, which would read a str as JSON text
        if not isinstance(node, dict | list):
            return [node] if text == "$" else []
        return [found.obj for found in query.finditer(node, filter_context=_Visits(text))]

    return select


class _Visits:
    """How many values a path may still look at; each node of it and of its filters carries it."""

    __slots__ = ("_left", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._left = MAX_VISITS

    def one(self) -> None:
        """Count one.

        Raises:
            CheckFailed: ``too_large``: it is one too many.
        """
        self._left -= 1
        if self._left < 0:
            want = f"want at most {MAX_VISITS} values to look at for {short(self._text)}"
            raise CheckFailed(Reason.TOO_LARGE, f"{want}, got more")


@cache
def _queries() -> Any:
    """Return the library's query with nodes that are counted, and that know no place of theirs."""
    from jsonpath import JSONPath, JSONPathMatch  # noqa: PLC0415 - 20 ms, for those who have paths

    class Node(JSONPathMatch):
        """A value and the root; to write down its place takes two thirds of the time."""

        __slots__ = ()

        def __init__(self, visits: Any, obj: object, root: Any) -> None:
            super().__init__(
                filter_context=visits, obj=obj, parent=None, path="", parts=(), root=root
            )

        def new_child(self, obj: object, key: int | str) -> "Node":  # noqa: ARG002 - the library's
            visits: Any = self._filter_context
            visits.one()
            return Node(visits, obj, self.root)

        def filter_context(self) -> Any:
            # asked for by a filter, for each value that it judges
            visits: Any = self._filter_context
            visits.one()
            return visits

        def add_child(self, *children: JSONPathMatch) -> None:
            """Keep none."""

    class Query(JSONPath):
        """Begins with such a node."""

        def finditer(self, data: Any, *, filter_context: Any = None) -> Any:
            nodes: Any = [Node(filter_context, data, data)]
            for segment in self.segments:
                nodes = segment.resolve(nodes)
            return nodes

    return Query


def _parser() -> Any:
    """Return the library's parser; the queries inside of filters count, too."""
    from jsonpath.parse import Parser  # noqa: PLC0415 - 20 ms, for those who have paths

    class Counting(Parser):
        """Makes those of our own."""

        def parse_absolute_query(self, stream: Any) -> Any:
            return self._counting(super().parse_absolute_query(stream))

        def parse_relative_query(self, stream: Any) -> Any:
            return self._counting(super().parse_relative_query(stream))

        def _counting(self, query: Any) -> Any:
            query.path = _queries()(env=self.env, segments=query.path.segments)
            return query

    return Counting


@cache
def _environment() -> Any:
    """Return the library with RE2: its own functions use `re`, where a pattern may backtrack."""
    from jsonpath import JSONPathEnvironment  # noqa: PLC0415 - 20 ms, for those who have paths
    from jsonpath.filter import StringLiteral  # noqa: PLC0415 - lazy, as the library
    from jsonpath.function_extensions import ExpressionType, FilterFunction  # noqa: PLC0415 - 20 ms, for those who have paths

    class Search(FilterFunction):
        """``search()``: the pattern matches somewhere; ``match()``: it matches all."""

        def __init__(self, form: str) -> None:
            self.pattern = lru_cache(maxsize=KEPT_PATTERNS)(lambda text: Pattern(form % text))

        @property
        def arg_types(self) -> list[ExpressionType]:
            return [ExpressionType.VALUE, ExpressionType.VALUE]

        @property
        def return_type(self) -> ExpressionType:
            return ExpressionType.LOGICAL

        def __call__(self, value: object, text: object) -> bool:
            return _finds(self.pattern, text, value)

    class Environment(JSONPathEnvironment):
        """Judges the patterns that stand in a path when it is read."""

        parser_class = _parser()

        def setup_function_extensions(self) -> None:
            super().setup_function_extensions()
            self.function_extensions |= {"search": Search("%s"), "match": Search(r"\A(?:%s)\z")}

        def validate_function_extension_signature(self, token: Any, args: list[Any]) -> list[Any]:
            function = self.function_extensions.get(token.value)
            if isinstance(function, Search) and args and isinstance(args[-1], StringLiteral):
                Pattern(args[-1].value)
            return super().validate_function_extension_signature(token, args)

    return Environment(strict=True)


def _finds(read: Callable[[str], Pattern], text: object, value: object) -> bool:
    """Return whether the pattern *text* is in *value*; what is no pattern is nowhere."""
    if not isinstance(value, str) or not isinstance(text, str):
        return False
    try:
        found = read(text)
    except ValueError:
        return False  # it came out of the document: RFC 9535 2.4.6
    return found.search(searchable(value.encode("utf-8", "replace"))) is not None
