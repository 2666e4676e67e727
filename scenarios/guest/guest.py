"""One worker of a run that another machine leads: its child, what that is offered, its end.

    child ── Offer ──> admission ── plan.json, Secrets ──> child plays ──> exit code
                           └────── Bye: why not

The child speaks with the master; it dies with this process. Knows neither Locust nor a message.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from probes.browser import workplace
from probes.config.load import Config
from probes.units import short
from probes.wire.blocking import BlockingCalls
from probes.wire.net import close_resolvers
from scenarios import codec
from scenarios.fleet.errands import Errands
from scenarios.fleet.member import Child, Crew, Ears, Spawned, spawn
from scenarios.guest.admission import CONFIG, MASTER, Declined, admit, read_offer, take_own
from scenarios.records import Bye, Left, Log, Offer, Record, Stop

PREFIX = "sonde-worker-"
FILES_S = 10.0
# Compiling a few hundred journeys and hashing their data.
OWN_S = 60.0
# For a child that was told to leave; and for one that was killed.
END_S = 15.0
KILL_S = 5.0
# POSIX shells: a process that a signal ended exits with 128 and its number.
_SIGNAL_EXIT = 128


class Guest:
    """A worker.

    Args:
        config: of the probe file of this machine.
        master: address; IPv6 in brackets.
        confirmed: protected hosts that may be loaded.
        place: for the private directory of the child.
        tell: gets what happens, for people.
    """

    def __init__(
        self,
        config: Config,
        master: str,
        confirmed: frozenset[str],
        place: Path,
        tell: Callable[[str], None],
    ) -> None:
        self.text = ""
        """Why it ended, when the exit code is not 0."""
        self._config = config
        self._master = master
        self._confirmed = confirmed
        self._above = place
        self._tell = tell
        self._errands = Errands()
        self._offer: Offer | None = None
        self._signal = 0
        self._code: int | None = None
        self._news = asyncio.Event()
        self._child: Child | None = None

    def interrupt(self, number: int) -> None:
        """End it because of a signal; the master learns of it."""
        is_first, self._signal = not self._signal, number
        self.text = self.text or f"{signal.Signals(number).name} ended this worker"
        if self._child is not None and is_first and self._code is None and self._offer is not None:
            self._child.send(Stop(signal.Signals(number).name, 0.0))
        elif self._child is not None:
            self._child.signal_group(signal.SIGKILL)
        self._news.set()

    async def run(self) -> int:
        """Play, and return the exit code.

        Raises:
            OSError: the child cannot be started.
        """
        make = partial(workplace.make, self._above, PREFIX)
        work = await self._errands.call(make, FILES_S, workplace.Workplace.remove)
        try:
            return await self._play(work.path)
        finally:
            self._errands.order(work.remove)
            self._errands.close()
            await close_resolvers()

    async def _play(self, place: Path) -> int:
        command = (sys.executable, "-m", "scenarios.worker", "worker", self._master)
        start = partial(spawn, Crew((0,), command), place)
        spawned = await self._errands.call(start, FILES_S, Spawned.destroy)
        ears = Ears(self._heard, self._strayed, self._gone)
        child = self._child = Child((0,), spawned, ears, codec.OFFERS)
        try:
            await self._lead(child, place)
        finally:
            child.signal_group(signal.SIGKILL)
            with suppress(TimeoutError):
                await asyncio.wait_for(child.gone.wait(), KILL_S)
            if not child.gone.is_set():
                child.forget()
            self._errands.order(spawned.release)
        return self._exit_code(spawned.process.returncode, child.end_text)

    async def _lead(self, child: Child, place: Path) -> None:
        """Lead the child to its end."""
        while self._offer is None and not child.gone.is_set():
            self._news.clear()
            await self._news.wait()
        if self._offer is not None and not self._signal:
            try:
                await self._take(child, self._offer, place)
            except Declined as declined:
                self._code, self.text = declined.code, str(declined)
                child.send(Bye(self._offer.shard, str(declined)))
                with suppress(TimeoutError):
                    await asyncio.wait_for(child.gone.wait(), END_S)
                return
        await child.gone.wait()

    async def _take(self, child: Child, offer: Offer, place: Path) -> None:
        """Take what is offered.

        Raises:
            Declined: it may not be.
        """
        plan = read_offer(offer.plan)
        calls = BlockingCalls("worker")
        try:
            own = await calls.call("files", partial(take_own, self._config, plan), OWN_S)
            admitted = await admit(self._config, own, self._confirmed)
            write = partial(_write, place / "plan.json", admitted.plan.to_json())
            await calls.call("plan", write, FILES_S)
        except TimeoutError:
            raise Declined(
                "want the files of this machine, got a disk that hangs", MASTER
            ) from None
        except OSError as error:
            raise Declined(f"want to write the plan, got {error.strerror}", MASTER) from None
        child.send(admitted.secrets)
        part = f"shard {offer.shard + 1} of {plan.shards}"
        self._tell(f"plays {part} of {plan.scenario} (run {plan.run_id})")

    def _heard(self, _: Child, record: Record) -> None:
        if isinstance(record, Offer) and self._offer is None:
            self._offer = record
        elif isinstance(record, Left):
            self.text = self.text or record.text
        elif isinstance(record, Log):
            self._tell(short(record.text))
        else:
            raise ValueError(f"want an offer once, got {short(record)}")
        self._news.set()

    def _strayed(self, child: Child, text: str) -> None:
        self.text = self.text or text
        child.signal_group(signal.SIGKILL)

    def _gone(self, _: Child) -> None:
        self._news.set()

    def _exit_code(self, code: int | None, end_text: str) -> int:
        if self._signal:
            return _SIGNAL_EXIT + self._signal
        if self._code is not None:
            return self._code
        if code == 0:
            return 0
        self.text = self.text or f"want a last word of the child, got {end_text}"
        return CONFIG if code == CONFIG else MASTER


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
