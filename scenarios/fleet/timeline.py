"""The seconds of a run, as many as a report can hold: a run of a day has them in wider steps.

Pure. Knows no shard.
"""

from collections.abc import Iterable
from dataclasses import replace

from scenarios.report import Second

# Two hours to the second: 3 MB of a result, and a screen has no more pixels than a quarter of it.
MAX_STEPS = 7200


class Timeline:
    """Seconds in their order; beyond `MAX_STEPS` neighbours become one, all equally wide.

    Args:
        most: steps.
    """

    __slots__ = ("_most", "_steps", "_width", "latest")

    def __init__(self, most: int = MAX_STEPS) -> None:
        self.latest = Second(0)
        """The last second, as it came."""
        self._steps: list[Second] = []
        self._most = most
        self._width = 1

    @property
    def steps(self) -> tuple[Second, ...]:
        """All of it; nothing that was counted is missing."""
        return tuple(self._steps)

    def add(self, second: Second) -> None:
        """Add the next one."""
        self.latest = second
        self._append(self._steps, second)
        if len(self._steps) > self._most:
            self._width *= 2
            self._steps = self._thinned(self._steps)

    def _thinned(self, steps: Iterable[Second]) -> list[Second]:
        found: list[Second] = []
        for step in steps:
            self._append(found, step)
        return found

    def _append(self, steps: list[Second], step: Second) -> None:
        """Append a step, or put it to the last one if both fit into the width."""
        last = steps[-1] if steps else None
        if (
            last is not None
            and last.at // self._width == step.at // self._width
            and last.is_measured == step.is_measured
        ):
            steps[-1] = together(last, step)
        else:
            steps.append(step)


def together(one: Second, other: Second) -> Second:
    """Return two steps as one: sums of what was counted, the worst of the rest."""
    busier = max(one, other, key=lambda it: it.users - it.idle)
    fuller = max(one, other, key=lambda it: it.requests)
    users, seconds = max(one.users, other.users), one.seconds + other.seconds
    return replace(
        one,
        seconds=seconds,
        due=one.due + other.due,
        started=one.started + other.started,
        completed=one.completed + other.completed,
        failed=one.failed + other.failed,
        dropped=one.dropped + other.dropped,
        requests=one.requests + other.requests,
        failures=one.failures + other.failures,
        users=users,
        idle=users - (busier.users - busier.idle),
        rate=(one.rate * one.seconds + other.rate * other.seconds) / seconds,
        # the median of the one that had more; the worst of them would lie above a p95
        p50=fuller.p50,
        p95=_worst(one.p95, other.p95),
        p99=_worst(one.p99, other.p99),
        latency_p99=_worst(one.latency_p99, other.latency_p99),
        lag_p99=max(one.lag_p99, other.lag_p99),
        cpu=max(one.cpu, other.cpu),
    )


def _worst(*values: float | None) -> float | None:
    return max((it for it in values if it is not None), default=None)
