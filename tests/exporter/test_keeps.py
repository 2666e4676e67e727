"""What outlives the runs of a probe, over reloads and restarts."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from exporter import keeps as module
from exporter.keeps import Keeps
from exporter.store import Store
from probes.kind import Kind
from probes.probe import Probe
from probes.recorder import Recorder
from tests.exporter.test_store import opened
from tests.waiting import until


class Ear:
    """Listens until it is cancelled, or breaks when it is told to."""

    def __init__(self, log: list[str], breaks: bool) -> None:
        self.log = log
        self.heard = 0
        self._breaks = breaks

    async def run(self) -> None:
        self.log.append("on")
        self.heard += 1
        try:
            if self._breaks:
                raise RuntimeError("want a peer, got pass-word-123")
            await asyncio.get_running_loop().create_future()
        finally:
            self.log.append("off")

    def news(self) -> object:
        return self.heard


class Counting(Kind):
    """Counts its runs in its memory, and keeps every second count."""

    name = "counting"
    network = False
    log: ClassVar[list[str]] = []
    breaks: bool = False
    is_deaf: bool = False
    limit: int = 0

    def watch(self, target: str) -> Ear | None:
        self.log.append(f"watch {target}")
        return None if self.is_deaf else Ear(self.log, self.breaks)

    def first_memory(self, target: str, kept: Mapping[str, Any] | None) -> object:
        return kept["count"] if kept is not None else 0

    def durable(self, memory: object) -> Mapping[str, Any] | None:
        assert isinstance(memory, int)
        return {"count": memory - memory % 2} if memory else None

    def secrets(self, target: str) -> set[str]:
        return {"pass-word-123"}

    async def run(self, target: str, recorder: Recorder) -> None: ...


class Forgetful(Kind):
    """Remembers nothing."""

    name = "forgetful"

    async def run(self, target: str, recorder: Recorder) -> None: ...


@pytest.fixture(autouse=True)
def _fresh_log() -> None:
    Counting.log.clear()


def probe(name: str = "it", **fields: Any) -> Probe:
    fields.setdefault("kind", Counting(is_deaf=True))
    return Probe(name=name, target=fields.pop("target", "there"), **fields)


@asynccontextmanager
async def keeping(store: Store | None = None) -> AsyncIterator[Keeps]:
    keeps = Keeps(store)
    yield keeps
    await keeps.close()


def run(keeps: Keeps, name: str = "it", times: int = 1) -> None:
    for _ in range(times):
        keep = keeps.of(name)
        assert keep is not None
        assert isinstance(keep.memory, int)
        keep.memory += 1
        keeps.ran(name)


def all_bytes(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(directory.iterdir()))


def told(keeps: Keeps) -> list[tuple[str, object, object]]:
    return [(of.name, memory, before) for of, memory, before in keeps.memories()]


def remembered(keeps: Keeps, name: str = "it") -> object:
    keep = keeps.of(name)
    return keep.memory if keep is not None else "nothing"


async def test_a_probe_that_stays_keeps_its_memory() -> None:
    async with keeping() as keeps:
        keeps.take(probe())
        run(keeps, times=3)

        keeps.take(probe(every_s=60, labels={"team": "x"}))

        assert remembered(keeps) == 3
        keep = keeps.of("it")
        assert keep is not None
        assert keep.every_s == 60


@pytest.mark.parametrize(
    ("after", "remembers"),
    [
        pytest.param(probe(target="elsewhere"), 0, id="another target"),
        pytest.param(probe(kind=Counting(is_deaf=True, limit=1)), 2, id="other rules"),
    ],
)
async def test_a_probe_that_checks_another_thing_begins_anew(after: Probe, remembers: int) -> None:
    async with keeping() as keeps:
        keeps.take(probe())
        run(keeps, times=3)
        before = keeps.of("it")

        keeps.take(after)

        assert remembered(keeps) == remembers, "by other rules, what would survive a restart"
        assert keeps.of("it") is not before, "a run in flight must not write into the new one"


async def test_a_probe_that_leaves_is_forgotten() -> None:
    async with keeping() as keeps:
        keeps.take(probe())

        keeps.drop("it")
        keeps.drop("it")

        assert keeps.of("it") is None
        keeps.ran("it")


async def test_memories_are_told_of_those_who_have_one() -> None:
    async with keeping() as keeps:
        keeps.take(probe())
        keeps.take(probe("plain", kind=Forgetful()))
        run(keeps)

        assert told(keeps) == [("it", 1, None)]


async def test_what_was_known_under_other_rules_is_told_until_the_next_run() -> None:
    async with keeping() as keeps:
        keeps.take(probe())
        run(keeps, times=3)

        for limit in (1, 2):
            keeps.take(probe(kind=Counting(is_deaf=True, limit=limit)))
            assert told(keeps) == [("it", 2, 3)]
        run(keeps)
        assert told(keeps) == [("it", 3, None)]

        keeps.take(probe(target="elsewhere"))
        assert told(keeps) == [("it", 0, None)]


async def test_what_must_survive_does(tmp_path: Path) -> None:
    async with opened(tmp_path) as store, keeping(store) as keeps:
        keeps.take(probe())
        run(keeps, times=5)

    async with opened(tmp_path) as store, keeping(store) as keeps:
        keeps.take(probe())
        keeps.take(probe("other"))
        keeps.take(probe("third", kind=Forgetful()))

        assert remembered(keeps) == 4
        assert remembered(keeps, "other") == 0


async def test_other_rules_may_go_on_with_what_survived(tmp_path: Path) -> None:
    async with opened(tmp_path) as store, keeping(store) as keeps:
        keeps.take(probe())
        run(keeps, times=2)

        keeps.take(probe(kind=Counting(is_deaf=True, limit=9)))
        assert remembered(keeps) == 2

        keeps.take(probe(target="elsewhere"))
        assert remembered(keeps) == 0


async def test_other_rules_lose_nothing_that_would_survive_a_restart() -> None:
    async with keeping() as keeps:
        keeps.take(probe())
        run(keeps, times=3)

        for limit in (8, 9):
            keeps.take(probe(kind=Counting(is_deaf=True, limit=limit)))
            assert remembered(keeps) == 2

        keeps.take(probe(target="elsewhere"))
        assert remembered(keeps) == 0


async def test_only_a_change_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as store, keeping(store) as keeps:
        puts: list[object] = []
        monkeypatch.setattr(store, "put", lambda *words: puts.append(words[2]))
        keeps.take(probe())

        run(keeps, times=5)
        keeps.ran("it")

    assert puts == [{"count": 0}, {"count": 2}, {"count": 4}]


async def test_no_target_reaches_the_disk(tmp_path: Path) -> None:
    async with opened(tmp_path) as store, keeping(store) as keeps:
        keeps.take(probe(target="https://user:pass-word-123@there/"))
        run(keeps, times=2)

    found = all_bytes(tmp_path)
    assert b"counting:" in found
    assert b"pass-word" not in found
    assert b"there" not in found


async def test_state_that_cannot_be_read_is_told_and_begun_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as store, keeping(store) as keeps:
        store.put("it", module._topic(probe()), {"of another version": 1})

        keeps.take(probe())

        assert remembered(keeps) == 0
    assert "want state of it that can be read, got KeyError: 'count'" in caplog.text


async def test_without_a_store_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with keeping() as keeps:
        keeps.take(probe("a"))
        keeps.take(probe("b"))
        assert "--data" not in caplog.text

        for name in ("a", "b", "a"):
            run(keeps, name)

    assert (
        caplog.text.count("nothing that a must remember survives a restart: give --data DIR") == 1
    )
    assert caplog.text.count("--data") == 1


# listeners


def ear(name: str = "it", **fields: Any) -> Probe:
    return probe(name, kind=Counting(**fields))


async def test_a_listener_begins_with_the_probe_and_ends_with_it() -> None:
    async with keeping() as keeps:
        keeps.take(ear())
        await until(lambda: Counting.log == ["watch there", "on"])
        keep = keeps.of("it")
        assert keep is not None
        assert keep.news() == 1

        keeps.take(replace(ear(), every_s=5.0))
        keeps.drop("it")

        await until(lambda: Counting.log == ["watch there", "on", "off"])


async def test_a_change_of_target_moves_the_listener() -> None:
    async with keeping() as keeps:
        keeps.take(ear())
        await until(lambda: "on" in Counting.log)

        keeps.take(replace(ear(), target="elsewhere"))

        await until(lambda: "watch elsewhere" in Counting.log and "off" in Counting.log)


async def test_the_end_waits_for_every_listener() -> None:
    async with keeping() as keeps:
        for name in "abc":
            keeps.take(ear(name))
        await until(lambda: Counting.log.count("on") == 3)

    assert Counting.log.count("off") == 3


async def test_a_listener_that_breaks_is_told_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "FIRST_BACK_OFF_S", 0.001)
    async with keeping() as keeps:
        keeps.take(ear(breaks=True))

        await until(lambda: Counting.log.count("on") >= 3)

    lines = [record.message for record in caplog.records if record.name == "sonde.keeps"]
    assert lines[0] == (
        "want the listener of it to go on, got RuntimeError: want a peer, got ***: again in 0.001 s"
    )
    assert lines[1].endswith("again in 0.002 s")


async def test_a_kind_that_cannot_even_begin_to_listen_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Counting, target: str) -> Ear | None:
        raise TypeError("bug")

    monkeypatch.setattr(Counting, "watch", broken)
    async with keeping() as keeps:
        keeps.take(ear())
        await until(lambda: "TypeError: bug" in caplog.text)


async def test_a_listener_that_gives_up_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def ended(self: Ear) -> None:
        self.log.append("ended")

    monkeypatch.setattr(Ear, "run", ended)
    monkeypatch.setattr(module, "FIRST_BACK_OFF_S", 0.001)
    async with keeping() as keeps:
        keeps.take(ear())
        await until(lambda: Counting.log.count("ended") >= 2)

    assert "got an end: again in" in caplog.text


async def test_a_kind_may_have_nothing_to_listen_to(caplog: pytest.LogCaptureFixture) -> None:
    async with keeping() as keeps:
        keeps.take(ear(is_deaf=True))
        await until(lambda: Counting.log == ["watch there"])

        keep = keeps.of("it")
        assert keep is not None
        assert keep.news() is None
    assert caplog.text == ""


async def test_a_listener_that_ignores_its_end_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P26."""
    release = asyncio.Event()

    async def stubborn(self: Ear) -> None:
        self.log.append("on")
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                self.log.append("no")

    monkeypatch.setattr(Ear, "run", stubborn)
    monkeypatch.setattr(module, "CANCEL_S", 0.01)
    async with keeping() as keeps:
        keeps.take(ear())
        await until(lambda: "on" in Counting.log)

    assert "no" in Counting.log
    release.set()
    await until(lambda: len(asyncio.all_tasks()) == 1)
