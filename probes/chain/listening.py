"""Listening to the websockets of a group: beside the runs of a service, or inside one run.

Knows no message and no verdict.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from probes.wire.websocket.heads import Listener


class HeadsWatch:
    """Listens for one probe between its runs; a `probes.kind.Watch`."""

    def __init__(self, listeners: Mapping[str, Listener]) -> None:
        self._listeners = listeners

    async def run(self) -> None:
        """Listen to every endpoint until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, listener in self._listeners.items():
                tasks.create_task(listener.run(), name=f"heads of {name}")

    def news(self) -> Mapping[str, Listener]:
        """Return the listeners; each has its `Listener.news`."""
        return self._listeners


@asynccontextmanager
async def listening(listeners: Mapping[str, Listener]) -> AsyncIterator[Mapping[str, Listener]]:
    """Listen inside the block, and leave neither task nor socket."""
    tasks = [asyncio.ensure_future(listener.run()) for listener in listeners.values()]
    try:
        yield listeners
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled():
                    task.result()
