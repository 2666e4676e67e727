import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import pytest

from exporter.exposition import stream as exposition
from exporter.exposition.blocks import SLOTS_PER_CHUNK, Blocks, Selection, select_slots
from exporter.exposition.scrape import OPENMETRICS, TEXT, PageQuery
from exporter.exposition.stream import Busy, Exposition, Page, RenderFailed

GZIP = PageQuery(gzip=True)


class Lines:
    """A source of two families, whose own metrics wait for, or end with, what a test wants."""

    def __init__(self, slots: int = 3) -> None:
        self.blocks = Blocks()
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        taken = [self.blocks.take_slot() for _ in range(slots)]
        for name in ("a", "b"):
            family = self.blocks.family(name, "gauge", name)
            for slot in taken:
                family.put(slot, f'{name}{{slot="{slot}"}} 1\n'.encode())

    def select(self, query: PageQuery) -> Selection | None:
        return select_slots([int(name) for name in query.probes]) if query.probes else None

    async def own_metrics(self, query: PageQuery, pool: ThreadPoolExecutor) -> bytes:
        self.asked += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return b"own 1\n"


@pytest.fixture
async def source() -> Lines:
    return Lines()


@pytest.fixture
async def pages(source: Lines) -> AsyncIterator[Exposition]:
    exposition = Exposition(source)
    yield exposition
    exposition.close()


async def read(page: Page) -> bytes:
    return b"".join([chunk async for chunk in page.chunks()])


def text_of(query: PageQuery, slots: int = 3) -> bytes:
    """Return what the whole page must be."""
    heads = b"# HELP %b %b\n# TYPE %b gauge\n"
    families = [
        heads % (name, name, name)
        + b"".join(b'%b{slot="%d"} 1\n' % (name, n) for n in range(slots))
        for name in (b"a", b"b")
    ]
    return b"".join(families) + b"own 1\n" + (b"# EOF\n" if query.openmetrics else b"")


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "OpenMetrics"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
async def test_a_page_is_the_same_bytes_packed_or_not(
    pages: Exposition, *, openmetrics: bool, packed: bool
) -> None:
    query = PageQuery(openmetrics=openmetrics, gzip=packed)

    page = pages.page(query)
    content = await read(page)

    assert page.content_type == (OPENMETRICS if openmetrics else TEXT)
    assert page.encoding == ("gzip" if packed else None)
    assert (gzip.decompress(content) if packed else content) == text_of(query)


async def test_without_the_faster_library_the_standard_one_packs(
    pages: Exposition, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(exposition, "import_module", missing)

    assert gzip.decompress(await read(pages.page(GZIP))) == text_of(GZIP)


async def test_a_large_page_comes_in_pieces_and_the_loop_turns_in_between(
    source: Lines, pages: Exposition
) -> None:
    """P11: nobody waits for a whole page to be joined."""
    while source.blocks.take_slot() < 2 * SLOTS_PER_CHUNK - 1:
        pass
    for number in range(20):
        family = source.blocks.family(f"family_{number}", "gauge", "large")
        for slot in range(2 * SLOTS_PER_CHUNK):
            family.put(slot, f'family_{number}{{slot="{slot}"}} {"1" * 200}\n'.encode())
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count())
    chunks = [chunk async for chunk in pages.page(PageQuery()).chunks()]
    counter.cancel()

    assert len(chunks) > 5
    assert max(map(len, chunks)) < 2 * exposition.BATCH_BYTES
    assert turns >= 20


async def test_a_family_without_lines_has_no_head(source: Lines, pages: Exposition) -> None:
    source.blocks.family("empty", "gauge", "nothing")

    assert b"empty" not in await read(pages.page(PageQuery()))


async def test_a_part_of_the_page_has_the_chosen_lines(pages: Exposition) -> None:
    by_name = await read(pages.page(PageQuery(names=frozenset({"b"}))))
    by_probe = await read(pages.page(PageQuery(probes=frozenset({"1"}))))

    assert by_name.splitlines()[-2:] == [b'b{slot="2"} 1', b"own 1"]
    assert b"a{" not in by_name
    assert [line for line in by_probe.splitlines() if not line.startswith(b"#")] == [
        b'a{slot="1"} 1',
        b'b{slot="1"} 1',
    ]


async def test_a_small_page_is_not_packed() -> None:
    small, large = Exposition(Lines()), Exposition(Lines(slots=200))
    query = PageQuery(gzip=True, names=frozenset({"a"}))

    assert small.page(query).encoding is None
    assert small.page(PageQuery(gzip=True, probes=frozenset({"1"}))).encoding is None
    assert large.page(query).encoding == "gzip"
    small.close()
    large.close()


async def test_equal_requests_share_one_render(source: Lines, pages: Exposition) -> None:
    source.gate.clear()
    first, second = pages.page(GZIP), pages.page(GZIP)
    reads = [asyncio.ensure_future(read(page)) for page in (first, second)]
    await asyncio.sleep(0)
    source.gate.set()

    one, other = await asyncio.gather(*reads)
    third = await read(pages.page(GZIP))

    assert one == other == third
    assert source.asked == 1
    assert pages.stats.shared == 2


async def test_a_page_is_not_shared_for_longer_than_a_second(
    source: Lines, pages: Exposition, monkeypatch: pytest.MonkeyPatch
) -> None:
    await read(pages.page(GZIP))
    now = monotonic() + exposition.SHARED_S + 0.1
    monkeypatch.setattr(exposition, "monotonic", lambda: now)

    await read(pages.page(GZIP))

    assert source.asked == 2


async def test_different_requests_do_not_share(source: Lines, pages: Exposition) -> None:
    for query in (GZIP, PageQuery(gzip=True, openmetrics=True), PageQuery()):
        assert b"own" in (await read(pages.page(query))) or query.gzip

    assert source.asked == 3


async def test_a_fifth_different_page_at_a_time_is_refused(
    source: Lines, pages: Exposition
) -> None:
    source.gate.clear()
    queries = [PageQuery(gzip=True, names=frozenset({"own", str(n)})) for n in range(5)]
    large = source.blocks.family("own", "gauge", "x")
    large.put(0, b"own 1\n" * 1000)
    running = [asyncio.ensure_future(read(pages.page(query))) for query in queries[:4]]
    await asyncio.sleep(0)

    with pytest.raises(Busy, match="want at most 4 different pages at a time"):
        pages.page(queries[4])
    assert pages.page(queries[0]).encoding == "gzip"  # one that runs already

    source.gate.set()
    await asyncio.gather(*running)
    assert pages.page(queries[4]).encoding == "gzip"


async def test_slow_readers_of_plain_pages_keep_nobody_out(
    source: Lines, pages: Exposition
) -> None:
    streams = [pages.page(PageQuery()).chunks() for _ in range(20)]
    for stream in streams:
        await anext(stream)

    assert gzip.decompress(await read(pages.page(GZIP))) == text_of(GZIP)
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("query", [GZIP, PageQuery(openmetrics=True)], ids=["gzip", "plain"])
async def test_a_page_that_breaks_off_has_no_valid_end(
    source: Lines, pages: Exposition, query: PageQuery
) -> None:
    """A failed render is a failed scrape, never a shorter page."""
    source.error = ValueError("broken")
    got = b""

    with pytest.raises((RenderFailed, ValueError)):
        async for chunk in pages.page(query).chunks():
            got += chunk

    assert b"# EOF" not in got
    if query.gzip:
        decoder = zlib.decompressobj(31)
        decoder.decompress(got)
        assert not decoder.eof


async def test_after_a_page_that_broke_off_the_next_is_made_anew(
    source: Lines, pages: Exposition
) -> None:
    source.error = ValueError("broken")
    with pytest.raises(RenderFailed):
        await read(pages.page(GZIP))

    source.error = None

    assert gzip.decompress(await read(pages.page(GZIP))) == text_of(GZIP)


async def test_a_render_stops_when_its_last_reader_has_left(
    source: Lines, pages: Exposition
) -> None:
    source.gate.clear()
    stream = pages.page(GZIP).chunks()
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    (render,) = pages._renders.values()

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert render.task is not None
    with pytest.raises(asyncio.CancelledError):
        await render.task

    assert pages._renders == {}


async def test_who_comes_when_the_last_reader_has_left_gets_a_new_render(
    source: Lines, pages: Exposition
) -> None:
    source.gate.clear()
    leaving, coming = pages.page(GZIP), pages.page(GZIP)
    reading = asyncio.ensure_future(read(leaving))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await asyncio.sleep(0)
    source.gate.set()

    assert gzip.decompress(await read(coming)) == text_of(GZIP)


async def test_a_finished_page_is_forgotten_after_its_second(
    pages: Exposition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposition, "SHARED_S", 0.0)

    await read(pages.page(GZIP))
    forgotten = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, forgotten.set)
    await forgotten.wait()

    assert pages._renders == {}


@pytest.mark.parametrize(
    ("name", "limit"), [("MAX_KEPT_BYTES", 0), ("MAX_RENDERS", 1)], ids=["bytes", "pages"]
)
async def test_finished_pages_are_kept_within_bounds(
    pages: Exposition, monkeypatch: pytest.MonkeyPatch, name: str, limit: int
) -> None:
    monkeypatch.setattr(exposition, name, limit)

    for query in (GZIP, PageQuery(gzip=True, openmetrics=True)):
        await read(pages.page(query))

    assert len(pages._renders) <= 1


async def test_what_a_page_cost_is_told(source: Lines) -> None:
    seconds: list[float] = []
    pages = Exposition(source, seconds.append)

    content = await read(pages.page(PageQuery()))
    packed = await read(pages.page(GZIP))
    await read(pages.page(PageQuery(names=frozenset({"a"}))))

    assert len(seconds) == 3
    assert pages.stats.series == 6
    assert pages.stats.page_bytes == {"identity": len(content), "gzip": len(packed)}
    pages.close()


async def test_closing_ends_what_is_in_the_making(source: Lines) -> None:
    pages = Exposition(source)
    source.gate.clear()
    reading = asyncio.ensure_future(read(pages.page(GZIP)))
    await asyncio.sleep(0)

    pages.close()

    with pytest.raises(RenderFailed):
        await reading
