"""Pages of metrics: the bytes of them, streamed family by family.

A page is never one string, and never made in one go: the loop turns between families, and
compression has a thread of its own. Equal compressed pages that are asked for within a second are
made once. A page that cannot be finished ends in an exception, never in a valid end. Knows neither
the web server nor what a family means. Standard library only (`isal`, where installed, compresses
five times faster).
"""

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from time import monotonic, perf_counter
from typing import Protocol, cast

from exporter.exposition.blocks import Blocks, Selection
from exporter.exposition.scrape import PageQuery, content_type

log = logging.getLogger("sonde.exposition")

EOF_LINE = b"# EOF\n"
# metrics.md 6: below this, compression costs more than it saves.
MIN_GZIP_BYTES = 1024
# metrics.md 7.1, measured on a page of 36 MB: level 6 takes twice the time and saves a tenth.
GZIP_LEVEL = 1
_GZIP_FORMAT = 31
# metrics.md 6, 7.2: renders at a time, how long and how much of them is kept for the next scraper.
MAX_RENDERS = 4
SHARED_S = 1.0
MAX_KEPT_BYTES = 16 * 2**20
# What goes to the compressor or the socket at once: a hop to the thread costs 0.1 ms, a join of
# this 0.05 ms.
BATCH_BYTES = 256 * 1024


class Busy(Exception):
    """As many different pages as may be are being rendered: answer 503 with ``Retry-After: 1``."""


class RenderFailed(Exception):
    """A page broke off midway: abort the connection."""


class Source(Protocol):
    """What pages are made of."""

    @property
    def blocks(self) -> Blocks:
        """The lines."""
        ...

    def select(self, query: PageQuery) -> Selection | None:
        """Return the slots that *query* admits; None for all."""
        ...

    async def own_metrics(self, query: PageQuery, pool: ThreadPoolExecutor) -> bytes:
        """Return the lines of the prober's own metrics, no end mark; *pool* may make them."""
        ...


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def _compressor() -> _Compressor:
    with suppress(ImportError):
        fast = import_module("isal.isal_zlib")
        return cast("_Compressor", fast.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_FORMAT))
    return zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_FORMAT)


def _compress(compressor: _Compressor, pieces: list[bytes]) -> bytes:
    return b"".join([compressor.compress(piece) for piece in pieces])


class _Render:
    """One compressed page while it is made and for a second after; readers have own cursors."""

    def __init__(self) -> None:
        self.started = monotonic()
        self.pieces: list[bytes] = []
        self.readers = 0
        self.is_done = False
        self.error: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self._grown = asyncio.Event()

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return sum(map(len, self.pieces))

    def add(self, piece: bytes) -> None:
        """Hand a piece to the readers."""
        if piece:
            self.pieces.append(piece)
            self._wake()

    def finish(self, error: BaseException | None) -> None:
        """Tell the readers that no piece will follow."""
        self.is_done, self.error = True, error
        self._wake()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    async def read(self) -> AsyncIterator[bytes]:
        """Yield the pieces from the first on."""
        at = 0
        while at < len(self.pieces) or not self.is_done:
            if at == len(self.pieces):
                await self._grown.wait()
            else:
                at += 1
                yield self.pieces[at - 1]
        if self.error is not None:
            raise RenderFailed("want a whole page, got a render that broke off") from self.error


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """An answer to a `PageQuery`: its headers, and its body as a stream.

    ``encoding`` is ``gzip`` or None. ``chunks()`` yields the body; when it raises, the body is not
    whole: abort the connection.
    """

    content_type: str
    encoding: str | None
    chunks: Callable[[], AsyncIterator[bytes]]


@dataclass(slots=True)
class RenderStats:
    """How many pages were shared, and the size of the last whole one by encoding."""

    shared: int = 0
    series: int = 0
    page_bytes: dict[str, int] = field(default_factory=dict[str, int])


class Exposition:
    """Makes pages out of a `Source`. It belongs to one event loop.

    Args:
        source: the lines.
        observe: told the seconds that each render took.
    """

    def __init__(self, source: Source, observe: Callable[[float], None] = lambda _: None) -> None:
        self.stats = RenderStats()
        self._source = source
        self._observe = observe
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sonde-exposition")
        self._renders: dict[PageQuery, _Render] = {}

    def close(self) -> None:
        """Break off every render and let the thread end."""
        for render in self._renders.values():
            if render.task is not None:
                render.task.cancel()
        self._renders.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def page(self, query: PageQuery) -> Page:
        """Return the page for *query*; a compressed one begins to be made at once.

        Raises:
            Busy: `MAX_RENDERS` different ones are in the making.
        """
        kind = content_type(openmetrics=query.openmetrics)
        if query.gzip and self._is_worth_packing(query):
            render = self._find_or_start(query)
            return Page(kind, "gzip", lambda: self._packed(query, render))
        return Page(kind, None, lambda: self._plain(query))

    async def _plain(self, query: PageQuery) -> AsyncIterator[bytes]:
        """Yield a page straight from the blocks. It is not counted as a render in the making.

        Waiting for a slow reader costs nothing, and must not keep others from their pages.
        """
        size, seconds, started = 0, 0.0, perf_counter()
        async for batch in self._batches(query):
            piece = b"".join(batch)
            size += len(piece)
            seconds += perf_counter() - started
            yield piece
            started = perf_counter()
        self._note(query, seconds, size)

    async def _packed(self, query: PageQuery, render: _Render) -> AsyncIterator[bytes]:
        if isinstance(render.error, asyncio.CancelledError):  # its reader left before this one came
            render = self._find_or_start(query)
        render.readers += 1
        try:
            async for piece in render.read():
                yield piece
        finally:
            render.readers -= 1
            if not render.readers and not render.is_done and render.task is not None:
                render.task.cancel()  # nobody reads on: it stops at the next family
                self._forget(query, render)

    def _find_or_start(self, query: PageQuery) -> _Render:
        render = self._renders.get(query)
        if render is not None and (not render.is_done or monotonic() - render.started <= SHARED_S):
            self.stats.shared += 1
            return render
        running = sum(not other.is_done for other in self._renders.values())
        if running >= MAX_RENDERS:
            raise Busy(f"want at most {MAX_RENDERS} different pages at a time, got one more")
        self._forget_finished(MAX_RENDERS - 1)
        render = self._renders[query] = _Render()
        render.task = asyncio.get_running_loop().create_task(self._pack(query, render))
        render.task.add_done_callback(lambda task: self._finish(query, render, task))
        return render

    async def _pack(self, query: PageQuery, render: _Render) -> None:
        loop = asyncio.get_running_loop()
        started = perf_counter()
        compressor = _compressor()
        async for batch in self._batches(query):
            render.add(await loop.run_in_executor(self._pool, _compress, compressor, batch))
        render.add(compressor.flush())
        self._note(query, perf_counter() - started, render.size)

    def _finish(self, query: PageQuery, render: _Render, task: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        render.finish(error)
        if error is not None:
            self._forget(query, render)
            if not task.cancelled():
                log.error("want a whole page of metrics, got %r", error, exc_info=error)
            return
        self._forget_finished(MAX_RENDERS)
        left = render.started + SHARED_S - monotonic()
        asyncio.get_running_loop().call_later(max(0.0, left), self._forget, query, render)

    def _forget(self, query: PageQuery, render: _Render) -> None:
        if self._renders.get(query) is render:
            del self._renders[query]

    def _forget_finished(self, keep: int) -> None:
        """Drop finished pages, the oldest first, down to *keep* pages and `MAX_KEPT_BYTES`."""
        kept = sum(render.size for render in self._renders.values() if render.is_done)
        for query, render in list(self._renders.items()):
            if len(self._renders) <= keep and kept <= MAX_KEPT_BYTES:
                break
            if render.is_done:
                kept -= render.size
                del self._renders[query]

    async def _batches(self, query: PageQuery) -> AsyncIterator[list[bytes]]:
        """Yield the pieces of a page in batches; the loop turns after each family."""
        blocks = self._source.blocks
        batch: list[bytes] = []
        size = 0
        for family in list(blocks.families.values()):
            if query.names and family.names.isdisjoint(query.names):
                continue
            selection = self._source.select(query)
            pieces = family.pieces() if selection is None else family.selected(selection)
            if not pieces:
                continue
            batch += (family.heads[query.openmetrics], *pieces)
            size += sum(map(len, pieces))
            if size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
            await asyncio.sleep(0)
        if query.has_own_metrics:
            batch.append(await self._source.own_metrics(query, self._pool))
        if query.openmetrics:
            batch.append(EOF_LINE)
        yield batch

    def _is_worth_packing(self, query: PageQuery) -> bool:
        blocks = self._source.blocks
        if not query.names and query.has_own_metrics:
            return True  # the prober's own metrics alone are larger
        selection = self._source.select(query)
        size = 0
        for family in blocks.families.values():
            if not query.names or not family.names.isdisjoint(query.names):
                pieces = family.pieces() if selection is None else family.selected(selection)
                size += sum(map(len, pieces))
            if size > MIN_GZIP_BYTES:
                return True
        return False

    def _note(self, query: PageQuery, seconds: float, size: int) -> None:
        self._observe(seconds)
        if query.is_whole:
            self.stats.series = self._source.blocks.series
            self.stats.page_bytes["gzip" if query.gzip else "identity"] = size
