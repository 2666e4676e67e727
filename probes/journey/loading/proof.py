"""The proof of sources: every name that a journey reads has something that can have set it before.

    precedence, low to high
    ├── vars:, --var       from the start
    ├── columns of data:   from the start
    └── extract:           from the step behind the one that takes it

Texts are compiled in the order in which they are played, so what is known grows as they are. What
only a skipped step could have set is known, too: that fails at run time. What a later step of the
round before has set is known under a condition: in the first round nothing has. A probe and a load
each play their own steps (``load: skip``, ``load: only``): what is known is so in one or in both.
Knows no step.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from probes.journey.flaws import Flaw, Path
from probes.journey.language.expression import Condition, Template, Tree, condition, template, tree
from probes.journey.language.grammar import Call, Items, Join, Literal, Node, parse
from probes.pattern import suggest
from probes.units import short

# Known without anybody setting them.
BUILT_IN = frozenset({"run_id"})
# Known inside `repeat` alone.
OF_A_ROUND = frozenset({"item", "index"})
NOWHERE: Mapping[str, str] = {}
# Who plays a journey, and whom `load:` of a step leaves out.
MODES = ("probe", "load")
_LEFT_OUT: Mapping[str | None, str] = {"skip": "load", "only": "probe"}

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Origins:
    """Where the names of one journey come from.

    Args:
        secrets: that are declared.
        columns: of the data; None: there is none.
        environ: for ``env('NAME')``; what is unset now is unset in every run.
        data: what the data is called in messages.
        extracted: every name that a step takes out of an answer, and that step.
    """

    secrets: Collection[str] = ()
    columns: frozenset[str] | None = None
    data: str = ""
    environ: Mapping[str, str] = field(default_factory=lambda: NOWHERE)
    extracted: Mapping[str, str] = field(default_factory=lambda: NOWHERE)


class Proof:
    """Compiles the texts of one journey and notes what is wrong with them."""

    def __init__(self, origins: Origins) -> None:
        self.flaws: list[Flaw] = []
        """What is wrong so far."""
        self.read: set[str] = set()
        """Every name that was read."""
        self._origins = origins
        self._count = 0
        self._vars: set[str] = set()
        known = BUILT_IN | (origins.columns or frozenset())
        self._known: dict[str, set[str]] = {mode: set(known) for mode in MODES}
        self._modes: tuple[str, ...] = MODES
        self._later: frozenset[str] = frozenset()
        self._is_perhaps = False
        self._guest: tuple[Path, str] | None = None

    def declare(self, name: str) -> None:
        """Take *name* for a variable of ``vars:`` or ``--var`` from now on."""
        self._vars.add(name)
        for known in self._known.values():
            known.add(name)

    def learn(self, names: Iterable[str]) -> None:
        """Take *names* for extracted from now on."""
        found = frozenset(names)
        for mode in self._modes:
            self._known[mode] |= found

    @contextmanager
    def played(self, load: str | None) -> Iterator[None]:
        """Compile a step; *load* says who leaves it out."""
        before = self._modes
        self._modes = tuple(mode for mode in before if mode != _LEFT_OUT.get(load))
        yield
        self._modes = before

    @contextmanager
    def round(self, extracted: Iterable[str]) -> Iterator[None]:
        """Compile the steps of ``repeat``; *extracted* is what they take out of answers."""
        inner = {mode: OF_A_ROUND - known for mode, known in self._known.items()}
        before = self._later
        for mode, known in self._known.items():
            known.update(inner[mode])
        self._later = before.union(extracted)
        yield
        for mode, known in self._known.items():
            known.difference_update(inner[mode])
        self._later = before

    @contextmanager
    def perhaps(self, *, is_perhaps: bool = True) -> Iterator[None]:
        """Compile what is played only when a condition holds."""
        before = self._is_perhaps
        self._is_perhaps = is_perhaps
        yield
        self._is_perhaps = before

    @contextmanager
    def guest(self, path: Path, journey: str) -> Iterator[None]:
        """Compile steps of another *journey*, included at *path*: told is what is missing here."""
        before = self._guest
        self._guest = before or (path, journey)
        yield
        self._guest = before

    def template(self, path: Path, source: str) -> Template:
        """Compile a text that stands at *path*."""
        it = self.made(path, lambda: template(source), None)
        if it is None:
            return template("")
        self.reads(path, it.reads)
        for name in sorted(_asked_of_environment(source)):
            if name not in self._origins.environ:
                self.flaw(path, f"want the environment variable {name} to be set, got none")
        return it

    def tree(self, path: Path, source: Any) -> Tree:
        """Compile a value that stands at *path*; each text in it is judged where it stands."""
        before = self._count
        self._judge_texts(path, source)
        return tree(None if self._count > before else source)

    def checked(self, source: Any) -> Tree:
        """Compile a value made of parts that were judged before, each where it stands."""
        return tree(None if self._count else source)

    def _judge_texts(self, path: Path, source: Any) -> None:
        if isinstance(source, str):
            self.template(path, source)
        elif isinstance(source, Mapping):
            for key, value in source.items():
                if "${" in key:
                    self.template((*path, key), key)
                self._judge_texts((*path, key), value)
        elif isinstance(source, list):
            for index, value in enumerate(source):
                self._judge_texts((*path, index), value)

    def condition(self, path: Path, source: str) -> Condition | None:
        """Compile a condition that stands at *path*."""
        it = self.made(path, lambda: condition(source), None)
        if it is not None:
            # without a value a bare expression is false, and a comparison fails
            with self.perhaps(is_perhaps=it.is_bare):
                self.reads(path, it.reads)
        return it

    def made(self, path: Path, make: Callable[[], T], instead: S) -> T | S:
        """Return what *make* gives, or *instead* and a flaw at *path*."""
        try:
            return make()
        except ValueError as error:
            self.flaw(path, str(error))
            return instead

    def flaw(self, path: Path, message: str, *, at_key: bool = False) -> None:
        """Note what is wrong with the text itself; a guest's is told where it stands."""
        self._count += 1
        if self._guest is None:
            self.flaws.append(Flaw(path, message, at_key=at_key))

    def reads(self, path: Path, names: Iterable[str]) -> None:
        """Note which of *names*, read at *path*, nothing can have set."""
        for name in sorted(names):
            self.read.add(name)
            if (text := self._miss(name)) is not None:
                self.clash(path, text)

    def clash(self, path: Path, message: str) -> None:
        """Note what is wrong with a text only in the journey that it is played in."""
        if self._guest is not None:
            path, journey = self._guest
            message = f"steps of {journey!r}: {message}"
        self.flaws.append(Flaw(path, message, is_alone=True))

    def _miss(self, name: str) -> str | None:
        head, dot, rest = name.partition(".")
        if dot:
            judge = {"secrets": self._miss_secret, "row": self._miss_column, "vars": self._miss_var}
            return judge[head](rest) if head in judge else None
        missing = [mode for mode in self._modes if name not in self._known[mode]]
        if not missing or (self._is_perhaps and name in self._later):
            return None
        elsewhere = [mode for mode in MODES if name in self._known[mode]]
        if not elsewhere:
            return self._miss_name(name)
        # under a condition: the one that has it plays the step, the other may not
        return None if self._is_perhaps else self._miss_mode(name, missing[0], elsewhere[0])

    def _miss_mode(self, name: str, missing: str, other: str) -> str:
        step = self._origins.extracted.get(name, "")
        text = f"want {name!r} to be extracted in a {missing} too"
        return f"{text}, got it in step {step!r} of {other}s alone"

    def _miss_secret(self, name: str) -> str | None:
        secrets = self._origins.secrets
        if name in secrets:
            return None
        return f"want the name of a secret in secrets:, got {short(name)}{suggest(name, secrets)}"

    def _miss_column(self, name: str) -> str | None:
        columns = self._origins.columns
        if columns is None and self._origins.data:
            return None  # the file has a mistake, which is told
        if columns is None:
            return f"want data: for ${{row.{name}}}, got none"
        if name in columns:
            return None
        return f"want a column of {self._origins.data}, got {short(name)}{suggest(name, columns)}"

    def _miss_var(self, name: str) -> str | None:
        if name in self._vars:
            return None
        return f"want the name of a variable in vars:, got {short(name)}{suggest(name, self._vars)}"

    def _miss_name(self, name: str) -> str:
        if name in self._origins.secrets:
            return f"want ${{secrets.{name}}} for a secret, got ${{{name}}}"
        if name in OF_A_ROUND:
            return f"want ${{{name}}} inside repeat: alone, got it outside"
        step = self._origins.extracted.get(name)
        if step is not None:
            text = f"want {name!r} to be extracted before it is used, got it in step {step!r}"
            hint = f'; for the first round: vars:, or a step with if: "${{{name}}}"'
            return text + hint if name in self._later else text
        hint = suggest(name, set().union(*self._known.values(), self._origins.extracted))
        return f"want a variable that something sets, got {short(name)}{hint}"


def _asked_of_environment(source: str) -> set[str]:
    """Return what ``env('NAME')`` without a default asks for in *source*."""
    return set(_constant_names(parse(source))) if "env(" in source else set()


def _constant_names(node: Node) -> Iterator[str]:
    inner: Iterable[Node] = ()
    if isinstance(node, Call):
        inner = node.arguments
        if node.function.name == "env" and len(inner) == 1 and isinstance(inner[0], Literal):
            yield str(inner[0].value)
    elif isinstance(node, Items):
        inner = node.items
    elif isinstance(node, Join):
        inner = node.parts
    for one in inner:
        yield from _constant_names(one)
