"""``sonde load`` and ``sonde load-worker`` as processes, and what they load."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

from tests.scenarios.children import PACKAGES
from tests.waiting import wait_until

COMMAND = (sys.executable, "-c", "from exporter.cli import main; main()")
# a crowded machine starts ten interpreters at once
START_S = 60.0
FILE = """
version: 1
journeys:
  home:
    base_url: {target}
    steps: [{{name: home, get: /}}]
  slow:
    base_url: {delay}
    data: {{file: delays.csv}}
    steps: [{{name: wait, get: "/${{row.ms}}"}}]
safety:
  targets: {{allow: [{allow}]}}
  load: {{max_users: 300, max_rate: 200/s, max_duration: 2m}}
scenarios:
  long:
    {{journey: home, rate: 60/s, duration: 60s}}
  equal:
    mix: [{{journey: slow, weight: 4}}, {{locustfile: odd.py, user_class: Odd, trust: true}}]
    seed: 7
    preflight: {{attempts: 1}}
    load: {{model: open, stages: [{{rate: 20/s, duration: 4s}}], users: {{start: 60, max: 120}}}}
"""
ODD = """
from locust import HttpUser, task

class Odd(HttpUser):
    host = "{delay}"

    @task
    def odd(self):
        with self.client.get("/500", name="half \\udcff", catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure("not \\udcff")
"""


class Delay:
    """Answers each GET of ``/MS`` after so many milliseconds, from a loop in a thread."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.came_at: list[float] = []
        self._host = host
        self._open: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ready = threading.Event()
        self.port = 0
        self._thread.start()
        self._ready.wait(START_S)

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}"

    def _serve(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._until_closed())

    async def _until_closed(self) -> None:
        self._closed = asyncio.Event()
        async with await asyncio.start_server(self._answer, self._host, 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._closed.wait()
            for writer in self._open:
                writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.came_at.append(monotonic())
                await asyncio.sleep(int(head.split()[1].strip(b"/") or b"0") / 1000)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        self._open.discard(writer)
        writer.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._closed.set)
        self._thread.join()


def write_file(place: Path, target: str, delay: str, allow: str = "127.0.0.1/32") -> Path:
    """Write a probe file, with its data and its locust file, and return it."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "probes.yaml").write_text(FILE.format(target=target, delay=delay, allow=allow))
    (place / "odd.py").write_text(ODD.format(delay=delay))
    (place / "delays.csv").write_text("ms\n" + "".join(f"{ms}\n" for ms in range(400, 1300, 100)))
    return place / "probes.yaml"


class Process:
    """One command, its output in files."""

    def __init__(self, place: Path, name: str, *words: str, prefix: tuple[str, ...] = ()) -> None:
        self.place = place
        place.mkdir(parents=True, exist_ok=True)
        self._out, self._err = place / f"{name}.out", place / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*prefix, *COMMAND, *words],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=place,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": PACKAGES,
                     "TMPDIR": str(place), "HOME": str(place), "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def says(self, word: str, seconds: float = START_S) -> float:
        """Wait until it says *word*, and return when."""
        wait_until(lambda: word in self.out + self.err, seconds)
        return monotonic()

    def ends(self, seconds: float = START_S) -> int:
        return self.process.wait(seconds)

    def kill(self) -> float:
        """End it by force, and return when."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        return monotonic()

    def children(self) -> list[int]:
        """Return the processes that it has started, and that live."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[1]) == self.process.pid and fields[0] != "Z":
                    found.append(int(path.parent.name))
        return found

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone_after_s(pids: list[int], since: float, seconds: float) -> float:
    """Wait until no such process is left, and return how long after *since* that was."""
    wait_until(lambda: not any(map(is_alive, pids)), since + seconds - monotonic())
    return monotonic() - since


@contextmanager
def crowd() -> Iterator[list[Process]]:
    """Processes that are gone at the end of the block."""
    them: list[Process] = []
    try:
        yield them
    finally:
        for it in them:
            it.close()
