"""The commands ``sonde generate ...``: what other programs read, made from the probe file.

Knows where a text goes: to stdout, to a file, or beside the file that is already there. What stands
in it comes from `exporter.generate`.
"""

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from exporter.commands.command import FAILED, INCONCLUSIVE, ConfigOption, fail, load_config
from probes.units import short

if TYPE_CHECKING:
    from probes.config.load import Config

# As open() would have made it: Prometheus runs as another user, and mkstemp lets nobody else read.
READABLE = 0o644

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def generate() -> None:
    """Write what other programs read, from the probe file.

    The same file gives the same bytes; no secret stands in them.
    """


def _is_page(url: str) -> bool:
    """Return whether a section can be put behind *url*."""
    scheme, _, rest = url.partition("://")
    return scheme in ("http", "https") and bool(rest) and not set(rest) & set("# \t\r\n")


Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Write the file there, not to stdout.", show_default=False
    ),
]
Check = Annotated[
    bool, typer.Option("--check", help="Write nothing; 1 if the file in --out is not up to date.")
]


def _packs(incomplete: str) -> list[str]:
    from exporter.generate.packs import ALL, PACKS

    return [name for name in (*PACKS, ALL) if name.startswith(incomplete)]


@app.command()
def rules(
    *,
    pack: Annotated[
        list[str] | None,
        typer.Option(
            "--pack",
            metavar="NAME",
            help="Only the rules of this pack; repeatable. Default: all packs.",
            autocompletion=_packs,
        ),
    ] = None,
    out: Out = None,
    check: Check = False,
    runbooks: Annotated[
        str | None,
        typer.Option(
            "--runbooks",
            metavar="URL",
            help="Page with a section for each alert, for their runbook_url.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write Prometheus' recording and alerting rules.

    Thresholds stand in the metrics, so most rules fit every file; the others carry numbers of
    this one. Write them anew when it changes: --check tells.

    \b
    sonde generate rules --out /etc/prometheus/rules --runbooks https://wiki.example.org/chains
    sonde generate rules --pack chain --out generated --check
    """
    # the gate, which is a command beside this one, starts fast (stack.md 15)
    from exporter.generate.packs import RULES_FILE, chosen_packs, rules_text

    _judge_check(out, check=check)
    if runbooks is not None and not _is_page(runbooks):
        fail(f"want --runbooks to be an http:// or https:// URL without a #, got {short(runbooks)}")
    try:
        chosen_packs(pack or [])
    except ValueError as error:
        fail(str(error))
    text = _made(config, lambda loaded: rules_text(loaded, pack or [], runbooks or ""))
    _hand_over(text, out, RULES_FILE, check=check)


@app.command()
def prometheus(  # noqa: PLR0913 - a command has many flags
    *,
    page: Annotated[
        Literal["metrics", "probe"],
        typer.Option("--page", help="Who has the schedule: sonde (metrics) or Prometheus (probe)."),
    ] = "metrics",
    address: Annotated[
        str,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            help="Where Prometheus finds sonde.",
        ),
    ] = "127.0.0.1:9115",
    rule_files: Annotated[
        list[str] | None,
        typer.Option(
            "--rules",
            metavar="FILE",
            help="Load the rules of `sonde generate rules` from there; repeatable.",
            show_default=False,
        ),
    ] = None,
    alertmanager: Annotated[
        list[str] | None,
        typer.Option(
            "--alertmanager",
            metavar="HOST:PORT",
            help="Who is told of alerts; repeatable.",
            show_default=False,
        ),
    ] = None,
    out: Out = None,
    check: Check = False,
    config: ConfigOption = None,
) -> None:
    """Write Prometheus' scrape jobs, or all of its file.

    In all jobs instance is the target. --page metrics is one job for all that sonde has on its
    schedule. --page probe is a job for each module with its targets, and one that asks for all
    other probes by name: no secret leaves sonde.

    --rules and --alertmanager make it a file that needs no other part; FILE is relative to it.

    \b
    sonde generate prometheus --address sonde:9115 --out /etc/prometheus
    sonde generate prometheus --rules rules/rules.yml --alertmanager 127.0.0.1:9093
    sonde generate prometheus --page probe
    """
    from exporter.generate.scrape import SCRAPE_FILE, scrape_text

    _judge_check(out, check=check)
    _judge_address("--address", address)
    for place in (told := alertmanager or []):
        _judge_address("--alertmanager", place)
    for file in (loaded_rules := rule_files or []):
        if not file or "*" in file.rpartition("/")[0]:
            fail(f"--rules: want a path, with a * in its last part at most, got {short(file)}")
    text = _made(
        config,
        lambda loaded: scrape_text(loaded, page, address, rules=loaded_rules, alertmanagers=told),
    )
    _hand_over(text, out, SCRAPE_FILE, check=check)


def _judge_address(option: str, address: str) -> None:
    from probes.wire.url import split_host_port

    if "/" in address:
        fail(f"{option}: want host:port without a scheme, got {short(address)}")
    try:
        split_host_port(address)
    except ValueError as error:
        fail(f"{option}: {error}")


def _judge_check(out: Path | None, *, check: bool) -> None:
    if check and out is None:
        fail("want --out DIR, whose file --check compares, got none")


def _made(config: Path | None, make: Callable[["Config"], str]) -> str:
    """Return the text that *make* makes of the probe file, or leave with 2."""
    loaded = load_config(config)
    try:
        return make(loaded)
    except ValueError as error:
        fail(f"{loaded.path}: {error}")


def _hand_over(text: str, out: Path | None, name: str, *, check: bool) -> None:
    if out is None:
        typer.echo(text, nl=False)
    elif check:
        _compare(out / name, text)
    else:
        _write(out / name, text)


def _write(path: Path, text: str) -> None:
    """Replace *path* as a whole: whoever reads it meanwhile gets the old one or the new one."""
    written: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            written = Path(file.name)
            file.write(text)
            os.fchmod(file.fileno(), READABLE)
        written.replace(path)
    except OSError as error:
        if written is not None:
            written.unlink(missing_ok=True)
        fail(f"want to write {path}, got {error.strerror}", INCONCLUSIVE)
    typer.echo(f"wrote {path}")


def _compare(path: Path, text: str) -> None:
    """Say on which line *path* stops being *text*, and leave with 1."""
    try:
        # bytes that are no text differ, too
        found = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        fail(f"want {path} as the probe file gives it, got no such file", FAILED)
    except OSError as error:
        fail(f"want to read {path}, got {error.strerror}", INCONCLUSIVE)
    if found == text:
        typer.echo(f"{path}: up to date")
        return
    got, wanted = found.splitlines(), text.splitlines()
    pairs = enumerate(zip(got, wanted, strict=False), 1)
    line = next((number for number, (a, b) in pairs if a != b), min(len(got), len(wanted)) + 1)
    shown = short(got[line - 1].strip()) if line <= len(got) else "the end of the file"
    fail(f"{path}:{line}: want it as the probe file gives it, got {shown}", FAILED)
