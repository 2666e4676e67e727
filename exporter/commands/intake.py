"""The commands ``sonde import ...``: a probe file out of what other tools have written.

Knows where a text comes from and goes to; what stands in it comes from `exporter.importing`.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exporter.commands.command import INCONCLUSIVE, fail

if TYPE_CHECKING:
    from exporter.importing.recording import Recording

# It may hold what its author would not show everybody, until he has read it.
PRIVATE = 0o600

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
)
File = Annotated[Path, typer.Argument(metavar="FILE", help="What the other tool has written.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Write there, not to stdout.", show_default=False),
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="Name of the journey. Default: after the title or the file.",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace --out when it is there.")]


@app.callback()
def import_() -> None:
    """Write a probe file out of what other tools have written.

    A recording becomes a journey, a blackbox.yml native modules. What comes out is a probe file
    of its own, and what was left out is told. Read it before use.
    """


@app.command()
def har(
    file: File,
    *,
    include_host: Annotated[
        list[str] | None,
        typer.Option(
            "--include-host",
            metavar="HOST",
            help="Take its requests in, too; repeatable. Default: the host of the first page.",
        ),
    ] = None,
    name: Name = None,
    out: Out = None,
    force: Force = False,
) -> None:
    """Take over a HAR file: a session that a browser has recorded.

    In a browser: developer tools, network, "save all as HAR with content".

    \b
    sonde import har shop.har --name checkout --out checkout.yaml
    """
    # each command imports what it needs (stack.md 15)
    from exporter.importing.foreign import ForeignError, read_text
    from exporter.importing.har import read_har

    try:
        recording = read_har(file, read_text(file), include_host or [])
    except ForeignError as error:
        fail(str(error))
    _write(recording, file, name, out, force=force)


@app.command()
def postman(file: File, *, name: Name = None, out: Out = None, force: Force = False) -> None:
    """Take over a Postman collection (v2.0, v2.1) with its folders, variables and credentials.

    \b
    sonde import postman shop.postman_collection.json --out shop.yaml
    """
    from exporter.importing.foreign import ForeignError, read_text
    from exporter.importing.postman import read_postman

    try:
        recording = read_postman(file, read_text(file))
    except ForeignError as error:
        fail(str(error))
    _write(recording, file, name, out, force=force)


@app.command()
def openapi(file: File, *, name: Name = None, out: Out = None, force: Force = False) -> None:
    """Take over the safe operations of an OpenAPI description (3.0, 3.1; JSON or YAML).

    \b
    sonde import openapi openapi.yaml --name pets --out pets.yaml
    """
    from exporter.importing.foreign import ForeignError, read_text
    from exporter.importing.openapi import read_openapi

    try:
        recording = read_openapi(file, read_text(file))
    except ForeignError as error:
        fail(str(error))
    _write(recording, file, name, out, force=force)


@app.command()
def blackbox(file: File, *, out: Out = None, force: Force = False) -> None:
    """Take over a blackbox.yml of blackbox_exporter: the same modules, natively.

    What works differently is told on stderr and in the head of the file; 3 if something could not
    be carried over. To run the file as it is: sonde run --blackbox-config FILE.

    \b
    sonde import blackbox blackbox.yml --out probes.yaml
    """
    from exporter.importing.blackbox import carry
    from probes.config.load import load_blackbox
    from probes.errors import ConfigError

    try:
        config = load_blackbox(file)
        carried = carry(config, file.read_text(encoding="utf-8", errors="replace"))
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(problem.with_column(), err=True)
        fail(f"{_several(len(error.problems), 'mistake')} in {file}")
    except OSError as error:
        fail(f"want to read {file}, got {error.strerror}")
    if out is None:
        typer.echo(carried.text, nl=False)
    else:
        _create(out, carried.text, force=force)
    told = [f"{word}: {text}" for word, text in carried.told()]
    if out is not None:
        told.append(f"wrote {out}: {_several(carried.modules, 'module')}; read it before use")
    typer.echo("\n".join(told), err=True)
    if carried.lost:
        fail(f"want all of {file}, got {_several(len(carried.lost), 'gap')}", INCONCLUSIVE)


def _several(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count} {what}s"


def _write(
    recording: "Recording", file: Path, name: str | None, out: Path | None, *, force: bool
) -> None:
    from exporter.importing.journey import (
        environment_name,
        journey_text,
        name_of,
    )

    chosen = name or name_of(recording.title or file.name.partition(".")[0])
    if name_of(chosen) != chosen:
        fail(f"want a --name of a-z, 0-9 and '-' such as 'checkout', got {chosen!r}")
    text = journey_text(recording, chosen)
    if out is None:
        typer.echo(text, nl=False)
    else:
        _create(out, text, force=force)
    for why, count in recording.omitted.items():
        typer.echo(f"left out: {why}: {count}", err=True)
    if recording.secrets:
        told = ", ".join(environment_name(chosen, key) for key in recording.secrets)
        typer.echo(f"to be set, secret: {told}", err=True)
    steps = len(recording.calls)
    made = "1 step" if steps == 1 else f"{steps} steps"
    if out is not None:
        typer.echo(f"wrote {out}: {made}; read it before use", err=True)


def _create(out: Path, text: str, *, force: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with os.fdopen(os.open(out, flags, PRIVATE), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        fail(f"want --out to be a new file, got {out}; --force replaces it")
    except OSError as error:
        fail(f"want to write {out}, got {error.strerror}", INCONCLUSIVE)
