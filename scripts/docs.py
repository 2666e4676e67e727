"""Write the pages that are generated from the code, or say which are stale: ``--check``.

    docs/kinds.md    every kind: its docstring, keys, phases, samples
    docs/journeys-keys.md      every key of journeys and their steps
    docs/load-keys.md          every key of scenarios and their ceilings
    docs/metrics.md  every family of /metrics
    docs/cli.md      every command and flag
    docs/probes.schema.json    JSON Schema of the probe file, for editors
    docs/schema/blackbox.schema.json    the same of a blackbox.yml

Knows where the pages are kept, and not what stands in them.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STALE, FRESH = 1, 0


def kinds() -> str:
    """Return docs/kinds.md."""
    from probes.kinds import discover
    from probes.reference import kinds_page

    return kinds_page(discover().values())


def journeys() -> str:
    """Return docs/journeys-keys.md."""
    from probes.config.journeys import FAMILIES as JOURNEYS
    from probes.journey.language.extract import ExtractKeys
    from probes.journey.language.functions import FUNCTIONS
    from probes.journey.language.judge import ExpectKeys
    from probes.journey.loading.families import FAMILIES, TurnKeys
    from probes.journey.loading.settings import JourneyKeys
    from probes.reference import journeys_page

    steps = [("Step " + " ".join(f"`{key}`" for key in it.told_by), it) for it in FAMILIES]
    others: list[tuple[str, Any]] = [
        (f"A journey with `{key}`", it.settings()) for key, it in JOURNEYS.items() if it.is_there
    ]
    sections: list[tuple[str, Any]] = [
        ("A journey", JourneyKeys),
        *steps,
        ("`expect`, `warn` and `until`", ExpectKeys),
        ("`extract`", ExtractKeys),
        ("A turn of `ws`", TurnKeys),
        *others,
    ]
    functions = [(it.name, it.arguments, it.summary) for it in FUNCTIONS.values()]
    return journeys_page(sections, functions)


def load() -> str:
    """Return docs/load-keys.md."""
    from probes.journey.safety import LoadSafety, TargetSafety
    from probes.reference import keys_page
    from scenarios.config import settings

    sections: list[tuple[str, Any]] = [
        ("A scenario", settings.ScenarioKeys),
        ("A part of `mix`", settings.PartKeys),
        ("`load`", settings.LoadKeys),
        ("A stage of `load`", settings.StageKeys),
        ("`users` of `load`", settings.PoolKeys),
        ("A threshold", settings.ThresholdKeys),
        ("`baseline`", settings.BaselineKeys),
        ("An entry of `baseline.fail_on`", settings.RegressionKeys),
        ("A guard", settings.GuardKeys),
        ("`safety.targets`", TargetSafety),
        ("`safety.load`", LoadSafety),
    ]
    about = "How loads are written and what comes of them stands in [load.md](load.md)."
    return keys_page("Keys of loads", about, sections)


def metrics() -> str:
    """Return docs/metrics.md."""
    page: str = import_module("exporter.exposition.catalogue").metrics_page()
    return page


def cli() -> str:
    """Return docs/cli.md."""
    from typer.main import get_command

    root: Any = get_command(import_module("exporter.cli").app)
    parts = [
        "# Commands",
        "",
        "Generated from the code by `make docs`; nobody edits this page.",
        "",
        "Exit codes, everywhere the same: **0** pass, **1** a target or an expectation failed,",
        "**2** usage or config error, **3** inconclusive (the prober's own fault, not finished),",
        "130 and 143 by signal. Every other code than 0 comes with one line that says why.",
        "",
        *_command(root, "sonde"),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _command(command: Any, path: str) -> list[str]:
    lines = [f"## {path}", "", _prose(command.help or ""), ""]
    context = command.make_context(path, [], resilient_parsing=True)
    rows = [row for param in command.get_params(context) if (row := _parameter(param))]
    if rows:
        lines += ["| argument | default | what it says |", "| --- | --- | --- |", *rows, ""]
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            lines += _command(child, f"{path} {name}")
    return lines


def _prose(text: str) -> str:
    # \b before a paragraph tells the terminal to keep its lines
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(
        "```console\n" + part.removeprefix("\b\n") + "\n```" if part.startswith("\b\n") else part
        for part in paragraphs
    )


def _parameter(parameter: Any) -> str | None:
    if parameter.name == "help" or getattr(parameter, "hidden", False):
        return None
    flags = ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))
    if parameter.param_type_name == "argument":
        flags = f"`{parameter.metavar or parameter.name.upper()}`"
    default = parameter.default
    shown = "" if default is None or default is False or callable(default) else f"`{default}`"
    text = " ".join((getattr(parameter, "help", None) or "").split()).replace("|", "\\|")
    return f"| {flags} | {shown} | {text} |"


def schema() -> str:
    """Return docs/probes.schema.json."""
    from probes.config.schema import json_schema
    from scenarios.config.section import SCENARIOS

    return json.dumps(json_schema(further=(SCENARIOS,)), indent=1, ensure_ascii=False) + "\n"


def blackbox() -> str:
    """Return docs/schema/blackbox.schema.json."""
    from probes.config.blackbox.schema import blackbox_schema

    return json.dumps(blackbox_schema(), indent=1, ensure_ascii=False) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/kinds.md": kinds,
    "docs/journeys-keys.md": journeys,
    "docs/load-keys.md": load,
    "docs/metrics.md": metrics,
    "docs/cli.md": cli,
    "docs/probes.schema.json": schema,
    "docs/schema/blackbox.schema.json": blackbox,
}


def stale() -> list[str]:
    """Return the pages that differ from what the code says now."""
    return [
        name
        for name, page in PAGES.items()
        if not (ROOT / name).is_file() or (ROOT / name).read_text(encoding="utf-8") != page()
    ]


def main(arguments: Sequence[str]) -> int:
    """Write the stale pages, or with ``--check`` only name them."""
    if arguments == ["--check"]:
        names = stale()
        for name in names:
            print(f"{name}: want the page that the code gives, got an older one: run make docs")
        return STALE if names else FRESH
    if arguments:
        print(
            f"usage: python -m scripts.docs [--check], got {' '.join(arguments)}", file=sys.stderr
        )
        return 2
    for name in stale():
        (ROOT / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"wrote {name}")
    return FRESH


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
