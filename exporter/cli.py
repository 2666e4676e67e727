"""The console script ``sonde``: the composition root, and the only module that prints.

Exit codes: 0 pass, 1 a target failed, 2 usage or config error, 3 inconclusive, 4 refused by a
safety rail, 130/143 by signal.
Every other than 0 comes with one line on stderr that says why.
"""

import errno
import logging
import os
import sys
import time
from importlib.metadata import version as version_of
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from exporter.commands import generating, intake, loading, running, working
from exporter.commands.command import (
    INCONCLUSIVE,
    ConfigOption,
    Junit,
    LogFormat,
    LogLevel,
    Markdown,
    Variables,
    fail,
    kind_words,
    leave,
    load_config,
    named,
    names,
    open_log,
    run_loop,
)
from exporter.commands.reading import explain, kinds, lint, schema
from exporter.log import wants_colour


def _process_started() -> float:
    """Return the monotonic time when the process began: a deadline counts the imports too."""
    try:
        fields = Path("/proc/self/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        # field 22 of proc_pid_stat(5), in ticks since the boot; the first here is field 3
        began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return monotonic() - max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began)
    except (OSError, ValueError, IndexError, AttributeError):
        return monotonic()  # no Linux: the imports so far are not counted


INTERRUPTED = 130
# What writing to stdout can meet: no reader, a full disk, a broken one, a quota.
OUTPUT_ERRNOS = frozenset({errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EDQUOT})

log = logging.getLogger("sonde.cli")


def with_command(args: list[str]) -> list[str]:
    """Return *args* with the command that arguments of blackbox_exporter do not name: ``run``."""
    # no flag of ours has a dot, but for those that came from there
    is_run = bool(args) and args[0].startswith("--") and "." in args[0].partition("=")[0]
    return ["run", *args] if is_run else args


class Commands(TyperGroup):
    """Ends as promised where typer would not: a closed pipe is no 1, an interrupt not silent.

    The arguments of blackbox_exporter, which name no command, are those of `run`.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_command(args))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("sonde: interrupted", err=True)
            sys.exit(INTERRUPTED)
        except OSError as error:
            if error.errno not in OUTPUT_ERRNOS or error.filename is not None:
                raise
            # what is left in the buffer must not fail once more when Python ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            got = "a closed pipe" if error.errno == errno.EPIPE else error.strerror
            typer.echo(f"sonde: want a reader of the output, got {got}", err=True)
            sys.exit(INCONCLUSIVE)


app = typer.Typer(
    name="sonde",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # rich tracebacks print local variables, secrets too
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:  # noqa: FBT001 - a callback of typer
    if asked:
        typer.echo(f"sonde {version_of('sonde')}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Check for ever, gate a deployment, load: one file says what must work.

    Start with `sonde lint`, look with `sonde smoke`, then leave `sonde run` to Prometheus.
    Exit codes: 0 pass, 1 a target failed, 2 usage or config error, 3 inconclusive,
    4 refused by a safety rail.
    """


app.command()(running.run)


@app.command()
def probe(
    kind: Annotated[
        str | None, typer.Argument(help="Kind of check.", autocompletion=kind_words)
    ] = None,
    target: Annotated[str | None, typer.Argument(help="What to check.")] = None,
    *,
    name: Annotated[
        str | None,
        typer.Option("--name", help="A probe of the file instead.", autocompletion=names),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting: --set expect.status=404."),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout",
            metavar="DURATION",
            help="Time for the run. Default: 5s; with --name, the probe's own.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Literal["text", "json", "prometheus"], typer.Option("--output", help="Form of the answer.")
    ] = "text",
    config: ConfigOption = None,
    var: Variables = None,
    log_level: LogLevel = "warning",
    log_format: LogFormat = None,
) -> None:
    """Check one thing once, tell everything.

    \b
    sonde probe http https://example.org --set expect.status=2xx
    sonde probe postgres postgresql://sonde@127.0.0.1/orders --output json
    sonde probe --name frontend --output prometheus
    """
    from exporter.commands import look
    from probes.run import prepare

    if name is not None:
        if kind is not None or settings:
            fail("want either --name or KIND TARGET, got both")
        loaded = load_config(config, var=var)
        chosen = look.within(named(loaded, name), timeout, fail)
        controls = loaded.prober.connectivity
    elif kind is None or target is None:
        fail("want KIND TARGET, or --name NAME; `sonde kinds` lists the kinds")
    else:
        chosen, controls = look.from_words(kind, target, settings or [], timeout, fail), ()
    handle = open_log(log_level, log_format, chosen.redact)
    prepare([chosen])  # here, not in the run: imports and TLS contexts are no time of the target
    result = run_loop(lambda: look.once(chosen, controls))
    handle.close()
    typer.echo(look.shown(result, chosen, output, colour=wants_colour(sys.stdout)), nl=False)
    code, why = look.code(result)
    if code:
        typer.echo(f"sonde: {why}", err=True)
    leave(code)


@app.command()
def smoke(
    *,
    config: ConfigOption = None,
    var: Variables = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG", help="Only probes with this tag; repeatable."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            metavar="GLOB",
            help="Only probes named so; repeatable.",
            autocompletion=names,
        ),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option("--deadline", metavar="DURATION", help="Time for all of it, such as 60s."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Go on until all pass or the deadline comes.")
    ] = False,
    retries: Annotated[
        int,
        typer.Option("--retries", metavar="N", min=0, help="More rounds for what did not pass."),
    ] = 0,
    fail_on: Annotated[
        Literal["down", "degraded"], typer.Option("--fail-on", help="Mildest outcome that fails.")
    ] = "down",
    output: Annotated[
        Literal["text", "json"], typer.Option("--output", help="Form of the report on stdout.")
    ] = "text",
    junit: Junit = None,
    markdown: Markdown = None,
    parallel: Annotated[
        int, typer.Option("--parallel", metavar="N", min=1, help="Runs in flight at most.")
    ] = 50,
    log_level: LogLevel = "warning",
    log_format: LogFormat = None,
) -> None:
    """Gate a deployment: pass if all works.

    Runs each selected probe once. Never 0 if a probe did not run to its end; the reports are
    complete also when it is cut off.

    \b
    sonde smoke --tag release --deadline 60s --junit smoke.xml
    sonde smoke --tag post-deploy --wait --deadline 5m
    """
    from exporter.commands import smoke as gate

    try:
        wish = gate.Wish(
            tags=tuple(tag or ()), names=tuple(name or ()), deadline=deadline, wait=wait,
            retries=retries, fail_on_degraded=fail_on == "degraded", output=output, junit=junit,
            markdown=markdown, parallel=parallel, started=_process_started(),
        )  # fmt: skip
        loaded = load_config(config, var=var)
        probes = gate.select(loaded.probes, wish)
    except ValueError as error:
        fail(str(error))
    handle = open_log(log_level, log_format, loaded.redact)
    passage = gate.Passage(probes, wish, loaded.prober.connectivity)
    code = run_loop(passage.run)
    handle.close()
    leave(code)


for command in (loading.load, working.load_worker, explain, lint, schema, kinds):
    app.command()(command)
app.add_typer(generating.app, name="generate")
app.add_typer(intake.app, name="import")


def main() -> None:
    """Run the console script; an unexpected error ends with 3, never with 1 = a target failed."""
    try:
        app()
    except Exception as error:
        log.exception("sonde broke")
        typer.echo(f"sonde: want no error of our own, got {type(error).__name__}", err=True)
        sys.exit(INCONCLUSIVE)
