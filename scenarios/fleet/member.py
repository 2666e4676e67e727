"""One child of a load run: its process and its group, its socket, its output; and its end.

    spawn()  in a thread: process, socket pair, files of its output
    Child    on the loop: reads records, sends orders, sees the end

The process is ours until we take its exit code: until then its number is nobody else's, and a
signal to its group reaches no stranger. Knows no plan and no shard.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probes.units import short
from scenarios import codec
from scenarios.records import Record

# What Python and TLS need of our environment; a plan's `env()` travels in the secrets.
PASSED_ON: tuple[str, ...] = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
# Ours may lie beside the child's working directory and not among the installed packages.
PACKAGES = str(Path(__file__).resolve().parents[2])
WORKER = (sys.executable, "-m", "scenarios.worker", "shard")
# load.md 7.2: the default holds one long record.
SEND_BUFFER = 1024 * 1024
# Output that nobody asked for is cut back beyond this.
MAX_OUTPUT_BYTES = 16 * 1024 * 1024
LAST_WORDS_BYTES = 4096
# A socket holds some hundred datagrams: who sends more meanwhile never lets the reader go.
MAX_READS = 1024
# From the end of its socket to its own end: whose process lives on says nothing any more.
CLOSED_S = 1.0


@dataclass(frozen=True, slots=True)
class Crew:
    """A child that is to be started.

    Args:
        shards: that it plays, or relays.
        command: of it.
        relays: others play them, on other machines.
    """

    shards: tuple[int, ...]
    command: Sequence[str] = WORKER
    relays: bool = False

    @property
    def name(self) -> str:
        """Of its files."""
        return f"shard-{self.shards[0]}"


@dataclass(frozen=True, slots=True)
class Spawned:
    """What a child consists of; `release` gives the descriptors back.

    Args:
        process: nobody but its `Child` takes the exit code.
        end: our end of the socket pair.
        exit: becomes readable when the process has ended.
        output: descriptors of the files of its standard output and error.
    """

    process: "subprocess.Popen[bytes]"
    end: socket.socket
    exit: int
    output: tuple[int, int]

    def trim(self) -> None:
        """Cut back output that has grown too long; the child goes on at its begin."""
        for file in self.output:
            if os.fstat(file).st_size > MAX_OUTPUT_BYTES:
                os.ftruncate(file, 0)

    def destroy(self) -> None:
        """End it, with its group, and release it; it blocks."""
        _end(self.process)
        self.release()

    def release(self) -> None:
        """Close what is ours of it; it blocks."""
        self.end.close()
        for descriptor in (self.exit, *self.output):
            os.close(descriptor)


def spawn(crew: Crew, place: Path) -> Spawned:
    """Start a child in *place*; it blocks.

    Raises:
        OSError: it cannot be started; nothing is left of it.
    """
    with ExitStack() as undo:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        undo.callback(ours.close)
        with its:
            for end in (ours, its):
                end.settimeout(0)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            files: list[int] = []
            for ending in ("out", "err"):
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
                files.append(os.open(place / f"{crew.name}.{ending}", flags, 0o600))
                undo.callback(os.close, files[-1])
            process = subprocess.Popen(  # noqa: S603 - our own interpreter, or what a test gives
                list(crew.command),
                stdin=subprocess.DEVNULL,
                stdout=files[0],
                stderr=files[1],
                pass_fds=(its.fileno(),),
                env=_environment(crew, place, its.fileno()),
                cwd=place,
                process_group=0,
            )
        undo.callback(_end, process)
        exit_ = os.pidfd_open(process.pid)
        undo.pop_all()
    return Spawned(process, ours, exit_, (files[0], files[1]))


def _end(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _environment(crew: Crew, place: Path, end: int) -> Mapping[str, str]:
    """Return the environment of a child: nothing of ours but what it cannot live without."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    own = {
        "PYTHONPATH": PACKAGES,
        "TMPDIR": str(place),
        "SONDE_FD": str(end),
        "SONDE_PARENT": str(os.getpid()),
        "SONDE_SHARD": str(crew.shards[0]),
    }
    return passed | own


@dataclass(frozen=True, slots=True)
class Ears:
    """Who is told of a child.

    Args:
        heard: takes a record; raises `ValueError` when the child cannot be believed any more.
        strayed: is told why a child cannot be believed: nothing more is read of it.
        gone: its process is gone, and all that it said was heard.
    """

    heard: "Callable[[Child, Record], None]"
    strayed: "Callable[[Child, str], None]"
    gone: "Callable[[Child], None]"


class Child:
    """A child that runs.

    Args:
        shards: that it plays, or relays.
        spawned: what it consists of.
        ears: are told.
        forms: of the records that it may say.
    """

    def __init__(
        self,
        shards: tuple[int, ...],
        spawned: Spawned,
        ears: Ears,
        forms: tuple[type[Any], ...] = codec.REPORTS,
    ) -> None:
        self.shards = shards
        self.gone = asyncio.Event()
        self.records = 0
        """Read since somebody set it to 0."""
        self._spawned = spawned
        self._ears = ears
        self._decoder = codec.Decoder(forms)
        self._outgoing: deque[bytes] = deque()
        self._is_heard = True
        self._closing: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(spawned.end, self.read)
        self._loop.add_reader(spawned.exit, self._exited)

    def send(self, record: Record) -> None:
        """Send an order, in the order of the calls, as soon as it can be taken; never waits."""
        if self.gone.is_set():
            return
        self._outgoing.extend(codec.encode(record))
        self._flush()

    def _flush(self) -> None:
        end = self._spawned.end
        try:
            while self._outgoing:
                end.send(self._outgoing[0])
                self._outgoing.popleft()
        except BlockingIOError:
            self._loop.add_writer(end, self._flush)
            return
        except OSError:
            self._outgoing.clear()  # it has closed its end: whoever reads sees that
        self._loop.remove_writer(end)

    def read(self) -> None:
        """Read all that waits in the socket."""
        for _ in range(MAX_READS):
            if not self._is_heard or not self._read_one():
                return

    def _read_one(self) -> bool:
        try:
            data = self._spawned.end.recv(codec.READ_BYTES)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            # told once, and before what still waits: it ended without having read an order
            return True
        except OSError:
            data = b""
        if not data:
            self._deafen()
            # its process ends too, as a rule, and says more by its exit code
            self._closing = self._loop.call_later(CLOSED_S, self._closed)
            return False
        self.records += 1
        try:
            record = self._decoder.feed(data)
            if record is not None:
                self._ears.heard(self, record)
        except ValueError as error:
            self._deafen()
            self._ears.strayed(self, str(error))
            return False
        return True

    def _closed(self) -> None:
        self._ears.strayed(self, "want it to speak until its end, got its socket closed")

    def _deafen(self) -> None:
        """Read no more: what a child says that cannot be believed is not even received."""
        self._is_heard = False
        self._loop.remove_reader(self._spawned.end)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to it and to all that it has started in its group."""
        if self.gone.is_set():
            return
        # its exit code was not taken: the number is its own, whether it lives or not
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._spawned.process.pid, number)

    def _exited(self) -> None:
        self._loop.remove_reader(self._spawned.exit)
        # what it said last is heard first
        self.read()
        # its own children end before its number is free
        self.signal_group(signal.SIGKILL)
        self._spawned.process.poll()
        if self._is_heard:
            self._deafen()
        if self._closing is not None:
            self._closing.cancel()
        self._loop.remove_writer(self._spawned.end)
        self.gone.set()
        self._ears.gone(self)

    @property
    def end_text(self) -> str:
        """How the process ended, for people: its exit code, or signal, and its last words."""
        code = self._spawned.process.returncode
        words = self._last_words()
        text = f"exit code {code}" if code is None or code >= 0 else _signal_name(-code)
        return f"{text}: {words}" if words else text

    def _last_words(self) -> str:
        """Return the last line of its standard error: just written, so in memory."""
        file = self._spawned.output[1]
        try:
            size = os.fstat(file).st_size
            text = os.pread(file, LAST_WORDS_BYTES, max(0, size - LAST_WORDS_BYTES))
        except OSError:
            return ""
        words = text.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return short(words, 200) if words else ""

    @property
    def spawned(self) -> Spawned:
        """What it consists of: what must be done to it in a thread."""
        return self._spawned

    def forget(self) -> None:
        """Stop listening to a process that hangs in the kernel and does not end."""
        self._deafen()
        self._loop.remove_writer(self._spawned.end)
        self._loop.remove_reader(self._spawned.exit)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
