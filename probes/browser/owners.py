"""Which user a connection over the loopback comes from, as the kernel tells it.

A port of 127.0.0.1 is open to everybody on the machine; who is somebody else must not travel under
the policy of a run. Another process of our own user could do as it likes with ours anyway. Knows
nothing of what is said over the connection.
"""

import asyncio
from pathlib import Path
from time import monotonic

from probes.errors import CheckFailed
from probes.result import Reason
from probes.wire.blocking import BlockingCalls

# man 5 proc: addresses as hexadecimal words of the host, port, then queues, timers, and the user.
# Not /proc/net/tcp: with ProcSubset=pid, as hardened units of systemd have it, there is no such.
TABLE = Path("/proc/self/net/tcp")
_LOCAL, _REMOTE, _STATE, _UID = 1, 2, 3, 7
_ESTABLISHED = "01"
# A table of 100,000 sockets takes 0.1 s; beyond this the machine has another problem.
READING_S = 2.0


def read_owners(table: str, port: int) -> dict[int, int]:
    """Return the user of every connection to *port*, by the port that it comes from."""
    suffix = f":{port:04X}"
    found: dict[int, int] = {}
    for line in table.splitlines()[1:]:
        fields = line.split()
        if (
            len(fields) > _UID
            and fields[_REMOTE].endswith(suffix)
            and fields[_STATE] == _ESTABLISHED
        ):
            found[int(fields[_LOCAL].rpartition(":")[2], 16)] = int(fields[_UID])
    return found


class Owners:
    """Answers for the connections to one listening port.

    Args:
        port: that is listened on.
        table: of the kernel.
    """

    def __init__(self, port: int, table: Path = TABLE) -> None:
        self._port = port
        self._table = table
        self._calls = BlockingCalls("browser-owners")
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self._found: dict[int, int] = {}

    async def uid(self, peer_port: int) -> int | None:
        """Return the user of the connection that comes from *peer_port*; None: there is none.

        A reading that began before the question does not count: a port may have changed hands.
        Many that ask at once share one.

        Raises:
            CheckFailed: ``resource``: the kernel does not tell.
        """
        asked_at = monotonic()
        async with self._lock:
            if self._read_at <= asked_at:
                self._read_at = monotonic()
                try:
                    text = await self._calls.call(
                        "tcp", lambda: self._table.read_text("ascii", "replace"), READING_S
                    )
                except (OSError, TimeoutError) as error:
                    got = getattr(error, "strerror", None) or f"no answer in {READING_S:g} s"
                    text = f"want {self._table} to tell who connects to the browser's proxy"
                    raise CheckFailed(Reason.RESOURCE, f"{text}, got {got}") from None
                self._found = read_owners(text, self._port)
            return self._found.get(peer_port)
