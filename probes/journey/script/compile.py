"""A journey in Python as the file writes it becomes one that can be played, or is refused.

    ScriptKeys ── the code read and parsed, texts compiled ── Script

The code is read once, here: what runs is what was judged. It is parsed, never run. Knows nothing of
how a script is played.
"""

import ast
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from probes.journey.flaws import Flawed
from probes.journey.language.expression import Template
from probes.journey.loading.settings import World
from probes.journey.loading.sources import begin, variables
from probes.journey.script.code import inside, read_code
from probes.journey.script.settings import ScriptKeys
from probes.journey.steps import Journey
from probes.units import short

FILE = ("python", "file")


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """A journey in Python, ready to be played.

    Two are equal when they were made of equal texts and equal code.

    Args:
        journey: everything but the steps: times, variables, secrets, data, TLS.
        path: of the code, for messages.
        directory: of the probe file, in which the code runs.
        source: the code.
        function: its name.
        headers: of every request.
        timeout_s: of a request.
        redirects: hops at most.
        max_body: decoded bytes at most.
        names: of all steps; empty: any.
        origins: that are asked as freely as that of the base URL.
        environ: what the code may see of the environment.
    """

    journey: Journey
    path: Path
    directory: Path
    source: str = field(repr=False)
    function: str
    headers: tuple[tuple[str, Template], ...] = ()
    timeout_s: float = 5.0
    redirects: int = 5
    max_body: int = 2 * 1024 * 1024
    names: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    environ: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def reads(self) -> frozenset[str]:
        """Every name that its texts read."""
        return self.journey.reads

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Script) and self.journey == other.journey

    def __hash__(self) -> int:
        return hash(self.journey)


def compile_script(name: str, keys: ScriptKeys, world: World) -> Script:
    """Return the journey *name* as it is played.

    Raises:
        Flawed: with every mistake.
    """
    making = _Making(name, keys, world)
    script = making.script()
    if making.proof.flaws:
        raise Flawed(tuple(dict.fromkeys(making.proof.flaws)))
    return script


class _Making:
    """One script in the making."""

    def __init__(self, name: str, keys: ScriptKeys, world: World) -> None:
        self._name = name
        self._keys = keys
        self._world = world
        self.proof, self._feeder = begin(keys, world, keys.secrets, {})

    def script(self) -> Script:
        """Return what comes of it; it may be played only when there are no flaws."""
        keys, world = self._keys, self._world
        path, source = self._code()
        given = {key: text for key, text in world.variables.items() if key in keys.vars}
        own = {key: ("", value) for key, value in keys.vars.items()}
        values = variables(self.proof, own, given)
        headers = tuple(
            (name, self.proof.template(("http", "headers", name), text))
            for name, text in keys.http.headers.items()
            if text is not None
        )
        self._judge_steps()
        environ = self._environment()
        digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
        journey = Journey(
            name=self._name,
            description=keys.description,
            base_url=keys.base_url,
            timeout_s=keys.timeout,
            cleanup_timeout_s=keys.cleanup_timeout,
            vars=tuple(values),
            secrets=tuple(keys.secrets.items()),
            feeder=self._feeder,
            tls=keys.http.tls,
            reads=frozenset(self.proof.read),
            origin=(keys, given, digest, environ, self._feeder and self._feeder.digest),
        )
        return Script(
            journey=journey,
            path=path,
            directory=world.directory.absolute(),
            source=source,
            function=keys.python.function,
            headers=headers,
            timeout_s=keys.http.timeout,
            redirects=keys.http.redirects,
            max_body=keys.http.max_body,
            names=tuple(keys.steps),
            origins=tuple(keys.python.origins),
            environ=environ,
        )

    def _environment(self) -> tuple[tuple[str, str], ...]:
        found: list[tuple[str, str]] = []
        for at, name in enumerate(self._keys.python.env):
            if name in self._world.environ:
                found.append((name, self._world.environ[name]))
            else:
                text = f"want the environment variable {name} to be set, got none"
                self.proof.flaw(("python", "env", at), text)
        return tuple(found)

    def _judge_steps(self) -> None:
        for at, name in enumerate(self._keys.steps):
            if name in self._keys.steps[:at]:
                text = f"want a unique name of a step, got {name!r} again"
                self.proof.flaw(("steps", at), text)

    # --- the code

    def _code(self) -> tuple[Path, str]:
        """Return path and text of the code, judged as far as one can without running it."""
        keys = self._keys.python
        home = self._world.directory.resolve()
        try:
            path = inside(home, keys.file)
            source = read_code(path, keys.file)
        except ValueError as error:
            self.proof.flaw(FILE, str(error))
            return home / "unread.py", ""
        try:
            tree = ast.parse(source, filename=keys.file)
        except SyntaxError as error:
            line = f":{error.lineno}" if error.lineno else ""
            self.proof.flaw(FILE, f"{keys.file}{line}: want Python, got {short(error.msg)}")
        except (ValueError, RecursionError, MemoryError) as error:
            self.proof.flaw(FILE, f"{keys.file}: want Python, got {short(str(error))}")
        else:
            self._judge_function(tree)
        return path, source

    def _judge_function(self, tree: ast.Module) -> None:
        keys = self._keys.python
        found = [
            it
            for it in tree.body
            if isinstance(it, ast.AsyncFunctionDef | ast.FunctionDef) and it.name == keys.function
        ]
        path = ("python", "function")
        if not found:
            names = [it.name for it in tree.body if isinstance(it, ast.AsyncFunctionDef)]
            known = f" ({', '.join(names)})" if names else ""
            text = f"want an `async def {keys.function}(user)` in {keys.file}, got none{known}"
            self.proof.flaw(path, text)
            return
        function = found[-1]
        where = f"{keys.file}:{function.lineno}"
        if not isinstance(function, ast.AsyncFunctionDef):
            self.proof.flaw(path, f"{where}: want `async def {keys.function}`, got a plain def")
        needed = len(function.args.posonlyargs) + len(function.args.args)
        needed -= len(function.args.defaults)
        if needed != 1:
            self.proof.flaw(path, f"{where}: want one argument, the user, got {needed}")
