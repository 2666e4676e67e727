"""What the commands of ``sonde`` share: the common options, the probe file, how to fail.

Knows no command.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn, TextIO

import typer

from exporter.log import Format, Level, LogHandle, configure
from probes.errors import ConfigError
from probes.redact import Redactor

if TYPE_CHECKING:
    from probes.config.load import Config
    from probes.probe import Probe

PASS, FAILED, USAGE, INCONCLUSIVE = 0, 1, 2, 3
DEFAULT_CONFIG = (Path("probes.yaml"), Path("/etc/sonde/probes.yaml"))


def names(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a probe of the file that would be used."""
    from probes.config.load import load

    path = _find_config(context.params.get("config"))
    if path is None:
        return []
    try:
        names = [probe.name for probe in load(path).probes]
    except ConfigError:
        return []  # a broken file completes nothing; the command itself will say why
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

    wanted = variables(var)
    try:
        return load(config_path(given), shards=shards, variables=wanted)
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(problem.with_column(), err=True)
        count = len(error.problems)
        fail(f"{count} {'mistake' if count == 1 else 'mistakes'} in the probe file")


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


def named(config: "Config", name: str) -> "Probe":
    """Return the probe *name*, or leave with 2 and the nearest name."""
    from probes.pattern import suggest

    for candidate in config.probes:
        if candidate.name == name:
            return candidate
    names = [candidate.name for candidate in config.probes]
    fail(f"want the name of a probe, got {name!r}{suggest(name, names)}")
