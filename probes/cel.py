"""CEL expressions over a JSON document: ``body.status == "ok" && body.queue.size() < 10``.

    Cel("body.lag <= 5").holds(b'{"lag": 3}')        True; or CelFailed, why there is no answer

As blackbox_exporter has them: one variable, ``body``; every JSON number is a double, so that both
``body.n == 1`` and ``body.n == 1.0`` hold for 1; ``matches`` is RE2. Nothing can interrupt the
library, so expressions are rewritten: each step of ``all``, ``exists``, ``map`` ... asks whether
there is time left. The home of the library, which the extra ``cel`` brings. Knows no protocol and
no verdict.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from itertools import pairwise
from time import thread_time
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from probes.document import parse_doubles
from probes.extras import wanted
from probes.pattern import pattern, searchable, suggest
from probes.sourced import Sourced
from probes.units import short

if TYPE_CHECKING:
    import cel

# A condition that a person reads; each operator of it may look at the whole document.
MAX_EXPRESSION_CHARACTERS = 4096
# P13: nothing holds the loop for 50 ms, and neither a thread nor a turn in between would help: the
# library takes a document as a whole and keeps the lock of the interpreter. Each value or key costs
# 0.9 to 1.5 us to read and to hand over (2026-11), so these take 15 ms.
MAX_VALUES = 10_000
# CPU of this thread, so that a prober that is late itself fails nobody. A step for each of as many
# values takes 12 ms.
MAX_SECONDS = 0.03
MISSING_EXTRA = wanted("cel")
VARIABLE = "body"

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    | (?P<text>(?:[rR][bB]?|[bB][rR]?)?(?:\"{3}.*?\"{3}|'{3}.*?'{3}
        |\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'))
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>.)""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_read = _TOKEN.finditer
_PAIRS = {")": "(", "]": "[", "}": "{"}
_MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "filter", "map"})
# Names of ours inside of a rewritten expression.
_SEARCH, _TICK = "re2_matches", "sonde_has_time"
_TYPES = frozenset(
    {"bool", "bytes", "double", "duration", "int", "list", "map", "null_type", "string",
     "timestamp", "type", "uint"}
)  # fmt: skip
_FUNCTIONS = frozenset(
    {
        "bytes", "contains", "double", "duration", "dyn", "endsWith", "getDate", "getDayOfMonth",
        "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds", "getMinutes",
        "getMonth", "getSeconds", "has", "int", "matches", "size", "startsWith", "string",
        "timestamp", "type", "uint",
    }
)  # fmt: skip
# What an evaluation can raise: wrong types, overflow, a key or place that is not there.
_ERRORS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class CelFailed(ValueError):
    """There is no answer: no JSON, an error of the evaluation, or a result that is no bool."""


class CelMissing(ValueError):
    """The library is not installed."""


@cache
def _library() -> Any:
    """Return the library without its package, whose command line would cost half a second.

    Raises:
        CelMissing: it is not installed.
    """
    package = find_spec("cel")
    places = package.submodule_search_locations if package is not None else None
    spec = PathFinder.find_spec("cel", places) if places else None
    if spec is None or spec.loader is None:
        raise CelMissing(MISSING_EXTRA)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Token(NamedTuple):
    """A piece of an expression: what it is, its text, and where it begins and ends."""

    sort: str
    text: str
    begin: int
    end: int


def _tokens(source: str) -> list[_Token]:
    found = (_Token(match.lastgroup or "", match[0], *match.span()) for match in _read(source))
    return [token for token in found if token.sort != "space"]


@dataclass(slots=True)
class _Bracket:
    """One that is open: what is called with it, and where its commas are."""

    opened_by: str
    called: str
    at: int
    commas: list[int]


def _steps(tokens: list[_Token]) -> Iterator[tuple[int, int, str]]:
    """Yield where the body of each macro begins and ends, and the name that it binds."""
    open_brackets: list[_Bracket] = []
    for at, token in enumerate(tokens):
        if token.sort != "sign":
            continue
        if token.text in _PAIRS.values():
            called = tokens[at - 1].text if at > 1 and tokens[at - 2].text == "." else ""
            open_brackets.append(_Bracket(token.text, called, at, []))
        elif token.text == "," and open_brackets:
            open_brackets[-1].commas.append(at)
        elif token.text in _PAIRS and open_brackets:
            done = open_brackets.pop()
            if done.opened_by == "(" and done.called in _MACROS and done.commas:
                end = done.commas[1] if len(done.commas) > 1 else at
                yield done.commas[0] + 1, end, tokens[done.at + 1].text


def _rewritten(source: str, tokens: list[_Token], steps: list[tuple[int, int, str]]) -> str:
    """Return the expression with our own search, and a question for time in every step."""
    edits: list[tuple[int, int, str]] = []
    for token, following in pairwise(tokens):
        # a field of this name is followed by no bracket
        if token.text == "matches" and following.text == "(":
            edits.append((token.begin, token.end, _SEARCH))
    for begin, end, _ in steps:
        # an error without an exception of ours, which the library would write to the log
        first, last = tokens[begin].begin, tokens[end - 1].end
        edits += ((first, first, f"({_TICK}() ? ("), (last, last, ") : 1 / 0 == 1)"))
    edits.sort()
    parts: list[str] = []
    done = 0
    for begin, end, text in edits:
        parts += (source[done:begin], text)
        done = end
    return "".join((*parts, source[done:]))


class _Run:
    """One evaluation: its functions, and what went wrong where the library does not tell."""

    __slots__ = ("_end", "flaw")

    def __init__(self) -> None:
        self.flaw = ""
        self._end = thread_time() + MAX_SECONDS

    def has_time(self) -> bool:
        """Tell whether the evaluation may go on."""
        if thread_time() > self._end:
            self.flaw = f"want an answer within {MAX_SECONDS:g} s of CPU, got none"
        return not self.flaw

    def search(self, text: object, source: object) -> bool | None:
        """Tell whether the pattern *source* is found in *text*."""
        if not isinstance(text, str) or not isinstance(source, str):
            self.flaw = f"want texts to match, got {short(text)} and {short(source)}"
            return None
        try:
            found = pattern(source).search(searchable(text.encode("utf-8", "replace")))
        except ValueError as error:
            self.flaw = str(error)
            return None
        return found is not None


class Cel(Sourced):
    """A compiled expression; equal sources are equal.

    Args:
        source: the expression.
        may_wait: without the library it loads all the same, and `holds` tells.

    Raises:
        ValueError: no expression, or one that asks for what there is not.
        CelMissing: the library is not installed.
    """

    __slots__ = ("_program",)

    def __init__(self, source: Any, *, may_wait: bool = False) -> None:
        if not isinstance(source, str):
            raise ValueError(f"want a CEL expression, got {short(source)}")  # noqa: TRY004 - pydantic
        super().__init__(source)
        self._program: cel.Program | None = None
        try:
            self._program = _compiled(source)
        except CelMissing:
            if not may_wait:
                raise

    def holds(self, data: bytes) -> bool:
        """Return what the expression says of a JSON document.

        Raises:
            CelFailed: there is no answer.
            CelMissing: the library is not installed.
        """
        if self._program is None:
            raise CelMissing(MISSING_EXTRA)
        document = _document(data)
        run = _Run()
        context = _library().Context({VARIABLE: document})
        context.add_function(_SEARCH, run.search)
        context.add_function(_TICK, run.has_time)
        try:
            result = self._program.execute(context)
        except _ERRORS as error:
            raise CelFailed(run.flaw or f"want true or false, got {_why(error)}") from None
        if run.flaw:
            raise CelFailed(run.flaw)
        if not isinstance(result, bool):
            raise CelFailed(f"want true or false, got {short(result)}")
        return result

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "description": "CEL expression over body"}


@lru_cache(maxsize=256)
def _compiled(source: str) -> "cel.Program":
    """Return the program of an expression; equal ones share it.

    Raises:
        ValueError: as `Cel`.
    """
    if len(source) > MAX_EXPRESSION_CHARACTERS:
        raise ValueError(
            f"want an expression of at most {MAX_EXPRESSION_CHARACTERS} characters,"
            f" got {len(source)}"
        )
    compile_ = _library().compile
    try:
        references = compile_(source).references()
        tokens = _tokens(source)
        steps = list(_steps(tokens))
        bound = {name for _, _, name in steps}
        _judge_names(references, bound)
        _judge_patterns(tokens)
        program: cel.Program = compile_(_rewritten(source, tokens, steps))
    except _ERRORS as error:
        raise ValueError(f"want a CEL expression, got {short(source)}: {_why(error)}") from None
    return program


def _judge_names(references: Mapping[str, list[str]], bound: set[str]) -> None:
    for name in references["functions"]:
        # operators have names such as _+_ and @in
        if name.isidentifier() and not name.startswith("_") and name not in _FUNCTIONS:
            raise ValueError(f"there is no function {name!r}{suggest(name, _FUNCTIONS | _MACROS)}")
    for name in references["variables"]:
        if name != VARIABLE and name not in bound | _TYPES:
            raise ValueError(f"{name!r} is unknown, there is {VARIABLE!r} alone")


def _judge_patterns(tokens: list[_Token]) -> None:
    """Compile the patterns that stand in the expression.

    Raises:
        ValueError: one is not RE2.
    """
    for at, token in enumerate(tokens[:-2]):
        if token.text == "matches" and tokens[at + 1].text == "(" and tokens[at + 3].text == ")":
            said = tokens[at + 2]
            value = _library().compile(said.text).execute() if said.sort == "text" else None
            if isinstance(value, str):
                pattern(value)


def _document(data: bytes) -> Any:
    # signs in texts count too: a document is refused early rather than late
    values = data.count(b",") + data.count(b":") + data.count(b"{") + data.count(b"[")
    if values > MAX_VALUES:
        want = f"want JSON of at most {MAX_VALUES} values and keys for CEL"
        raise CelFailed(f"{want}, got up to {values}")
    try:
        return parse_doubles(data)
    except ValueError as error:
        raise CelFailed(str(error)) from None


def _why(error: Exception) -> str:
    """Return the message of the library in one line, without its drawing of the place."""
    text = str(error).partition("ERROR: <input>:")[2] or str(error)
    # forty words of its grammar
    text = text.partition(" expecting {")[0]
    if isinstance(error, KeyError):
        text = f"no key {text}"
    return short(text.partition("\n")[0], 200)[1:-1].strip()
