"""The commands that read and check nothing: lint, explain, schema, kinds.

Knows how they are called; what they say comes from `probes.config` and `probes.reference`.
"""

from pathlib import Path
from typing import Annotated

import typer

from exporter.command import (
    ConfigOption,
    Variables,
    completed_config,
    config_path,
    fail,
    kind_words,
    load_config,
    named,
    variables,
)
from probes.errors import ConfigError
from scenarios.config.section import SCENARIOS, scenarios_of


def lint(
    file: Annotated[Path | None, typer.Argument(help="Probe file to judge.")] = None,
    *,
    config: ConfigOption = None,
    var: Variables = None,
) -> None:
    """Tell every mistake in the probe file, or in a blackbox.yml.

    All at once, as file:line:column: key: want X, got Y. Exit code 2 if there is one.
    """
    from probes.config.load import is_blackbox, load, load_blackbox

    path, wanted = file or config_path(config), variables(var)
    try:
        if is_blackbox(path):
            loaded = load_blackbox(path, further=(SCENARIOS,))
        else:
            loaded = load(path, variables=wanted, further=(SCENARIOS,))
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(problem.with_column())
        count = len(error.problems)
        fail(f"{count} {'mistake' if count == 1 else 'mistakes'} in {path}")
    for problem in loaded.warnings:
        typer.echo(f"warning: {problem.with_column()}")
    for problem in loaded.faults:
        typer.echo(problem.with_column())
    if loaded.faults:
        count = len(loaded.faults)
        fail(f"{count} {'key' if count == 1 else 'keys'} in {path} that no run can obey")
    if loaded.is_drop_in:
        count = len(loaded.modules)
        what = "module" if count == 1 else "modules"
        typer.echo(f"{path}: {count} {what} of a blackbox.yml, no mistake")
        return
    rate = sum(1 / probe.every_s for probe in loaded.probes)
    inflight = sum(probe.timeout_s / probe.every_s for probe in loaded.probes)
    typer.echo(
        f"{path}: {len(loaded.probes)} probes, no mistake; {_short(rate)} runs/s,"
        f" {_short(inflight)} in flight if every target hangs"
    )


def schema(
    *,
    blackbox: Annotated[
        bool, typer.Option("--blackbox", help="That of a blackbox.yml instead.")
    ] = False,
) -> None:
    """Print the JSON Schema of the file.

    For completion in an editor: with the YAML language server, begin the probe file with

    \b
    # yaml-language-server: $schema=sonde.schema.json
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
    from probes.kinds import discover, find_kind, missing_extra
    from probes.reference import kind_section

    if name is not None:
        try:
            typer.echo(kind_section(find_kind(name)))
        except ValueError as error:
            fail(str(error))
        return
    for kind in discover().values():
        first = (kind.__doc__ or "").strip().partition("\n")[0]
        extra = f"  [needs sonde[{kind.requires}]]" if missing_extra(kind) else ""
        typer.echo(f"{kind.name:<12} {first}{extra}")


def _entries(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a probe or a scenario."""
    config = completed_config(context)
    if config is None:
        return []
    found = [*(probe.name for probe in config.probes), *scenarios_of(config)]
    return [name for name in dict.fromkeys(found) if name.startswith(incomplete)]


def explain(
    name: Annotated[
        str, typer.Argument(help="Name of a probe or a scenario.", autocompletion=_entries)
    ],
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
