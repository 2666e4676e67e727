"""The values that tests import: the fixture `check`, and the law that every kind's test declares.

    LAW = Law(kind=Tcp(expect="220"), target="{host}:{port}")      # in test_tcp.py

`tests/probes/test_kinds.py` reads the ``LAW`` of every kind there is. Knows no kind.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from probes.kind import Kind
from probes.result import Result

PACKAGES = ["probes", "scenarios", "exporter"]
FREE_LABELS = frozenset({"expect_info"})


class Check(Protocol):
    """The fixture ``check``: run *kind* once against *target*."""

    async def __call__(
        self, kind: Kind, target: str, timeout_s: float = ..., *, unknown: bool = False
    ) -> Result: ...


@dataclass(frozen=True)
class Law:
    """How the laws for all kinds run one kind.

    Args:
        kind: with settings under which an ordinary target is up.
        target: with ``{host}`` and ``{port}``; a kind without network gives the target as it is.
        network: false for kinds that reach nothing (host, file ...).
        port: false for kinds without ports (icmp).
        secret: makes a kind of the same class whose every secret field holds the given canary;
            None: it has none.
        secret_target: a target with ``{canary}`` besides host and port; empty: none has secrets.
        steps: it is the Result of a step that tells phases and what broke; the run names the step.
        datagram: it speaks UDP: that a port is closed is learnt from what was sent there.
        patient: false for kinds that give a silent target a part of the timeout only.
    """

    kind: Kind
    target: str
    network: bool = True
    port: bool = True
    secret: Callable[[str], Kind] | None = None
    secret_target: str = ""
    patient: bool = True
    steps: bool = False
    datagram: bool = False

    def part(self, result: Result) -> Result:
        """Return the part of *result* that speaks of the wire."""
        return result.steps[-1] if self.steps else result


def undeclared(result: Result, kind: Kind) -> list[str]:
    """Return every sample of *result* that *kind* does not declare, with its labels.

    Those of `FREE_LABELS` are named by the user.
    """
    known = (*kind.metrics, *kind.named_metrics)
    declared = {metric.name: set(metric.labels) for metric in known}
    return [
        f"{sample.name}{dict(sample.labels)}"
        for sample in result.samples
        if declared.get(sample.name) != {name for name, _ in sample.labels}
        and not (sample.name in FREE_LABELS and sample.name in declared)
    ]


def ours(task: asyncio.Task[object]) -> bool:
    """Tell whether *task* runs our code: servers of the test live in the same loop."""
    stack = task.get_stack(limit=1)
    return bool(stack) and stack[0].f_globals.get("__name__", "").split(".")[0] in PACKAGES
