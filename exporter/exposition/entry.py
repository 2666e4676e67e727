"""One registered probe as the sink keeps it: its labels, what is counted, what is shown.

Run state only. Knows neither the page nor the rules by which a series lives and dies.
"""

from collections.abc import Container

from exporter.exposition.catalogue import COUNTERS, IDENTITY
from exporter.exposition.identity import identity_lines
from exporter.exposition.series import NO_LABELS, Labels, Shape
from exporter.exposition.tally import Tally
from probes.probe import Probe
from probes.result import Outcome, Result

# metrics.md 3: a result that old says nothing about now.
STALE_INTERVALS = 3
STALE_GRACE_S = 5.0

_NO_CONSTANT_LINES = dict.fromkeys((family.name for family in (*IDENTITY, *COUNTERS)), "")


def checks_another(old: Probe, new: Probe) -> bool:
    """Return whether what *old* found says nothing about *new*."""
    return old.target != new.target or type(old.kind) is not type(new.kind)


class Entry:
    """One registered probe.

    Args:
        probe: as the config has it now.
        slot: where its lines stand.
        registered_at: Unix time.
        shape: of its samples.
    """

    __slots__ = (
        "confirmed", "constant", "expires_at", "is_admitted", "is_cut", "key", "labels", "lasting",
        "probe", "registered_at", "result", "samples", "shape", "shown", "slot", "tally",
    )  # fmt: skip

    def __init__(self, probe: Probe, slot: int, registered_at: float, shape: Shape) -> None:
        self.probe = probe
        self.shape = shape
        self.slot = slot
        self.tally = Tally()
        self.labels: Labels = NO_LABELS
        self.key: tuple[object, ...] = ()
        """What the constant lines were made of; empty: they are not there."""
        self.constant = 0
        """Series that do not come from samples."""
        self.samples = 0
        """Series that do."""
        self.registered_at = registered_at
        self.is_admitted = True
        self.is_cut = False
        """Whether some samples of the last result found no room."""
        self.confirmed: Outcome | None = None
        self.result: Result | None = None
        self.shown: tuple[str, ...] = ()
        """Families that hold the last result."""
        self.lasting: dict[str, int] = {}
        """Families that outlive it, each with its number of series."""
        self.expires_at = float("inf")

    def begin_anew(self, now: float) -> None:
        """Forget what was found, not what was counted: the name checks something else now."""
        self.registered_at, self.confirmed, self.result = now, None, None
        self.tally.consecutive = 0

    def take_shape(self, shape: Shape) -> None:
        """Let the samples become this from now on; of the last result stays what still fits."""
        old, self.shape = self.shape.named, shape
        if self.result is None or old == shape.named:
            return
        fitting = {(it.name, it.labels) for it in shape.named}
        gone = {it.name for it in old if (it.name, it.labels) not in fitting}
        samples = tuple([it for it in self.result.samples if it.name not in gone])
        self.result = self.result._replace(samples=samples)

    def lasting_beside(self, names: Container[str]) -> int:
        """Return how many series of families stay that are none of these."""
        if not self.lasting:
            return 0
        return sum(count for name, count in self.lasting.items() if name not in names)

    def constant_lines(self) -> dict[str, str]:
        """Return the lines that a probe has whatever its last run found; empty ones take away."""
        registered_at = self.registered_at if self.result is None else None
        return {
            **_NO_CONSTANT_LINES,
            **identity_lines(self.probe, self.labels, registered_at, self.confirmed),
            **self.tally.lines(self.probe, self.labels),
        }

    @property
    def is_current(self) -> bool:
        """Whether there is a result, not too old to be shown."""
        return self.expires_at < float("inf")

    @property
    def stale_after_s(self) -> float:
        """How old its result may become."""
        return max(STALE_INTERVALS * self.probe.every_s, self.probe.timeout_s) + STALE_GRACE_S
