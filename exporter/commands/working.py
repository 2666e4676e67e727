"""The command ``sonde load-worker``: one worker of a load that another machine leads.

Owns the signals and what stands on the terminal; the worker is `scenarios.guest`'s.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from exporter.commands.command import (
    INCONCLUSIVE,
    ConfigOption,
    LogFormat,
    LogLevel,
    fail,
    leave,
    load_config,
    open_log,
    run_interruptible,
    want_locust,
)


def load_worker(
    *,
    master: Annotated[
        str,
        typer.Option(
            "--master", metavar="HOST[:PORT]", help="Of sonde load --expect-workers; port 5557."
        ),
    ],
    yes_load: Annotated[
        list[str] | None,
        typer.Option(
            "--yes-load",
            metavar="HOST",
            help="Load this host although it is protected here; repeatable.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="What it keeps while it runs goes below. Default: the directory for such files.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    log_level: LogLevel = "info",
    log_format: LogFormat = None,
) -> None:
    """Play a part of a load that sonde load on another machine leads.

    The probe file, its secrets, its files and its safety: are those of this machine: a run that
    is another one there, or may not go from here, is refused by name before any load. One worker
    uses one core: start one for each.

    The way to the master is neither encrypted nor authenticated: it needs a private network.

    \b
    sonde load checkout --expect-workers 2 --master-bind 10.0.0.5:5557
    sonde load-worker --master 10.0.0.5 --config probes.yaml

    Exit codes: 0 all that was counted has come to the master, 2 usage, or the probe file is not
    that of the master, 3 no master, lost, or no use for this worker, 4 refused by a safety rail.
    """
    from scenarios.fleet.address import format_address, parse_address
    from scenarios.guest.guest import Guest

    try:
        address = format_address(*parse_address(master))
    except ValueError as error:
        fail(f"--master: {error}")
    loaded = load_config(config)
    want_locust("a worker")
    place = data or Path(tempfile.gettempdir())
    handle = open_log(log_level, log_format, loaded.redact)

    def tell(text: str) -> None:
        typer.echo(loaded.redact(text), err=True)

    guest = Guest(loaded, address, frozenset(yes_load or ()), place, tell)
    try:
        code = run_interruptible(guest.run, guest.interrupt)
    except OSError as error:
        got = error.strerror or type(error).__name__
        fail(f"want to start a worker in {place}, got {got}", INCONCLUSIVE)
    handle.close()
    if code:
        tell(f"sonde: {guest.text}")
    leave(code)
