"""The commands that read and check nothing: lint, explain, schema, kinds.

Knows how they are called; what they say comes from `probes.config` and `probes.reference`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exporter.commands.command import (
    Compat,
    ConfigOption,
    Variables,
    completed_config,
    config_path,
    fail,
    kind_words,
    load_config,
    named,
    refuse_compat,
    variables,
)
from probes.errors import ConfigError
from probes.extras import missing
from scenarios.config.section import SCENARIOS, scenarios_of

if TYPE_CHECKING:
    from probes.config.load import Config


def lint(
    file: Annotated[Path | None, typer.Argument(help="Probe file, or a blackbox.yml.")] = None,
    *,
    config: ConfigOption = None,
    compat: Compat = None,
    var: Variables = None,
) -> None:
    """Tell every mistake in the probe file, or in a blackbox.yml.

    All at once, as file:line:column: key: want X, got Y. Exit code 2 if there is one.
    """
    from probes.config.load import is_blackbox, load, load_blackbox

    path, wanted = file or config_path(config), variables(var)
    try:
        if is_blackbox(path):
            loaded = load_blackbox(path, compat=compat or "fixed", further=(SCENARIOS,))
        else:
            refuse_compat(compat, path)
            loaded = load(path, variables=wanted, further=(SCENARIOS,))
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(problem.with_column())
        count = len(error.problems)
        fail(f"{count} {'mistake' if count == 1 else 'mistakes'} in {path}")
    _tell(loaded)
    if loaded.faults:
        count = len(loaded.faults)
        fail(f"{count} {'key' if count == 1 else 'keys'} in {path} that no run can obey")
    if loaded.is_drop_in:
        typer.echo(f"{path}: {loaded.counted(0)} of a blackbox.yml, no mistake")
        return
    rate = sum(1 / probe.every_s for probe in loaded.probes)
    inflight = sum(probe.timeout_s / probe.every_s for probe in loaded.probes)
    typer.echo(
        f"{path}: {loaded.counted(len(loaded.probes))}, no mistake; {_short(rate)} runs/s,"
        f" {_short(inflight)} in flight if every target hangs"
    )


def _tell(loaded: "Config") -> None:
    """Tell what is odd about a file that loads."""
    for problem in loaded.warnings:
        typer.echo(f"warning: {problem.with_column()}")
    if scenarios_of(loaded) and (why := missing("load", "locust")):
        typer.echo(f"warning: {loaded.path}: scenarios: {why}")
    for problem in loaded.faults:
        typer.echo(problem.with_column())


def schema(
    *,
    blackbox: Annotated[
        bool, typer.Option("--blackbox", help="That of a blackbox.yml instead.")
    ] = False,
) -> None:
    """Print the JSON Schema of the file.

    For completion in an editor with the YAML language server, keep it beside the probe file,
    which names it in its first line.

    \b
    sonde schema > probes.schema.json
    # yaml-language-server: $schema=probes.schema.json
    """
    import json

    from probes.config.blackbox.schema import blackbox_schema
    from probes.config.schema import json_schema

    found = blackbox_schema() if blackbox else json_schema(further=(SCENARIOS,))
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False))


def kinds(
    name: Annotated[
        str | None, typer.Argument(help="One kind, in full.", autocompletion=kind_words)
    ] = None,
) -> None:
    """List the kinds of checks, or tell one.

    One kind in full: its target, keys, phases and samples.
    """
    from probes.kinds import find_kind, glances, missing_extra

    if name is not None:
        from probes.reference import kind_section

        try:
            typer.echo(kind_section(find_kind(name)))
        except ValueError as error:
            fail(str(error))
        return
    for kind in glances():
        extra = f"  [needs sonde[{kind.requires}]]" if missing_extra(kind) else ""
        typer.echo(f"{kind.name:<12} {kind.summary}{extra}")


def _entries(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a probe or a scenario."""
    config = completed_config(context)
    if config is None:
        return []
    found = [*(probe.name for probe in config.probes), *scenarios_of(config)]
    return [name for name in dict.fromkeys(found) if name.startswith(incomplete)]


def explain(
    name: Annotated[
        str,
        typer.Argument(
            help="Name of a probe or a scenario.", autocompletion=_entries, show_default=False
        ),
    ] = "",
    *,
    config: ConfigOption = None,
    var: Variables = None,
) -> None:
    """Print every setting of a probe or a scenario.

    As it is in force: defaults and modules merged in, secrets starred; of a journey, its steps.
    """
    from probes.config.explain import explain as explained
    from probes.config.explain import explain_entry

    loaded = load_config(config, var=var)
    scenario = scenarios_of(loaded).get(name)
    if scenario is not None:
        typer.echo(explain_entry(name, scenario.in_force, loaded.redact))
        if all(probe.name != name for probe in loaded.probes):
            return
    probe = named(loaded, name, also=scenarios_of(loaded))
    typer.echo(explained(probe, loaded.journeys, loaded.variables))


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"  # noqa: PLR2004 - three digits
