"""A chain group as a service runs it: again and again, with what it remembers.

service = Service(kind)
result = await service.run()
service.values(result)["chain_head_height endpoint=own tag=latest"]
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from probes.chain.kind import ChainKind
from probes.kind import Watch
from probes.probe import Probe
from probes.recorder import Keep
from probes.result import Outcome, Result
from probes.run import run_once
from tests.waiting import until

EVERY_S = 10.0
TIMEOUT_S = 8.0


class Service:
    """See the module.

    Args:
        kind: of the group.
        target: of a kind without endpoints.
        kept: what a service before this one has left in its file.
    """

    def __init__(
        self, kind: ChainKind, target: str = "group", kept: dict[str, object] | None = None
    ) -> None:
        self.kind, self.target = kind, target
        self.keep = Keep(kind.first_memory(target, kept), every_s=EVERY_S)

    async def run(self, times: int = 1) -> Result:
        """Run so many times and return the last result."""
        probe = Probe(name="it", kind=self.kind, target=self.target, timeout_s=TIMEOUT_S)
        result = await run_once(probe, keep=self.keep)
        for _ in range(times - 1):
            result = await run_once(probe, keep=self.keep)
        return result

    async def until(self, outcome: Outcome, seconds: float = 8.0) -> Result:
        """Run until the group has *outcome*.

        Raises:
            TimeoutError: it never had.
        """
        async with asyncio.timeout(seconds):
            while (result := await self.run()).outcome is not outcome:
                pass
        return result

    @asynccontextmanager
    async def listening(self, heard: Callable[[object], bool]) -> AsyncIterator[None]:
        """Listen beside the runs; begin when *heard* is true of each endpoint's news."""
        watch = self.kind.watch(self.target)
        assert watch is not None
        task = asyncio.create_task(watch.run())
        self.keep.news = watch.news
        try:
            await until(lambda: all(map(heard, news_of(watch))))
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def news_of(watch: Watch) -> list[object]:
    listeners = watch.news()
    assert isinstance(listeners, dict)
    return [listener.news for listener in listeners.values()]


def reasons(result: Result) -> dict[str, set[str]]:
    """Return what is wrong, by step."""
    return {
        step.probe: {
            failure.message.partition(":")[0]
            for failure in (*([step.failure] if step.failure else []), *step.warnings)
        }
        for step in result.steps
    }


def outcomes(result: Result) -> dict[str, str]:
    return {step.probe: step.outcome.value for step in result.steps}


def values(result: Result) -> dict[str, float]:
    """Return the samples as a page would name them, without the label ``chain``."""
    return {
        " ".join([it.name, *(f"{k}={v}" for k, v in it.labels if k != "chain")]): it.value
        for it in result.samples
    }
