"""Reads the probe file again, away from the event loop, and keeps count of how that went.

    Renewed
    ├── config
    └── news       Problem, ...: odd, and nobody was told of it yet

Knows not what it means to put a config in force, only that it is done in slices of the loop's time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from exporter.caveats import caveats, news
from probes.config.load import Config, load, load_blackbox
from probes.config.sections import Compat
from probes.errors import ConfigError, Problem
from probes.run import prepare
from scenarios.config.section import SCENARIOS

Stamp = Mapping[Path, tuple[int, int, int]]

# 10,000 new probes take 0.25 s: so long no run may wait for its turn (P11 allows a page 50 ms).
SLICE_S = 0.01


async def in_slices(steps: Iterable[object]) -> None:
    """Take *steps* one after the other; the loop turns whenever they have taken `SLICE_S`."""
    began = monotonic()
    for _ in steps:
        if monotonic() - began >= SLICE_S:
            await asyncio.sleep(0)
            began = monotonic()


class Renewed(NamedTuple):
    """A config that was put in force by a reload, and what is odd about it and was not before."""

    config: Config
    news: tuple[Problem, ...]


class Reloads:
    """The reloads of one service, one after the other.

    Args:
        config: the one that was loaded at the start.
        shards: how many processes share its probes.
    """

    def __init__(self, config: Config, shards: int) -> None:
        self.count = 0
        self.failures = 0
        self.last_was_good = True
        self.last_good_s = datetime.now(UTC).timestamp()
        self._path = config.path
        self._files = _watched(config)
        self._caveats = caveats(config)
        self._shards = shards
        self._variables = config.variables
        # a blackbox.yml alone stays one, and its quirks were asked for on the command line
        self._compat: Compat | None = config.compat if config.is_drop_in else None
        self._stamp = _stamp(self._files)
        self._lock = asyncio.Lock()
        self._pool = ThreadPoolExecutor(1, "sonde-config")
        self._task: asyncio.Task[None] | None = None
        self._again = False

    async def prepare(self, config: Config) -> None:
        """Do off the loop what the kinds of *config* need once."""
        await asyncio.get_running_loop().run_in_executor(self._pool, prepare, config.probes)

    async def renew(self, put: Callable[[Config], Awaitable[None]]) -> Renewed:
        """Read what the file says now and *put* it in force; one renewal after the other.

        Raises:
            ConfigError: every mistake of the file; nothing is put then.
        """
        loop = asyncio.get_running_loop()
        async with self._lock:
            self.count += 1
            stamp = await loop.run_in_executor(self._pool, _stamp, self._files)
            try:
                config = await loop.run_in_executor(self._pool, self._load)
            except ConfigError:
                self.failures += 1
                self.last_was_good = False
                self._stamp = stamp
                raise
            await put(config)
            self.last_was_good = True
            self.last_good_s = datetime.now(UTC).timestamp()
            self._files = _watched(config)
            now = await loop.run_in_executor(self._pool, _stamp, self._files)
            # what has been written since the reading began may not have been read
            self._stamp = {path: stamp.get(path, facts) for path, facts in now.items()}
            told, self._caveats = self._caveats, caveats(config)
            return Renewed(config, news(self._caveats, told))

    def _load(self) -> Config:
        if self._compat is not None:
            config = load_blackbox(self._path, compat=self._compat, further=(SCENARIOS,))
        else:
            config = load(
                self._path,
                shards=self._shards,
                variables=self._variables,
                further=(SCENARIOS,),
            )
        prepare(config.probes)
        return config

    async def has_changed(self) -> bool:
        """Return whether a file, or a folder of one, is another than at the last reading."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, _stamp, self._files) != self._stamp

    def when_free(self, reload: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start *reload*, or once more after the one that runs: a storm makes two, not fifty."""
        if self._task is not None and not self._task.done():
            self._again = True
            return
        self._again = False
        self._task = asyncio.get_running_loop().create_task(reload())
        self._task.add_done_callback(lambda _: self._repeat(reload))

    def _repeat(self, reload: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._again:
            self.when_free(reload)

    def close(self) -> None:
        """Forget a reload that still goes."""
        if self._task is not None:
            self._task.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _watched(config: Config) -> Set[Path]:
    """Return the files of *config*, and the folders in which a glob may find another one."""
    return {*config.files, *(file.parent for file in config.files), *config.beside}


def _stamp(paths: Set[Path]) -> Stamp:
    """Return what changes when a file is written, replaced, or joined by another in its folder."""
    found = {}
    for path in paths:
        try:
            facts = path.stat()  # through links: a ConfigMap swaps the link
        except OSError:
            found[path] = (0, 0, 0)
        else:
            found[path] = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
    return found
