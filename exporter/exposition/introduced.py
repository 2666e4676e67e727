"""Which families of kinds and of settings have a place on the page, and when they lose it.

Those of a kind stay for good; those that the settings of a probe name go with the last probe that
names them, and take new words with a reload. Knows no probe and no value.
"""

import logging
from collections.abc import Iterable

from exporter.exposition.blocks import Blocks, heads
from exporter.exposition.series import Shape

log = logging.getLogger("sonde.metrics")


class Introduced:
    """The shapes whose families have their places."""

    def __init__(self) -> None:
        # by identity: to hash a shape takes longer than to show a run
        self._shapes: dict[int, Shape] = {}
        self._named: set[str] = set()

    def clear(self) -> None:
        """Forget all: the page is a new one."""
        self._shapes.clear()
        self._named.clear()

    def introduce(self, shape: Shape, blocks: Blocks) -> None:
        """Give the families of *shape* their places among *blocks*."""
        if id(shape) in self._shapes:
            return
        self._shapes[id(shape)] = shape
        for family in shape.by_name.values():
            known = blocks.family(family.name, family.type, family.help)
            if family.of_user:
                # the load has seen to it that all probes say the same: the newest words count
                known.tell(family.type, family.help)
                self._named.add(family.name)
            elif known.heads != heads(family.name, family.type, family.help):
                log.warning("want one type and help for the family %s, got two", family.name)

    def sweep(self, blocks: Blocks, shapes: Iterable[Shape], shown: Iterable[str]) -> None:
        """Take away the families that settings have named and name no more.

        Args:
            blocks: where they stand.
            shapes: of all probes.
            shown: names of families with lines.
        """
        if not self._named:
            return
        alive = {id(shape): shape for shape in shapes}
        used = {metric.name for shape in alive.values() for metric in shape.named} | set(shown)
        for name in self._named - used:
            del blocks.families[name]
        self._named &= used
        # one that comes again is introduced again
        self._shapes = {at: it for at, it in self._shapes.items() if not it.named or at in alive}
