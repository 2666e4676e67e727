"""Kind host: CPU, memory, disks and the rest of the machine the prober runs on.

The only home of psutil. Everything is read in threads (`probes.wire.blocking`): a dead network
mount hangs its own call and no other.
"""

import asyncio
import os
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import psutil
from pydantic import Field, PrivateAttr, field_validator

from probes.errors import CheckFailed
from probes.expect import NumberBand, RatioBand
from probes.kind import Kind, Metric
from probes.recorder import Recorder
from probes.result import Reason
from probes.units import short
from probes.wire.blocking import BlockingCalls

# The kernel counts CPU time in ticks of 10 ms: below this the share of a tick shows. A first run,
# which has nothing to compare with, waits so long.
CPU_WINDOW_S = 0.25
# An older reading would tell the mean of a time that nobody asks for.
CPU_MAX_AGE_S = 3600.0
# What one source may take of the time left: the others must still get into the Result.
SOURCE_SHARE = 0.6
# metrics.md 2.6 gives a probe 100 series: 4 a device, 2 an interface, 3 a mount, 1 a sensor.
MAX_DEVICES, MAX_INTERFACES, MAX_MOUNTS, MAX_SENSORS = 6, 8, 8, 8
# Read-only images that are always full, and file systems without a disk below.
IGNORED_SYSTEMS = frozenset({"squashfs", "iso9660", "erofs", "udf", "cramfs", "romfs"})
IGNORED_DEVICES = ("loop", "ram", "zram", "fd")
IGNORED_INTERFACES = ("veth", "ifb", "cali", "lxc", "tap")
# include/net/tcp_states.h, as they stand in /proc/net/tcp
TCP_STATES = {
    b"01": "established", b"02": "syn_sent", b"03": "syn_recv", b"04": "fin_wait1",
    b"05": "fin_wait2", b"06": "time_wait", b"07": "close", b"08": "close_wait",
    b"09": "last_ack", b"0A": "listen", b"0B": "closing",
}  # fmt: skip
TCP_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_STATE_COLUMN = 3

Samples = list[tuple[str, float, dict[str, str]]]

_calls = BlockingCalls("host")
# Run state, not config: every run of this process reads the same CPU counters.
_readings: deque["_Cpu"] = deque(maxlen=256)


def stuck_calls() -> int:
    """Return how many reads hang, in threads that were given up."""
    return _calls.stuck


@dataclass(frozen=True, slots=True)
class _Cpu:
    """CPU time since boot over all processors, in seconds, and when it was read (monotonic)."""

    at: float
    busy: float
    total: float


def _of(label: str, name: str, text: str) -> Metric:
    """Return a gauge whose label values are names of this machine."""
    return Metric(name, text, (label,), dynamic=True)


def _count(label: str, name: str, text: str) -> Metric:
    """Return a counter of two directions."""
    return Metric(name, text, (label, "direction"), "counter", dynamic=True)


class Host(Kind):
    """Measure the machine that sonde runs on.

    What the machine does not tell (sensors, swap, a container's hidden parts) is absent, never 0.
    In a container the numbers are the host's where the kernel shows them.

    Target:
        ``local``
    """

    name = "host"
    network = False
    phases = ("cpu", "system", "mounts")
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("host_cpu_usage_ratio", "Share of CPU time in use since the run before"),
        Metric("host_memory_usage_ratio", "Share of memory that is not available"),
        Metric("host_memory_available_bytes", "Memory available without swapping"),
        Metric("host_memory_total_bytes", "Memory of the machine"),
        Metric("host_swap_usage_ratio", "Share of swap in use; absent without swap"),
        _of("mount", "host_disk_usage_ratio", "Share of the file system in use"),
        _of("mount", "host_disk_free_bytes", "Bytes that users may still write"),
        _of("mount", "host_inodes_usage_ratio", "Share of the inodes in use"),
        Metric("host_load1", "Mean number of runnable processes over one minute"),
        _of("sensor", "host_temperature_celsius", "Temperature in degrees Celsius"),
        _count("device", "host_disk_io_operations_total", "Reads and writes of a disk"),
        _count("device", "host_disk_io_bytes_total", "Bytes read from and written to a disk"),
        _count("interface", "host_network_bytes_total", "Bytes received and transmitted"),
        Metric("host_network_connections", "TCP sockets by state", ("state",)),
        Metric("host_uptime_seconds", "Seconds since boot"),
    )

    cpu: RatioBand | None = None
    """Share of CPU time in use since the run before."""
    memory: RatioBand | None = None
    """Share of memory that is not available."""
    swap: RatioBand | None = None
    """Share of swap in use."""
    disk: RatioBand | None = None
    """Share of each file system in use."""
    inodes: RatioBand | None = None
    """Share of each file system's inodes in use."""
    load: NumberBand | None = None
    """Mean number of runnable processes over one minute."""
    temperature: NumberBand | None = None
    """Degrees Celsius of the hottest sensor."""
    mounts: list[str] = Field(default=[], max_length=MAX_MOUNTS)
    """Mount points to look at; by default each file system on a disk."""

    _reads: BlockingCalls = PrivateAttr(default_factory=lambda: _calls)

    @field_validator("mounts")
    @classmethod
    def _absolute(cls, mounts: list[str]) -> list[str]:
        for mount in mounts:
            if not mount.startswith("/"):
                raise ValueError(f"want an absolute path of a mount, got {short(mount)}")
        return mounts

    def check_target(self, target: str) -> None:
        if target != "local":
            raise ValueError(f"want the target 'local', got {short(target)}")

    async def run(self, target: str, recorder: Recorder) -> None:
        self.check_target(target)
        left = recorder.remaining(asyncio.get_running_loop().time()) * SOURCE_SHARE
        misses: list[str] = []
        with recorder.phase("cpu"):
            usage = await _cpu_usage(self._reads, left)
        if usage is not None:
            recorder.sample("host_cpu_usage_ratio", usage)
            _judge(self.cpu, usage, "CPU in use", recorder, misses)
        with recorder.phase("system"):
            await self._system(recorder, left, misses)
        with recorder.phase("mounts"):
            hanging = await self._mounts(recorder, left, misses)
        if hanging:
            # a mount that was asked for is the target; one that was found is not
            names = ", ".join(map(short, hanging))
            message = f"want an answer of the file system at {names}, got none"
            if set(hanging) & set(self.mounts):
                raise CheckFailed(Reason.TIMEOUT, message, phase="mounts")
            recorder.warn(Reason.TIMEOUT, message, phase="mounts")
        if misses:
            raise CheckFailed(Reason.VALUE, "; ".join(misses))

    async def _system(self, recorder: Recorder, left: float, misses: list[str]) -> None:
        sources: dict[str, Callable[[], Samples]] = {
            "memory": _memory,
            "load": _load,
            "disks": _disk_io,
            "network": _network,
            "connections": _connections,
            "temperatures": _temperatures,
        }
        found = await asyncio.gather(
            *(self._read(name, source, left, recorder) for name, source in sources.items())
        )
        told: dict[str, float] = {}
        for name, value, labels in (sample for samples in found for sample in samples):
            recorder.sample(name, value, **labels)
            told[name] = max(value, told.get(name, value))
        for band, name, what in (
            (self.memory, "host_memory_usage_ratio", "memory in use"),
            (self.swap, "host_swap_usage_ratio", "swap in use"),
            (self.load, "host_load1", "load"),
            (self.temperature, "host_temperature_celsius", "the hottest sensor's degrees"),
        ):
            if name in told:
                _judge(band, told[name], what, recorder, misses)

    async def _read(
        self, name: str, source: Callable[[], Samples], seconds: float, recorder: Recorder
    ) -> Samples:
        """Read one source; what it cannot tell is absent and a fact says so."""
        try:
            return await self._reads.call(name, source, seconds)
        except (OSError, ValueError, LookupError, RuntimeError) as error:
            recorder.fact(name, f"not told: {type(error).__name__} {error}")
            return []

    async def _mounts(self, recorder: Recorder, left: float, misses: list[str]) -> list[str]:
        """Read every file system; return those that do not answer."""
        mounts = self.mounts or await self._reads.call("partitions", _disk_mounts, left)
        found = await asyncio.gather(
            *(self._reads.call(mount, _asker(mount), left) for mount in mounts),
            return_exceptions=True,
        )
        hanging: list[str] = []
        for mount, usage in zip(mounts, found, strict=True):
            if isinstance(usage, TimeoutError):
                hanging.append(mount)
            elif isinstance(usage, (OSError, ValueError)):
                if mount in self.mounts:
                    text = usage.strerror if isinstance(usage, OSError) else str(usage)
                    misses.append(f"want a file system mounted at {short(mount)}, got {text}")
            elif isinstance(usage, BaseException):
                raise usage
            else:
                self._judge_mount(mount, usage, recorder, misses)
        return hanging

    def _judge_mount(
        self, mount: str, usage: "_Usage", recorder: Recorder, misses: list[str]
    ) -> None:
        recorder.sample("host_disk_free_bytes", usage.free_bytes, mount=mount)
        if usage.ratio is not None:
            recorder.sample("host_disk_usage_ratio", usage.ratio, mount=mount)
            _judge(self.disk, usage.ratio, f"disk in use at {mount}", recorder, misses)
        if usage.inodes is not None:
            recorder.sample("host_inodes_usage_ratio", usage.inodes, mount=mount)
            _judge(self.inodes, usage.inodes, f"inodes in use at {mount}", recorder, misses)


def _judge(
    band: RatioBand | NumberBand | None,
    value: float,
    what: str,
    recorder: Recorder,
    misses: list[str],
) -> None:
    """Judge a value and keep a failure, so that all of them reach the Result."""
    if band is None:
        return
    try:
        band.judge(value, recorder, what)
    except CheckFailed as failure:
        misses.append(failure.message)


async def _cpu_usage(calls: BlockingCalls, seconds: float) -> float | None:
    """Return the share of CPU time in use since an earlier reading; None if no time was counted."""
    now = await calls.call("cpu", _read_cpu, seconds)
    while _readings and now.at - _readings[0].at > CPU_MAX_AGE_S:
        _readings.popleft()
    before = next((r for r in reversed(_readings) if now.at - r.at >= CPU_WINDOW_S), None)
    if before is None:
        before = now
        await asyncio.sleep(CPU_WINDOW_S)
        now = await calls.call("cpu", _read_cpu, seconds)
    _readings.append(now)
    total = now.total - before.total
    return min(1.0, max(0.0, (now.busy - before.busy) / total)) if total > 0 else None


def _read_cpu() -> _Cpu:
    times = psutil.cpu_times()
    counted = times._asdict()
    # the time of guests is counted in user and nice already
    total = sum(counted.values()) - counted.get("guest", 0.0) - counted.get("guest_nice", 0.0)
    idle = times.idle + counted.get("iowait", 0.0)
    return _Cpu(time.monotonic(), total - idle, total)


def _memory() -> Samples:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    found: Samples = [
        ("host_memory_usage_ratio", 1 - memory.available / memory.total, {}),
        ("host_memory_available_bytes", memory.available, {}),
        ("host_memory_total_bytes", memory.total, {}),
    ]
    if swap.total:
        found.append(("host_swap_usage_ratio", swap.used / swap.total, {}))
    return found


def _load() -> Samples:
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    return [("host_load1", os.getloadavg()[0], {}), ("host_uptime_seconds", uptime, {})]


def _disk_io() -> Samples:
    found: Samples = []
    disks = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
    # partitions are listed beside their disks, which count the same bytes once more
    whole = [n for n in disks if not n.startswith(IGNORED_DEVICES) and _is_whole(n)]
    whole.sort(key=lambda n: -(disks[n].read_bytes + disks[n].write_bytes))
    for device in whole[:MAX_DEVICES]:
        io = disks[device]
        for direction, count, size in (
            ("read", io.read_count, io.read_bytes),
            ("write", io.write_count, io.write_bytes),
        ):
            labels = {"device": device, "direction": direction}
            found.append(("host_disk_io_operations_total", count, labels))
            found.append(("host_disk_io_bytes_total", size, labels))
    return found


def _is_whole(device: str) -> bool:
    return Path("/sys/block", device.replace("/", "!")).exists()


def _network() -> Samples:
    found: Samples = []
    interfaces = psutil.net_io_counters(pernic=True, nowrap=False)
    named = [n for n in interfaces if not n.startswith(IGNORED_INTERFACES)]
    # containers make an interface each: the busiest tell the most
    named.sort(key=lambda n: -(interfaces[n].bytes_recv + interfaces[n].bytes_sent))
    for interface in named[:MAX_INTERFACES]:
        io = interfaces[interface]
        for direction, size in (("receive", io.bytes_recv), ("transmit", io.bytes_sent)):
            labels = {"interface": interface, "direction": direction}
            found.append(("host_network_bytes_total", size, labels))
    return found


def _connections() -> Samples:
    # not psutil.net_connections(): it opens the files of every process to learn the owner
    counts: Counter[bytes] = Counter()
    tables = [table for table in map(Path, TCP_TABLES) if table.exists()]
    for table in tables:
        with table.open("rb") as lines:
            next(lines, None)
            counts.update(line.split(None, _STATE_COLUMN + 1)[_STATE_COLUMN] for line in lines)
    if not tables:
        return []
    return [
        ("host_network_connections", counts[code], {"state": state})
        for code, state in TCP_STATES.items()
    ]


def _temperatures() -> Samples:
    read = getattr(psutil, "sensors_temperatures", dict)
    found: Samples = []
    for chip, sensors in read().items():
        for number, sensor in enumerate(sensors):
            name = f"{chip} {sensor.label or number}"
            found.append(("host_temperature_celsius", sensor.current, {"sensor": name}))
    return found[:MAX_SENSORS]


@dataclass(frozen=True, slots=True)
class _Usage:
    """Of one file system; None where it counts none."""

    free_bytes: int
    ratio: float | None
    inodes: float | None


def _disk_mounts() -> list[str]:
    """Return the mount points of file systems on disks, one each; at least ``/``."""
    by_device: dict[str, str] = {}
    for part in psutil.disk_partitions(all=False):
        if part.fstype not in IGNORED_SYSTEMS:
            known = by_device.get(part.device)
            # a bind mount shows the same device again, deeper in the tree
            if known is None or len(part.mountpoint) < len(known):
                by_device[part.device] = part.mountpoint
    return sorted(by_device.values())[:MAX_MOUNTS] or ["/"]


def _asker(mount: str) -> Callable[[], _Usage]:
    def ask() -> _Usage:
        # a directory whose file system is not mounted would tell the numbers of another one
        if not Path(mount).is_mount():
            Path(mount).stat()  # is_mount hides why it cannot look
            raise ValueError("a directory of another file system")
        return _usage(os.statvfs(mount))

    return ask


def _usage(told: Any) -> _Usage:
    """Return shares as df shows them: what root alone may use is neither free nor all."""
    used = told.f_blocks - told.f_bfree
    blocks = used + told.f_bavail
    files = told.f_files - told.f_ffree
    inodes = files + told.f_favail
    return _Usage(
        free_bytes=told.f_bavail * told.f_frsize,
        ratio=used / blocks if blocks else None,
        inodes=files / inodes if told.f_files and inodes else None,
    )
