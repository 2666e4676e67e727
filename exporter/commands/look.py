"""One look at one probe: ``sonde probe``. Knows no schedule and no file of its own."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, NoReturn

from exporter.commands.oneshot import probe_from_words
from probes.errors import ConfigError
from probes.kinds import release_kinds
from probes.probe import Probe
from probes.prober_health import ProberHealth
from probes.report import describe, json_text, verdict
from probes.result import Result
from probes.run import run_once
from probes.units import parse_duration
from probes.wire.net import close_resolvers, reachable

# product.md: --timeout of a look.
DEFAULT_TIMEOUT = "5s"


def from_words(
    kind: str,
    target: str,
    settings: Sequence[str],
    timeout: str | None,
    fail: Callable[[str], NoReturn],
) -> Probe:
    """Return the probe that the words of the command line describe, or *fail* with each mistake."""
    timeout_s = _seconds(timeout or DEFAULT_TIMEOUT, fail)
    try:
        return probe_from_words(kind, target, settings, timeout_s)
    except ConfigError as error:
        fail("; ".join(map(str, error.problems)))


def within(probe: Probe, timeout: str | None, fail: Callable[[str], NoReturn]) -> Probe:
    """Return *probe* with another timeout, if one was given, or *fail*."""
    return probe if timeout is None else replace(probe, timeout_s=_seconds(timeout, fail))


def _seconds(timeout: str, fail: Callable[[str], NoReturn]) -> float:
    try:
        return parse_duration(timeout)
    except ValueError as error:
        fail(f"--timeout: {error}")


async def once(probe: Probe, controls: Sequence[str]) -> Result:
    """Run *probe* once, watching the prober itself meanwhile."""
    health = ProberHealth(controls, reachable)
    health.start()
    try:
        return await run_once(probe, health=health)
    finally:
        await health.stop()
        await release_kinds()
        await close_resolvers()


def shown(
    result: Result,
    probe: Probe,
    output: Literal["text", "json", "prometheus"],
    *,
    colour: bool = False,
) -> str:
    """Return *result* in the form that was asked for."""
    if output == "json":
        return json_text(result.as_dict())
    if output == "prometheus":
        # prometheus_client is imported only for whoever wants its format
        from exporter.metrics import render_result

        return render_result(result, probe.kind).decode()
    return describe(result, colour=colour)


def code(result: Result) -> tuple[int, str]:
    """Return the exit code of a look and one line that says why."""
    return verdict([result])
