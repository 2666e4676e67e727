"""The commands ``sonde generate ...``: what other programs read, made from the probe file.

Knows where a text goes: to stdout, to a file, or beside the file that is already there. What stands
in it comes from `exporter.generate`.
"""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated

import typer

from exporter.command import FAILED, INCONCLUSIVE, ConfigOption, fail, load_config
from probes.units import short

# As open() would have made it: Prometheus runs as another user, and mkstemp lets nobody else read.
READABLE = 0o644

app = typer.Typer(
    help="Write what other programs read, from the probe file.",
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
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Write rules.yml there, not to stdout.",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; 1 if the file in --out is not up to date."),
    ] = False,
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

    if check and out is None:
        fail("want --out DIR, whose file --check compares, got none")
    if runbooks is not None and not _is_page(runbooks):
        fail(f"want --runbooks to be an http:// or https:// URL without a #, got {short(runbooks)}")
    try:
        chosen_packs(pack or [])
    except ValueError as error:
        fail(str(error))
    loaded = load_config(config)
    try:
        text = rules_text(loaded, pack or [], runbooks or "")
    except ValueError as error:
        fail(f"{loaded.path}: {error}")
    if out is None:
        typer.echo(text, nl=False)
    elif check:
        _compare(out / RULES_FILE, text)
    else:
        _write(out / RULES_FILE, text)


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
