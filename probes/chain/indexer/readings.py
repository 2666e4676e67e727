"""The indexers of a group in one sample: asked beside its endpoints, judged behind them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probes.chain.indexer.judge import Progress, Reading, Tip, judge, wants_comparison
from probes.chain.indexer.sources import Source
from probes.chain.model import Now, Series, Verdict
from probes.recorder import Recorder

HashAt = Callable[[int], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Indexed:
    """What became of all indexers."""

    steps: tuple[Verdict, ...]
    gauges: tuple[tuple[Series, float], ...]
    progress: Mapping[str, object]


class Readings:
    """What the indexers said in one sample.

    Args:
        sources: of the group.
        recorder: of the run: its deadline, and its secrets.
    """

    def __init__(self, sources: Sequence[Source], recorder: Recorder) -> None:
        self._sources = sources
        self._recorder = recorder
        self._found: dict[str, Reading] = {}

    def ask(self, timeout_s: float) -> Iterator[Coroutine[Any, Any, None]]:
        """Return what asks each of them, within *timeout_s*."""
        return (self._read(source, timeout_s) for source in self._sources)

    async def _read(self, source: Source, timeout_s: float) -> None:
        ends = asyncio.get_running_loop().time() + timeout_s
        recorder = Recorder(min(ends, self._recorder.deadline))
        self._found[source.keys.name] = await source.read(recorder, timeout_s)
        self._recorder.secrets += recorder.secrets

    async def judge(
        self,
        before: Mapping[str, object],
        tips: Mapping[str, Tip],
        hash_at: HashAt,
        now: Now,
    ) -> Indexed:
        """Judge all of them.

        Args:
            before: what is remembered, by name.
            tips: where the chain stands, by what an indexer is compared with.
            hash_at: asks the chain for the hash at a height.
            now: this moment.
        """
        steps: list[Verdict] = []
        gauges: list[tuple[Series, float]] = []
        progress: dict[str, object] = {}
        for source in self._sources:
            keys = source.keys
            reading, known = self._found[keys.name], before.get(keys.name)
            last = known if isinstance(known, Progress) else None
            node_hash = None
            if reading.height is not None and wants_comparison(reading, last, now):
                node_hash = await hash_at(reading.height)
            judged = judge(keys, reading, last, tips[keys.against], node_hash=node_hash, now=now)
            steps.append(judged.verdict)
            gauges += judged.gauges
            if judged.progress is not None:
                progress[keys.name] = judged.progress
        return Indexed(tuple(steps), tuple(gauges), progress)
