"""Probes and their last Results as JSON: ``/health`` and ``/api/v1/probes``.

    {"status": "healthy" | "degraded" | "unhealthy", "timestamp": ...,
     "checks": {NAME: {"status": "pass" | "warn" | "fail" | "unknown", "time": ..., "output": ...}}}

Written piece by piece, so that 10,000 probes do not hold the loop. Knows no request.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from math import isfinite
from types import MappingProxyType
from typing import Any

from exporter.web.backend import Backend
from probes.probe import Probe
from probes.result import Outcome, Result
from probes.units import format_duration

CHECK_STATUS: Mapping[Outcome | None, str] = MappingProxyType(
    {
        Outcome.UP: "pass",
        Outcome.DEGRADED: "warn",
        Outcome.DOWN: "fail",
        Outcome.UNKNOWN: "unknown",
        None: "unknown",
    }
)
# Between two turns of the loop: 64 Results of 20 samples take about 3 ms.
PROBES_PER_PIECE = 64


def overall(states: Iterable[Outcome | None]) -> str:
    """Return the worst of all: unhealthy iff one is down, healthy iff all are up."""
    seen = set(states)
    if Outcome.DOWN in seen:
        return "unhealthy"
    return "healthy" if seen <= {Outcome.UP} else "degraded"


def health_text(
    backend: Backend, probes: Iterable[Probe], status: str, now: datetime
) -> Iterator[str]:
    """Yield the health document of *probes*, one piece for each probe."""
    yield f'{{"status": {json.dumps(status)}, "timestamp": {json.dumps(_point(now))}, "checks": {{'
    separator = ""
    for probe in probes:
        check = _check(backend.state(probe.name), backend.last_result(probe.name))
        yield f"{separator}{json.dumps(probe.name)}: {json.dumps(check)}"
        separator = ", "
    yield "}}\n"


def probes_text(backend: Backend, probes: Iterable[Probe]) -> Iterator[str]:
    """Yield the list of *probes* with their last Results, one piece for each probe."""
    yield '{"probes": ['
    separator = ""
    for probe in probes:
        yield separator + probe_text(backend, probe)
        separator = ", "
    yield "]}\n"


def probe_text(backend: Backend, probe: Probe) -> str:
    """Return one probe with state and last Result as JSON; of the target the redacted form only."""
    result, state = backend.last_result(probe.name), backend.state(probe.name)
    document = {
        "name": probe.name,
        "kind": probe.kind.name,
        "module": probe.module or None,
        "target": probe.display,
        "every": format_duration(probe.every_s),
        "timeout": format_duration(probe.timeout_s),
        "severity": probe.severity,
        "tags": sorted(probe.tags),
        "labels": dict(probe.labels),
        "runbook": probe.runbook or None,
        "state": state.value if state is not None else None,
        "result": result.as_dict() if result is not None else None,
    }
    try:
        return json.dumps(document, allow_nan=False)
    except ValueError:
        # JSON has no word for nan and inf; a kind may have read one
        return json.dumps(_finite(document), allow_nan=False)


async def in_pieces(texts: Iterator[str]) -> AsyncIterator[bytes]:
    """Join a few texts at a time, and let the loop turn between two of them."""
    piece: list[str] = []
    for text in texts:
        piece.append(text)
        if len(piece) >= PROBES_PER_PIECE:
            yield "".join(piece).encode()
            piece.clear()
            await asyncio.sleep(0)
    yield "".join(piece).encode()


def _check(state: Outcome | None, result: Result | None) -> dict[str, Any]:
    if result is None:
        return {"status": CHECK_STATUS[state], "time": None, "output": "no run has ended yet"}
    cause = result.cause
    output = "" if cause is None else f"{cause.reason.value}: {cause.message}"
    return {"status": CHECK_STATUS[state], "time": _point(result.started_at), "output": output}


def _point(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value
