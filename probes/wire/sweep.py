"""Every address of a name, each by a run of its own: ``addresses: all``.

    class Tcp(AddressKeys, ...):
        async def run(self, target, recorder):
            if not self.sweeps:
                ...                           # one run, as ever
            else:
                await sweep(host, port, recorder, partial(self.run, target), ip=self.ip)

The worst of the runs is the verdict, and what it found is what the page shows; of the others stays
whether they were up, and how long they took. Knows no protocol: what a run is, its kind says.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Literal

from probes.errors import CheckFailed
from probes.recorder import Recorder
from probes.result import Reason
from probes.settings import Settings
from probes.units import short
from probes.wire.address import ANY_IP, Address, IpChoice, choose
from probes.wire.net import Servers, find_addresses, record_address
from probes.wire.pin import PIN, Pin, pinned
from probes.wire.tls.peer import shared_metrics

# reliability.md 4: the first 16 addresses of a name. As many at once: one deadline for them all.
MAX_AT_ONCE = 16

SWEEP_METRICS = shared_metrics(
    "probe_addresses", "probe_address_up", "probe_address_duration_seconds"
)


class AddressKeys(Settings):
    """Which addresses of a name are checked."""

    addresses: Literal["first", "all"] = "first"
    """Whether only the ``first`` address that ``ip`` admits is checked, or ``all`` of them, at most
    16, side by side; then the worst is the verdict."""

    @property
    def sweeps(self) -> bool:
        """Whether this run is to be split by address; false within such a part."""
        return self.addresses == "all" and PIN.get() is None


async def sweep(
    host: str,
    port: int,
    recorder: Recorder,
    run: Callable[[Recorder], Awaitable[None]],
    *,
    ip: IpChoice = ANY_IP,
    servers: Servers = (),
) -> None:
    """Run *run* once for each address of *host*, all within the one deadline.

    Args:
        host: name or address.
        port: to dial later.
        recorder: gets what the worst of the runs found, and the samples of `SWEEP_METRICS`.
        run: writes into the recorder that it is given.
        ip: which addresses: 4 and 6 mean those alone, the others all.
        servers: as of `probes.wire.net.resolve`.

    Raises:
        CheckFailed: that of the worst run, with its address; as `find_addresses` does.
    """
    looks = [_Look(pin, recorder) for pin in await _find(host, port, recorder, ip, servers)]
    tasks = [asyncio.create_task(look.go(run)) for look in looks]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    except asyncio.CancelledError:
        await _end(tasks)
        late = [look for look in looks if not look.is_over]
        _tell(looks, late[0] if late else _worst(looks), recorder)
        raise
    await _end(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()  # a bug in a kind is told as one
    worst = _worst(looks)
    _tell(looks, worst, recorder)
    if worst.failure is not None:
        raise _named(worst, worst.failure, looks)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def _find(
    host: str, port: int, recorder: Recorder, ip: IpChoice, servers: Servers
) -> list[Pin]:
    """Return every address of *host* that *ip* admits, with the time that took."""
    recorder.enter("resolve")
    started = monotonic()
    found: list[Address] = []
    try:
        found = await find_addresses(host, port, recorder, ip=ip, servers=servers)
    finally:
        seconds = monotonic() - started
        if not found:
            record_address(None, seconds, recorder, 0)
    if not found:
        raise CheckFailed(Reason.DNS_NO_ADDRESS, f"want an address of {short(host)}, got none")
    recorder.leave()
    first = choose(found, ip)
    found.sort(key=lambda address: address != first)  # what one run would dial is told first
    return [Pin(address, seconds) for address in found]


class _Look:
    """The run against one address."""

    def __init__(self, pin: Pin, recorder: Recorder) -> None:
        self.address = pin.address
        self.notes = recorder.fresh()
        self.failure: CheckFailed | None = None
        self.seconds = 0.0
        self.is_over = False
        self._pin = pin

    async def go(self, run: Callable[[Recorder], Awaitable[None]]) -> None:
        """Run, and keep why it failed."""
        started = monotonic()
        with pinned(self._pin):
            try:
                await run(self.notes)
            except CheckFailed as failure:
                self.failure = failure
        self.seconds = monotonic() - started
        self.is_over = True

    @property
    def badness(self) -> int:
        """How bad it is: a fault of the target outweighs one of ours."""
        if self.failure is None:
            return 1 if self.notes.warnings else 0
        return 2 if self.failure.reason.is_own_fault else 3

    @property
    def text(self) -> str:
        """What came of it, for people."""
        if not self.is_over:
            return f"{self.address.ip}: no answer in {self.notes.phase_name or 'time'}"
        if self.failure is None:
            word = "degraded" if self.notes.warnings else "up"
            return f"{self.address.ip}: {word} in {self.seconds:.3f} s"
        phase = self.failure.phase or self.notes.phase_name
        where = f" in {phase}" if phase else ""
        return f"{self.address.ip}: {self.failure.reason.value}{where}"


def _worst(looks: Sequence[_Look]) -> _Look:
    return max(looks, key=lambda look: look.badness)


def _tell(looks: Sequence[_Look], worst: _Look, recorder: Recorder) -> None:
    recorder.adopt(worst.notes)
    recorder.sample("probe_addresses", len(looks))
    for look in looks:
        ip = look.address.ip
        if look.failure is None or not look.failure.reason.is_own_fault:
            is_up = look.is_over and look.failure is None
            recorder.sample("probe_address_up", float(is_up), address=ip)
        if look.is_over:
            recorder.sample("probe_address_duration_seconds", look.seconds, address=ip)
    recorder.fact("addresses", "; ".join(look.text for look in looks))


def _named(worst: _Look, failure: CheckFailed, looks: Sequence[_Look]) -> CheckFailed:
    """Return *failure* with the address that it speaks of, where there are several."""
    if len(looks) == 1:
        return failure
    failed = sum(look.failure is not None for look in looks)
    where = f"{worst.address.ip} ({failed} of {len(looks)} addresses failed)"
    return CheckFailed(failure.reason, f"{where}: {failure.message}", phase=failure.phase)
