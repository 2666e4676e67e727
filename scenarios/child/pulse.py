"""How the generator itself is: what a timer of 100 ms, the clock of the CPU and the kernel say.

A generator that is too busy to look at the clock measures itself, not its target. Knows no load.
"""

import os
from collections.abc import Callable
from time import monotonic, process_time, sleep

from scenarios.records import Vitals

# load.md 7.1
BEAT_S = 0.1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MEMORY, _DESCRIPTORS = "/proc/self/statm", "/proc/self/fd"


class Pulse:
    """The vitals of this process since they were last taken."""

    def __init__(self) -> None:
        self._lags: list[float] = []
        self._since = monotonic()
        self._used = process_time()

    def beat(self, is_over: Callable[[], bool]) -> None:
        """Time a timer again and again, until *is_over*."""
        while not is_over():
            began = monotonic()
            sleep(BEAT_S)
            self._lags.append(max(0.0, monotonic() - began - BEAT_S))

    def take(self) -> Vitals:
        """Return what was found since the last time."""
        now, used = monotonic(), process_time()
        lags = sorted(self._lags) or [0.0]
        passed, spent = now - self._since, used - self._used
        self._lags, self._since, self._used = [], now, used
        return Vitals(
            lag_p99_s=lags[min(len(lags) - 1, int(len(lags) * 0.99))],
            lag_max_s=lags[-1],
            cpu=min(1.0, spent / passed) if passed > 0 else 0.0,
            rss_bytes=_resident(),
            fds=_descriptors(),
        )


def _resident() -> int:
    with open(_MEMORY, "rb") as file:  # noqa: PTH123 - each second, of a file that is none
        return int(file.read().split()[1]) * _PAGE_BYTES


def _descriptors() -> int:
    # one of them is the listing's own
    return len(os.listdir(_DESCRIPTORS)) - 1  # noqa: PTH208 - each second, and no path is wanted
