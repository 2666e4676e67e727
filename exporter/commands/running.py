"""The command ``sonde run``: check for ever, serve /metrics, and /probe as blackbox_exporter does.

Its flags are the service's; those of blackbox_exporter mean the same here, so that the arguments of
a container can stay. Knows no part of the service.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from exporter.commands.command import (
    Compat,
    ConfigOption,
    Variables,
    config_path,
    fail,
    leave,
    load_config,
    loaded,
    open_log,
    refuse_compat,
    run_loop,
)
from exporter.log import Format, Level, LogHandle
from probes.errors import ConfigError
from probes.redact import read_secret
from probes.units import parse_duration, parse_number, short
from scenarios.config.section import SCENARIOS

if TYPE_CHECKING:
    from exporter.on_demand.account import Level as Depth
    from probes.config.load import Config

log = logging.getLogger("sonde.run")

DEFAULT_LISTEN = "127.0.0.1:9115"
# Where a blackbox.yml alone, which has no key for it, finds the token of POST /-/reload.
TOKEN_FILE = "SONDE_ADMIN_TOKEN_FILE"  # noqa: S105 - the name of a variable
Words = Literal["debug", "info", "warn", "warning", "error"]
_LEVELS: Mapping[str, Level] = {
    "debug": "debug", "info": "info", "warn": "warning", "warning": "warning", "error": "error",
}  # fmt: skip
_DEPTHS: "Mapping[str, Depth]" = {
    "debug": "debug", "info": "info", "warn": "warn", "warning": "warn", "error": "error",
}  # fmt: skip
_FORMATS: Mapping[str, Format] = {"text": "text", "logfmt": "text", "json": "json"}


def run(  # noqa: PLR0913 - a command has many flags
    context: typer.Context,
    *,
    config: ConfigOption = None,
    blackbox_config: Annotated[
        Path | None,
        typer.Option(
            "--blackbox-config",
            "--config.file",
            metavar="FILE",
            help="A blackbox.yml in place of a probe file: /probe takes any target.",
            show_default=False,
        ),
    ] = None,
    compat: Compat = None,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            "--listen",
            "--web.listen-address",
            metavar="HOST:PORT",
            envvar="SONDE_LISTEN",
            help="Serve here; may be given several times.",
            show_default=DEFAULT_LISTEN,
        ),
    ] = None,
    systemd: Annotated[
        bool,
        typer.Option("--web.systemd-socket", help="Serve on the sockets that systemd passes."),
    ] = False,
    web_config: Annotated[
        Path | None,
        typer.Option(
            "--web.config.file",
            metavar="FILE",
            help="TLS, basic auth and rate limit, as in Prometheus.",
        ),
    ] = None,
    external_url: Annotated[
        str,
        typer.Option(
            "--web.external-url",
            metavar="URL",
            help="How others reach this server; its path is where the paths begin.",
        ),
    ] = "",
    route_prefix: Annotated[
        str | None,
        typer.Option(
            "--web.route-prefix",
            metavar="PATH",
            help="Where the paths begin.",
            show_default="path of --web.external-url",
        ),
    ] = None,
    auto_reload: Annotated[
        bool, typer.Option("--config.enable-auto-reload", help="Reload when a file has changed.")
    ] = False,
    auto_reload_every: Annotated[
        str,
        typer.Option("--config.auto-reload-interval", metavar="S", help="Time between looks."),
    ] = "30",
    timeout_offset: Annotated[
        float,
        typer.Option(
            "--timeout-offset",
            metavar="S",
            min=0,
            help="Seconds by which /probe ends before its scraper gives up.",
        ),
    ] = 0.5,
    history: Annotated[
        int,
        typer.Option(
            "--history.limit",
            metavar="N",
            min=0,
            max=10_000,
            help="Runs of /probe that /logs knows, and older failures.",
        ),
    ] = 100,
    shard: Annotated[
        str, typer.Option("--shard", metavar="I/N", help="Run the I-th of N shares of the probes.")
    ] = "1/1",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Keep here what must survive a restart; of this process alone.",
            show_default=False,
        ),
    ] = None,
    var: Variables = None,
    check: Annotated[
        bool, typer.Option("--check", "--config.check", help="Judge the config and leave.")
    ] = False,
    log_level: Annotated[
        Words, typer.Option("--log-level", "--log.level", help="Lowest level of log lines.")
    ] = "info",
    log_format: Annotated[
        Literal["text", "json", "logfmt"] | None,
        typer.Option(
            "--log-format",
            "--log.format",
            help="Default: text on a terminal, else json; logfmt is text.",
            show_default=False,
        ),
    ] = None,
    log_prober: Annotated[
        Words, typer.Option("--log.prober", help="Lowest level in the account of a run of /probe.")
    ] = "info",
) -> None:
    """Check for ever and serve /metrics.

    Also serves /probe, /health, /-/ready, /api/v1/probes and a page at /.

    With --blackbox-config it stands in for blackbox_exporter; the flags of that mean the same.

    SIGHUP or POST /-/reload reads the file again; SIGTERM drains within 10 s and exits 0.
    """
    # a reload that is asked for while the file is read comes after it, and is not the end
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    # stack.md 15: each command imports what it needs
    from exporter.caveats import caveats
    from exporter.on_demand.asked import Asking
    from exporter.service import Options, Service
    from exporter.web.listen import FROM_SYSTEMD
    from exporter.web.prefix import prefix_of

    share = _share(shard)
    if blackbox_config is None:
        refuse_compat(compat, config_path(config))
        found = load_config(config, share[1], var)
    else:
        source = context.get_parameter_source("config")
        is_given = source is not None and source.name == "COMMANDLINE"
        found = _drop_in(blackbox_config, compat or "fixed", config if is_given else None)
    warnings = caveats(found)
    if check:
        for problem in warnings:
            typer.echo(f"warning: {problem}", err=True)
        typer.echo(f"{found.path}: {found.counted(len(found.probes))}, no mistake")
        return
    try:
        options = Options(
            listen=(FROM_SYSTEMD,) if systemd else tuple(listen or (DEFAULT_LISTEN,)),
            web_config=web_config,
            reload_every_s=_seconds(auto_reload_every) if auto_reload else None,
            shard=share,
            data=data,
            asking=Asking(timeout_offset, history, _DEPTHS[log_prober]),
            prefix=prefix_of(external_url, route_prefix),
            admin_token=_token(found),
        )
    except ValueError as error:
        fail(str(error))
    form = _FORMATS[log_format] if log_format is not None else None
    handle = open_log(_LEVELS[log_level], form, found.redact, stream=sys.stdout)
    for problem in warnings:
        log.warning("%s", problem)
    code = _serve(lambda: Service(found, options, handle).run(), found, handle)
    if code:
        typer.echo(f"sonde: ended by {signal.Signals(code - 128).name}", err=True)
    leave(code)


def _serve(run: Callable[[], Coroutine[Any, Any, int]], config: "Config", handle: LogHandle) -> int:
    """Return the exit code of the service, or say why there is none."""
    try:
        return run_loop(run)
    except ConfigError as error:
        fail(str(error))
    except OSError as error:
        fail(config.redact(str(error).removeprefix(f"[Errno {error.errno}] ")))
    except ValueError as error:
        fail(config.redact(str(error)))
    finally:
        handle.close()


def _share(text: str) -> tuple[int, int]:
    from exporter.exposition.scrape import parse_shard

    try:
        return parse_shard(text)
    except ValueError as error:
        fail(f"--shard: {error}")


def _drop_in(path: Path, compat: Literal["fixed", "strict"], probe_file: Path | None) -> "Config":
    """Load a blackbox.yml that stands alone."""
    from probes.config.load import load_blackbox

    if probe_file is not None:
        text = "want --config or --blackbox-config, got both"
        fail(f"{text}: `include: [{path.name}]` in the probe file joins them")
    return loaded(
        lambda: load_blackbox(path, compat=compat, further=(SCENARIOS,)), "the blackbox.yml"
    )


def _seconds(text: str) -> float:
    """Read ``30`` or ``30s``.

    Raises:
        ValueError: neither.
    """
    try:
        seconds = parse_number(text)
    except ValueError:
        seconds = parse_duration(text)
    if seconds < 1:
        raise ValueError(f"--config.auto-reload-interval: want at least 1 s, got {short(text)}")
    return seconds


def _token(config: "Config") -> str:
    """Return the token that `TOKEN_FILE` names, for a file that has no key for one.

    Raises:
        ValueError: no such file.
    """
    path = os.environ.get(TOKEN_FILE, "") if config.is_drop_in else ""
    return read_secret({"file": path}, Path()) if path else ""
