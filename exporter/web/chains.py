"""``/healthz/chain/<chain>/<endpoint>``: what a load balancer is told about one RPC endpoint.

    up, degraded       200, with reasons
    down               503
    unknown            what was known last, for 3 intervals; then, or if never known, 503
    no such name       404; a short name that several have is told with the full ones

Reads what chains remember of their last run and asks nobody. No URL is told: the name of an
endpoint is all that is ever shown of it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, runtime_checkable

from exporter.exposition.entry import STALE_GRACE_S, STALE_INTERVALS
from exporter.web.answers import JSON, Answer
from exporter.web.backend import Backend
from probes.chain.model import EndpointHealth
from probes.probe import Probe
from probes.result import Outcome

# Names on the one line of a 404; the list at /healthz/chain has all.
MAX_NAMED = 10
USABLE = (Outcome.UP, Outcome.DEGRADED)


@runtime_checkable
class _OfChain(Protocol):
    """`probes.chain.memory.Memory`, whose import would cost a service without chains 40 ms."""

    health: tuple[EndpointHealth, ...]


@dataclass(frozen=True, slots=True)
class _Told:
    """What is known of an endpoint, and the probe that knows it."""

    probe: Probe
    health: EndpointHealth

    @property
    def name(self) -> str:
        return f"{self.health.chain}/{self.health.endpoint}"

    def outcome(self, now: float) -> Outcome:
        """Return what holds at *now*, Unix time: old knowledge is none."""
        health, every_s = self.health, self.probe.every_s
        if health.outcome is None:
            return Outcome.UNKNOWN
        limit = STALE_INTERVALS * every_s
        if not health.is_unknown:
            # a run may take its whole timeout, and the schedule may lag a little
            limit = max(limit, self.probe.timeout_s) + STALE_GRACE_S
        return health.outcome if now - health.checked_wall <= limit else Outcome.UNKNOWN

    def document(self, now: float) -> dict[str, Any]:
        health = self.health
        return {
            "chain": health.chain,
            "endpoint": health.endpoint,
            "outcome": self.outcome(now).value,
            "reasons": list(health.reasons),
            "height": health.height,
            "head_age_seconds": health.head_age_s,
            "checked_at": _point(health.checked_wall),
        }


def endpoint_answer(backend: Backend, name: str, now: datetime) -> Answer:
    """Return the answer for ``<chain>/<endpoint>`` or ``<endpoint>``."""
    everybody = list(_told(backend))
    found = [told for told in everybody if told.name == name]
    found = found or [told for told in everybody if told.health.endpoint == name]
    if len(found) != 1:
        return Answer.text(404, _refusal(found))
    (told,) = found
    at = now.timestamp()
    code = 200 if told.outcome(at) in USABLE else 503
    return Answer(code, _json(told.document(at)), JSON)


def list_answer(backend: Backend, now: datetime) -> Answer:
    """Return the answer for all endpoints at once: always 200, it is no health check."""
    at = now.timestamp()
    return Answer(200, _json({"endpoints": [told.document(at) for told in _told(backend)]}), JSON)


def _told(backend: Backend) -> Iterator[_Told]:
    for probe, memory, before in backend.memories():
        if not isinstance(memory, _OfChain):
            continue
        # a reload that changes a limit must not take every endpoint out until the next run
        earlier = before.health if isinstance(before, _OfChain) else ()
        known = {(health.chain, health.endpoint): health for health in earlier}
        for health in memory.health:
            is_new = health.outcome is None and not health.is_unknown
            name = (health.chain, health.endpoint)
            yield _Told(probe, known.get(name, health) if is_new else health)


def _refusal(found: list[_Told]) -> str:
    if not found:
        return "want the name of an endpoint, got another one: /healthz/chain lists them\n"
    names = sorted({told.name for told in found})
    if len(names) == 1:
        probes = ", ".join(sorted(told.probe.name for told in found)[:MAX_NAMED])
        return f"want chains with names of their own, got {names[0]} of the probes {probes}\n"
    return f"want one endpoint, got {len(names)} of that name: {', '.join(names[:MAX_NAMED])}\n"


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode() + b"\n"


def _point(wall: float) -> str | None:
    if not wall:
        return None
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds")
