"""What signals do to ``sonde run``: P26, and a reload that is asked for too early."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.servers.process import free_port
from tests.waiting import wait_until

SONDE = str(Path(sys.executable).parent / "sonde")
PROBES = """version: 1
probes:
  - {name: hangs, kind: tcp, target: "127.0.0.1:%d", every: 60s, timeout: 60s, expect: {banner: x}}
"""

pytestmark = pytest.mark.slow


class Target:
    """Accepts and says nothing; ``met`` is set with the first connection."""

    def __init__(self) -> None:
        self.met = Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.accepted: list[socket.socket] = []
        self.thread = Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self) -> None:
        while True:
            try:
                self.accepted.append(self.listener.accept()[0])
            except OSError:
                return
            self.met.set()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        for sock in self.accepted:
            sock.close()


@pytest.fixture
def target() -> Iterator[Target]:
    target = Target()
    yield target
    target.close()


@pytest.fixture
def service(tmp_path: Path, target: Target) -> Iterator["subprocess.Popen[str]"]:
    file = tmp_path / "p.yaml"
    file.write_text(PROBES % target.port)
    process = subprocess.Popen(
        [SONDE, "run", "--config", str(file), "--listen", f"127.0.0.1:{free_port()}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ},
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate(timeout=10)


def test_a_second_signal_ends_it_at_once_and_says_so(
    service: "subprocess.Popen[str]", target: Target
) -> None:
    """P26: a run of 60 s is in flight, which the first signal waits for."""
    assert target.met.wait(20)
    assert service.stdout is not None
    service.send_signal(signal.SIGTERM)
    while "draining" not in service.stdout.readline():
        pass

    service.send_signal(signal.SIGTERM)

    _, said = service.communicate(timeout=2)
    assert said == "sonde: cut off by a second SIGTERM\n"
    assert service.returncode == 143


def test_a_stop_waits_for_a_run_that_hangs_but_not_for_ten_seconds(
    service: "subprocess.Popen[str]", target: Target
) -> None:
    """P26."""
    assert target.met.wait(20)
    service.send_signal(signal.SIGTERM)

    told, said = service.communicate(timeout=10)

    assert service.returncode == 0
    assert said == ""
    assert '"stopped; 1 runs were cut off"' in told
    assert "hangs is" not in told


def test_a_reload_that_is_asked_for_before_it_is_ready_comes_after(
    service: "subprocess.Popen[str]",
) -> None:
    """A sidecar signals whenever the file has changed; by default that ends a process."""
    assert service.stdout is not None
    wait_until(lambda: holds_hangups(service.pid), 20)

    service.send_signal(signal.SIGHUP)

    assert "serving 1 probe on" in service.stdout.readline()
    assert "reloaded" in service.stdout.readline()


def test_a_lack_of_descriptors_is_told_once_and_not_at_each_reload(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    targets = ", ".join(f"'127.0.0.1:{port}'" for port in range(1, 401))
    file.write_text(
        "version: 1\nprobes: [{name: a, kind: tcp, every: 1h, timeout: 1h,"
        f" targets: [{targets}]}}]\n"
    )
    command = [SONDE, "run", "--config", str(file), "--listen", f"127.0.0.1:{free_port()}"]
    # a limit that is lowered does not rise again: not in this process
    limited = ["sh", "-c", 'ulimit -n 256; exec "$@"', "sh", *command]
    with subprocess.Popen(limited, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = [process.stdout.readline(), process.stdout.readline()]
            process.send_signal(signal.SIGHUP)
            told.append(process.stdout.readline())
        finally:
            process.kill()

    assert "want 400 runs in flight when every target hangs" in told[0]
    assert "serving 400 probes" in told[1]
    assert "reloaded" in told[2]


def holds_hangups(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    blocked = next(line for line in status.splitlines() if line.startswith("SigBlk"))
    return bool(int(blocked.split()[1], 16) & 1 << signal.SIGHUP - 1)
