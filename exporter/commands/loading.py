"""The command ``sonde load NAME``: words of a command line in, one run, its verdict as exit code.

Owns the signals and what stands on the terminal; the run is `scenarios.course.run`'s. Imports what
a run needs when there is one: ``sonde smoke`` starts without it.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exporter.commands.command import (
    INCONCLUSIVE,
    ConfigOption,
    Junit,
    LogFormat,
    LogLevel,
    Markdown,
    Variables,
    completed_config,
    fail,
    leave,
    load_config,
    open_log,
    run_interruptible,
    run_loop,
    want_locust,
)
from exporter.log import wants_colour
from probes.errors import ConfigError
from probes.pattern import offer
from scenarios.config.section import scenarios_of

if TYPE_CHECKING:
    from probes.config.load import Config
    from scenarios.config.settings import ScenarioKeys
    from scenarios.course.filing import Filed
    from scenarios.course.readiness import Options
    from scenarios.course.workers import Workers
    from scenarios.planning.make import Flags
    from scenarios.report import LoadReport


def scenario_names(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a scenario of the file that would be used."""
    config = completed_config(context)
    found = scenarios_of(config) if config is not None else ()
    return [name for name in found if name.startswith(incomplete)]


def load(  # noqa: PLR0913 - a command has many flags
    name: Annotated[
        str,
        typer.Argument(
            help="Name of a scenario.", autocompletion=scenario_names, show_default=False
        ),
    ] = "",
    *,
    users: Annotated[
        int | None,
        typer.Option(
            "--users",
            metavar="N",
            min=1,
            help="So many users, in one stage without warm-up; of a rate: the pool at most.",
        ),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option("--rate", metavar="RATE", help="Such as 20/s, in one stage without warm-up."),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(
            "--duration", metavar="DURATION", help="Such as 3m, in one stage without warm-up."
        ),
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option("--shards", metavar="N", min=1, help="Processes that share the work."),
    ] = None,
    expect_workers: Annotated[
        int | None,
        typer.Option(
            "--expect-workers",
            metavar="N",
            min=1,
            help="So many sonde load-worker on other machines play, none here.",
        ),
    ] = None,
    master_bind: Annotated[
        str | None,
        typer.Option(
            "--master-bind",
            metavar="HOST:PORT",
            help="Where workers find this machine. Default: 127.0.0.1:5557.",
            show_default=False,
        ),
    ] = None,
    wait_workers: Annotated[
        str, typer.Option("--wait-workers", metavar="DURATION", help="For all workers to be there.")
    ] = "60s",
    yes_load: Annotated[
        list[str] | None,
        typer.Option(
            "--yes-load",
            metavar="HOST",
            help="Load this host although it is protected; repeatable.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print plan, addresses and rails; send nothing; 0 or 4."),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="DIR",
            help="Reports go to DIR/NAME/<started>-<run id>/. Default: below --data.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print result.json on stdout instead of the summary.")
    ] = False,
    junit: Junit = None,
    markdown: Markdown = None,
    textfile: Annotated[
        Path | None,
        typer.Option(
            "--textfile", metavar="FILE", help="Write the verdict for node_exporter here."
        ),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option("--push", metavar="URL", help="Push the verdict to this Pushgateway."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Baselines, reports and the lock. Default: ~/.local/state/sonde.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    var: Variables = None,
    log_level: LogLevel = "warning",
    log_format: LogFormat = None,
) -> None:
    """Load a target with the journeys of a scenario, and judge what came of it.

    Load goes only to what safety.targets.allow names; try --dry-run first. Ctrl-C ends a run with
    its clean-up and its reports; once more ends it at once.

    \b
    sonde load checkout --dry-run
    sonde load checkout --rate 5/s --duration 30s
    sonde load checkout --report out --junit load.xml --push http://pushgateway:9091
    sonde load checkout --yes-load shop.example.org --json | jq .totals

    Exit codes: 0 pass, 1 a threshold, a guard or the preflight failed, 2 usage or config error,
    3 inconclusive: it proves nothing, 4 refused by a safety rail, 130 and 143 ended by a signal.
    """
    from exporter.commands.pushing import address
    from scenarios.course.run import Course

    try:
        flags = _flags(users, rate, duration, shards)
        gateway = address(push, name) if push is not None else None
        workers = _workers(expect_workers, master_bind, wait_workers, shards)
    except ValueError as error:
        fail(str(error))
    loaded = load_config(config, var=var)
    keys = _named(loaded, name)
    if not dry_run:
        want_locust("a load run")
    options = _options(keys, data, report, junit, markdown)
    options = replace(options, confirmed=frozenset(yes_load or ()), is_dry=dry_run, workers=workers)
    flags = replace(flags, variables=loaded.variables)
    handle = open_log(log_level, log_format, loaded.redact)
    # with JSON on stdout the progress is for the person at the terminal, if there is one
    stream = sys.stderr if as_json else sys.stdout
    from exporter.commands.progress import Progress

    progress = Progress(stream, is_quiet=dry_run or (as_json and not stream.isatty()))
    course = Course(loaded, name, flags, options, progress.show)
    try:
        filed = run_interruptible(course.run, course.interrupt)
    except ConfigError as error:
        progress.end()
        fail("; ".join(map(str, error.problems)))
    progress.end()
    _show(filed, as_json=as_json, is_dry=dry_run, config=loaded)
    told = list(filed.broken)
    if not dry_run:
        text = None if textfile is None else _write_textfile(textfile, filed.report)
        told += [text] if text else []
        if gateway is not None:
            from exporter.commands.pushing import page
            from exporter.commands.pushing import push as send

            text = run_loop(lambda: send(gateway, page(filed.report)))
            told += [text] if text else []
    handle.close()
    _end(filed, told)


def _flags(
    users: int | None, rate: str | None, duration: str | None, shards: int | None
) -> "Flags":
    """Return what the flags say.

    Raises:
        ValueError: one that cannot be read.
    """
    from probes.units import parse_duration
    from scenarios.config.rates import parse_ramp
    from scenarios.planning.make import Flags

    per_s: float | None = None
    seconds: float | None = None
    if rate is not None:
        try:
            first, last = parse_ramp(rate)
        except ValueError as error:
            raise ValueError(f"--rate: {error}") from None
        if first != last or not first:
            raise ValueError(f"--rate: want one rate > 0 such as 20/s, got {rate!r}")
        per_s = first
    if duration is not None:
        try:
            seconds = parse_duration(duration)
        except ValueError as error:
            raise ValueError(f"--duration: {error}") from None
    return Flags(users=users, rate=per_s, duration=seconds, shards=shards)


def _workers(
    count: int | None, bind: str | None, wait: str, shards: int | None
) -> "Workers | None":
    """Return which workers are expected; says it when strangers may come too.

    Raises:
        ValueError: a flag that cannot be read, or means nothing.
    """
    from probes.units import parse_duration
    from scenarios.course.workers import Workers
    from scenarios.fleet.address import DEFAULT_BIND, format_address, is_loopback, parse_bind

    if count is None:
        if bind is not None:
            raise ValueError("--master-bind: want --expect-workers beside it, got none")
        return None
    if shards is not None:
        raise ValueError("--shards: want one shard for each worker, got --expect-workers too")
    try:
        host, port = parse_bind(bind or DEFAULT_BIND)
    except ValueError as error:
        raise ValueError(f"--master-bind: {error}") from None
    try:
        wait_s = parse_duration(wait)
    except ValueError as error:
        raise ValueError(f"--wait-workers: {error}") from None
    address = format_address(host, port)
    if not is_loopback(host):
        typer.echo(
            f"warning: {address} is neither encrypted nor authenticated: whoever reaches it can "
            "join, read the plan, falsify results or end the run",
            err=True,
        )
    return Workers(count, address, wait_s)


def _named(config: "Config", name: str) -> "ScenarioKeys":
    known = scenarios_of(config)
    if name not in known:
        got = repr(name) if name else "none"
        fail(f"want the name of a scenario, got {got}{offer(name, sorted(known))}")
    return known[name]


def _options(
    keys: "ScenarioKeys",
    data: Path | None,
    report: Path | None,
    junit: Path | None,
    markdown: Path | None,
) -> "Options":
    from exporter.loads.results import state_directory
    from scenarios.course.readiness import Options, wish_of

    place = data or state_directory()
    files = {form: it for form, it in (("junit", junit), ("markdown", markdown)) if it is not None}
    return Options(data=place, wish=wish_of(keys, report or place / "reports", files))


def _show(filed: "Filed", *, as_json: bool, is_dry: bool, config: "Config") -> None:
    from scenarios.outlets.structure import to_json
    from scenarios.outlets.text import to_text

    if as_json:
        typer.echo(to_json(filed.report))
    elif is_dry:
        from exporter.commands.rehearsal import rehearsed

        typer.echo(rehearsed(filed.report, config.safety), nl=False)
    else:
        typer.echo(to_text(filed.report, wants_colour(sys.stdout)))
        if filed.directory is not None:
            typer.echo(f"reports: {filed.directory}")


def _write_textfile(path: Path, report: "LoadReport") -> str | None:
    from exporter.commands.pushing import page
    from scenarios.course.filing import write_whole

    try:
        write_whole(path, page(report))
    except OSError as error:
        return f"want to write {path}, got {error.strerror}"
    return None


def _end(filed: "Filed", told: Sequence[str]) -> None:
    """Say on one line why the code is not 0, and leave."""
    code = filed.report.exit_code or (INCONCLUSIVE if told else 0)
    for text in filed.odd:
        typer.echo(f"warning: {text}", err=True)
    if code:
        reasons = [it.text for it in filed.report.reasons if it.code != "report"]
        decided = [f"{filed.report.verdict}: {reasons[0]}"] if reasons else []
        typer.echo(f"sonde: {'; '.join([*told, *decided])}", err=True)
    leave(code)
