"""What the commands of ``sonde`` share: the common options, the probe file, the loop, how to fail.

Knows no command.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TextIO, TypeVar

import typer

from exporter.log import Format, Level, LogHandle, configure
from probes.errors import ConfigError
from probes.extras import wanted
from probes.redact import Redactor
from scenarios.config.section import SCENARIOS

if TYPE_CHECKING:
    from probes.config.load import Config
    from probes.probe import Probe

PASS, FAILED, USAGE, INCONCLUSIVE, REFUSED = 0, 1, 2, 3, 4
DEFAULT_CONFIG = (Path("probes.yaml"), Path("/etc/sonde/probes.yaml"))
T = TypeVar("T")

log = logging.getLogger("sonde.cli")


def completed_config(context: typer.Context) -> "Config | None":
    """Return the file that would be used, for completion; None when it completes nothing."""
    from probes.config.load import load

    path = _find_config(context.params.get("config"))
    if path is None:
        return None
    try:
        return load(path, further=(SCENARIOS,))
    except ConfigError:
        return None  # the command itself will say why


def names(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a probe of the file that would be used."""
    config = completed_config(context)
    names = [probe.name for probe in config.probes] if config is not None else []
    return [name for name in names if name.startswith(incomplete)]


def kind_words(incomplete: str) -> list[str]:
    """Complete the name of a kind."""
    from probes.kinds import kind_names

    return [name for name in kind_names() if name.startswith(incomplete)]


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        envvar="SONDE_CONFIG",
        help="Probe file; else ./probes.yaml, then /etc/sonde/probes.yaml.",
        show_default=False,
    ),
]
Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--var",
        metavar="NAME=VALUE",
        help="A variable of journeys, over their vars:; repeatable; no secrets.",
    ),
]
Compat = Annotated[
    Literal["fixed", "strict"] | None,
    typer.Option(
        "--compat",
        help="Of a blackbox.yml alone: strict keeps three quirks of upstream.",
        show_default="fixed",
    ),
]
Junit = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Write a JUnit XML report here.")
]
Markdown = Annotated[
    Path | None, typer.Option("--markdown", metavar="FILE", help="Write a Markdown report here.")
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    typer.Option("--log-level", help="Lowest level of log lines."),
]
LogFormat = Annotated[
    Literal["text", "json"] | None,
    typer.Option(
        "--log-format", help="Default: text on a terminal, else json.", show_default=False
    ),
]


def fail(message: str, code: int = USAGE) -> NoReturn:
    """Say why on one line and leave with *code*."""
    typer.echo(f"sonde: {message}", err=True)
    raise typer.Exit(code)


def _find_config(given: Path | None) -> Path | None:
    return given or next((path for path in DEFAULT_CONFIG if path.exists()), None)


def config_path(given: Path | None) -> Path:
    """Return the probe file to use, or leave with 2."""
    path = _find_config(given)
    if path is not None:
        return path
    fail(f"want a probe file, got none: give --config FILE or make {DEFAULT_CONFIG[0]}")


def variables(given: Sequence[str] | None) -> dict[str, str]:
    """Return what ``--var`` says, or leave with 2."""
    found: dict[str, str] = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            fail(f"want --var NAME=VALUE, got {pair!r}")
        if name in found:
            fail(f"want each variable once, got --var {name} again")
        found[name] = value
    return found


def load_config(given: Path | None, shards: int = 1, var: Sequence[str] | None = None) -> "Config":
    """Load the probe file, or say every mistake and leave with 2."""
    from probes.config.load import load

    wanted, path = variables(var), config_path(given)
    return loaded(lambda: load(path, shards=shards, variables=wanted, further=(SCENARIOS,)))


def refuse_compat(compat: str | None, path: Path) -> None:
    """Leave with 2 where ``--compat`` is for the probe file *path*, which has a key for it."""
    if compat is not None:
        text = f"--compat: want a blackbox.yml, got the probe file {path}"
        fail(f"{text}: a line `compat: {compat}` in it says the same")


def loaded(load: "Callable[[], Config]", what: str = "the probe file") -> "Config":
    """Return what *load* does, or say every mistake and leave with 2."""
    try:
        return load()
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(problem.with_column(), err=True)
        count = len(error.problems)
        fail(f"{count} {'mistake' if count == 1 else 'mistakes'} in {what}")


def open_log(
    level: Level,
    form: Format | None,
    redact: Redactor,
    *,
    stream: TextIO | None = None,
) -> LogHandle:
    """Configure the log; on stderr unless told otherwise: stdout belongs to the answer."""
    stream = sys.stderr if stream is None else stream
    chosen: Format = form or ("text" if stream is not None and stream.isatty() else "json")
    handle = configure(level, chosen, stream)
    handle.set_redactor(redact)
    return handle


def named(config: "Config", name: str, also: Iterable[str] = ()) -> "Probe":
    """Return the probe *name*, or leave with 2 and the nearest name, be it one of *also*."""
    from probes.pattern import offer

    for candidate in config.probes:
        if candidate.name == name:
            return candidate
    names = [*(candidate.name for candidate in config.probes), *also]
    fail(f"want the name of a probe, got {repr(name) if name else 'none'}{offer(name, names)}")


def want_locust(what: str) -> None:
    """Leave with 2 and the extra to install when there is no Locust for *what*."""
    if find_spec("locust") is None:
        fail(f"{what}: {wanted('load')}")


def run_interruptible(
    main: Callable[[], Coroutine[Any, Any, T]], interrupt: Callable[[int], object]
) -> T:
    """Run *main* as `run_loop` does; *interrupt* is told the number of each SIGINT and SIGTERM."""

    async def run() -> T:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt, number)
        return await main()

    return run_loop(run)


def run_loop(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run *main* on uvloop where there is one; ``SONDE_LOOP=asyncio`` or ``uvloop`` overrides."""
    wanted = os.environ.get("SONDE_LOOP", "")
    if wanted not in ("", "asyncio", "uvloop"):
        fail(f"want SONDE_LOOP to be asyncio or uvloop, got {wanted!r}")
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if wanted != "asyncio":
        try:
            import uvloop
        except ImportError:
            if wanted == "uvloop":
                fail("want uvloop for SONDE_LOOP=uvloop, got none installed")
            log.info("uvloop is not installed, the stock event loop is used")
        else:
            factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())


def leave(code: int) -> NoReturn:
    """Exit without waiting for threads that hang in a driver or in a dead mount."""
    sys.stdout.flush()
    sys.stderr.flush()
    if threading.active_count() > 1:
        os._exit(code)
    raise typer.Exit(code)
