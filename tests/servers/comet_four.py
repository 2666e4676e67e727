"""Four validators of one CometBFT chain, made up or real, and what may befall the last of them.

    four.urls                       name -> URL, a to d
    await four.until(10)            the chain has block 10
    await four.lose_blocks()        d has block 3 only, of many, and is catching up
    await four.catch_up()           d is where the others are
    await four.diverge()            d came to another state than the others, which went on

A test that takes the fixture ``four`` runs on both. Knows no probe.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from tests.servers.comet import CometServer, comet_server
from tests.servers.comet_app import AppServer
from tests.servers.comet_chain import CometChain
from tests.servers.nodes_comet import Comet, together

NAMES = "abcd"
# Where `lose_blocks` lets the last one stand, and how many blocks there are then at least.
LOST_AT, LONG = 3, 8
# So many blocks the others are ahead of one that diverged.
AHEAD = 4


class Four(Protocol):
    """See the module."""

    network: str

    @property
    def urls(self) -> dict[str, str]: ...
    async def until(self, height: int) -> None: ...
    async def lose_blocks(self) -> None: ...
    async def catch_up(self) -> None: ...
    async def diverge(self) -> None: ...


class MadeUpFour:
    """Four of the simulator; the chain grows when it is waited for."""

    def __init__(self, chain: CometChain, servers: Sequence[CometServer]) -> None:
        self.network = chain.network
        self._chain = chain
        self._servers = servers
        self._last = servers[-1].node

    @property
    def urls(self) -> dict[str, str]:
        return {name: it.url for name, it in zip(NAMES, self._servers, strict=True)}

    async def until(self, height: int) -> None:
        self._chain.advance(max(0, height - self._chain.head))

    async def lose_blocks(self) -> None:
        self._last.catch_up(LOST_AT)

    async def catch_up(self) -> None:
        self._last.caught_up()

    async def diverge(self) -> None:
        self._last.diverge()
        self._chain.advance(AHEAD)


@asynccontextmanager
async def made_up_four() -> AsyncIterator[MadeUpFour]:
    """Run four nodes of the simulator."""
    chain = CometChain(head=LONG)
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(comet_server(chain, name)) for name in NAMES]
        yield MadeUpFour(chain, servers)


class RealFour:
    """Four processes; the application of the last one is ours."""

    def __init__(self, nodes: list[Comet], app: AppServer) -> None:
        self.network: str = nodes[0].call("status")["node_info"]["network"]
        self._nodes = nodes
        self._apps = [app]

    @property
    def urls(self) -> dict[str, str]:
        return {name: node.url for name, node in zip(NAMES, self._nodes, strict=True)}

    @property
    def _last(self) -> Comet:
        return self._nodes[-1]

    async def until(self, height: int) -> None:
        await together(self._nodes, height)

    async def lose_blocks(self) -> None:
        await self.until(LONG)
        self._last.stop()
        self._last.forget()
        self._apps.append(app := AppServer())
        app.app.hold(LOST_AT)
        self._nodes[-1] = self._last.again(app)
        await self._last.until(LOST_AT)

    async def catch_up(self) -> None:
        self._apps[-1].app.release()
        await together(self._nodes, await self._nodes[0].height())

    async def diverge(self) -> None:
        app = self._apps[-1].app
        app.differ()
        await self._nodes[0].until(app.height + 1 + AHEAD)

    def stop(self) -> None:
        """End what was started here, and the applications."""
        self._last.stop()
        for app in self._apps:
            app.stop()
